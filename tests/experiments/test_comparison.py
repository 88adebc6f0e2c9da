"""Comparisons with published tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poselib.annotations import AnnotationTable
from poselib.data.synthetic.export import write_scenes
from poselib.engine.checkpoints import save_system
from poselib.engine.evaluate import Evaluation, evaluate_poses
from poselib.experiments.comparison import TableResult, compare, outcome, scores_of
from poselib.experiments.training import init_system
from poselib.metrics.ap import APResult
from poselib.metrics.comparison import compare as compare_people
from poselib.metrics.pck import PartAP
from poselib.papers.catalog import PAPERS
from poselib.papers.presets import get_preset
from poselib.papers.published import published_table
from poselib.skeletons import COCO, MPII
from tests.experiments.found_truth import MATCHED, MULTI, SINGLE, Look, moved, weights_of

TABLES = {
    f"{table.paper} {table.number}": table for paper in PAPERS.values() for table in paper.tables
}
AP = APResult(*(n / 100 for n in range(1, 11)))
CROWDED = replace(AP, AP_crowd_easy=0.5, AP_crowd_medium=0.4, AP_crowd_hard=0.3)
PARTS = PartAP(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.6)


def evaluated(ap: APResult, parts: PartAP | None = None) -> Evaluation:
    return Evaluation(
        ap, [], compare_people(AnnotationTable.empty((), 17), [], COCO), pckh_ap=parts
    )


def test_numbers_are_in_per_cent_and_in_their_places() -> None:
    # AP, AP50, AP75, AP_M, AP_L, AR, AR50, AR75, AR_M and AR_L are 1 to 10 %.
    found = scores_of("coco", evaluated(AP))
    assert list(found.values()) == pytest.approx(range(1, 11))
    assert " ".join(found) == "AP AP50 AP75 APM APL AR AR50 AR75 ARM ARL"
    crowd = scores_of("crowdpose", evaluated(CROWDED))
    assert (crowd["APE"], crowd["APM"], crowd["APH"]) == pytest.approx((50, 40, 30))
    assert (crowd["AR"], crowd["AR50"], crowd["AR75"]) == pytest.approx((6, 7, 8))
    parts = scores_of("mpii", evaluated(AP, PARTS))
    assert parts["AP_head"] == pytest.approx(90) and parts["AP_total"] == pytest.approx(60)


def test_a_protocol_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="needs images that have a crowd index"):
        scores_of("crowdpose", evaluated(AP))
    with pytest.raises(ValueError, match="head sizes"):
        scores_of("mpii", evaluated(AP))


@pytest.mark.slow
def test_each_variant_has_its_own_row(looks: list[Look]) -> None:
    found = {each.table.number: each for each in compare("dekr", "smoke")}
    assert list(found) == ["2", "4", "7"]
    crowd = get_preset("smoke", "crowd", "dekr").open_dataset("crowd", "test")
    system = init_system(get_preset("smoke", "crowd", "dekr"), crowd.skeleton, 0, "dekr")
    numbers = found["7"].numbers
    assert " ".join(numbers) == "params_m input_size AP AP50 AP75 APE APM APH"
    rows = {"single scale": SINGLE, "multi-scale": MULTI, "multi-scale, matched": MATCHED}
    assert list(numbers.index) == [f"poselib, hrnet_tiny, {variant}" for variant in rows]
    assert found["7"].variants == tuple(rows)
    for (_, row), by in zip(numbers.iterrows(), rows.values(), strict=True):
        expected = scores_of("crowdpose", evaluate_poses(crowd, moved(crowd, by), system.skeleton))
        for name in ("AP", "AP75", "APE", "APM", "APH"):
            assert row[name] == pytest.approx(expected[name], nan_ok=True)
    assert numbers["AP"].is_unique and numbers["AP"].iloc[0] == pytest.approx(100)
    weights = sum(p.numel() for p in system.model.parameters())
    assert (numbers["params_m"] == weights / 1e6).all() and (numbers["input_size"] == 128).all()
    assert found["7"].measured_on == (
        "4 synthetic scenes, 5 to 7 people, crowd index 0 to 1, 128 px, network input 128 px, "
        "multi-scale at 0.5, 1 and 2"
    )


def test_what_tables_have_in_common_is_measured_once(looks: list[Look]) -> None:
    found = compare("grm", "smoke", scales=(1.0, 2.0))
    one, several = (1.0,), (1.0, 2.0)
    # Crowds, then the scenes of both other tables.
    assert [look.scales for look in looks] == [one, several, one, several]
    assert list(found[1].numbers["AP"]) == list(found[2].numbers["AP"])
    assert [each.checkpoint for each in found] == ["untrained"] * 3
    assert list(found[0].numbers)[-3:] == ["AR", "AR50", "AR75"]


def test_a_checkpoint_has_its_input_size_and_skeleton(looks: list[Look], tmp_path: Path) -> None:
    file = str(tmp_path / "tiny.safetensors")
    preset = get_preset("smoke", "", "grm")
    save_system(
        Path(file), replace(init_system(preset, COCO, 0, "grm", head="associative"), input_size=96)
    )
    found = compare("grm", "smoke", file)[0]
    assert {look.size for look in looks} == {96}
    assert (found.numbers["input_size"] == 96).all() and "network input 96 px" in found.measured_on
    assert found.variants == ("single scale", "multi-scale")  # tags are grouped, nothing is matched
    # Wherever the runs are: a table that is kept names no folder of one machine.
    expected = [f"{tmp_path.name}/tiny.safetensors"]
    assert found.lines()["checkpoint"].dropna().unique().tolist() == expected


@pytest.mark.slow
def test_a_dataset_at_hand_replaces_synthetic_scenes(looks: list[Look], tmp_path: Path) -> None:
    folder, preset = tmp_path / "coco", get_preset("smoke", "coco", "dekr")
    write_scenes(tmp_path / "drawn", preset.scenes, 3, 7, COCO)
    folder.mkdir()
    (tmp_path / "drawn" / "images").rename(folder / "val2017")
    (folder / "annotations").mkdir()
    annotations = folder / "annotations" / "person_keypoints_val2017.json"
    (tmp_path / "drawn" / "annotations.json").rename(annotations)
    file, trained = str(tmp_path / "coco.safetensors"), init_system(preset, COCO, 5, "dekr")
    save_system(Path(file), replace(trained, input_size=64))
    real = {"coco": (str(folder), file), "crowdpose": ("", "not looked at")}
    val, testdev, _ = compare("dekr", "smoke", real=real, seed=3)
    assert val.checkpoint == file and testdev.checkpoint == "untrained"
    assert val.measured_on.startswith("3 images of coco, network input 64 px")
    assert testdev.measured_on.startswith("4 synthetic scenes, 1 to 3 people")
    assert [(look.images, look.size) for look in looks] == [(3, 64)] * 2 + [(4, 128)] * 4
    untrained = init_system(get_preset("smoke", "synthetic", "dekr"), COCO, 3, "dekr")
    expected = [weights_of(trained)] * 2 + [weights_of(untrained)] * 2
    assert [look.weights for look in looks[:4]] == pytest.approx(expected, rel=1e-12)


def test_poses_are_measured_before_and_after_adaptation(looks: list[Look]) -> None:
    val, testdev, *ochuman = compare("logocap", "smoke")
    assert [each.table.number for each in ochuman] == ["2 val", "2 test"]
    for each in (val, testdev, *ochuman):
        assert each.variants == ("adapted", "center-offset")
        adapted, plain = each.numbers["AP"]
        assert adapted == pytest.approx(100) and plain < adapted
        assert each.checkpoint == "untrained"
    assert list(val.numbers) == ["params_m", "AP", "AP50", "AP75", "APM", "APL"]
    assert list(ochuman[0].numbers) == ["params_m", "AP"]
    # Scenes for both parts of Table 1, crowds for both of Table 2; variants share a forward pass.
    assert [look.scales for look in looks] == [(1.0,)] * 2
    assert (
        val.measured_on == testdev.measured_on
        and "5 to 7 people" in ochuman[0].measured_on == ochuman[1].measured_on
    )


def test_one_checkpoint_is_tested_on_both_parts_of_ochuman(
    looks: list[Look], tmp_path: Path
) -> None:
    scenes, folder = get_preset("smoke").scenes, tmp_path / "ochuman"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for part, count in (("val", 2), ("test", 3)):
        write_scenes(tmp_path / part, scenes, count, 7, COCO)
        for image in (tmp_path / part / "images").iterdir():
            image.rename(folder / "images" / image.name)
        name = f"ochuman_coco_format_{part}_range_0.00_1.00.json"
        (tmp_path / part / "annotations.json").rename(folder / "annotations" / name)
    file = str(tmp_path / "coco.safetensors")
    untrained = init_system(get_preset("smoke", "", "logocap"), COCO, 1, "logocap")
    save_system(Path(file), replace(untrained, input_size=64))
    real = dict.fromkeys(("ochuman_val", "ochuman"), (str(folder), file))
    _, _, val, test = compare("logocap", "smoke", real=real)
    assert val.measured_on == "2 images of ochuman_val, network input 64 px"
    assert test.measured_on == "3 images of ochuman, network input 64 px"
    assert [look.images for look in looks] == [4, 2, 3]
    with pytest.raises(
        ValueError, match=r"parameter 'checkpoint_coco' needs .*\n.* -p dataset coco"
    ):
        compare("logocap", "paper", real={"ochuman": (str(folder), "")})


def test_the_system_that_comes_with_poselib_is_measured(looks: list[Look]) -> None:
    second, third, fourth, fifth = compare("hae", "smoke")
    assert " ".join(fourth.numbers) == "params_m AP AP50 AP75 APE APM APH"
    assert " ".join(second.numbers) == "params_m AP AP50 AP75 APM APL AR ARM ARL"
    assert [name.split(", ")[2] for name in third.numbers.index] == ["progressive", "fixed order"]
    assert second.checkpoint == "bundled"
    assert second.measured_on == "4 synthetic scenes, 1 to 3 people, 128 px, network input 128 px"
    # MPII's keypoints, which the model does not detect: smoke shows an untrained one.
    assert list(fifth.numbers)[1:] == [*fifth.table.metrics] and fifth.checkpoint == "untrained"
    assert fifth.measured_on.startswith("4 synthetic scenes, 2 to 4 people")
    assert fifth.numbers["AP_total"].tolist() == pytest.approx([100, 100])
    assert [(look.scales, look.size) for look in looks] == [((1.0,), 128)] * 3


def test_further_systems_have_rows_beside_it(looks: list[Look], tmp_path: Path) -> None:
    """HAE, Tables II to IV: classical associative embedding beside HAE."""
    file, preset = tmp_path / "ae.safetensors", get_preset("smoke", "synthetic", "hae")
    classical = init_system(preset, COCO, 1, "hae", hierarchical=False, focal=False)
    save_system(file, classical)
    second, _, fourth, fifth = compare("hae", "smoke", beside={"AE": str(file)})
    for each in (second, fourth):
        assert each.variants == ("progressive", "fixed order", "AE, progressive", "AE, fixed order")
        assert list(each.numbers.index)[2:] == [f"poselib, {row}" for row in each.variants[2:]]
    assert len(fifth.numbers) == 2 and outcome([second]).count("(AE, ") == 2
    weights = sum(p.numel() for p in classical.model.parameters()) / 1e6
    assert second.numbers["params_m"].iloc[-1] == weights != second.numbers["params_m"].iloc[0]
    save_system(file, init_system(preset, MPII, 1, "hae"))
    with pytest.raises(ValueError, match="'AE' detects keypoints of skeleton 'mpii', but"):
        compare("hae", "smoke", beside={"AE": str(file)})


def test_rows_name_the_system_of_a_file_that_is_not_the_papers(
    looks: list[Look], tmp_path: Path
) -> None:
    file = tmp_path / "hae.safetensors"
    save_system(file, init_system(get_preset("smoke", "synthetic", "hae"), COCO, 1, "hae"))
    rows = list(compare("grm", "smoke", str(file), scales=(1.0, 2.0))[1].numbers.index)
    assert rows and all(row.startswith("poselib, HAE, hrnet_") for row in rows), rows
    own = list(compare("grm", "smoke", scales=(1.0, 2.0))[1].numbers.index)
    assert own and all(row.startswith("poselib, hrnet_") for row in own), own


def test_a_network_for_mpii_is_tested_on_groups(looks: list[Look], tmp_path: Path) -> None:
    """HAE, Table V."""
    file = str(tmp_path / "mpii.safetensors")
    preset = get_preset("smoke", "groups", "hae")
    save_system(Path(file), replace(init_system(preset, MPII, 1, "hae"), input_size=64))
    *others, fifth = compare("hae", "smoke", real={"mpii": ("", file)})
    assert [each.checkpoint for each in others] == ["bundled"] * 3 and fifth.checkpoint == file
    assert fifth.measured_on.endswith("network input 64 px") and looks[-1].size == 64


def test_without_images_nothing_is_measured(looks: list[Look]) -> None:
    found = compare("dekr", "paper")  # draws no scenes, and so needs no checkpoint
    assert (
        all(each.numbers.empty and each.measured_on == "" for each in found)
        and outcome(found) == ""
    )
    lines = found[0].lines()
    assert lines["measured"].isna().all() and lines["checkpoint"].isna().all()
    assert len(lines) == published_table("dekr", "2").notna().to_numpy().sum()
    assert not looks


def test_what_is_missing_is_said_before_anything_is_measured(
    looks: list[Look], tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=r"crowdpose_test\.json"):
        compare("dekr", "smoke", real={"crowdpose": (str(tmp_path), "")})  # the last table's
    with pytest.raises(ValueError, match="parameter 'checkpoint' needs"):
        compare("dekr", "small")
    with pytest.raises(ValueError, match="parameter 'checkpoint_coco' needs"):
        compare("dekr", "paper", real={"coco": (str(tmp_path), "")})
    with pytest.raises(ValueError, match="unknown preset 'tiny'"):
        compare("dekr", "tiny")
    assert not looks


def test_figures_show_metrics_alone_and_sizes_where_they_are_published() -> None:
    table = TABLES["dekr 4"]
    measured = pd.DataFrame({"input_size": [64], "AP": [31.0]}, index=["poselib, net, variant"])
    published, ours = TableResult(table, measured).to_show()
    assert " ".join(published) == " ".join(ours) == "AP AP50 AP75 APM APL AR ARM ARL"
    weights, _ = TableResult(TABLES["hae IV"], pd.DataFrame()).to_show()
    assert list(weights)[:2] == ["M weights", "AP"]
    assert weights.loc["HAE/PAD, HrHRNet-W32", "M weights"] == 28.6
    assert published.loc["DEKR, HRNet-W48, multi-scale, 640 px", "AP"] == 71.0
    assert {"OpenPose*", "PersonLab at 1401 px"} <= set(published.index)
    assert ours.loc["poselib, net, variant", "AP"] == 31.0 and ours["AR"].isna().all()
    parts, _ = TableResult(TABLES["hae V"], pd.DataFrame()).to_show()
    assert list(parts)[-1] == "total" and list(parts.index) == list(
        published_table("hae", "V").index
    )


def test_published_and_measured_numbers_never_share_a_column() -> None:
    table = TABLES["hae IV"]
    measured = pd.DataFrame({"AP": [31.0], "APM": [np.nan]}, index=["poselib, net, progressive"])
    lines = TableResult(table, measured, "4 synthetic scenes, 128 px", (), "bundled").lines()
    assert (lines["published"].notna() ^ lines["measured"].notna()).all()
    ours = lines[lines["measured"].notna()]
    assert ours.to_dict("records") == [
        {"table": "IV", "row": "poselib, net, progressive", "metric": "AP",
         "published": pytest.approx(np.nan, nan_ok=True),
         "published_on": pytest.approx(np.nan, nan_ok=True), "measured": 31.0,
         "measured_on": "4 synthetic scenes, 128 px", "checkpoint": "bundled"}
    ]  # fmt: skip
    theirs = lines[lines["published"].notna()]
    assert (theirs["published_on"] == table.about).all()
    assert theirs["measured_on"].isna().all()
    row = theirs[(theirs["row"] == "HAE/PAD, HrHRNet-W32") & (theirs["metric"] == "AP")]
    assert row["published"].tolist() == [67.6]


def test_the_outcome_tells_every_way() -> None:
    rows = pd.DataFrame({"AP": [31.04, 29.0]}, index=["poselib, net, one", "poselib, net, two"])
    parts = pd.DataFrame({"AP_head": [5.0], "AP_total": [44.0]}, index=["poselib, net, one"])
    line = outcome(
        [
            TableResult(TABLES["dekr 2"], rows, "2 scenes", ("one", "two"), "file"),
            TableResult(TABLES["dekr 4"], pd.DataFrame()),
            TableResult(TABLES["hae V"], parts, "groups", ("one",), "file"),
        ]
    )
    assert line == (
        "Table 2: AP 31.0 (one), 29.0 (two) on 2 scenes; Table V: AP_total 44.0 (one) on groups"
    )

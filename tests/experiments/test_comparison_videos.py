"""Comparisons with published tables of videos."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from poselib.data.synthetic.clip_dataset import ClipConfig, SyntheticClips
from poselib.engine.checkpoints import Checkpoint
from poselib.engine.evaluate import evaluate_poses
from poselib.experiments import comparison as comparison_module
from poselib.experiments.comparison import compare, scores_of
from poselib.experiments.training import init_system
from poselib.metrics.pck import PARTS
from poselib.papers.comparison_table import MAIN_METRIC
from poselib.papers.presets import get_preset
from poselib.skeletons import POSETRACK18
from tests.experiments.found_truth import Look, moved, moved_by


def clips() -> SyntheticClips:
    return SyntheticClips(ClipConfig(size=96, frames=3, people=(2, 2)), 1, 3, POSETRACK18)


def test_numbers_of_videos_are_in_per_cent_and_in_their_places() -> None:
    dataset = clips()
    one_person = [each.only(np.array([0])) for each in (dataset[n] for n in range(len(dataset)))]
    found = [moved_by([each], 0.0)[0] for each in one_person]  # one of two people, exactly
    measured = evaluate_poses(dataset, found, POSETRACK18)
    for protocol in ("pck_torso", "pck_person"):
        rates = scores_of(protocol, measured)
        assert " ".join(rates) == " ".join(f"PCK_{part}" for part in ("head", *PARTS, "total"))
        assert rates["PCK_total"] == pytest.approx(100 * measured.videos[f"{protocol}_total"])
        assert 20 < rates["PCK_total"] < 80
    posetrack = scores_of("posetrack", measured)
    assert posetrack["AP_total"] == pytest.approx(100 * measured.videos["posetrack_total"])
    hieve = scores_of("hieve", measured)
    # half of the people found exactly, and nothing else: precision 1 up to a recall of a half
    assert hieve == pytest.approx({"AP": 50, "AP50": 50, "AP75": 50, "AP90": 50})
    photograph = evaluate_poses(
        replace(dataset.annotations(), videos=(), times=()), found, POSETRACK18
    )
    for protocol in ("pck_torso", "pck_person", "posetrack", "hieve"):
        with pytest.raises(ValueError, match=f"protocol '{protocol}' needs frames of videos"):
            scores_of(protocol, photograph)


def test_heads_without_boxes_have_no_ap_of_joints() -> None:
    dataset = clips()
    table = replace(dataset.annotations(), head_boxes=None)
    measured = evaluate_poses(table, moved(dataset, 0.0), POSETRACK18)
    assert scores_of("pck_torso", measured)["PCK_total"] == pytest.approx(100)
    with pytest.raises(ValueError, match="'posetrack' needs frames of videos, and heads"):
        scores_of("posetrack", measured)


@pytest.mark.slow
def test_clips_stand_for_videos(looks: list[Look]) -> None:
    found = {each.table.number: each for each in compare("rpstn", "smoke")}
    assert list(found) == ["V person", "V torso", "VI person", "VI torso", "VII", "IX"]
    for each in found.values():
        assert each.variants == ("state kept", "renewed every 5 frames")
        main = each.numbers[MAIN_METRIC[each.table.protocol]]
        assert main.tolist() == pytest.approx([100, 100], abs=1)  # unlabeled joints are found too
        assert each.measured_on.startswith("1 synthetic clip of 6 frames, ")
        assert each.measured_on.endswith("128 px, crops of 64x64 px")
        published, measured = each.to_show()
        assert list(published) == list(measured) and len(published) >= 3
        assert not any(str(name).startswith("PCK") for name in published)
    assert "1 person" in found["V torso"].measured_on
    assert "3 to 5 people" in found["VII"].measured_on == found["IX"].measured_on
    assert len(looks) == 4  # two kinds of clips, each with the state kept and renewed
    with pytest.raises(ValueError, match="paper 'jre' has no tables"):
        compare("jre", "smoke")


def test_splits_are_measured_one_by_one_and_averaged(
    looks: list[Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def dataset(name: str, *_: Any, **__: Any) -> tuple[SyntheticClips, str]:
        opened.append(name)
        return clips(), f"clips of {name}"

    def network(file: str, *given: Any, **named: Any) -> Checkpoint:
        settings = get_preset("smoke", "clips", "rpstn")
        return Checkpoint(init_system(settings, POSETRACK18, int(file), "rpstn"))

    monkeypatch.setattr(comparison_module, "evaluation_set", dataset)
    monkeypatch.setattr(comparison_module, "load_or_init", network)
    real = {f"sub_jhmdb_{n}": ("folder", str(n)) for n in (1, 2, 3)}
    found = {each.table.number: each for each in compare("rpstn", "smoke", "0", real)}
    assert opened == ["clips", *real, "clip_crowd"]
    split = found["VI torso"]
    assert split.measured_on.startswith("mean of 3: clips of sub_jhmdb_1, crops of 64x64 px; ")
    assert split.checkpoint == "1 2 3" and split.numbers["PCK_total"].tolist() == [100, 100]
    assert found["V torso"].measured_on == "clips of clips, crops of 64x64 px"

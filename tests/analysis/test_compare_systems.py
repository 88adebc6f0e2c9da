from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from poselib.analysis import compare_systems as compared_systems
from poselib.analysis.compare_systems import (
    ComparedSystems,
    compare_systems,
    comparison_panels,
    extreme_images,
)
from poselib.analysis.examples import filter_by_score
from poselib.analysis.select_images import ranked_images
from poselib.engine.checkpoints import Checkpoint
from poselib.engine.evaluate import evaluate
from poselib.engine.predict import PredictOptions
from poselib.skeletons import COCO, CROWDPOSE
from poselib.structures import Poses
from poselib.systems import build
from tests.analysis.factories import eager_regressor as guessing
from tests.engine.toys import scenes
from tests.toy_people import ANN, BOB, TOY, at, poses, sample

OPTIONS = PredictOptions(size=64, multiple=32, flip=False, batch_size=4)


def test_systems_are_compared_as_one_by_one() -> None:
    dataset = scenes(4)
    systems = {"a": Checkpoint(guessing(0)), "b": Checkpoint(guessing(1), size=96)}
    everyone = {
        name: evaluate(each.system, dataset, replace(OPTIONS, size=each.size or 64))
        for name, each in systems.items()
    }
    scores = [p.person_scores for found in everyone.values() for p in found.poses]
    least = float(np.median(np.concatenate(scores)))
    compared = compare_systems(systems, dataset, OPTIONS, least=least)
    assert list(compared.totals.index) == list(compared.poses) == ["a", "b"]
    for name, alone in everyone.items():
        sure = filter_by_score(alone.poses, least)
        assert 0 < sum(map(len, sure)) < sum(map(len, alone.poses))
        for mine, theirs in zip(compared.poses[name], sure, strict=True):
            np.testing.assert_array_equal(mine.keypoints, theirs.keypoints)
        ranked = ranked_images(dataset, sure, COCO)
        expected = ranked.set_index("index")["similarity"].sort_index()
        assert compared.images[name].to_dict() == expected.to_dict()
        row = compared.totals.loc[name]
        assert (row["AP"], row["AR"]) == (alone.ap.AP, alone.ap.AR)
        assert row["found"] == sum(map(len, sure))
        assert row["OKS"] == pytest.approx(
            np.average(ranked["similarity"], weights=ranked["people"])
        )
        pd.testing.assert_frame_equal(
            compared.ranked(name), ranked[["index", "people", "similarity"]]
        )
    assert (compared.images["a"] != compared.images["b"]).any()
    assert compared.totals["better"].tolist() == [
        (compared.images["a"] > compared.images["b"]).sum(),
        (compared.images["b"] > compared.images["a"]).sum(),
    ]


def test_who_is_unsure_counts_for_average_precision_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = scenes(3)

    def truth(system, samples, *_, **__) -> list[Poses]:
        people = [samples[i].keypoints for i in range(len(samples))]
        seen = [(each[..., 2] > 0).astype(np.float32) for each in people]
        return [
            Poses(each[..., :2], there, np.full(len(each), 0.9 if i else 0.05, np.float32))
            for i, (each, there) in enumerate(zip(people, seen, strict=True))
        ]

    monkeypatch.setattr(compared_systems, "predict", truth)
    systems = {"a": Checkpoint(guessing(0)), "b": Checkpoint(guessing(1))}
    compared = compare_systems(systems, dataset, OPTIONS, least=0.1)
    assert compared.totals["AP"].tolist() == [1, 1]
    assert compared.images["a"].tolist() == pytest.approx([0, 1, 1])
    assert compared.totals["better"].tolist() == [0, 0]
    people = compared.images["people"]
    assert compared.totals["found"].tolist() == [people.loc[1:].sum()] * 2


def test_two_systems_of_the_same_keypoints_are_wanted() -> None:
    systems = {
        name: Checkpoint(build("dekr", skeleton, backbone="hrnet_tiny", width=4))
        for name, skeleton in (("a", COCO), ("b", CROWDPOSE))
    }
    with pytest.raises(ValueError, match=r"not 2 of \['coco', 'crowdpose'\]"):
        compare_systems(systems, scenes(1), OPTIONS)
    with pytest.raises(ValueError, match="not 1 of"):
        compare_systems({"a": systems["a"]}, scenes(1), OPTIONS)


IMAGES = pd.DataFrame(
    {"people": [2, 1, 1], "first": [0.5, 0.6, 0.2], "second": [0.9, 0.6, 0.1]}, index=[0, 2, 5]
)
TOTALS = pd.DataFrame({"AP": [0.3, 0.4], "OKS": [0.45, 0.625]}, index=["first", "second"])


def of_images(found: dict[str, list[Poses]]) -> ComparedSystems:
    return ComparedSystems(TOTALS, found, IMAGES)


def test_the_gain_is_the_second_less_the_first() -> None:
    gain = of_images({"first": [], "second": []}).gain
    assert list(gain.index) == [5, 2, 0] and gain.tolist() == pytest.approx([-0.1, 0, 0.4])


def test_the_table_has_a_line_for_all_images_and_one_for_each() -> None:
    table = of_images({"first": [], "second": []}).as_table()
    assert list(table["image"]) == ["all", 0, 2, 5] and list(table["people"]) == [4, 2, 1, 1]
    assert table["OKS first"].tolist() == [0.45, 0.5, 0.6, 0.2]
    assert table["gain"].tolist() == pytest.approx([0.175, 0.4, 0.0, -0.1])
    assert table.loc[0, ["AP first", "AP second"]].tolist() == [0.3, 0.4]
    assert table.loc[1:, ["AP first", "AP second"]].isna().all(axis=None)


def telling(gains: list[float], count: int) -> dict[str, list[int]]:
    gain = pd.Series(gains, index=[10 + n for n in range(len(gains))])
    return extreme_images(gain.sort_values(kind="stable"), count)


def test_largest_gains_and_losses_and_what_lies_in_the_middle_are_chosen() -> None:
    chosen = telling([0.3, -0.2, 0.0, 0.1, -0.4, 0.5, 0.02, -0.01, 0.05], 2)
    assert chosen["gains most"] == [15, 10] and chosen["loses most"] == [14, 11]
    # Of nine images the one in the middle, and the first of the two beside it.
    assert chosen["in the middle"] == [12, 16]


def test_no_image_is_chosen_twice_and_none_for_what_it_does_not_do() -> None:
    assert telling([0.3, -0.2, 0.1], 2) == {
        "gains most": [10, 12],
        "in the middle": [],
        "loses most": [11],
    }
    nothing = telling([0.0, 0.0, 0.0], 1)
    assert nothing == {"gains most": [], "in the middle": [11], "loses most": []}
    assert telling([0.1, 0.2], 1)["loses most"] == []


def test_panels_show_the_truth_and_what_each_system_found() -> None:
    dataset = [sample(ANN, BOB), sample(), sample(ANN)]
    unsure = poses(at(BOB), [(60, 60)] * 4)
    unsure = replace(unsure, scores=unsure.scores * np.float32(0.01))
    found = {"first": [unsure] * 3, "second": [poses(at(ANN))] * 3}
    compared = ComparedSystems(TOTALS, found, IMAGES)
    panels = comparison_panels(dataset, compared, {"gains most": [0], "x": [2]}, TOY)
    assert [panel.title for panel in panels] == [
        "image 0, gains most: +0.40",
        "first: OKS 0.50",
        "second: OKS 0.90",
        "image 2, x: +0.00",
        "first: OKS 0.60",
        "second: OKS 0.60",
    ]
    truth, first, second = panels[:3]
    assert truth.poses is None and len(truth.truth) == 2
    assert first.partners.tolist() == [1, -1] and second.partners.tolist() == [0]
    assert first.poses is not None and (first.poses.scores == 1).all()  # or they are not drawn

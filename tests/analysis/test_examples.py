from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from poselib.analysis.examples import (
    evenly_spaced,
    filter_by_score,
    mean_similarity,
    show_examples,
)
from poselib.analysis.select_images import ranked_images
from poselib.structures import Poses
from tests.toy_people import ANN, BOB, TOY, at, poses, sample


def scored(found: Poses, *scores: float) -> Poses:
    return Poses(found.keypoints, found.scores, np.array(scores, np.float32))


DATASET = [sample(ANN, BOB), sample(ANN), sample(BOB)]
FOUND = [
    scored(poses(at(ANN), at(BOB)), 0.9, 0.05),
    scored(poses(at(ANN)), 0.1),
    scored(poses(at(ANN)), 0.8),
]


def test_who_is_not_sure_enough_is_left_out() -> None:
    kept = filter_by_score(FOUND, 0.1)
    assert [len(each) for each in kept] == [1, 1, 1]
    np.testing.assert_array_equal(kept[0].keypoints, FOUND[0].keypoints[:1])
    assert kept[0].scores.shape == (1, 4) and kept[0].person_scores.tolist() == [np.float32(0.9)]
    assert [len(each) for each in filter_by_score(FOUND, 0.5)] == [1, 0, 1]


def test_examples_go_in_even_steps_from_the_first_to_the_last() -> None:
    table = pd.DataFrame({"index": range(10, 21)})
    assert evenly_spaced(table, 3)["index"].tolist() == [10, 15, 20]
    assert evenly_spaced(table, 1)["index"].tolist() == [10]
    assert evenly_spaced(table, 99)["index"].tolist() == [*range(10, 21)]
    assert len(evenly_spaced(table.iloc[:0], 3)) == 0
    with pytest.raises(ValueError, match="at least 1 example must be shown, not 0"):
        evenly_spaced(table, 0)


def test_the_mean_counts_people_not_images() -> None:
    table = pd.DataFrame({"people": [3, 1], "similarity": [0.2, 1.0]})
    assert mean_similarity(table) == pytest.approx(0.4)
    assert np.isnan(mean_similarity(table.iloc[:0]))


def test_every_person_is_drawn_with_all_keypoints() -> None:
    found = [Poses(p.keypoints, p.scores * np.float32(1e-9), p.person_scores) for p in FOUND]
    ranked = ranked_images(DATASET, found, TOY)
    figure = show_examples(DATASET, found, TOY, ranked.iloc[1:], columns=2, title="examples")
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["image 0: OKS 1.00", "image 1: OKS 1.00"]
    assert [len(ax.collections) for ax in panels] == [4, 2]  # limbs and keypoints of each
    dots = [c for ax in panels for c in ax.collections if "keypoints" in str(c.get_gid())]
    assert len(dots) == 3 and all(len(c.get_paths()) >= 4 for c in dots)

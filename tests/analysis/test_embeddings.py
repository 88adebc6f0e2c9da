"""Separation of people by their tags, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from poselib.analysis.embeddings import (
    PeopleTags,
    measure_separation,
    read_people_tags,
    summarize_separation,
)
from poselib.analysis.inspect_image import Inspection
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.outputs import TagOutputs
from poselib.skeletons import COCO
from poselib.structures import Poses


def tags(*people: list[float]) -> PeopleTags:
    values = np.array(people, dtype=float)
    return PeopleTags(np.nan_to_num(values), np.isfinite(values))


def test_separation_of_two_people_by_hand() -> None:
    found = measure_separation([tags([0, 2, np.nan, np.nan], [10, 10, 14, 14]), tags([3, 4, 5, 6])])
    assert (found["images"], found["people"], found["keypoints"]) == (1, 2, 6)
    assert found["between"] == pytest.approx(11)
    assert found["within"] == pytest.approx(np.sqrt((2 * 1 + 4 * 4) / 6))
    assert found["ratio"] == pytest.approx(found["between"] / found["within"])
    assert found["own"] == 1 and found["outliers"] == 0


def test_a_keypoint_nearer_to_another_person_is_not_its_own() -> None:
    found = measure_separation([tags([0, 0, 0, 0, 0, 9], [10, 10, 10, 10, 10, 10])])
    assert found["own"] == pytest.approx(11 / 12)
    assert found["outliers"] == pytest.approx(1 / 12)


def test_separation_does_not_depend_on_the_scale_of_tags() -> None:
    small = measure_separation([tags([0, 1, 2], [5, 6, 8])])
    large = measure_separation([tags([0, 100, 200], [500, 600, 800])])
    assert small["ratio"] == pytest.approx(large["ratio"])
    assert (small["own"], small["outliers"]) == (large["own"], large["outliers"])


def test_separation_needs_two_people() -> None:
    with pytest.raises(ValueError, match="none of 1 images"):
        measure_separation([tags([1, 2, 3])])


def test_tags_are_read_where_the_keypoints_lie() -> None:
    sample = SyntheticScenes(SceneConfig(people=(2, 2)), 1, 0, COCO)[0]
    columns = torch.arange(32.0).expand(1, len(COCO), 1, 32, 32)
    outputs = TagOutputs((torch.zeros(1, len(COCO), 32, 32),), columns, (128, 128))
    found = read_people_tags(Inspection(sample, outputs, Poses.empty(len(COCO))))
    assert np.array_equal(found.present, sample.keypoints[..., 2] > 0)
    cells = np.floor(sample.keypoints[..., 0] / 4)
    assert np.array_equal(found.values[found.present], cells[found.present])


def test_separation_is_summarized_in_one_line() -> None:
    table = pd.DataFrame(
        {"outliers": [0.043, 0.052], "ratio": [4.731, 4.96], "AP": [0.32, 0.333]},
        ["with", "without"],
    )
    assert summarize_separation(table) == (
        "with: outliers 4.3%, distance to others over own spread 4.73, AP 32.0%; "
        "without: outliers 5.2%, distance to others over own spread 4.96, AP 33.3%"
    )

"""What an annotation of COCO's format may lack, what it then means, and what contradicts itself."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poselib.data.readers.coco import read_annotations
from poselib.data.readers.coco_json import read_people
from poselib.skeletons import COCO
from tests.data.readers.test_coco import HEIGHT, WIDTH, content, person, points, reader, write
from tests.metrics.factories import ap_of
from tests.strategies import quick


def with_people(*people: dict[str, Any]) -> dict[str, Any]:
    """The three images with other people."""
    return {**content(), "annotations": list(people)}


@pytest.mark.parametrize("keypoints", [None, []])
def test_a_person_without_keypoints_is_ignored_in_training_and_evaluation(
    keypoints: list | None, tmp_path: Path
) -> None:
    alone = {**person(2, 5, bbox=[30, 5, 20, 20]), "keypoints": keypoints, "num_keypoints": 4}
    absent = {k: v for k, v in alone.items() if k != "keypoints"}
    for other in (alone, absent):
        data = with_people(person(1, 5), other)
        dataset = reader(tmp_path, data)
        sample = dataset[0]
        assert len(sample.keypoints) == 1 and sample.ignore_mask.sum() == 400
        assert sample.ignore_mask[5:25, 30:50].all()
        results = [
            {"image_id": 5, "category_id": 1, "keypoints": p, "score": s}
            for p, s in ((points(12, 6), 0.5), (points(32, 6), 0.9))
        ]
        # The one found where nobody is labeled is surer, and costs nothing.
        for truth in (dataset.annotations(), data):
            assert pytest.approx(1) == ap_of(truth, results, COCO).AP


def test_a_box_of_no_size_is_no_region(tmp_path: Path) -> None:
    data = with_people(person(1, 5), person(2, 5, keypoints=[0] * 51, bbox=[0, 0, 0, 0], area=0))
    assert not reader(tmp_path, data)[0].ignore_mask.any()


def test_a_missing_box_is_that_of_the_keypoints(tmp_path: Path) -> None:
    for box in ({}, {"bbox": None}):
        someone = {k: v for k, v in person(1, 5).items() if k != "bbox"} | box
        table = reader(tmp_path, with_people(someone)).annotations()
        assert table.boxes.tolist() == [[12, 6, 16, 8]] and table.areas.tolist() == [400]


@pytest.mark.parametrize("fields", [{"area": None}, {}])
def test_a_box_of_negative_size_is_refused_as_a_negative_area_is(
    fields: dict, tmp_path: Path
) -> None:
    data = with_people(person(1, 5), person(2, 9, bbox=[30, 5, -20, 20], **fields))
    wanted = r"people\.json: annotations: id 2: bbox: expected a width and height from 0 on"
    with pytest.raises(ValueError, match=wanted):
        reader(tmp_path, data)
    with pytest.raises(ValueError, match=r"ground truth: annotations: id 2: bbox"):
        read_annotations(data, COCO)


@pytest.mark.parametrize("value", [2147483647, 1e8, -1e9])
def test_sentinels_for_coordinates_are_refused_by_field(value: float, tmp_path: Path) -> None:
    far = points(12, 6)
    far[3] = value
    for fields, name in (({"bbox": [0, 0, value, 5]}, "bbox"), ({"keypoints": far}, "keypoints")):
        with pytest.raises(ValueError, match=rf"id 2: {name}: expected px within ±1e\+06"):
            reader(tmp_path, with_people(person(1, 5), person(2, 5, **fields)))
    # Where nothing is labeled there, it does not matter.
    far[5] = 0
    table = reader(tmp_path, with_people(person(1, 5), person(2, 5, keypoints=far))).annotations()
    assert table.keypoints[1, 1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("value", "crowd"),
    [(0, False), (1, True), (False, False), (True, True), (None, False)],
)
def test_flags_of_crowds(value: object, crowd: bool, tmp_path: Path) -> None:
    data = with_people(person(1, 5), {**person(2, 5), "iscrowd": value})
    assert reader(tmp_path, data).annotations().crowds.tolist() == [False, crowd]


@pytest.mark.parametrize("value", ["0", "1", 2, -1, 0.5, [], {}])
def test_other_flags_are_refused(value: object, tmp_path: Path) -> None:
    data = with_people(person(1, 5), {**person(2, 5), "iscrowd": value})
    with pytest.raises(ValueError, match=r"id 2: iscrowd: expected 0, 1, true or false, found"):
        reader(tmp_path, data)


def test_counts_that_contradict_the_keypoints_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = with_people(person(1, 5, num_keypoints=17), person(2, 5, num_keypoints=0))
    with caplog.at_level(logging.WARNING):
        dataset = reader(tmp_path, data)
    assert "num_keypoints says 0 for 1 people with labeled keypoints" in caplog.text
    assert dataset.annotations().ignored.tolist() == [False, True]
    # Who is trained on is not masked as well.
    assert len(dataset[0].keypoints) == 2 and not dataset[0].ignore_mask.any()


@pytest.mark.parametrize("size", [(40, -1), (10**6, 10**6), (40, 10**400)])
def test_sizes_that_no_image_has_are_refused(size: tuple, tmp_path: Path) -> None:
    data = content()
    data["images"][1].update(height=size[0], width=size[1])
    with pytest.raises(ValueError, match=r"people\.json: images: id 3: .*(height|width)"):
        reader(tmp_path, data)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.just("counts"), inner),
    max_leaves=6,
)
FIELDS = ("id", "image_id", "category_id", "iscrowd", "bbox", "area", "keypoints", "num_keypoints")


def test_ids_of_two_kinds_are_refused() -> None:
    """They have no order, in which images are evaluated."""
    data = {"images": [{"id": 1}, {"id": "1"}], "annotations": [], "categories": [{"id": 1}]}
    with pytest.raises(ValueError, match="images: some ids are numbers and some are text"):
        read_annotations(data, COCO)


@settings(quick, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([*FIELDS, "segmentation"]), ANYTHING)
def test_any_value_of_a_field_is_read_or_refused_by_name(
    tmp_path: Path, field: str, value: Any
) -> None:
    unlabeled = person(3, 9, keypoints=[0] * 51)
    data = with_people(person(1, 5), {**unlabeled, field: value})
    path = write(tmp_path, data)
    for read in (lambda: read_people(path, COCO, True)[0], lambda: read_annotations(path, COCO)):
        try:
            table = read()
        except ValueError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
        else:
            assert np.isfinite(table.boxes).all() and np.isfinite(table.areas).all()
            assert table.sizes == ((HEIGHT, WIDTH),) * 3

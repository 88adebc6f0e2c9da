"""Images found by their people, against loops over the people; and quickly."""

from __future__ import annotations

from time import process_time
from typing import Any

import numpy as np
import pytest

from poselib.analysis.image_filter import ORDERS, ImageFilter, ImageIndex
from poselib.annotations import AnnotationTable
from poselib.ops.crowd_index import crowd_index


def table_of(images: int, people: int, keypoints: int, seed: int) -> AnnotationTable:
    """Random people, some of them without a labeled keypoint, some of them crowds."""
    rng = np.random.default_rng(seed)
    points = rng.random((people, keypoints, 3)) * 100
    points[..., 2] = rng.integers(0, 3, (people, keypoints))
    points[rng.random(people) < 0.3, :, 2] = 0
    boxes = rng.random((people, 4)) * 60
    return AnnotationTable(
        image_ids=tuple(range(images)),
        keypoints=points,
        boxes=boxes,
        areas=boxes[:, 2] * boxes[:, 3],
        images=np.sort(rng.integers(0, images, people)),
        crowds=rng.random(people) < 0.1,
        ignored=np.zeros(people, bool),
        categories=np.zeros(people, np.int64),
    )


TABLE = table_of(60, 150, 5, 0)
INDEX = ImageIndex.of(TABLE)


def rows_of(image: int) -> np.ndarray:
    return TABLE.labeled_rows(image)


def crowding_of(image: int) -> float:
    boxes = TABLE.boxes[rows_of(image)]
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return crowd_index(TABLE.keypoints[rows_of(image)], corners)


def is_wanted(image: int, wanted: dict[str, Any]) -> bool:
    rows, crowding = rows_of(image), crowding_of(image)
    low, high = wanted.get("people", (0, 99))
    least, most = wanted.get("crowding", (0, 99))
    if not (low <= len(rows) <= high and least <= crowding <= most):
        return False
    smallest, largest = wanted.get("size", (0, 1e9))
    asked = {"keypoints", "labeled", "size"} & set(wanted)
    return not asked or any(
        all(TABLE.keypoints[row, k, 2] > 0 for k in wanted.get("keypoints", ()))
        and (TABLE.keypoints[row, :, 2] > 0).sum() >= wanted.get("labeled", 0)
        and smallest <= np.sqrt(TABLE.areas[row]) <= largest
        for row in rows
    )


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"people": (2, 3)},
        {"crowding": (0.1, 0.6)},
        {"keypoints": (0, 3)},
        {"labeled": 4},
        {"size": (20, 35)},
        {"people": (1, 2), "keypoints": (1,), "labeled": 3, "size": (10, 40)},
    ],
)
def test_filters_find_what_loops_find(wanted: dict[str, Any]) -> None:
    found = ImageFilter(**wanted)(INDEX).tolist()
    assert found == [image for image in range(60) if is_wanted(image, wanted)]
    assert found  # and not all of them, unless nothing is asked
    assert (len(found) < 60) == bool(wanted)


def test_counts_are_those_of_the_images() -> None:
    for image in range(60):
        rows = rows_of(image)
        assert INDEX.people[image] == len(rows)
        assert INDEX.keypoints[image] == (TABLE.keypoints[rows, :, 2] > 0).sum()
        assert INDEX.crowding[image] == pytest.approx(crowding_of(image) if len(rows) > 1 else 0)
    people = sum(len(rows_of(image)) for image in (3, 4))
    assert INDEX.summary(np.array([3, 4])).startswith(f"2 of 60 images, {people} pe")


def test_orders_put_the_extreme_first_and_equal_ones_as_they_are() -> None:
    smallest = [np.sqrt(TABLE.areas[rows_of(i)]).min(initial=np.inf) for i in range(60)]
    keys = {
        "as is": np.arange(60),
        "most people": -np.array([len(rows_of(i)) for i in range(60)]),
        "most crowded": -INDEX.crowding,
        "smallest person": np.array(smallest),
    }
    assert set(keys) == set(ORDERS)
    for order, values in keys.items():
        expected = sorted(range(60), key=lambda i, values=values: (values[i], i))
        assert ImageFilter(order=order)(INDEX).tolist() == expected
    with pytest.raises(ValueError, match="unknown order 'size'; known: as is, most people"):
        ImageFilter(order="size")(INDEX)


def test_images_without_people() -> None:
    index = ImageIndex.of(AnnotationTable.empty((5, 7), 17))
    assert ImageFilter(order="smallest person")(index).tolist() == [0, 1]
    assert ImageFilter(keypoints=(0,))(index).tolist() == []


def test_a_large_table_takes_milliseconds() -> None:
    index = ImageIndex.of(table_of(24_000, 52_000, 17, 1))  # a fifth of COCO
    wanted = ImageFilter((1, 9), (0.0, 0.9), (0, 5, 6), 4, (5, 90), "most crowded")
    begin = process_time()
    assert 0 < len(wanted(index)) < 24_000
    assert process_time() - begin < 0.1

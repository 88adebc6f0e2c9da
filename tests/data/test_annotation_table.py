"""Numbers of people that are not finite or out of range are refused, whatever the format."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from poselib.data.annotation_table import AnnotatedImage, check_unique, gather
from tests.strategies import quick

ANY = st.floats() | st.sampled_from([0.0, 1.5, 30.0, 2.0**31 - 1, 1e8, -1e9])


def image(keypoints: np.ndarray, box: np.ndarray, area: float, **fields: object) -> AnnotatedImage:
    marked = np.concatenate([keypoints, np.full((len(keypoints), 1), 2.0)], axis=1)
    return AnnotatedImage("a.png", marked[None], box[None], np.array([area]), **fields)  # type: ignore[arg-type]


GOOD = image(np.array([[3.5, 4.5], [5.0, 6.0]]), np.array([1.0, 2.0, 8.0, 9.0]), 20.0)


@quick
@given(arrays.arrays(float, (2, 2), elements=ANY), arrays.arrays(float, 4, elements=ANY), ANY)
def test_any_numbers_make_a_sound_table_or_are_refused(
    keypoints: np.ndarray, box: np.ndarray, area: float
) -> None:
    try:
        table = gather(Path("file.txt"), [GOOD, image(keypoints, box, area)], 2)
    except ValueError as error:
        assert str(error).startswith("file.txt: a.png: ") and "\n" not in str(error)
        return
    for column in (table.keypoints, table.boxes, table.areas):
        assert np.isfinite(column).all()
    assert (np.abs(table.keypoints) <= 1e6).all() and (table.boxes[:, 2:] >= 0).all()
    assert ((table.areas >= 0) & (table.areas <= 1e12)).all()


@pytest.mark.parametrize(
    ("keypoint", "box", "area", "words"),
    [
        (math.inf, (1, 2, 8, 9), 20, r"keypoints: expected px within ±1e\+06, found inf"),
        (3, (1, 2, 2147483647, 9), 20, r"box: expected px within ±1e\+06"),
        (3, (8, 2, 1, 9), 20, "box: expected a width and height from 0 on"),
        (3, (1, 2, 8, 9), -37, r"area: expected px², found -37\.0"),
        (3, (1, 2, 8, 9), math.nan, "area: expected px², found nan"),
    ],
)
def test_a_person_is_refused_by_field(keypoint: float, box: tuple, area: float, words: str) -> None:
    wrong = image(np.array([[keypoint, 4.0], [5.0, 6.0]]), np.array(box, float), area)
    with pytest.raises(ValueError, match=rf"file\.txt: a\.png: {words}"):
        gather(Path("file.txt"), [wrong], 2)


@pytest.mark.parametrize("size", [(0, 5), (-3, 5), (100_000, 100_000)])
def test_sizes_that_no_image_has_are_refused(size: tuple[int, int]) -> None:
    xy, box = GOOD.keypoints[0, :, :2], GOOD.boxes[0]
    with pytest.raises(ValueError, match=r"file\.txt: a\.png: (width and height|height and width)"):
        gather(Path("file.txt"), [image(xy, box, 20.0, size=size)], 2)


def test_an_id_that_is_used_twice_is_named() -> None:
    check_unique([3, 5, 4], "f")
    with pytest.raises(ValueError, match=r"f: an id is used twice: 5"):
        check_unique([3, 5, 4, 5], "f")

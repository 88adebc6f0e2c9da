"""Outlines and boxes become the pixels that pycocotools gives them, or are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as rle

from poselib.data.regions import box_codes, decode_region, merge_codes, outline_codes
from tests.strategies import quick

SIZE = (24, 36)
NUMBERS = st.floats() | st.integers() | st.sampled_from([2e8, -1e9, 2**31 - 1, 10**400])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.fixed_dictionaries({"size": st.just(list(SIZE)), "counts": inner})
    ),
    max_leaves=20,
)


def pixels(codes: list[Any], size: tuple[int, int] = SIZE) -> np.ndarray:
    return decode_region(merge_codes(codes), size) if codes else np.zeros(size, bool)


@quick
@given(JSON | st.lists(st.lists(NUMBERS, max_size=9)))
def test_any_outline_is_read_or_refused(outline: Any) -> None:
    """Unchecked, such numbers end the process or give pixels of uninitialized memory."""
    try:
        codes = outline_codes(outline, SIZE)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert pixels(codes).shape == SIZE


@quick
@given(arrays.arrays(bool, SIZE))
def test_run_lengths_of_either_form_are_read_as_they_are_written(mask: np.ndarray) -> None:
    code = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = {"size": list(SIZE), "counts": code["counts"].decode()}
    runs = np.flatnonzero(np.diff(np.r_[0, mask.ravel(order="F"), 0]))
    counts = np.diff(np.r_[0, runs, mask.size] if mask.any() else [0, mask.size]).tolist()
    for outline in (text, {"size": list(SIZE), "counts": counts}, [text]):
        assert (pixels(outline_codes(outline, SIZE)) == mask).all()
    with pytest.raises(ValueError, match=r"run lengths cover 864 of 900 px"):
        decode_region(code["counts"], (25, 36))


COORDINATES = st.floats(-80, 80, width=32)


@quick
@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=8))
def test_polygons_are_those_of_pycocotools_in_every_spelling(points: list) -> None:
    flat = [float(value) for point in points for value in point]
    expected = rle.decode(rle.merge(rle.frPyObjects([flat], *SIZE))).astype(bool)
    pairs = [list(point) for point in points]
    for outline in ([flat], flat, pairs, [pairs], [flat, [1, 2, 3, 4]]):
        assert (pixels(outline_codes(outline, SIZE)) == expected).all()


@quick
@given(COORDINATES, COORDINATES, st.floats(0, 120, width=32), st.floats(0, 120, width=32))
def test_a_box_is_cut_at_the_image_without_another_pixel(
    left: float, top: float, width: float, height: float
) -> None:
    whole = rle.decode(rle.frPyObjects(np.array([[left, top, width, height]]), *SIZE))[..., 0]
    found = pixels(box_codes((left, top, width, height), SIZE))
    # Where the box begins outside, pycocotools rounds to fifths of a pixel from there.
    assert (found != whole.astype(bool)).sum() <= 2 * sum(SIZE) * (left < 0 or top < 0)
    inside = left >= 0 and top >= 0
    assert not inside or (found == whole.astype(bool)).all()


@pytest.mark.parametrize(
    ("outline", "words"),
    [
        ({"size": [24, 36], "counts": [10, 20]}, "run lengths cover 30 of 864 px"),
        ({"size": [24, 36], "counts": [10, 20000]}, "run lengths cover 20010 of 864 px"),
        ({"size": [24, 36], "counts": []}, "run lengths cover 0 of 864 px"),
        ({"size": [24, 36], "counts": ""}, "run lengths cover 0 of 864 px"),
        ({"size": [24, 36], "counts": "garbage"}, "counts: the text is not a run-length code"),
        ({"size": [24, 36], "counts": "ooooooooooo0"}, "a run is too long"),
        ({"size": [24, 36], "counts": [-4, 868]}, "run lengths from 0 on, found -4"),
        ({"size": [24, 36], "counts": None}, "a list of whole numbers or text"),
        ({"size": [24, 36], "counts": [10, [20], 3]}, "a list of whole numbers or text"),
        ({"size": [24, 36], "counts": [0.5, 863.5]}, "a list of whole numbers or text"),
        ({"size": [36, 24], "counts": [864]}, r"its size is \[36, 24\], the image's \[24, 36\]"),
        (
            [{"size": [24, 36], "counts": [864]}, [1, 2, 3, 4, 5, 6]],
            "a run-length code, found list",
        ),
        ("[[1, 2]]", "polygons or a run-length code, found str"),
        ([[1, 2, 3, 4, 5, 6, 7]], "pairs of x and y"),
        ([[1, 2, 3, None, 5, 6]], "expected numbers"),
        ([["1", "2", "3", "4", "5", "6"]], "expected numbers"),
        ([[1, 2, 3, float("nan"), 5, 6]], r"px within ±1e\+06, found nan"),
        ([[1, 2, 3, -1e9, 5, 6]], r"px within ±1e\+06, found 1e\+09"),
        ([[0, 9e5, 0, -9e5] * 4], r"a polygon around 1\.26e\+07 px is too long"),
    ],
)
def test_what_is_no_outline_is_refused(outline: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        outline_codes(outline, SIZE)

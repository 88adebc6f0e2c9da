"""Regions of images as run-length codes, checked before native code reads them.

pycocotools trusts what it is given: numbers that are not finite end the process, and run lengths
that do not cover the image give a mask of uninitialized memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from poselib.data.annotation_table import FARTHEST
from poselib.structures import Size
from poselib.typing import BoolArray, FloatArray, IntArray
from poselib.wording import shown

Code = dict[str, Any]
# Digits of a run length, 5 bits each, in the text of a compressed code.
_DIGITS = 7
# The way around a polygon, px.
_LONGEST = 4e6


def outline_codes(outline: object, size: Size) -> list[Code]:
    """Return the run-length codes of an outline of COCO's format; none if it encloses nothing.

    Args:
        outline: polygons, each a list of x, y, x, y ... or of pairs, px; one polygon alone; or a
            run-length code or several; None for none.
        size: (height, width) of the image, px.

    Raises:
        ValueError: it is something else, a point is not finite or far outside the image, or run
            lengths do not cover the image.
    """
    if outline is None:
        return []
    parts = [outline] if isinstance(outline, dict) else outline
    if not isinstance(parts, list):
        raise ValueError(f"expected polygons or a run-length code, found {type(outline).__name__}")
    if any(isinstance(part, dict) for part in parts):
        return [_run_length_code(part, size) for part in parts]
    if all(isinstance(part, int | float) for part in parts) or all(map(_is_pair, parts)):
        parts = [parts]
    # A point or a line encloses nothing.
    polygons = [polygon for polygon in map(polygon_corners, parts) if len(polygon) >= 6]
    return rle.frPyObjects(polygons, *size) if polygons else []


def box_codes(box: Iterable[float], size: Size) -> list[Code]:
    """Return the run-length code of the part of a box in an image; none if it is empty.

    Args:
        box: left, top, width and height, px.
        size: (height, width) of the image, px.
    """
    left, top, width, height = box
    right, bottom = min(left + width, size[1]), min(top + height, size[0])
    left, top = max(left, 0.0), max(top, 0.0)
    if right <= left or bottom <= top:
        return []
    return rle.frPyObjects(np.array([[left, top, right - left, bottom - top]], float), *size)


def merge_codes(codes: Sequence[Code]) -> bytes:
    """Return the run-length code, without the size, of the union of regions of one image."""
    counts: bytes = rle.merge(list(codes))["counts"]
    return counts


def decode_region(counts: bytes, size: Size) -> BoolArray:
    """Return the mask (H, W) of a region.

    Raises:
        ValueError: the run lengths do not cover an image of this size.
    """
    _check_cover(_run_lengths(counts.decode("latin-1")), size)
    mask: NDArray[np.uint8] = rle.decode({"size": list(size), "counts": counts})
    return mask.astype(bool)


def fill_polygons(mask: BoolArray, polygons: Iterable[FloatArray]) -> BoolArray:
    """Return a mask (H, W) that is true inside the outlines (P, 2), pixel indices, too."""
    size = (mask.shape[0], mask.shape[1])
    codes = [code for outline in polygons for code in outline_codes([outline.tolist()], size)]
    return mask | decode_region(merge_codes(codes), size) if codes else mask


def _is_pair(part: object) -> bool:
    return isinstance(part, list) and len(part) == 2


def polygon_corners(part: object) -> FloatArray:
    """Return x, y, x, y ... of the corners of a polygon.

    Raises:
        ValueError: they are no pairs of numbers, or native code would take too long to fill it.
    """
    try:
        points = np.array(part)
    except ValueError:  # of different lengths
        points = np.zeros(1)
    flat = points.ndim == 1 and len(points) % 2 == 0
    if not flat and not (points.ndim == 2 and points.shape[1] == 2):
        raise ValueError("expected the corners of a polygon, pairs of x and y")
    if not points.size:
        return np.zeros(0)
    if points.dtype.kind not in "iuf":
        raise ValueError("expected numbers as the corners of a polygon")
    far = np.abs(points, dtype=float).max()
    if not far <= FARTHEST:
        raise ValueError(f"expected px within ±{FARTHEST:g}, found {far:g}")
    if far * points.size > _LONGEST:  # native code lists every px on the way
        length = np.abs(np.diff(points.reshape(-1, 2).astype(float), axis=0)).sum()
        if length > _LONGEST:
            raise ValueError(f"a polygon around {length:g} px is too long")
    return points.ravel()


def _run_length_code(code: object, size: Size) -> Code:
    """Return a code as COCO writes crowds, with a list of run lengths, or people, compressed."""
    if not isinstance(code, dict):
        raise ValueError(f"expected a run-length code, found {type(code).__name__}")
    stated, counts = code.get("size"), code.get("counts")
    if stated != list(size):
        raise ValueError(f"its size is {shown(stated)}, the image's {list(size)}")
    plain = not isinstance(counts, list) or not any(isinstance(each, list) for each in counts)
    lengths = _run_lengths(counts) if isinstance(counts, str) else np.array(counts if plain else 0)
    if lengths.ndim != 1 or (lengths.size and lengths.dtype.kind not in "iu"):
        raise ValueError("counts: expected run lengths, a list of whole numbers or text")
    _check_cover(lengths, size)
    return rle.frPyObjects({"size": list(size), "counts": lengths.tolist()}, *size)


def _check_cover(lengths: IntArray, size: Size) -> None:
    for length in lengths[lengths < 0][:1].tolist():
        raise ValueError(f"counts: expected run lengths from 0 on, found {length}")
    pixels, covered = size[0] * size[1], sum(lengths.tolist())
    if covered != pixels:
        raise ValueError(f"run lengths cover {covered} of {pixels} px")


def _run_lengths(text: str) -> IntArray:
    """Return the run lengths of a compressed code.

    A length is written in digits of 5 bits, the lowest first, each a letter from "0" on with 32
    added where another digit follows. From the fourth on, it is the difference to the last but one.
    """
    digits = np.array([ord(letter) - 48 for letter in text], np.int64)
    (ends,) = np.nonzero((digits & 32) == 0)
    if not len(digits):
        return digits
    if digits.min() < 0 or digits.max() > 63 or not len(ends) or ends[-1] != len(digits) - 1:
        raise ValueError("counts: the text is not a run-length code")
    starts = np.append(0, ends[:-1] + 1)
    counts = ends - starts + 1
    if counts.max() > _DIGITS:
        raise ValueError("counts: the text is not a run-length code: a run is too long")
    place = np.arange(len(digits)) - np.repeat(starts, counts)
    lengths = np.add.reduceat((digits & 31) << (5 * place), starts)
    # The highest bit of the last digit is the sign.
    lengths -= np.where(digits[ends] & 16, np.int64(1) << (5 * counts), 0)
    for first in (1, 2):
        lengths[first::2] = np.cumsum(lengths[first::2])
    return lengths

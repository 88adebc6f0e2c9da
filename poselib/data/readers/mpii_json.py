"""Parsing of MPII's annotations as JSON, one entry a person, as HRNet's code publishes them.

Coordinates are those of the original file, which counts pixels from 1; joints are labeled or not,
without word on who is hidden.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poselib.data.readers.json_fields import Entry, entries, load_json, number, text
from poselib.data.readers.mat_io import PIXEL_CENTER, read_mat
from poselib.data.readers.mpii_image import MpiiImage
from poselib.skeletons import MPII


def read_entries(path: Path, head_boxes: Path | None = None) -> list[MpiiImage]:
    """Return an image with one person for each entry of the file, in its order.

    Args:
        path: ``train.json``, ``valid.json``, ``trainval.json`` or ``test.json``, whose entries
            have no joints.
        head_boxes: ``gt_valid.mat``, which has the head boxes of ``valid.json``.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: a file is not of this kind, or has a bad or missing field.
    """
    people = entries(load_json(path), str(path))
    if head_boxes is None:
        boxes = np.full((len(people), 4), np.nan)
    else:
        boxes = _head_boxes(head_boxes, len(people)) + PIXEL_CENTER
    return [
        _person(entry, n, box, f"{path}: entry {n}")
        for n, (entry, box) in enumerate(zip(people, boxes, strict=True), start=1)
    ]


def _person(entry: Entry, order: int, head_box: NDArray[np.float64], where: str) -> MpiiImage:
    name, scale = text(entry, "image", where), number(entry, "scale", where)
    # Test images of unknown scale or place say -1.
    if not (scale > 0 or scale == -1):
        raise ValueError(f"{where}: scale: expected a positive number, found {scale:g}")
    center = _numbers(entry, "center", (2,), where)
    known = scale > 0 and (center != -1).any()
    return MpiiImage(
        number=order,
        file_name=name,
        keypoints=_joints(entry, where)[None].astype(np.float32),
        centers=np.where(known, center + PIXEL_CENTER, np.nan)[None],
        scales=np.array([scale if known else math.nan]),
        head_boxes=head_box[None],
        single=(0,),
    )


def _joints(entry: Entry, where: str) -> NDArray[np.float64]:
    count = len(MPII)
    if "joints" not in entry and "joints_vis" not in entry:
        return np.zeros((count, 3))
    xy = _numbers(entry, "joints", (count, 2), where)
    labeled = _numbers(entry, "joints_vis", (count,), where)[:, None]
    if not np.isin(labeled, (0, 1)).all():
        raise ValueError(f"{where}: joints_vis: expected 0 or 1, found {entry['joints_vis']}")
    return np.concatenate([np.where(labeled == 1, xy + PIXEL_CENTER, 0), 2 * labeled], axis=1)


def _numbers(entry: Entry, name: str, shape: tuple[int, ...], where: str) -> NDArray[np.float64]:
    expected = " x ".join(map(str, shape))
    try:
        values = np.array(entry.get(name), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {name}: expected {expected} numbers: {error}") from error
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"{where}: {name}: expected {expected} numbers, found {entry.get(name)!r}")
    return values


def _head_boxes(path: Path, count: int) -> NDArray[np.float64]:
    """Return (count, 4) head boxes from an array of (corner, axis, person)."""
    boxes = read_mat(path, "headboxes_src")
    if boxes.shape != (2, 2, count) or boxes.dtype.kind not in "iuf":
        raise ValueError(
            f"{path}: headboxes_src: expected 2 x 2 x {count} numbers, one box an entry, found "
            f"{boxes.dtype} {' x '.join(map(str, boxes.shape))}"
        )
    return boxes.transpose(2, 0, 1).reshape(count, 4).astype(np.float64)

"""Parsing of MPII's annotations: its own MATLAB files, and the JSON files of HRNet's code.

In the MATLAB files, fields are often empty: whole images, people without joints, joints without
visibility (those of the head never have it); and visibility is a number in some places and text in
others. The JSON files have one entry per person, and joints are labeled or not, without
visibility. Both count pixels from 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poselib.data.readers import json_fields, mat_io
from poselib.data.readers.json_fields import Entry, shown
from poselib.data.readers.mat_io import PIXEL_CENTER, Value, cells, field, read_mat, structures
from poselib.data.readers.mpii_samples import MpiiImage
from poselib.skeletons import MPII

_HEAD_BOX = ("x1", "y1", "x2", "y2")


def read_mpii_mat(path: Path, groups: Path | None = None) -> list[MpiiImage]:
    """Return the images of MPII's own annotation file, in its order.

    Args:
        path: ``mpii_human_pose_v1_u12_1.mat``.
        groups: ``groups_v12.mat``; without it, images have no groups.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is not MPII's, or has a bad or missing field.
    """
    release = structures(read_mat(path, "RELEASE"))
    if len(release) != 1:
        raise ValueError(f"{path}: RELEASE: expected one structure, found {len(release)}")
    entries = structures(field(release[0], "annolist"))
    if not entries:
        raise ValueError(f"{path}: RELEASE.annolist: expected a structure array, found none")
    train = field(release[0], "img_train")
    if train is None or train.size != len(entries) or not np.isin(train, (0, 1)).all():
        raise ValueError(f"{path}: RELEASE.img_train: expected 0 or 1 for {len(entries)} images")
    single = _cells_of_images(
        path, "RELEASE.single_person", field(release[0], "single_person"), len(entries)
    )
    images = [
        _mat_image(entry, n, bool(flag), alone, f"{path}: RELEASE.annolist({n})")
        for n, (entry, flag, alone) in enumerate(
            zip(entries, train.ravel(), single, strict=True), start=1
        )
    ]
    return images if groups is None else _with_groups(images, groups)


def _cells_of_images(path: Path, name: str, value: Value | None, count: int) -> list[Value]:
    found = cells(value)
    if len(found) != count:
        raise ValueError(
            f"{path}: {name}: expected a cell for each of {count} images, found {len(found)}"
        )
    return found


def _with_groups(images: list[MpiiImage], path: Path) -> list[MpiiImage]:
    found = _cells_of_images(path, "groups", read_mat(path, "groups"), len(images))
    return [
        replace(
            image,
            groups=tuple(
                mat_io.indices(group, len(image), f"{path}: groups{{{image.number}}}{{{n}}}")
                for n, group in enumerate(cells(cell), start=1)
            ),
        )
        for image, cell in zip(images, found, strict=True)
    ]


def _mat_image(entry: np.void, order: int, train: bool, single: Value, where: str) -> MpiiImage:
    name = structures(field(entry, "image"))
    if len(name) != 1:
        raise ValueError(f"{where}.image: expected one structure, found {len(name)}")
    annorect = structures(field(entry, "annorect"))
    people = [(person, f"{where}.annorect({n})") for n, person in enumerate(annorect, start=1)]
    heads = [_mat_head_box(p, at) for p, at in people]
    return MpiiImage(
        number=order,
        file_name=mat_io.text(name[0], "name", f"{where}.image"),
        keypoints=_stacked([_mat_joints(p, at) for p, at in people], len(MPII), 3).astype(
            np.float32
        ),
        centers=_stacked([_mat_center(p, at) for p, at in people], 2),
        scales=_stacked([_mat_scale(p, at) for p, at in people]),
        head_boxes=_stacked(heads, 4) + PIXEL_CENTER,
        train=train,
        # An empty list of numbers may have any type, such as text.
        single=mat_io.indices(single, len(people), f"{where}: single_person")
        if single.size
        else (),
    )


def _mat_head_box(person: np.void, where: str) -> list[float]:
    a, b, c, d = (mat_io.number(person, corner, where) for corner in _HEAD_BOX)
    return [min(a, c), min(b, d), max(a, c), max(b, d)]


def _stacked(rows: Sequence[Any], *shape: int) -> NDArray[np.float64]:
    """Return an array (n, *shape) of the rows of people, also without any."""
    return np.array(rows, dtype=np.float64).reshape(-1, *shape)


def _mat_joints(person: np.void, where: str) -> NDArray[np.float64]:
    """Return the keypoints (16, 3) of a person; zeros without labels."""
    keypoints = np.zeros((len(MPII), 3))
    points = [
        point
        for holder in structures(field(person, "annopoints"))
        for point in structures(field(holder, "point"))
    ]
    for n, point in enumerate(points, start=1):
        at = f"{where}.annopoints.point({n})"
        joint, x, y = (mat_io.number(point, name, at) for name in ("id", "x", "y"))
        if joint not in range(len(MPII)):
            raise ValueError(f"{at}: id: expected 0 to {len(MPII) - 1}, found {joint:g}")
        if not np.isfinite([x, y]).all():
            raise ValueError(f"{at}: expected finite x and y, found {x:g} and {y:g}")
        # Visible too where the file does not state it.
        visibility = 1 if mat_io.flag(point, "is_visible", at) == 0 else 2
        keypoints[int(joint)] = x + PIXEL_CENTER, y + PIXEL_CENTER, visibility
    return keypoints


def _mat_center(person: np.void, where: str) -> tuple[float, float]:
    position = structures(field(person, "objpos"))
    if not position:
        return np.nan, np.nan
    x, y = (mat_io.number(position[0], name, f"{where}.objpos") for name in ("x", "y"))
    return x + PIXEL_CENTER, y + PIXEL_CENTER


def _mat_scale(person: np.void, where: str) -> float:
    scale = mat_io.number(person, "scale", where)
    if scale <= 0:
        raise ValueError(f"{where}: scale: expected a positive number, found {scale:g}")
    return scale


def read_mpii_json(path: Path, head_boxes: Path | None = None) -> list[MpiiImage]:
    """Return one image with one person for each entry of a JSON file, in its order.

    Args:
        path: ``train.json``, ``valid.json``, ``trainval.json`` or ``test.json``, whose entries
            have no joints.
        head_boxes: ``gt_valid.mat``, which has the head boxes of ``valid.json``.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is not of this kind, or has a bad or missing field.
    """
    people = json_fields.entries(json_fields.load_json(path), str(path))
    if head_boxes is None:
        boxes = np.full((len(people), 4), np.nan)
    else:
        boxes = _read_head_boxes(head_boxes, len(people)) + PIXEL_CENTER
    return [
        _json_person(entry, n, box, f"{path}: entry {n}")
        for n, (entry, box) in enumerate(zip(people, boxes, strict=True), start=1)
    ]


def _json_person(entry: Entry, order: int, head_box: NDArray[np.float64], where: str) -> MpiiImage:
    name, scale = json_fields.text(entry, "image", where), json_fields.number(entry, "scale", where)
    # An unknown scale or center of a test image is -1.
    if not (scale > 0 or scale == -1):
        raise ValueError(f"{where}: scale: expected a positive number, found {scale:g}")
    center = np.array(json_fields.numbers(entry, "center", 2, where), np.float64)
    known = scale > 0 and (center != -1).any()
    return MpiiImage(
        number=order,
        file_name=name,
        keypoints=_json_joints(entry, where)[None].astype(np.float32),
        centers=np.where(known, center + PIXEL_CENTER, np.nan)[None],
        scales=np.array([scale if known else math.nan]),
        head_boxes=head_box[None],
        single=(0,),
    )


def _json_joints(entry: Entry, where: str) -> NDArray[np.float64]:
    count = len(MPII)
    if "joints" not in entry and "joints_vis" not in entry:
        return np.zeros((count, 3))
    joints = entry.get("joints")
    if not isinstance(joints, list) or len(joints) != count:
        raise ValueError(f"{where}: joints: expected {count} x 2 numbers, found {shown(joints)}")
    rows: list[Entry] = [{"joints": row} for row in joints]
    xy = json_fields.number_rows(rows, "joints", 2, lambda row: f"{where}: joint {row}")
    labeled = np.array(json_fields.numbers(entry, "joints_vis", count, where), np.float64)[:, None]
    if not np.isin(labeled, (0, 1)).all():
        raise ValueError(f"{where}: joints_vis: expected 0 or 1, found {entry['joints_vis']}")
    return np.concatenate([np.where(labeled == 1, xy + PIXEL_CENTER, 0), 2 * labeled], axis=1)


def _read_head_boxes(path: Path, count: int) -> NDArray[np.float64]:
    """Return head boxes (count, 4) from an array (corner, axis, person)."""
    boxes = read_mat(path, "headboxes_src")
    if boxes.shape != (2, 2, count) or boxes.dtype.kind not in "iuf":
        raise ValueError(
            f"{path}: headboxes_src: expected 2 x 2 x {count} numbers, one box an entry, found "
            f"{boxes.dtype} {' x '.join(map(str, boxes.shape))}"
        )
    return boxes.transpose(2, 0, 1).reshape(count, 4).astype(np.float64)

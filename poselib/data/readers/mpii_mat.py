"""Parsing of MPII's own files: ``mpii_human_pose_v1_u12_1.mat`` and ``groups_v12.mat``.

Fields are often empty: whole images, people without joints, joints without visibility (those of
the head never have it), and visibility is a number in some places and text in others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poselib.data.readers.mat_io import (
    PIXEL_CENTER,
    Value,
    cells,
    field,
    number,
    positions,
    read_mat,
    structures,
    text,
)
from poselib.data.readers.mpii_image import MpiiImage
from poselib.skeletons import MPII

_HEAD_BOX = ("x1", "y1", "x2", "y2")


def read_release(path: Path, groups: Path | None = None) -> list[MpiiImage]:
    """Return the images of the original annotations, in their order.

    Args:
        path: ``mpii_human_pose_v1_u12_1.mat``.
        groups: ``groups_v12.mat``; without it, images have no groups.

    Raises:
        FileNotFoundError: a file is absent.
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
    single = _cells(path, "RELEASE.single_person", field(release[0], "single_person"), len(entries))
    images = [
        _image(entry, n, bool(flag), alone, f"{path}: RELEASE.annolist({n})")
        for n, (entry, flag, alone) in enumerate(
            zip(entries, train.ravel(), single, strict=True), start=1
        )
    ]
    return images if groups is None else _with_groups(images, groups)


def _cells(path: Path, name: str, value: Value | None, count: int) -> list[Value]:
    found = cells(value)
    if len(found) != count:
        raise ValueError(
            f"{path}: {name}: expected a cell for each of {count} images, found {len(found)}"
        )
    return found


def _with_groups(images: list[MpiiImage], path: Path) -> list[MpiiImage]:
    found = _cells(path, "groups", read_mat(path, "groups"), len(images))
    return [
        replace(
            image,
            groups=tuple(
                positions(group, len(image), f"{path}: groups{{{image.number}}}{{{n}}}")
                for n, group in enumerate(cells(cell), start=1)
            ),
        )
        for image, cell in zip(images, found, strict=True)
    ]


def _image(entry: np.void, order: int, train: bool, single: Value, where: str) -> MpiiImage:
    name = structures(field(entry, "image"))
    if len(name) != 1:
        raise ValueError(f"{where}.image: expected one structure, found {len(name)}")
    annorect = structures(field(entry, "annorect"))
    people = [(person, f"{where}.annorect({n})") for n, person in enumerate(annorect, start=1)]
    heads = [[number(p, corner, at) for corner in _HEAD_BOX] for p, at in people]
    return MpiiImage(
        number=order,
        file_name=text(name[0], "name", f"{where}.image"),
        keypoints=_stacked([_joints(p, at) for p, at in people], len(MPII), 3).astype(np.float32),
        centers=_stacked([_center(p, at) for p, at in people], 2),
        scales=_stacked([_scale(p, at) for p, at in people]),
        head_boxes=_stacked(heads, 4) + PIXEL_CENTER,
        train=train,
        # An empty list of numbers may be of any type, an empty text among them.
        single=positions(single, len(people), f"{where}: single_person") if single.size else (),
    )


def _stacked(rows: Sequence[Any], *shape: int) -> NDArray[np.float64]:
    """(n, \\*shape) rows of people, also if there are none."""
    return np.array(rows, dtype=np.float64).reshape(-1, *shape)


def _joints(person: np.void, where: str) -> NDArray[np.float64]:
    """Return the (16, 3) keypoints of a person; zeros if there are none."""
    keypoints = np.zeros((len(MPII), 3))
    points = [
        point
        for holder in structures(field(person, "annopoints"))
        for point in structures(field(holder, "point"))
    ]
    for n, point in enumerate(points, start=1):
        at = f"{where}.annopoints.point({n})"
        joint, x, y = (number(point, name, at) for name in ("id", "x", "y"))
        if joint not in range(len(MPII)):
            raise ValueError(f"{at}: id: expected 0 to {len(MPII) - 1}, found {joint:g}")
        if not np.isfinite([x, y]).all():
            raise ValueError(f"{at}: expected finite x and y, found {x:g} and {y:g}")
        keypoints[int(joint)] = x + PIXEL_CENTER, y + PIXEL_CENTER, _visibility(point, at)
    return keypoints


def _visibility(point: np.void, where: str) -> int:
    """1 for a hidden joint; 2 for one that is visible or of which the file does not tell."""
    value = number(point, "is_visible", where)
    if not (np.isnan(value) or value in (0, 1)):
        raise ValueError(f"{where}: is_visible: expected 0 or 1, found {value:g}")
    return 1 if value == 0 else 2


def _center(person: np.void, where: str) -> tuple[float, float]:
    place = structures(field(person, "objpos"))
    if not place:
        return np.nan, np.nan
    x, y = (number(place[0], name, f"{where}.objpos") for name in ("x", "y"))
    return x + PIXEL_CENTER, y + PIXEL_CENTER


def _scale(person: np.void, where: str) -> float:
    scale = number(person, "scale", where)
    if scale <= 0:
        raise ValueError(f"{where}: scale: expected a positive number, found {scale:g}")
    return scale

"""Pictures of a frame with its poses and mask, and of the maps of one joint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from poselib.analysis.masked_frames import MaskedJoints
from poselib.plots.style import ALERT, BRIGHT, INK, YELLOW, display_name
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.typing import Float32Array, FloatArray
from poselib.widgets.painting import Picture, Pixels, side_by_side

Names = list[tuple[float, float, str]]
_SIDE, _GAP = 256, 6  # px of a map's picture, and between two
_COLORS = "inferno"


def frame_picture(
    image: NDArray[np.uint8],
    poses: Poses,
    skeleton: Skeleton,
    truth: Float32Array | None = None,
    joints: MaskedJoints | None = None,
) -> tuple[Pixels, Names]:
    """Return a frame with its pose, and the names of its joints, px of the frame.

    Args:
        image: (3, H, W) uint8 RGB.
        poses: one person.
        truth: (K, 3) annotated keypoints, painted as yellow dots.
        joints: under a mask; those found have a green ring, lost ones a red cross and, where the
            truth is annotated, an arrow to it.
    """
    shown = replace(poses, scores=(poses.scores > 0).astype(np.float32))  # also uncertain joints
    picture = Picture(image).add_poses(shown, skeleton)
    points, scores = poses.keypoints[0], poses.scores[0]
    known = np.zeros(len(skeleton), bool) if truth is None else truth[:, 2] > 0
    if truth is not None:
        picture.add_dots(truth[known, :2], YELLOW, 2.5)
    if joints is not None:
        lost = joints.lost & known
        if truth is not None:
            arrows = points[lost], truth[lost, :2]
            picture.add_arrows(*arrows, [ALERT] * int(lost.sum()))
        picture.add_rings(points[joints.found], BRIGHT)
        picture.add_crosses(points[joints.lost], ALERT, 6.0, diagonal=True)
    names = []
    for k, name in enumerate(skeleton.keypoints):
        state = ""
        if joints is not None and joints.masked[k]:
            state = ", found under the mask" if joints.found[k] else ", lost under the mask"
        x, y = points[k].tolist()
        names.append((x, y, f"{display_name(name)} {scores[k]:.2f}{state}"))
    return picture.pixels, names


def maps_picture(
    images: Mapping[str, NDArray[np.uint8]],
    maps: Mapping[str, FloatArray],
    truth: Float32Array | None = None,
) -> tuple[Pixels, Names]:
    """Return maps of a joint over frames, two abreast, and what they are, px of the picture.

    Args:
        images: (3, H, W) uint8 RGB, by the names of ``maps``.
        maps: (h, w) by name; each is painted from 0 to its own maximum.
        truth: (3,) the annotated joint, which has a ring.
    """
    pictures, names = [], []
    for name, values in maps.items():
        top = float(values.max())
        image = images[name]
        step = max(1, round(max(image.shape) / _SIDE))  # px of large frames are left out
        picture = Picture(image[:, ::step, ::step], pale=True, side=_SIDE)
        picture.add_map(np.maximum(values, 0), (0.0, max(top, 1e-6)), colors=_COLORS)
        if truth is not None and truth[2] > 0:
            picture.add_rings(truth[None, :2] / step, INK, 8.0)
        pictures.append(picture)
        names.append(f"{name}: maximum {top:.3g}")
    several = range(0, len(pictures) - 1, 2)
    pairs = [side_by_side(pictures[n], pictures[n + 1], _GAP) for n in several]
    rows = pairs or [pictures[0].pixels]
    bar = np.full((_GAP, rows[0].shape[1], 3), 255, np.uint8)
    pixels = np.concatenate([part for row in rows for part in (row, bar)][:-1])
    height, width = pictures[0].pixels.shape[:2]
    centers = [(n % 2, n // 2) for n in range(len(pictures))]
    labels = [
        ((column + 0.5) * width + column * _GAP, (row + 0.5) * height + row * _GAP, name)
        for (column, row), name in zip(centers, names, strict=True)
    ]
    return pixels, labels

"""Poses over images: in a figure, beside the ground truth, or painted into the pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from poselib.plots.colors import matched_colors
from poselib.plots.figure import (
    counted,
    image_of,
    legend_below,
    line_weight,
    panel_grid,
    show_image,
)
from poselib.plots.legends import hidden_handle, side_handles
from poselib.plots.palette import Color, person_colors, to_rgb8
from poselib.plots.shapes import PersonShapes, Shape, people_shapes
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Size

_SUBPIXEL_BITS = 4  # OpenCV takes polygon corners in 1/16 px

# Decoders that look for the keypoints a person lacks place each where it is least unlikely: below
# this score they are often far away, and a limb drawn to them would hide what was found.
LEAST_SCORE = 0.2


def draw_poses(
    image: ArrayLike,
    poses: Poses,
    skeleton: Skeleton,
    *,
    ax: Axes | None = None,
    min_score: float = LEAST_SCORE,
    min_person_score: float = 0.0,
    colors: Sequence[Color] | None = None,
    weight: float = 1.0,
    title: str = "",
) -> Figure:
    """Draw the people found in an image, one color each.

    The left side is lighter with round markers, the right side darker with squares.

    Args:
        image: (3, H, W) uint8 RGB.
        poses: people in px of ``image``; missing keypoints are left out.
        skeleton: names and limbs of the keypoints.
        ax: where to draw; a new figure with a legend if None.
        min_score: keypoints at or below it are left out; by default those that are mere guesses.
        min_person_score: people below it are left out.
        colors: one per person.
        weight: factor of line widths and markers.
        title: heading of the panel.

    Raises:
        ValueError: the image is not (3, H, W) uint8 or the keypoints are not the skeleton's.
    """
    pixels = image_of(image)
    shapes = _shapes_of(
        poses, skeleton, pixels.shape[1:], min_score, min_person_score, colors, weight
    )
    if ax is None:
        sheet, (ax,) = panel_grid([pixels.shape[1:]], 1)
        legend_below(sheet, side_handles())
    show_image(ax, pixels, title)
    add_people(ax, shapes)
    return ax.figure  # type: ignore[return-value]


def draw_truth(
    image: ArrayLike,
    keypoints: ArrayLike,
    skeleton: Skeleton,
    *,
    ax: Axes | None = None,
    colors: Sequence[Color] | None = None,
    weight: float = 1.0,
    title: str = "",
) -> Figure:
    """Draw annotated people: filled markers are visible keypoints, rings are hidden ones.

    Args:
        image: (3, H, W) uint8 RGB.
        keypoints: (N, K, 3) px of ``image`` and visibility 0 (not drawn), 1 (ring) or 2.
        skeleton: names and limbs of the keypoints.
        ax: where to draw; a new figure with a legend if None.
        colors: one per person.
        weight: factor of line widths and markers.
        title: heading of the panel.

    Raises:
        ValueError: the image is not (3, H, W) uint8 or the keypoints are not the skeleton's.
    """
    pixels, people = image_of(image), people_of(keypoints, skeleton)
    if ax is None:
        sheet, (ax,) = panel_grid([pixels.shape[1:]], 1)
        legend_below(sheet, [*side_handles(), hidden_handle()])
    show_image(ax, pixels, title)
    add_truth(ax, people, skeleton, pixels.shape[1:], colors, weight)
    return ax.figure  # type: ignore[return-value]


def paint_poses(image: ArrayLike, poses: Poses, skeleton: Skeleton) -> NDArray[np.uint8]:
    """Return a copy of an image with poses painted into it, (H, W, 3) uint8 RGB.

    It looks as ``draw_poses`` does, at the image's own resolution, and refuses what that refuses.
    """
    pixels = image_of(image)
    canvas = np.ascontiguousarray(pixels.transpose(1, 2, 0)).copy()
    for person in _shapes_of(poses, skeleton, pixels.shape[1:]):
        for shape in (*person.limbs, *person.keypoints):
            _paint(canvas, shape)
    return canvas


def compare_poses(
    images: Sequence[ArrayLike],
    truths: Sequence[ArrayLike],
    predictions: Sequence[Poses],
    skeleton: Skeleton,
    titles: Sequence[str] | None = None,
    *,
    pairs_per_row: int = 1,
    min_person_score: float = 0.0,
    title: str = "",
) -> Figure:
    """Draw ground truth beside prediction for several images.

    A predicted person takes the color of the annotated person it lies on; one that lies on
    nobody gets a color of its own.

    Args:
        images: each (3, H, W) uint8 RGB.
        truths: each (N, K, 3), px of its image and visibility, as ``Sample.keypoints``.
        predictions: one ``Poses`` per image, in px of its image.
        skeleton: names and limbs of the keypoints.
        titles: a name per image.
        pairs_per_row: images side by side.
        min_person_score: people below it are left out of the predictions.
        title: heading of the figure.

    Raises:
        ValueError: the sequences differ in length or are empty, or an entry has a wrong shape.
    """
    names = list(titles) if titles is not None else [""] * len(images)
    if not len(images) == len(truths) == len(predictions) == len(names):
        raise ValueError(
            f"compare_poses needs as many truths, predictions and titles as images, not "
            f"{len(truths)}, {len(predictions)} and {len(names)} for {len(images)}"
        )
    shapes = [image_of(image).shape[1:] for image in images for _ in range(2)]
    sheet, axes = panel_grid(shapes, 2 * pairs_per_row, title=title)
    weight = line_weight(2 * pairs_per_row)
    gap = ": " if pairs_per_row == 1 else "\n"
    for n, (image, truth, poses) in enumerate(zip(images, truths, predictions, strict=True)):
        people = people_of(truth, skeleton)
        poses = _kept(poses, min_person_score)
        own, others = matched_colors(people, poses)
        prefix = f"{names[n]}{gap}" if names[n] else ""
        left, right = axes[2 * n], axes[2 * n + 1]
        heading = f"{prefix}ground truth, {counted(labeled_people(people))}"
        draw_truth(image, people, skeleton, ax=left, colors=own, weight=weight, title=heading)
        heading = f"{prefix}prediction, {counted(len(poses))}"
        draw_poses(image, poses, skeleton, ax=right, colors=others, weight=weight, title=heading)
    legend_below(sheet, [*side_handles(), hidden_handle()])
    return sheet


def add_truth(
    ax: Axes,
    keypoints: NDArray[np.float32],
    skeleton: Skeleton,
    size: Size,
    colors: Sequence[Color] | None = None,
    weight: float = 1.0,
) -> None:
    """Add annotated people (N, K, 3) to ``ax``, which already shows their image of ``size``."""
    seen, colors = keypoints[..., 2], colors or person_colors(len(keypoints))
    people = people_shapes(
        keypoints[..., :2], seen > 0, seen == 1, skeleton, colors, size, weight=weight
    )
    add_people(ax, people)


def people_of(keypoints: ArrayLike, skeleton: Skeleton) -> NDArray[np.float32]:
    """Return annotated people as an array; raises ValueError unless it is (N, K, 3)."""
    people = np.asarray(keypoints, dtype=np.float32)
    if people.ndim != 3 or people.shape[1:] != (len(skeleton), 3):
        raise ValueError(
            f"keypoints must be (people, {len(skeleton)}, 3) for skeleton "
            f"{skeleton.name!r}, not {people.shape}"
        )
    return people


def labeled_people(keypoints: NDArray[np.float32]) -> int:
    """Return how many of the people (N, K, 3) have a labeled keypoint."""
    return int((keypoints[..., 2] > 0).any(axis=-1).sum())


def _kept(poses: Poses, min_person_score: float) -> Poses:
    keep = poses.person_scores >= min_person_score
    return poses[keep]


def _shapes_of(
    poses: Poses,
    skeleton: Skeleton,
    size: Size,
    min_score: float = LEAST_SCORE,
    min_person_score: float = 0.0,
    colors: Sequence[Color] | None = None,
    weight: float = 1.0,
) -> list[PersonShapes]:
    colors = colors or person_colors(len(poses))
    keep = poses.person_scores >= min_person_score
    shown = (poses.scores > max(min_score, 0.0)) & keep[:, None]
    hollow = np.zeros_like(shown)
    return people_shapes(poses.keypoints, shown, hollow, skeleton, colors, size, weight=weight)


def add_people(ax: Axes, people: Sequence[PersonShapes]) -> None:
    """Add the polygons of people to an axes that shows their image."""
    for n, person in enumerate(people):
        for kind, shapes in (("limbs", person.limbs), ("keypoints", person.keypoints)):
            if shapes:
                polygons = PolyCollection(
                    [shape.points for shape in shapes],
                    facecolors=[shape.color for shape in shapes],
                    linewidths=0,
                    zorder=3,
                )
                polygons.set_gid(f"person {n} {kind}")
                ax.add_collection(polygons, autolim=False)


def _paint(canvas: NDArray[np.uint8], shape: Shape) -> None:
    # OpenCV puts the center of a pixel at an integer; poselib at integer + 0.5. The bounds keep
    # far-away points within OpenCV's 32-bit fixed-point numbers.
    bound = 4.0 * max(canvas.shape)
    corners = np.clip(shape.points - 0.5, -bound, bound) * 2**_SUBPIXEL_BITS
    cv2.fillPoly(
        canvas,
        [corners.round().astype(np.int32)],
        to_rgb8(shape.color),
        lineType=cv2.LINE_AA,
        shift=_SUBPIXEL_BITS,
    )

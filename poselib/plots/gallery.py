"""Poses in many images."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from poselib.plots.figure import image_of, legend_below, line_weight, panel_grid
from poselib.plots.legends import side_handles
from poselib.plots.poses import LEAST_SCORE, draw_poses
from poselib.skeletons import Skeleton
from poselib.structures import Poses


def show_poses(
    images: Sequence[ArrayLike],
    poses: Sequence[Poses],
    skeleton: Skeleton,
    titles: Sequence[str] | None = None,
    *,
    columns: int = 3,
    min_score: float = LEAST_SCORE,
    min_person_score: float = 0.0,
    title: str = "",
) -> Figure:
    """Draw the people found in each of several images.

    Args:
        images: each (3, H, W) uint8 RGB.
        poses: one ``Poses`` per image, in px of its image.
        skeleton: names and limbs of the keypoints.
        titles: a name per image.
        columns: images side by side.
        min_score: keypoints at or below it are left out; by default those that are mere guesses.
        min_person_score: people below it are left out.
        title: heading of the figure.

    Raises:
        ValueError: the sequences differ in length or are empty, or an entry has a wrong shape.
    """
    names = list(titles) if titles is not None else [""] * len(images)
    if not len(images) == len(poses) == len(names):
        raise ValueError(
            f"show_poses needs as many poses and titles as images, not {len(poses)} and "
            f"{len(names)} for {len(images)}"
        )
    sheet, axes = panel_grid([image_of(i).shape[1:] for i in images], columns, title=title)
    weight = line_weight(min(columns, len(images)))
    for ax, image, found, name in zip(axes, images, poses, names, strict=True):
        draw_poses(
            image,
            found,
            skeleton,
            ax=ax,
            min_score=min_score,
            min_person_score=min_person_score,
            weight=weight,
            title=name,
        )
    legend_below(sheet, side_handles())
    return sheet

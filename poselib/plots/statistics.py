"""What a dataset holds: people, crowding, sizes, and which keypoints can be seen."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from poselib.plots.figure import SMALL, TEXT, WIDTH, legend_under, new_sheet, readable, style_axes
from poselib.plots.palette import BLUE, INK, SKY
from poselib.skeletons import Skeleton


def show_statistics(
    people: ArrayLike,
    crowding: ArrayLike,
    visibility: ArrayLike,
    areas: ArrayLike,
    skeleton: Skeleton,
    *,
    title: str = "",
) -> Figure:
    """Draw how many people images have, how crowded and large they are, and what of them is seen.

    Args:
        people: (I,) people of each image.
        crowding: (I,) crowd index of each image; drawn for images with two people or more.
        visibility: (K, 3) people whose keypoint is not labeled, hidden, visible.
        areas: (N,) px² of each person.
        skeleton: names of the keypoints.
        title: heading of the figure.

    Raises:
        ValueError: there is no image, or a shape does not fit.
    """
    counts, crowds = np.asarray(people, dtype=np.int64), np.asarray(crowding, dtype=np.float64)
    seen = np.asarray(visibility, dtype=np.float64)
    if counts.size == 0 or counts.shape != crowds.shape or seen.shape != (len(skeleton), 3):
        raise ValueError(
            f"people and crowding must be as long as there are images and visibility "
            f"({len(skeleton)}, 3), not {counts.shape}, {crowds.shape} and {seen.shape}"
        )
    sheet = new_sheet(5.4, WIDTH, title)
    grid = sheet.add_gridspec(3, 2, width_ratios=[1, 1.15])
    _draw_people(sheet.add_subplot(grid[0, 0]), counts)
    chosen = crowds[counts >= 2]
    title = "crowd index, two people or more"
    _draw_histogram(sheet.add_subplot(grid[1, 0]), chosen, title, "images")
    sizes = np.sqrt(np.asarray(areas, dtype=np.float64))
    title = "size of a person: √area, px"
    _draw_histogram(sheet.add_subplot(grid[2, 0]), sizes, title, "people")
    _draw_visibility(sheet.add_subplot(grid[:, 1]), seen, skeleton)
    return sheet


def _draw_people(ax: Axes, counts: NDArray[np.int64]) -> None:
    heights = np.bincount(counts)
    ax.bar(np.arange(len(heights)), heights, color=BLUE, width=0.8)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    style_axes(ax, f"people in an image, mean {counts.mean():.2f}", grid="y")
    ax.set_ylabel("images", fontsize=TEXT)


def _draw_histogram(ax: Axes, values: NDArray[np.float64], title: str, label: str) -> None:
    values = values[np.isfinite(values)]
    if len(values):
        ax.hist(values, bins=min(30, max(5, len(values) // 8)), color=BLUE)
        ax.axvline(float(values.mean()), color=INK, linewidth=1.0, linestyle="--")
        title = f"{title}, mean {values.mean():.3g}"
    style_axes(ax, title, grid="y")
    ax.set_ylabel(label, fontsize=TEXT)


def _draw_visibility(ax: Axes, seen: NDArray[np.float64], skeleton: Skeleton) -> None:
    shares = seen / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    rows = np.arange(len(skeleton))
    left = np.zeros(len(skeleton))
    kinds = (("visible", 2, BLUE), ("hidden", 1, SKY), ("not labeled", 0, (0.88,) * 3))
    for label, column, color in kinds:
        ax.barh(rows, shares[:, column], left=left, color=color, height=0.8, label=label)
        left = left + shares[:, column]
    style_axes(ax, "keypoints of labeled people", grid="x")
    ax.set_yticks(rows, [readable(name) for name in skeleton.keypoints], fontsize=SMALL)
    ax.set(xlim=(0, 1), ylim=(len(skeleton) - 0.5, -0.5))
    ax.set_xlabel("share of people", fontsize=TEXT)
    legend_under(ax, columns=3)

"""Statistics of a dataset: people, crowding, sizes, and visibility of keypoints."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from poselib.plots import style
from poselib.plots.bars import stack_percentages
from poselib.plots.style import BLUE, INK, SKY, WHITE, blend
from poselib.skeletons import Skeleton


@style.theme
def show_statistics(
    people: ArrayLike,
    crowding: ArrayLike,
    visibility: ArrayLike,
    areas: ArrayLike,
    skeleton: Skeleton,
    *,
    title: str = "",
) -> Figure:
    """Draw histograms of people in an image, crowding and sizes, and the visibility of keypoints.

    Args:
        people: (I,) people of each image.
        crowding: (I,) crowd index of each image; drawn for images with two people or more.
        visibility: (K, 3) people whose keypoint is not labeled, hidden, visible.
        areas: (N,) px² of each person.

    Raises:
        ValueError: there is no image, or a shape does not fit.
    """
    counts, crowds = np.asarray(people, dtype=np.int64), np.asarray(crowding, dtype=np.float64)
    seen = np.asarray(visibility, dtype=np.float64)
    if counts.size == 0 or counts.shape != crowds.shape or seen.shape != (len(skeleton), 3):
        shapes = f"not {counts.shape}, {crowds.shape} and {seen.shape}"
        raise ValueError(f"need people (I,), crowding (I,), visibility (K, 3), {shapes}")
    figure = style.new_figure(5.4, style.WIDTH, title)
    grid = figure.add_gridspec(3, 2, width_ratios=[1, 1.15])
    top, middle, bottom = (figure.add_subplot(grid[row, 0]) for row in range(3))
    sns.countplot(x=counts, order=range(counts.max() + 1), color=BLUE, saturation=1, ax=top)
    top.set(title=f"people in an image, mean {counts.mean():.2f}", ylabel="images", xlabel="")
    sizes = np.sqrt(np.asarray(areas, dtype=np.float64))
    for ax, values, heading, label in (
        (middle, crowds[counts >= 2], "crowd index, two people or more", "images"),
        (bottom, sizes[np.isfinite(sizes)], "size of a person: √area, px", "people"),
    ):
        if len(values):
            bins = min(30, max(5, len(values) // 8))
            sns.histplot(x=values, bins=bins, color=BLUE, alpha=1, linewidth=0, ax=ax)
            ax.axvline(float(values.mean()), color=INK, linewidth=1.0, linestyle="--")
            heading = f"{heading}, mean {values.mean():.3g}"
        ax.set(title=heading, ylabel=label)
    right = figure.add_subplot(grid[:, 1])
    kinds = {"visible": seen[:, 2], "hidden": seen[:, 1], "not labeled": seen[:, 0]}
    colors = (BLUE, SKY, blend(INK, WHITE, 0.85))
    table = pd.DataFrame(kinds, index=list(skeleton.keypoints))
    stack_percentages(right, table, colors, "keypoints of labeled people")
    right.set_xlabel("people, %")
    style.legend_under(right, columns=3)
    for ax in (top, middle, bottom):
        ax.grid(False, axis="x")
    return figure

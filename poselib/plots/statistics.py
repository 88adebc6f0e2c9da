"""Statistics of a dataset: people, crowding, sizes, and visibility of keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import NDArray

from poselib.plots import style
from poselib.plots.bars import stack_percentages
from poselib.plots.style import BLUE, INK, SKY, WHITE, blend
from poselib.skeletons import Skeleton

_NAMED = 45  # keypoints at most; of more, every second or third is named, and so on


@dataclass(frozen=True)
class DatasetStatistics:
    """Counts over I images and their N labeled people.

    Attributes:
        people: (I,) labeled people of each image.
        crowding: (I,) crowd index of each image, as CrowdPose defines it; 0 below two people.
        visibility: (K, 3) people whose keypoint is not labeled, labeled but hidden, visible.
        areas: (N,) px².
        ignored: annotated regions that are not counted: crowds and people without keypoints.
    """

    people: NDArray[np.int64]
    crowding: NDArray[np.float64]
    visibility: NDArray[np.int64]
    areas: NDArray[np.float64]
    ignored: int

    def summary(self) -> dict[str, float]:
        """Return the main numbers by name."""
        crowding = self.crowding[self.people >= 2]
        labeled = self.visibility[:, 1:].sum()
        return {
            "images": len(self.people),
            "people": int(self.people.sum()),
            "people per image": float(self.people.mean()) if len(self.people) else 0.0,
            "crowd index of two or more": float(crowding.mean()) if len(crowding) else 0.0,
            "keypoints labeled": int(labeled),
            "of them hidden": float(self.visibility[:, 1].sum() / max(labeled, 1)),
            "median √area, px": float(np.sqrt(np.median(self.areas))) if len(self.areas) else 0.0,
            "ignored regions": self.ignored,
        }


@style.theme
def show_statistics(
    statistics: DatasetStatistics, skeleton: Skeleton, *, title: str = ""
) -> Figure:
    """Draw histograms of people in an image, crowding and sizes, and the visibility of keypoints.

    Crowding is that of images with two people or more.

    Raises:
        ValueError: there is no image.
    """
    counts, seen = statistics.people, statistics.visibility.astype(np.float64)
    if counts.size == 0:
        raise ValueError("nothing to draw: there is no image")
    figure = style.new_figure(5.4, style.WIDTH, title)
    grid = figure.add_gridspec(3, 2, width_ratios=[1, 1.15])
    top, middle, bottom = (figure.add_subplot(grid[row, 0]) for row in range(3))
    sns.countplot(x=counts, order=range(counts.max() + 1), color=BLUE, saturation=1, ax=top)
    top.set(title=f"people in an image, mean {counts.mean():.2f}", ylabel="images", xlabel="")
    sizes = np.sqrt(statistics.areas)
    for ax, values, heading, label in (
        (middle, statistics.crowding[counts >= 2], "crowd index, two people or more", "images"),
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
    step = -(-len(table) // _NAMED)
    names = [style.display_name(name) for name in table.index[::step]]
    right.set_yticks(range(0, len(table), step), names)
    right.set_xlabel("people, %")
    style.legend_under(right, columns=3)
    for ax in (top, middle, bottom):
        ax.grid(False, axis="x")
    return figure

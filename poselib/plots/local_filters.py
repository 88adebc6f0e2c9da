"""Local filters of a pose, and the pose before and after they moved its keypoints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from numpy.typing import NDArray

from poselib.plots import style
from poselib.plots.heatmaps import HEATMAP_COLORS, as_maps
from poselib.plots.panels import window_around
from poselib.plots.poses import draw_poses
from poselib.plots.style import ALERT, SKY, WHITE, to_pale_gray
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.typing import FloatArray

_ROW, _SIDES = 2.95, [1.0, 1.0, 1.95]  # inches of a row, and fractions of its width
_DEEP = 3  # rows of filters
_CROSS = style.marker_style("P", 5.5, style.BRIGHT)
_DOT = style.marker_style("o", 3.5, WHITE)


@dataclass(frozen=True)
class FilterPanel:
    """One person of a figure.

    Attributes:
        image: (3, H, W) uint8 RGB.
        truth: (K, 3) px of ``image`` and visibility; 0 is not drawn.
        poses: (2, K, 2) px of ``image``, as regressed and as adapted.
        oks: of the two with the truth.
        filters: (K, r, r) attraction maps, from 0 to 1, rows first.
        places: (K, 2) position of the truth in the filters, in cells from the middle; NaN where
            it is unknown.
        title: heading of the row.
    """

    image: NDArray[np.uint8]
    truth: FloatArray
    poses: FloatArray
    oks: tuple[float, float]
    filters: FloatArray
    places: FloatArray
    title: str

    @property
    def gain(self) -> float:
        return self.oks[1] - self.oks[0]


@style.theme
def show_local_filters(
    panels: Sequence[FilterPanel], skeleton: Skeleton, *, title: str = ""
) -> Figure:
    """Draw poses before and after, their residuals, and local filters (LOGO-CAP, Fig. 1).

    The filters of one person share a scale. The dot is the keypoint before, the cross the ground
    truth, where it lies inside.

    Raises:
        ValueError: there is no panel, or filters are not the skeleton's.
    """
    if not panels:
        raise ValueError("nothing to draw: there is no panel")
    figure = style.new_figure(_ROW * len(panels) + 0.7, title=title)
    grid = figure.add_gridspec(len(panels), 3, width_ratios=_SIDES)
    for row, panel in enumerate(panels):
        before, after = panel.oks
        headings = (
            f"{panel.title}\nregressed: OKS {before:.3f}",
            f"adapted: OKS {after:.3f} ({panel.gain:+.3f})",
        )
        for column, (pose, heading) in enumerate(zip(panel.poses, headings, strict=True)):
            _draw_pose(figure.add_subplot(grid[row, column]), panel, pose, skeleton, heading)
        _draw_filters(figure, grid[row, 2], panel, skeleton)
    entries = {
        "pose": {"color": SKY, "linewidth": 3},
        "ground truth": _CROSS,
        "from the pose to the ground truth": {"color": ALERT, "linewidth": 1.4},
        "keypoint as regressed, in its filter": _DOT,
    }
    style.legend_below(figure, entries)
    return figure


def _draw_pose(
    ax: Axes, panel: FilterPanel, pose: FloatArray, skeleton: Skeleton, heading: str
) -> None:
    """Draw a pose over the part of the image that holds both poses and the truth."""
    labeled = panel.truth[:, 2] > 0
    truth = panel.truth[labeled, :2]
    size = style.as_image(panel.image).shape[1:]
    left, top, right, bottom = window_around(np.concatenate([*panel.poses, truth]), size)
    ones = np.ones((1, len(pose)), np.float32)
    one = Poses(pose[None].astype(np.float32), ones, ones[:, 0])
    # Lines are in px of the image, and a part of it is shown.
    weight = max(right - left, bottom - top) / max(size)
    draw_poses(to_pale_gray(panel.image, 0.3), one, skeleton, ax=ax, colors=[SKY], weight=weight)
    for found, place in zip(pose[labeled], truth, strict=True):
        ends = np.stack([found, place], axis=-1)
        for color, width in ((WHITE, 2.8), (ALERT, 1.4)):
            ax.plot(*ends, color=color, linewidth=width, zorder=5, gid="residual")
    ax.plot(*truth.T, zorder=6, gid="truth", **_CROSS)
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.set_title(heading, pad=3)


def _draw_filters(
    figure: Figure, where: SubplotSpec, panel: FilterPanel, skeleton: Skeleton
) -> None:
    columns = math.ceil(len(skeleton) / _DEEP)
    inner = where.subgridspec(_DEEP, columns)
    filters = as_maps(panel.filters, skeleton, "filters")
    half, top = filters.shape[-1] / 2, max(float(filters.max()), 1e-6)
    extent = (-half, half, half, -half)
    for number, (name, values) in enumerate(zip(skeleton.keypoints, filters, strict=True)):
        ax = figure.add_subplot(inner[divmod(number, columns)])
        mesh = ax.imshow(values, extent=extent, cmap=HEATMAP_COLORS, vmin=0.0, vmax=top)
        ax.plot(0, 0, gid="middle", **_DOT)
        x, y = panel.places[number]
        if max(abs(x), abs(y)) <= half:  # false for NaN
            ax.plot(x, y, gid="truth", **_CROSS)
        ax.set(xticks=[], yticks=[], xlim=(-half, half), ylim=(half, -half))
        ax.set_title(style.display_name(name).replace(" ", "\n"), fontsize=8, pad=2)
        if number == columns - 1:
            style.bar_beside(ax, mesh, "attraction")

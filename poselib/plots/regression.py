"""A pose as regressed from a center: offsets over a map, beside the people of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from poselib.plots import style
from poselib.plots.heatmaps import HEATMAP_COLORS
from poselib.plots.poses import draw_poses
from poselib.plots.style import BRIGHT, GRAY, INK, SKY, VERMILION, WHITE, Color, to_pale_gray
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.typing import FloatArray
from poselib.wording import people_label

_CROSS = style.marker_style("P", 5.0, style.BRIGHT)
_STAR = style.marker_style("*", 9.0, WHITE)
_TAP = style.marker_style("o", 2.6, VERMILION, INK, 0.2)
_REGULAR = style.marker_style("o", 2.0, GRAY, GRAY, 0.0)


@dataclass(frozen=True)
class OffsetPanel:
    """A pose and where it was regressed from, in px of the image.

    Attributes:
        image: (3, H, W) uint8 RGB.
        center: (2,) the center of the cell.
        regressed, decoded: (K, 2) keypoints, before and after the decoder moved them.
        keypoint: that is marked.
        values: (h, w) a map, from 0; None for none.
        extent: left, right, bottom, top of the map; None for all of the image.
        label: what the map shows.
        truth: (K, 3) annotated keypoints and visibility; None if they are not known.
        activated, regular: (P, 2) pixels that are sampled, and those of an ordinary convolution.
        color: of the pose.
        title: heading.
    """

    image: NDArray[np.uint8]
    center: FloatArray
    regressed: FloatArray
    decoded: FloatArray
    keypoint: int
    values: ArrayLike | None
    label: str
    extent: tuple[float, float, float, float] | None = None
    truth: FloatArray | None = None
    activated: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    regular: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    color: Color = SKY
    title: str = ""


@style.theme
def show_offsets(
    panel: OffsetPanel,
    poses: Poses,
    skeleton: Skeleton,
    *,
    colors: Sequence[Color] | None = None,
    title: str = "",
) -> Figure:
    """Draw the people of an image, and the offsets of one pose over a map.

    Args:
        poses: n people, px of the image.
        colors: of each of them.

    Raises:
        ValueError: the image is not (3, H, W) uint8, or keypoints are not the skeleton's.
    """
    size = style.as_image(panel.image).shape[1:]
    figure, (left, right) = style.panel_grid([size, size], 2, title=title, side=0.8)
    draw_poses(
        panel.image,
        poses,
        skeleton,
        ax=left,
        title=people_label(len(poses)),
        min_score=0.0,
        colors=colors,
    )
    style.show_image(right, to_pale_gray(panel.image), panel.title)
    if panel.values is not None:
        _draw_map(right, panel, np.asarray(panel.values, np.float64))
    entries = _draw_offsets(right, panel)
    if panel.truth is not None:
        entries |= _draw_truth(left, panel)
        _draw_truth(right, panel)
    style.legend_below(figure, entries)
    return figure


def _draw_map(ax: Axes, panel: OffsetPanel, values: FloatArray) -> None:
    top = max(float(values.max(initial=0.0)), 1e-6)
    height, width = panel.image.shape[1:]
    levels = np.clip(values / top, 0.0, 1.0)
    alpha = np.full_like(levels, 0.75) if panel.extent else np.clip(1.5 * levels, 0.0, 0.9)
    mesh = ax.imshow(
        values, extent=panel.extent or (0.0, width, height, 0.0), cmap=HEATMAP_COLORS,
        vmin=0.0, vmax=top, alpha=alpha, interpolation="nearest", zorder=1,
    )  # fmt: skip
    style.fit_axes(ax, (height, width))
    style.bar_beside(ax, mesh, panel.label)


def _draw_offsets(ax: Axes, panel: OffsetPanel) -> dict[str, object]:
    """Draw arrows from the center to regressed keypoints, and on to decoded ones."""
    ax.plot(*panel.regular.T, zorder=2, gid="regular", **_REGULAR)
    ax.plot(*panel.activated.T, zorder=3, gid="activated", **_TAP)
    for k, end in enumerate(panel.regressed):
        strong = k == panel.keypoint
        arrow = {
            "arrowstyle": "-|>", "color": panel.color, "lw": 2.2 if strong else 0.9,
            "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9,
        }  # fmt: skip
        ax.annotate(
            "",
            xy=(float(end[0]), float(end[1])),
            xytext=(float(panel.center[0]), float(panel.center[1])),
            arrowprops=arrow,
            zorder=4,
        )
    entries: dict[str, object] = {
        "offset to a keypoint": {"color": panel.color, "linewidth": 1.2},
        "center": _STAR,
    }
    moves = np.stack([panel.regressed, panel.decoded])
    if np.abs(moves[1] - moves[0]).max(initial=0.0) > 1e-3:
        ax.plot(*moves.transpose(2, 0, 1), color=WHITE, lw=1.6, zorder=5, gid="moves")
        dot = style.marker_style("o", 4.0, panel.color)
        ax.plot(*panel.decoded.T, zorder=6, gid="decoded", **dot)
        entries["as decoded"] = dot
    ax.plot(*panel.center, zorder=6, gid="center", **_STAR)
    ring = style.marker_style("o", 11, "none", panel.color, 1.8)
    ax.plot(*panel.decoded[panel.keypoint], zorder=6, gid="keypoint", **ring)
    if len(panel.activated):
        entries["activated pixel"] = _TAP
        entries["of an ordinary convolution"] = _REGULAR
    return entries


def _draw_truth(ax: Axes, panel: OffsetPanel) -> dict[str, object]:
    assert panel.truth is not None
    labeled = panel.truth[:, 2] > 0
    ends = np.stack([panel.decoded[labeled], panel.truth[labeled, :2]])
    ax.plot(*ends.transpose(2, 0, 1), color=BRIGHT, lw=1.1, zorder=5, gid="residual")
    ax.plot(*ends[1].T, zorder=6, gid="truth", **_CROSS)
    return {"annotated": _CROSS, "error": {"color": BRIGHT, "linewidth": 1.1}}

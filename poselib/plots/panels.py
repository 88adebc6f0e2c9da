"""People in parts of images, with rings around the keypoints that a figure is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from poselib.plots.figure import image_of, legend_below, line_weight, panel_grid
from poselib.plots.legends import hidden_handle, side_handles
from poselib.plots.palette import ALERT, WHITE, person_colors
from poselib.plots.poses import draw_poses, draw_truth, people_of
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.typing import FloatArray

Window = tuple[int, int, int, int]  # left, top, right, bottom; px
_RING = 9.0  # points
_MARGIN = 0.15  # around what a window must show, of its side


def _nowhere() -> FloatArray:
    return np.zeros((0, 2))


@dataclass(frozen=True)
class Panel:
    """One picture of a figure.

    Attributes:
        image: (3, H, W) uint8 RGB.
        truth: (N, K, 3) annotated people, px of ``image`` and visibility.
        poses: people found, px of ``image``; if None, the annotated people are drawn.
        partners: (P,) the annotated person whose color each person found gets; who has none
            (-1) gets a color of its own.
        title: heading.
        rings: (M, 2) px, keypoints to mark.
        targets: (M, 2) px, where each marked keypoint belongs, joined with it by a line; NaN where
            that is unknown. Empty for no lines at all.
        window: part of the image to show; all of it if None.
    """

    image: NDArray[np.uint8]
    truth: NDArray[np.float32]
    poses: Poses | None = None
    partners: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    title: str = ""
    rings: FloatArray = field(default_factory=_nowhere)
    targets: FloatArray = field(default_factory=_nowhere)
    window: Window | None = None


def show_panels(
    panels: Sequence[Panel],
    skeleton: Skeleton,
    *,
    columns: int = 4,
    marked: str = "marked",
    title: str = "",
) -> Figure:
    """Draw annotated people and people found, in whole images or parts of them.

    Args:
        panels: row by row.
        skeleton: names and limbs of the keypoints.
        columns: panels in a row.
        marked: what the legend calls the rings.
        title: heading of the figure.

    Raises:
        ValueError: there is no panel, or an image, its people, their partners or a window does
            not fit.
    """
    cut = [_cut(panel, skeleton) for panel in panels]
    sheet, axes = panel_grid([panel.image.shape[1:] for panel in cut], columns, title=title)
    weight = line_weight(min(columns, len(panels)))
    for ax, panel in zip(axes, cut, strict=True):
        _draw(ax, panel, skeleton, weight)
        _mark(ax, panel)
    handles = [*side_handles(), hidden_handle()]
    if any(len(panel.rings) for panel in cut):
        handles.append(_handle("o", marked))
    if any(np.isfinite(panel.targets).all(axis=-1).any() for panel in cut):
        handles.append(_handle("", "where it belongs"))
    legend_below(sheet, handles)
    return sheet


def window_around(points: ArrayLike, size: tuple[int, int]) -> Window:
    """Return the square part of an image of ``size`` (H, W) around points (M, 2), with a margin.

    It is moved, and where it must be cut, to lie inside the image. Without points it is all of it.
    """
    xy = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    height, width = size
    if len(xy) == 0:
        return 0, 0, width, height
    low, high = xy.min(axis=0), xy.max(axis=0)
    side = max(float((high - low).max()) * (1 + 2 * _MARGIN), 0.25 * min(size))
    first = np.minimum(
        np.maximum((low + high - side) / 2, 0), np.maximum((width, height), side) - side
    )
    left, top = (int(v) for v in np.floor(first))
    right, bottom = (int(v) for v in np.ceil(first + side))
    return left, top, min(right, width), min(bottom, height)


def _cut(panel: Panel, skeleton: Skeleton) -> Panel:
    """Return the panel of the window alone, in its own px."""
    image, truth = image_of(panel.image), people_of(panel.truth, skeleton)
    height, width = image.shape[1:]
    left, top, right, bottom = panel.window or (0, 0, width, height)
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"window {panel.window} does not lie in an image {width} by {height} px")
    corner = np.array([left, top], dtype=np.float32)
    poses = panel.poses
    if poses is not None and len(panel.partners) != len(poses):
        raise ValueError(f"{len(panel.partners)} partners for {len(poses)} people found")
    if poses is not None:
        poses = Poses(poses.keypoints - corner, poses.scores, poses.person_scores)
    return replace(
        panel,
        image=image[:, top:bottom, left:right],
        truth=np.concatenate([truth[..., :2] - corner, truth[..., 2:]], axis=-1),
        poses=poses,
        rings=panel.rings - corner,
        targets=panel.targets - corner,
        window=None,
    )


def _draw(ax: Axes, panel: Panel, skeleton: Skeleton, weight: float) -> None:
    people, found = len(panel.truth), panel.poses
    colors = person_colors(people + (0 if found is None else len(found)))
    if found is None:
        draw_truth(
            panel.image,
            panel.truth,
            skeleton,
            ax=ax,
            colors=colors,
            weight=weight,
            title=panel.title,
        )
        return
    places = np.where(panel.partners >= 0, panel.partners, people + np.arange(len(found)))
    draw_poses(
        panel.image,
        found,
        skeleton,
        ax=ax,
        colors=[colors[place] for place in places],
        weight=weight,
        title=panel.title,
    )


def _mark(ax: Axes, panel: Panel) -> None:
    if len(panel.targets):
        for ring, target in zip(panel.rings, panel.targets, strict=True):
            if np.isfinite(target).all():
                x, y = np.stack([ring, target], axis=-1)
                ax.plot(x, y, color=WHITE, linewidth=2.6, zorder=5)
                ax.plot(x, y, color=ALERT, linewidth=1.2, zorder=6, gid="belongs")
    x, y = panel.rings.T
    ring = {"linestyle": "none", "marker": "o", "markersize": _RING, "markerfacecolor": "none"}
    ax.plot(x, y, markeredgecolor=WHITE, markeredgewidth=3.2, zorder=7, **ring)
    ax.plot(x, y, markeredgecolor=ALERT, markeredgewidth=1.6, zorder=8, gid="marked", **ring)


def _handle(marker: str, label: str) -> Line2D:
    return Line2D(
        [],
        [],
        color=ALERT,
        linestyle="none" if marker else "-",
        linewidth=1.2,
        marker=marker,
        markersize=9,
        markerfacecolor="none",
        markeredgewidth=1.6,
        label=label,
    )

"""Annotated people and detections in parts of images, with rings around chosen keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from poselib.plots import style
from poselib.plots.poses import as_people, draw_poses, draw_truth
from poselib.plots.style import ALERT, GREEN, WHITE, Color, partner_colors
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.typing import FloatArray

Window = tuple[int, int, int, int]  # left, top, right, bottom; px
_MARGIN = 0.15  # around what a window must show, of its side


@dataclass(frozen=True)
class Panel:
    """One picture of a figure.

    Attributes:
        image: (3, H, W) uint8 RGB.
        truth: (N, K, 3) annotated people, px of ``image`` and visibility.
        poses: detections, px of ``image``; if None, the annotated people are drawn.
        partners: (P,) the annotated person whose color each detection gets; those without one
            (-1) get colors of their own.
        title: heading.
        rings: (M, 2) px, keypoints to mark.
        targets: (M, 2) px, correct position of each ring, joined with it; NaN where unknown, empty
            for no lines at all.
        hits: (M, 2) px, keypoints to mark as right.
        window: part of the image to show; all of it if None.
    """

    image: NDArray[np.uint8]
    truth: NDArray[np.float32]
    poses: Poses | None = None
    partners: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    title: str = ""
    rings: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    targets: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    hits: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    window: Window | None = None


@style.theme
def show_panels(
    panels: Sequence[Panel],
    skeleton: Skeleton,
    *,
    columns: int = 4,
    marked: str = "marked",
    right: str = "right",
    title: str = "",
) -> Figure:
    """Draw annotated people and detections, in whole images or parts of them.

    Args:
        marked, right: what the legend calls the rings and the hits.

    Raises:
        ValueError: there is no panel, or a part of one does not fit.
    """
    cut = [_cut(panel, skeleton) for panel in panels]
    figure, axes = style.panel_grid([panel.image.shape[1:] for panel in cut], columns, title=title)
    weight = style.line_weight(min(columns, len(panels)))
    for ax, panel in zip(axes, cut, strict=True):
        options: dict[str, Any] = {"ax": ax, "weight": weight, "title": panel.title}
        if panel.poses is None:
            draw_truth(panel.image, panel.truth, skeleton, **options)
        else:
            colors = partner_colors(len(panel.truth), panel.partners)
            draw_poses(panel.image, panel.poses, skeleton, colors=colors, **options)
        for ring, target in zip(panel.rings, panel.targets, strict=False):
            if np.isfinite(target).all():
                x, y = np.stack([ring, target], axis=-1)
                ax.plot(x, y, color=WHITE, linewidth=2.6, zorder=5)
                ax.plot(x, y, color=ALERT, linewidth=1.2, zorder=6, gid="belongs")
        for points, color, gid in ((panel.rings, ALERT, "marked"), (panel.hits, GREEN, "right")):
            ax.plot(*points.T, **_ring(WHITE, columns, 3.2), zorder=7)
            ax.plot(*points.T, **_ring(color, columns), zorder=8, gid=gid)
    entries = dict(style.VISIBILITY)
    if any(len(panel.rings) for panel in cut):
        entries[marked] = _ring(ALERT, columns)
    if any(len(panel.hits) for panel in cut):
        entries[right] = _ring(GREEN, columns)
    if any(np.isfinite(panel.targets).all(axis=-1).any() for panel in cut):
        entries["correct position"] = {"color": ALERT, "linewidth": 1.2}
    style.legend_below(figure, entries)
    return figure


def window_around(points: ArrayLike, size: tuple[int, int]) -> Window:
    """Return the square part of an image of ``size`` (H, W) around points (M, 2), with a margin.

    It lies inside the image, and is all of it without points.
    """
    xy = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    height, width = size
    if len(xy) == 0:
        return 0, 0, width, height
    low, high = xy.min(axis=0), xy.max(axis=0)
    side = max(float((high - low).max()) * (1 + 2 * _MARGIN), 0.25 * min(size))
    last = np.maximum((width, height), side) - side
    first = np.minimum(np.maximum((low + high - side) / 2, 0), last)
    left, top = (int(v) for v in np.floor(first))
    right, bottom = (int(v) for v in np.ceil(first + side))
    return left, top, min(right, width), min(bottom, height)


def _ring(color: Color, columns: int, width: float = 1.6) -> dict[str, Any]:
    """Return the style of a ring, smaller in small panels."""
    return style.marker_style("o", 9 if columns <= 4 else 6.5, "none", color, width)


def _cut(panel: Panel, skeleton: Skeleton) -> Panel:
    """Return the panel of the window alone, in its own px."""
    image, truth = style.as_image(panel.image), as_people(panel.truth, skeleton)
    height, width = image.shape[1:]
    left, top, right, bottom = panel.window or (0, 0, width, height)
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"window {panel.window} does not lie in an image {width} by {height} px")
    corner = np.array([left, top], dtype=np.float32)
    if (poses := panel.poses) is not None:
        if len(panel.partners) != len(poses):
            raise ValueError(f"{len(panel.partners)} partners for {len(poses)} detections")
        poses = replace(poses, keypoints=poses.keypoints - corner)
    return replace(
        panel,
        image=image[:, top:bottom, left:right],
        truth=np.concatenate([truth[..., :2] - corner, truth[..., 2:]], axis=-1),
        poses=poses,
        rings=panel.rings - corner,
        targets=panel.targets - corner,
        hits=panel.hits - corner,
        window=None,
    )

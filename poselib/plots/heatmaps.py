"""Heatmaps and target heatmaps over images, cell for cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike, NDArray

from poselib.plots import style
from poselib.plots.palette import ALERT, INK, to_pale_gray
from poselib.plots.poses import as_people
from poselib.skeletons import Skeleton
from poselib.structures import Size
from poselib.typing import FloatArray

HEATMAP_COLORS = "inferno"
_IGNORED = (*ALERT, 0.3)
_MARK = "#00c8ff"  # cyan: not among those


@style.theme
def show_heatmaps(
    image: ArrayLike,
    heatmaps: ArrayLike,
    skeleton: Skeleton,
    *,
    keypoints: Sequence[str] | None = None,
    columns: int = 4,
    title: str = "",
) -> Figure:
    """Draw the maximum of all heatmaps over the image, and single heatmaps beside it.

    Args:
        image: (3, H, W) uint8 RGB.
        heatmaps: (K, h, w), covering the image; any resolution.
        skeleton: names of the K maps.
        keypoints: names of the maps to draw alone; up to seven spread over the skeleton if None.
        columns: panels in a row.
        title: heading of the figure.

    Raises:
        ValueError: a shape does not fit, or a keypoint is unknown.
    """
    pixels, heat = style.as_image(image), as_maps(heatmaps, skeleton, "heatmaps")
    names = spaced_keypoints(skeleton, 2 * columns - 1) if keypoints is None else keypoints
    indices = [skeleton.index(name) for name in names]
    size = pixels.shape[1:]
    top = max(float(np.nanmax(heat, initial=0.0)), 1e-6)
    figure, axes = style.panel_grid([size] * (len(names) + 1), columns, title=title, side=0.8)
    panels = [("all keypoints", heat.max(axis=0)), *zip(names, heat[indices], strict=True)]
    for ax, (name, values) in zip(axes, panels, strict=True):
        style.show_image(ax, to_pale_gray(pixels), style.display_name(name))
        mesh = add_heatmap(ax, values, size, top)
    style.bar_beside(axes[min(columns, len(axes)) - 1], mesh, "heatmap value")
    return figure


@style.theme
def show_targets(
    image: ArrayLike,
    heatmaps: ArrayLike,
    keypoints: ArrayLike,
    skeleton: Skeleton,
    *,
    weights: ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """Draw target heatmaps under the keypoints they were made from, whole and close up.

    It shows errors between the frames of image and maps: each bright spot must lie around its
    dot, and the close view shows it cell by cell.

    Args:
        image: (3, H, W) uint8 RGB.
        heatmaps: (K, h, w) targets that cover the image.
        keypoints: (N, K, 3) px of ``image`` and visibility; 0 is not drawn.
        skeleton: names of the K maps.
        weights: (h, w) or (1, h, w), 0 where the loss does not count; shaded.
        title: heading of the figure.

    Raises:
        ValueError: a shape does not fit.
    """
    pixels, heat = style.as_image(image), as_maps(heatmaps, skeleton, "heatmaps")
    people, size = as_people(keypoints, skeleton), pixels.shape[1:]
    figure, (whole, close) = style.panel_grid([size, size], 2, title=title, side=0.8)
    style.show_image(whole, to_pale_gray(pixels), "targets of all keypoints over the image")
    mesh = add_heatmap(whole, heat.max(axis=0), size, 1.0)
    if weights is not None:
        ignored = np.reshape(weights, (*heat.shape[1:], 1)) <= 0
        style.show_map(whole, np.where(ignored, _IGNORED, 0.0), size, zorder=2)
    whole.plot(*people[people[..., 2] > 0, :2].T, **_dot(3.0), zorder=4)
    _close_up(close, pixels, heat, people, skeleton)
    style.bar_beside(close, mesh, "heatmap value")
    entries: dict[str, Any] = {
        "labeled keypoint": _dot(6),
        "the cell it lies in": Patch(fc="none", ec=_MARK, linewidth=1.4),
    }
    if weights is not None:
        entries["not counted by the loss"] = Patch(fc=_IGNORED)
    style.legend_below(figure, entries)
    return figure


def as_maps(maps: ArrayLike, skeleton: Skeleton, name: str) -> FloatArray:
    """Return maps as an array; raises ValueError unless it is (K, h, w) for the skeleton."""
    array = np.asarray(maps, dtype=np.float64)
    if array.ndim != 3 or len(array) != len(skeleton):
        raise ValueError(
            f"{name} must be ({len(skeleton)}, h, w) for skeleton {skeleton.name!r}, "
            f"not {array.shape}"
        )
    return array


def add_heatmap(ax: Axes, values: FloatArray, size: Size, top: float) -> Any:
    """Lay a map (h, w) over an image of ``size``: opaque where high, clear where low."""
    alpha = np.clip(1.5 * np.nan_to_num(values) / top, 0.0, 0.9)
    colors: dict[str, Any] = {"cmap": HEATMAP_COLORS, "vmin": 0.0, "vmax": top, "alpha": alpha}
    return style.show_map(ax, values, size, **colors, zorder=1)


def spaced_keypoints(skeleton: Skeleton, count: int) -> list[str]:
    """Return up to ``count`` keypoint names, evenly spread over the skeleton."""
    count = min(max(count, 1), len(skeleton))
    places = np.linspace(0, len(skeleton) - 1, count).round().astype(int)
    return [skeleton.keypoints[place] for place in places]


def _dot(size: float) -> dict[str, Any]:
    return style.marker_style("o", size, _MARK, INK, 0.1 * size)


def _close_up(
    ax: Axes,
    pixels: NDArray[np.uint8],
    heat: FloatArray,
    people: NDArray[np.float32],
    skeleton: Skeleton,
) -> None:
    """Show the map around the first labeled keypoint with the borders of the cells."""
    size: Size = (pixels.shape[1], pixels.shape[2])
    labeled = people[..., 2] > 0
    style.show_image(ax, to_pale_gray(pixels), "close up: no person is labeled")
    if not labeled.any():
        return
    n, k = np.argwhere(labeled)[0]
    add_heatmap(ax, heat[k], size, 1.0)
    ax.plot(*people[labeled[:, k], k, :2].T, **_dot(7.0), zorder=4)
    stride = np.array([size[1] / heat.shape[2], size[0] / heat.shape[1]])
    point = people[n, k, :2]
    corner = np.floor(point / stride) * stride
    ax.add_patch(Rectangle(corner, *stride, fill=False, ec=_MARK, lw=1.4, zorder=3))
    half = 8 * stride[1] * np.array([size[1] / size[0], 1.0])
    (left, top), (right, bottom) = point - half, point + half
    ax.set(xlim=(left, right), ylim=(bottom, top))
    first = np.ceil((point - half) / stride) * stride
    ax.set_xticks(np.arange(first[0], right, stride[0]))
    ax.set_yticks(np.arange(first[1], bottom, stride[1]))
    ax.grid(color="white", linewidth=0.4, alpha=0.7)
    ax.tick_params(length=0, labelbottom=False, labelleft=False)
    name = style.display_name(skeleton.keypoints[k])
    ax.set_title(f"close up of {name} alone, cells of {stride[0]:g} px", pad=3)

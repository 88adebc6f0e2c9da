"""Heatmaps, target heatmaps and tagmaps over images, cell for cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike, NDArray

from poselib.plots import style
from poselib.plots.poses import as_people
from poselib.plots.style import ALERT, INK, to_pale_gray
from poselib.skeletons import Skeleton
from poselib.structures import Size
from poselib.typing import FloatArray

HEATMAP_COLORS, TAG_COLORS = "inferno", "viridis"
_BACKGROUND = 0.1  # heatmap values at and below it
_IGNORED = (*ALERT, 0.3)
_MARK = "#00c8ff"  # cyan: not among the colors of heatmaps


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
        keypoints: names of the maps to draw alone; up to seven spread over the skeleton if None.

    Raises:
        ValueError: a shape does not fit, or a keypoint is unknown.
    """
    pixels, heat = style.as_image(image), as_maps(heatmaps, skeleton, "heatmaps")
    spread = np.linspace(0, len(skeleton) - 1, min(2 * columns - 1, len(skeleton)))
    names = keypoints or [skeleton.keypoints[k] for k in spread.round().astype(int)]
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

    Each bright spot must lie around its dot, or the frames of image and maps differ.

    Args:
        image: (3, H, W) uint8 RGB.
        heatmaps: (K, h, w) targets that cover the image.
        keypoints: (N, K, 3) px of ``image`` and visibility; 0 is not drawn.
        weights: (h, w) or (1, h, w), 0 where the loss does not count; shaded.

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


@style.theme
def show_tagmaps(
    image: ArrayLike,
    models: Mapping[str, tuple[ArrayLike, ArrayLike]],
    skeleton: Skeleton,
    *,
    keypoints: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Draw tags as colors, one row a model: on the people alone, and whole maps (HAE, Fig. 7).

    The first panel takes at each cell the tag of the keypoint with the highest heatmap value, and
    fades where all are low. People are separated where their colors differ; which color a person
    has means nothing, nor does the same color in two rows: each has a scale of its own.

    Args:
        image: (3, H, W) uint8 RGB.
        models: name of each model to its tags (K, h, w) and heatmaps (K, h, w).
        keypoints: names of the maps drawn whole; if None, one of the head and a hip where known.

    Raises:
        ValueError: there is no model, a shape does not fit, or a keypoint is unknown.
    """
    if not models:
        raise ValueError("show_tagmaps needs at least one model")
    if keypoints is None:
        head = skeleton.groups.get("body_parts", ((skeleton.keypoints[0],),))[0][0]
        keypoints = head, "left_hip" if "left_hip" in skeleton.keypoints else skeleton.keypoints[-1]
    pixels, indices = style.as_image(image), [skeleton.index(name) for name in keypoints]
    maps = {
        name: (as_maps(tags, skeleton, "tags"), as_maps(heat, skeleton, "heatmaps"))
        for name, (tags, heat) in models.items()
    }
    columns, size = 1 + len(indices), pixels.shape[1:]
    figure, axes = style.panel_grid([size] * (columns * len(maps)), columns, title=title, side=0.8)
    for row, (name, (tags, heat)) in enumerate(maps.items()):
        limits = tag_limits(tags, heat)
        first, *rest = axes[row * columns : (row + 1) * columns]
        heading = f"{name}: tags on people" if name else "on people"
        style.show_image(first, to_pale_gray(pixels, 0.7), heading)
        mesh = style.show_map(first, masked_tags(tags, heat, limits), size, zorder=1)
        for ax, index in zip(rest, indices, strict=True):
            style.show_map(ax, tags[index], size, cmap=TAG_COLORS, clim=limits)
            keypoint = style.display_name(skeleton.keypoints[index])
            style.fit_axes(ax, size, f"whole tagmap of {keypoint}")
        mesh.set(cmap=TAG_COLORS, clim=limits)  # of its bar: the colors of its cells are given
        style.bar_beside(axes[(row + 1) * columns - 1], mesh, "tag value")
    return figure


def masked_tags(tags: FloatArray, heatmaps: FloatArray, limits: tuple[float, float]) -> FloatArray:
    """Return colors (h, w, 4): the tag of the highest keypoint, faded where heatmaps are low.

    Both maps are (K, h, w); ``limits`` are the tag values at the two ends of the colors.
    """
    tag, opacity = tags_on_people(tags, heatmaps)
    scaled = (tag - limits[0]) / max(limits[1] - limits[0], 1e-9)
    colors = colormaps[TAG_COLORS](np.clip(scaled, 0.0, 1.0))
    colors[..., 3] = opacity
    return colors


def tags_on_people(tags: FloatArray, heatmaps: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the tag (h, w) of the highest keypoint, and how opaque, in [0, 1], it is drawn."""
    best = heatmaps.argmax(axis=0)[None]
    heat = np.take_along_axis(heatmaps, best, axis=0)[0]
    top = float(heat.max(initial=0.0))
    above = (heat - _BACKGROUND) / max(top - _BACKGROUND, 1e-6)
    return np.take_along_axis(tags, best, axis=0)[0], np.clip(1.6 * above, 0.0, 1.0)


def tag_limits(tags: FloatArray, heatmaps: FloatArray) -> tuple[float, float]:
    """Return the range of the tags (K, h, w) at high heatmap values, of all if there are none."""
    inside = tags[heatmaps > _BACKGROUND]
    values = inside if inside.size else tags.ravel()
    low, high = (float(v) for v in np.nanpercentile(values, (1, 99)))
    middle = (low + high) / 2
    half = max((high - low) / 2 * 1.05, 1e-3)
    return middle - half, middle + half


def as_maps(maps: ArrayLike, skeleton: Skeleton, name: str) -> FloatArray:
    """Return maps as an array; raises ValueError unless it is (K, h, w) for the skeleton."""
    array = np.asarray(maps, dtype=np.float64)
    if array.ndim != 3 or len(array) != len(skeleton):
        expected = f"({len(skeleton)}, h, w) for skeleton {skeleton.name!r}"
        raise ValueError(f"{name} must be {expected}, not {array.shape}")
    return array


def add_heatmap(ax: Axes, values: FloatArray, size: Size, top: float) -> Any:
    """Lay a map (h, w) over an image of ``size``: opaque where high, clear where low."""
    alpha = np.clip(1.5 * np.nan_to_num(values) / top, 0.0, 0.9)
    colors: dict[str, Any] = {"cmap": HEATMAP_COLORS, "vmin": 0.0, "vmax": top, "alpha": alpha}
    return style.show_map(ax, values, size, **colors, zorder=1)


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

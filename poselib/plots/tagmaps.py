"""Tagmaps of associative embeddings as colors over the image, for one or several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from poselib.plots import style
from poselib.plots.heatmaps import as_maps
from poselib.plots.palette import to_pale_gray
from poselib.skeletons import Skeleton
from poselib.typing import FloatArray

TAG = "viridis"
_BACKGROUND = 0.1  # heatmap values at and below it


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
        skeleton: names of the K maps.
        keypoints: names of the maps drawn whole; if not given, one of the head and a hip, or the
            first and the last where a skeleton does not say which they are.
        title: heading of the figure.

    Raises:
        ValueError: there is no model, a shape does not fit, or a keypoint is unknown.
    """
    if not models:
        raise ValueError("show_tagmaps needs at least one model")
    chosen = _two_of(skeleton) if keypoints is None else keypoints
    pixels, indices = style.as_image(image), [skeleton.index(name) for name in chosen]
    maps = {
        name: (as_maps(tags, skeleton, "tags"), as_maps(heat, skeleton, "heatmaps"))
        for name, (tags, heat) in models.items()
    }
    columns, size = 1 + len(indices), pixels.shape[1:]
    figure, axes = style.panel_grid([size] * (columns * len(maps)), columns, title=title, side=0.8)
    for row, (name, (tags, heat)) in enumerate(maps.items()):
        limits = tag_limits(tags, heat)
        first, *rest = axes[row * columns : (row + 1) * columns]
        style.show_image(
            first, to_pale_gray(pixels, 0.7), f"{name}: tags on people" if name else "on people"
        )
        mesh = style.show_map(first, masked_tags(tags, heat, limits), size, zorder=1)
        for ax, index in zip(rest, indices, strict=True):
            style.show_map(ax, tags[index], size, cmap=TAG, clim=limits)
            keypoint = style.display_name(skeleton.keypoints[index])
            style.fit_axes(ax, size, f"whole tagmap of {keypoint}")
        mesh.set(cmap=TAG, clim=limits)  # of its bar: the colors of its cells are given
        style.bar_beside(axes[(row + 1) * columns - 1], mesh, "tag value")
    return figure


def masked_tags(tags: FloatArray, heatmaps: FloatArray, limits: tuple[float, float]) -> FloatArray:
    """Return colors (h, w, 4): the tag of the highest keypoint, faded where heatmaps are low.

    Args:
        tags: (K, h, w).
        heatmaps: (K, h, w).
        limits: tag values at the two ends of the colors.
    """
    best = heatmaps.argmax(axis=0)[None]
    heat = np.take_along_axis(heatmaps, best, axis=0)[0]
    tag = np.take_along_axis(tags, best, axis=0)[0]
    scaled = (tag - limits[0]) / max(limits[1] - limits[0], 1e-9)
    colors = colormaps[TAG](np.clip(scaled, 0.0, 1.0))
    top = float(heat.max(initial=0.0))
    above = (heat - _BACKGROUND) / max(top - _BACKGROUND, 1e-6)
    colors[..., 3] = np.clip(1.6 * above, 0.0, 1.0)
    return colors


def tag_limits(tags: FloatArray, heatmaps: FloatArray) -> tuple[float, float]:
    """Return the range of the tags (K, h, w) at high heatmap values, of all if there are none."""
    inside = tags[heatmaps > _BACKGROUND]
    values = inside if inside.size else tags.ravel()
    low, high = (float(v) for v in np.nanpercentile(values, (1, 99)))
    middle = (low + high) / 2
    half = max((high - low) / 2 * 1.05, 1e-3)
    return middle - half, middle + half


def _two_of(skeleton: Skeleton) -> tuple[str, str]:
    head, hip = skeleton.groups.get("body_parts", ((skeleton.keypoints[0],),))[0][0], "left_hip"
    return head, hip if hip in skeleton.keypoints else skeleton.keypoints[-1]

"""Relations between keypoints: matrices, beside images, and heatmaps before and after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from poselib.plots import style
from poselib.plots.heatmaps import add_heatmap, as_maps
from poselib.plots.poses import as_people, draw_poses, draw_truth
from poselib.plots.style import ALERT, GRAY, INK, WHITE, YELLOW, marker_style, to_pale_gray
from poselib.poses import Poses
from poselib.skeletons import Skeleton
from poselib.typing import FloatArray

_NAMED = 40  # keypoints at most; of more, every second or third is named, and so on
COLORS, GAMMA = "magma_r", 0.5  # weak relations are seen beside the diagonal
_SIDE, _NAMES = 2.5, 0.75  # inches of a matrix, and of the names beside or below it
_SMALL = 6.5  # points
_TRUE = marker_style("o", 4, YELLOW, INK)
_LOST = marker_style("X", 9, ALERT, WHITE, 0.8)


@dataclass(frozen=True)
class RelationRow:
    """An image and how its keypoints are related.

    Attributes:
        image: (3, H, W) uint8 RGB.
        keypoints: (1, K, 3) the annotated person, px of ``image`` and visibility.
        correlation, weights: (K, K), dot products of the pseudo heatmaps and W_r.
        title: heading of the image.
    """

    image: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    correlation: FloatArray
    weights: FloatArray
    title: str = ""


@style.theme
def show_matrices(
    matrices: Mapping[str, ArrayLike],
    skeleton: Skeleton,
    *,
    label: str = "correlation",
    columns: int = 3,
    title: str = "",
) -> Figure:
    """Draw matrices of keypoints by keypoints, all on one scale (RPSTN/JRE, Fig. 6).

    Args:
        matrices: (K, K) by heading. Rows are the keypoints that attend.
        label: what the values are.

    Raises:
        ValueError: there is no matrix, or a shape does not fit.
    """
    if not matrices:
        raise ValueError("nothing to draw: there is no matrix")
    tables = {name: as_matrix(each, skeleton) for name, each in matrices.items()}
    top = max(float(table.max()) for table in tables.values())
    columns = min(columns, len(tables))
    heights = [_SIDE + _NAMES] * len(tables)
    figure, axes = style.axes_grid(heights, columns, _width(columns), title)
    for number, (ax, (name, table)) in enumerate(zip(axes, tables.items(), strict=True)):
        mesh = draw_matrix(ax, table, skeleton.keypoints, top, rows=number % columns == 0)
        ax.set_title(style.wrapped(style.display_name(name), _SIDE), pad=3)
    add_bar(axes[columns - 1], mesh, f"{label}, root scale")
    return figure


@style.theme
def show_relation_rows(
    rows: Sequence[RelationRow], skeleton: Skeleton, *, title: str = ""
) -> Figure:
    """Draw images, their correlation matrices and W_r side by side (RPSTN/JRE, Fig. 7).

    Names of hidden keypoints are red, of those without a label gray. Correlations have a scale for
    each image, weights go from 0 to 1.

    Raises:
        ValueError: there is no row, or a shape does not fit.
    """
    if not rows:
        raise ValueError("nothing to draw: there is no image")
    heights = [style.WIDTH / 3 - _NAMES + 0.5] * (3 * len(rows))
    figure, axes = style.axes_grid(heights, 3, style.WIDTH, title)
    for number, row in enumerate(rows):
        image, *matrices = axes[3 * number : 3 * number + 3]
        people = as_people(row.keypoints, skeleton)
        draw_truth(row.image, people, skeleton, ax=image, title=row.title)
        values = as_matrix(row.correlation, skeleton), as_matrix(row.weights, skeleton)
        headings = ("correlation", "W_r, rows attend to columns")
        tops = (float(values[0].max()), 1.0)
        for ax, table, top, heading in zip(matrices, values, tops, headings, strict=True):
            seen = people[0, :, 2]
            mesh = draw_matrix(ax, table, skeleton.keypoints, top, visibility=seen)
            ax.set_title(heading, pad=3)
            add_bar(ax, mesh, "root scale")
    style.legend_below(figure, style.VISIBILITY)
    return figure


@style.theme
def show_related_maps(
    image: ArrayLike,
    keypoints: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    skeleton: Skeleton,
    *,
    names: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Draw heatmaps before and after they were related, one above the other (RPSTN/JRE, Fig. 8).

    Each map is drawn from 0 to its own maximum, as those before may be of any scale. A ring is
    around the annotated keypoint, red if it is hidden.

    Args:
        image: (3, H, W) uint8 RGB.
        keypoints: (1, K, 3) the annotated person, px of ``image`` and visibility.
        before, after: (K, h, w), covering the image.
        names: of the keypoints to draw; by default six, first the hidden ones.

    Raises:
        ValueError: a shape does not fit, or a keypoint is unknown.
    """
    pixels, people = style.as_image(image), as_people(keypoints, skeleton)
    stacks = {
        "before": as_maps(before, skeleton, "before"),
        "after": as_maps(after, skeleton, "after"),
    }
    if names is None:
        seen = people[0, :, 2]
        order = np.argsort(np.where(seen == 1, 0, np.where(seen == 2, 1, 2)), kind="stable")
        names = [skeleton.keypoints[k] for k in sorted(order[:6])]
    indices = [skeleton.index(name) for name in names]
    size = pixels.shape[1:]
    figure, axes = style.panel_grid([size] * (2 * len(names)), len(names), title=title)
    panels = [(stage, k) for stage in stacks for k in indices]
    for ax, (stage, k) in zip(axes, panels, strict=True):
        name, values = style.display_name(skeleton.keypoints[k]), stacks[stage][k]
        style.show_image(ax, to_pale_gray(pixels), f"{name}, {stage}")
        add_heatmap(ax, np.maximum(values, 0), size, max(float(values.max()), 1e-6))
        x, y, seen = people[0, k]
        if seen > 0:
            ax.plot(x, y, zorder=4, gid="truth", **_ring(seen == 1))
    style.legend_below(
        figure, {"visible keypoint": _ring(False), "labeled but hidden": _ring(True)}
    )
    return figure


@style.theme
def show_masked_frame(
    pictures: Mapping[str, tuple[ArrayLike, Poses]],
    matrices: Mapping[str, ArrayLike],
    maps: Mapping[str, tuple[ArrayLike, ArrayLike]],
    skeleton: Skeleton,
    *,
    rings: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    truth: ArrayLike = (),
    title: str = "",
) -> Figure:
    """Draw a frame with poses, how its keypoints are related, and maps of one of them, in rows.

    Args:
        pictures: by heading, an image (3, H, W) uint8 RGB and the pose in it, px.
        matrices: (K, K) by heading; each on a scale of its own.
        maps: by heading, an image and a map (h, w) over it, from 0 to its own maximum.
        rings: by the heading of a picture, points (n, 2) and (m, 2), px: those found under a mask
            are ringed, those lost are crossed out.
        truth: (n, 2) px, annotated keypoints, drawn as dots in each picture.

    Raises:
        ValueError: there is no picture, or a shape does not fit.
    """
    if not pictures:
        raise ValueError("nothing to draw: there is no image")
    dots = np.asarray(truth, float).reshape(-1, 2)
    marks = {"found under the mask": _ring(False), "lost under the mask": _LOST}
    shapes = [style.as_image(image).shape[1:] for image, _ in pictures.values()]
    ratio = max(height / width for height, width in shapes)
    rows = {
        "pictures": (len(pictures), ratio * style.WIDTH / max(len(pictures), 3) + 0.4),
        "matrices": (len(matrices), style.WIDTH / 3),
        "maps": (len(maps), ratio * style.WIDTH / max(len(maps), 4) + 0.4),
    }
    rows = {name: row for name, row in rows.items() if row[0]}
    heights = [height for _, height in rows.values()]
    figure = style.new_figure(sum(heights) + 0.6, style.WIDTH, title)
    parts = figure.subfigures(len(rows), 1, height_ratios=heights, squeeze=False).ravel()
    axes = {
        name: part.subplots(1, count, squeeze=False).ravel()
        for part, (name, (count, _)) in zip(parts, rows.items(), strict=True)
    }
    for ax, (heading, (image, poses)) in zip(axes["pictures"], pictures.items(), strict=True):
        draw_poses(image, poses, skeleton, ax=ax, title=heading, min_score=0.0)
        if len(dots):
            ax.plot(*dots.T, zorder=4, gid="truth", **_TRUE)
        for points, mark in zip((rings or {}).get(heading, ()), marks.values(), strict=False):
            ax.plot(*np.asarray(points, float).reshape(-1, 2).T, zorder=4, **mark)
    for ax, (heading, matrix) in zip(axes.get("matrices", ()), matrices.items(), strict=True):
        table = as_matrix(matrix, skeleton)
        add_bar(ax, draw_matrix(ax, table, skeleton.keypoints, float(table.max())), "root scale")
        ax.set_title(heading, pad=3)
    for ax, (heading, (image, values)) in zip(axes.get("maps", ()), maps.items(), strict=True):
        pixels, heat = style.as_image(image), np.maximum(np.asarray(values, np.float64), 0)
        style.show_image(ax, to_pale_gray(pixels), heading)
        add_heatmap(ax, heat, pixels.shape[1:], max(float(heat.max()), 1e-6))
    known = {"annotated": _TRUE} if len(dots) else {}
    style.legend_below(figure, {**style.SIDES, **known, **(marks if rings else {})})
    return figure


def as_matrix(matrix: ArrayLike, skeleton: Skeleton) -> FloatArray:
    """Return a matrix as an array; raises ValueError unless it is (K, K) for the skeleton."""
    array, count = np.asarray(matrix, np.float64), len(skeleton)
    if array.shape != (count, count):
        raise ValueError(
            f"a matrix must be {(count, count)} for skeleton {skeleton.name!r}, not {array.shape}"
        )
    return array


def draw_matrix(
    ax: Axes,
    table: FloatArray,
    keypoints: Sequence[str],
    top: float,
    *,
    rows: bool = True,
    visibility: ArrayLike = (),
) -> Any:
    """Draw a matrix with names of keypoints, and return what has its colors.

    Args:
        keypoints: K names.
        top: the value of the last color; colors follow the root of the values.
        rows: name the rows too.
        visibility: (K,) of the keypoints: names are red for 1, hidden, and gray for 0.
    """
    step = -(-len(keypoints) // _NAMED)
    names = [style.display_name(name) for name in keypoints[::step]]
    norm = PowerNorm(GAMMA, 0.0, max(top, 1e-6), clip=True)
    # Seaborn's heatmap draws the whole figure for each of its matrices.
    mesh = ax.pcolormesh(table, norm=norm, cmap=COLORS)
    places = np.arange(0, len(keypoints), step) + 0.5
    ax.set_xticks(places, names)
    ax.set_yticks(*((places, names) if rows else ((), ())))
    ax.set(aspect="equal", ylim=(len(keypoints), 0))
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelsize=_SMALL, pad=1)
    ax.tick_params(axis="x", labelrotation=90)
    ax.tick_params(axis="y", labelrotation=0)
    ax.grid(False)
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        for text, seen in zip(labels, np.asarray(visibility).tolist()[::step], strict=False):
            text.set_color({0: GRAY, 1: ALERT}.get(int(seen), style.INK))
    return mesh


def add_bar(ax: Axes, mesh: Any, label: str = "") -> None:
    """Add the bar of a matrix's colors, with ticks at equal steps of its scale."""
    bar = style.bar_beside(ax, mesh, label)
    ticks = np.linspace(0, 1, 5) ** (1 / GAMMA) * mesh.norm.vmax
    bar.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])


def _width(columns: int) -> float:
    return min(style.WIDTH, columns * _SIDE + _NAMES + 0.75)


def _ring(hidden: bool) -> dict[str, Any]:
    return style.marker_style("o", 6, "none", ALERT if hidden else style.BRIGHT, 1.4)

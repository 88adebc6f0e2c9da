"""Associative grouping step by step: over the image, and on the axis of the tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from poselib.plots.figure import (
    WIDTH,
    as_image,
    bar_beside,
    display_name,
    handle,
    legend_below,
    line_weight,
    marker_style,
    new_figure,
    panel_grid,
    people_label,
    pose_handles,
    show_image,
    theme,
)
from poselib.plots.palette import ALERT, INK, WHITE, person_colors, to_pale_gray
from poselib.plots.poses import add_people
from poselib.plots.shapes import people_shapes, person_units
from poselib.skeletons import Skeleton
from poselib.typing import FloatArray

_RING = marker_style("o", 11, "none", INK, 1.6)


class Step(Protocol):
    """One iteration of a grouping, in which n candidates of one keypoint type find their people.

    Attributes:
        keypoint: the type that was grouped.
        cells: (n, 2) column and row of each candidate in the decoded maps.
        tags: (n, L) the candidates' embeddings.
        people: (n,) the person each candidate went to.
        started: (n,) true where the candidate started a person.
        distances: (K,) smallest distance of each type left to the references; NaN where unknown.
    """

    @property
    def keypoint(self) -> int: ...
    @property
    def cells(self) -> NDArray[np.int64]: ...
    @property
    def tags(self) -> FloatArray: ...
    @property
    def people(self) -> NDArray[np.int64]: ...
    @property
    def started(self) -> NDArray[np.bool_]: ...
    @property
    def distances(self) -> FloatArray: ...


@theme
def show_grouping(
    image: ArrayLike,
    steps: Sequence[Step],
    skeleton: Skeleton,
    *,
    stride: tuple[float, float],
    columns: int = 5,
    title: str = "",
) -> Figure:
    """Draw one panel a step: the people grouped so far, with the keypoints of the step ringed.

    It is HAE's Fig. 5 (b) on a real image, cut to the part that holds candidates.

    Args:
        image: (3, H, W) uint8 RGB.
        steps: in the order in which they were taken.
        skeleton: names and limbs.
        stride: px of ``image`` that a cell of the decoded maps covers, (across, down).
        columns: panels in a row.
        title: heading of the figure.

    Raises:
        ValueError: there is no step, or the image is not (3, H, W) uint8.
    """
    pixels = as_image(image)
    if not steps:
        raise ValueError("show_grouping: no steps; there were no candidates to group")
    size, scale = pixels.shape[1:], np.array(stride, dtype=np.float64)
    left, right, top, bottom = _region(steps, scale, size)
    shape = (bottom - top, right - left)
    figure, axes = panel_grid([shape] * len(steps), columns, title=title, margin=0.45)
    colors, weight = person_colors(people_in(steps)), line_weight(min(columns, len(steps)))
    # From the whole people, so that markers keep their size from panel to panel.
    units = person_units(*_grouped(steps, len(skeleton), len(colors), scale), size)
    for number, (ax, step) in enumerate(zip(axes, steps, strict=True), start=1):
        heading = f"{number}. {type_name(skeleton, step)}\n{_reason(step)}"
        show_image(ax, to_pale_gray(pixels, 0.6), heading)
        points, there = _grouped(steps[:number], len(skeleton), len(colors), scale)
        shapes = people_shapes(
            points, there, np.zeros_like(there), skeleton, colors, size, weight=weight, units=units
        )
        add_people(ax, shapes)
        x, y = points[step.people, step.keypoint].T
        ax.plot(x, y, **marker_style("o", 11, "none", WHITE, 3.0), zorder=5)
        ax.plot(x, y, **_RING, zorder=6, gid="new")
        ax.set(xlim=(left, right), ylim=(bottom, top))
    legend_below(figure, [handle("grouped in this step", **_RING), *pose_handles()])
    return figure


def _grouped(
    steps: Sequence[Step], keypoints: int, people: int, scale: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Positions (P, K, 2) px of all keypoints grouped so far, and (P, K) which there are."""
    points, there = np.zeros((people, keypoints, 2)), np.zeros((people, keypoints), dtype=bool)
    for step in steps:
        points[step.people, step.keypoint] = (np.asarray(step.cells) + 0.5) * scale
        there[step.people, step.keypoint] = True
    return points, there


def _region(
    steps: Sequence[Step], scale: FloatArray, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of the part of the image that holds all candidates, px."""
    points = (np.concatenate([np.asarray(step.cells) for step in steps]) + 0.5) * scale
    margin = 0.08 * float(np.ptp(points, axis=0).max()) + 0.03 * max(size)
    low = np.maximum(points.min(axis=0) - margin, 0)
    high = np.minimum(points.max(axis=0) + margin, (size[1], size[0]))
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


@theme
def show_distances(steps: Sequence[Step], skeleton: Skeleton, *, title: str = "") -> Figure:
    """Draw the distance of each remaining keypoint type to the people, step by step.

    The framed type is the nearest one, which progressive decoding chooses (HAE, Eq. 18). Empty
    cells are types that are done, or absent.

    Args:
        steps: of a grouping that recorded its distances.
        skeleton: names of the keypoints.
        title: heading of the figure.

    Raises:
        ValueError: there is no step.
    """
    if not steps:
        raise ValueError("show_distances needs at least one step")
    table = pd.DataFrame(
        {number: np.asarray(step.distances) for number, step in enumerate(steps, start=1)},
        index=[display_name(name) for name in skeleton.keypoints],
    )
    figure = new_figure(0.24 * len(skeleton) + 1.6, WIDTH, title)
    ax = figure.subplots()
    known = table.to_numpy()[table.notna()]
    top = max(float(np.quantile(known, 0.98)), 1e-6) if known.size else 1.0
    sns.heatmap(table, vmin=0, vmax=top, cmap="viridis_r", cbar=False, yticklabels=True, ax=ax)
    for column, step in enumerate(steps):
        corner = (column, step.keypoint)
        box = Rectangle(corner, 1, 1, fill=False, edgecolor=ALERT, linewidth=1.8, gid="chosen")
        ax.add_patch(box).set_clip_on(False)
    ax.tick_params(length=0, labelrotation=0)
    ax.grid(False)
    ax.set_xlabel("step; framed: the keypoint type grouped in it")
    label = "smallest distance to a reference embedding"
    bar_beside(ax, ax.collections[0], label, extend="max")
    return figure


def people_in(steps: Sequence[Step]) -> int:
    """Return how many people a grouping has found."""
    return max((int(np.max(step.people)) + 1 for step in steps if len(step.people)), default=0)


def type_name(skeleton: Skeleton, step: Step) -> str:
    """Return the name of the keypoint type that a step grouped."""
    return display_name(skeleton.keypoints[step.keypoint])


def _reason(step: Step) -> str:
    new = int(np.sum(step.started))
    starts = f"starts {people_label(new)}" if new else ""
    distance = float(np.asarray(step.distances)[step.keypoint])
    gap = f"distance {distance:.3f}" if np.isfinite(distance) else ""
    return ", ".join(part for part in (gap, starts) if part) or " "

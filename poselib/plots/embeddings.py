"""Keypoint embeddings of people: box plots on the tag axis, means of groups, and outliers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from poselib.plots.figure import (
    SMALL,
    TEXT,
    WIDTH,
    display_name,
    handle,
    legend_below,
    marker_style,
    new_figure,
    theme,
)
from poselib.plots.palette import ALERT, GRAY, GREEN, INK, WHITE, person_colors
from poselib.skeletons import Skeleton
from poselib.typing import BoolArray, FloatArray, IntArray

_ROW = 2.7  # inches
_OUTLIER = marker_style("o", 6, WHITE, ALERT, 1.5)
_GROUP = marker_style("s", 5.5, WHITE, GREEN, 1.4)
_REFERENCE = marker_style("D", 6.5, WHITE, INK, 1.5)


def quartiles(values: FloatArray) -> tuple[float, float]:
    """Return Q1, rounded down, and Q3, rounded up, to values that occur.

    The focal pulling loss does so; a box plot would interpolate.
    """
    low = float(np.quantile(values, 0.25, method="lower"))
    return low, float(np.quantile(values, 0.75, method="higher"))


def fences(values: FloatArray) -> tuple[float, float]:
    """Return Q1 - 1.5 IQR and Q3 + 1.5 IQR of some numbers (HAE, Section III-D)."""
    low, high = quartiles(values)
    return low - 1.5 * (high - low), high + 1.5 * (high - low)


def outliers_of(tags: ArrayLike, present: ArrayLike) -> BoolArray:
    """Return (N, K) true where a keypoint's tag lies beyond its person's fences.

    Args:
        tags: (N, K) tag values.
        present: (N, K) true where a person has the keypoint; others are never outliers.
    """
    values, there = np.asarray(tags, dtype=np.float64), np.asarray(present, dtype=bool)
    beyond = np.zeros_like(there)
    for n in np.flatnonzero(there.any(axis=1)):
        low, high = fences(values[n, there[n]])
        beyond[n] = there[n] & ((values[n] < low) | (values[n] > high))
    return beyond


@theme
def show_embeddings(
    tags: Mapping[str, ArrayLike],
    present: ArrayLike,
    skeleton: Skeleton,
    *,
    hierarchy: str = "anatomy",
    title: str = "",
) -> Figure:
    """Draw a box plot of each person's keypoint tags, and the means of groups and of all.

    It is HAE's Fig. 6 and the tree of its Fig. 5 (a): keypoints, the means of their groups, and
    the reference embedding. Boxes and outliers are those of the focal pulling loss.

    Args:
        tags: name of each model to (N, K) tag values at the people's keypoints; each gets a row
            and an axis of its own, because tags of two models are not comparable.
        present: (N, K) true where a person has the keypoint.
        skeleton: names of the keypoints, and groups.
        hierarchy: name of the keypoint groups.
        title: heading of the figure.

    Raises:
        ValueError: a shape does not fit or the hierarchy is unknown.
    """
    there = np.asarray(present, dtype=bool)
    groups = skeleton.group_indices(hierarchy)
    if not tags:
        raise ValueError("show_embeddings needs the tags of at least one model")
    figure = new_figure(_ROW * len(tags) + 0.7, WIDTH, title)
    axes = figure.subplots(len(tags), 1, squeeze=False)[:, 0]
    for ax, (name, array) in zip(axes, tags.items(), strict=True):
        values = np.asarray(array, dtype=np.float64)
        if values.shape != there.shape or there.shape[1:] != (len(skeleton),):
            raise ValueError(
                f"tags {name!r} must be (people, {len(skeleton)}) for skeleton {skeleton.name!r} "
                f"with as many rows as present {there.shape}, not {values.shape}"
            )
        _draw_model(ax, values, there, groups, skeleton)
        ax.set(title=name, ylabel="tag value")
    entries = [
        handle("keypoint", **marker_style("o", 6, GRAY, INK, 0.5)),
        handle("outlier", **_OUTLIER),
        handle("mean of a keypoint group", **_GROUP),
        handle("reference embedding", **_REFERENCE),
        Patch(color="0.9", label="quartiles; whiskers within 1.5 IQR of them"),
    ]
    legend_below(figure, entries)
    return figure


def _draw_model(
    ax: Axes, tags: FloatArray, present: BoolArray, groups: IntArray, skeleton: Skeleton
) -> None:
    people = np.flatnonzero(present.any(axis=1))
    beyond, colors = outliers_of(tags, present), person_colors(len(present))
    span = float(np.ptp(tags[present])) if present.any() else 1.0
    for column, n in enumerate(people):
        _draw_box(ax, column, tags[n, present[n]], tags[n, present[n] & ~beyond[n]])
        x = column - 0.1 + _offsets(tags[n], present[n])
        _draw_tree(ax, column, x, tags[n], present[n], groups)
        inside = present[n] & ~beyond[n]
        style = marker_style("o", 5, colors[n], INK, 0.5)
        ax.plot(x[inside], tags[n, inside], **style, zorder=4, gid="keypoints")
        ax.plot(x[beyond[n]], tags[n, beyond[n]], **_OUTLIER, zorder=5, gid="outliers")
        _name_outliers(ax, column, tags[n], beyond[n], skeleton, max(span, 1e-3))
    ax.set_xticks(range(len(people)), [f"person {n + 1}" for n in people], fontsize=TEXT)
    ax.set_xlim(-0.5, max(len(people), 1) - 0.5)
    ax.margins(y=0.1)
    ax.grid(False, axis="x")
    ax.tick_params(axis="x", length=0)


def _draw_box(ax: Axes, column: int, values: FloatArray, inside: FloatArray) -> None:
    low, high = quartiles(values)
    box = {"q1": low, "med": float(np.median(values)), "q3": high}
    box |= {"whislo": inside.min(), "whishi": inside.max()}
    line: dict[str, Any] = {"color": "0.6", "linewidth": 0.8}
    ax.bxp(
        [box], positions=[column - 0.1], widths=0.3, showfliers=False, patch_artist=True,
        boxprops={"facecolor": "0.9", "edgecolor": "0.6", "linewidth": 0.8}, medianprops=line,
        whiskerprops=line, capprops=line, manage_ticks=False, zorder=1,
    )  # fmt: skip


def _draw_tree(
    ax: Axes, column: int, x: FloatArray, tags: FloatArray, present: BoolArray, groups: IntArray
) -> None:
    """Join keypoints with the means of their groups, and those with the reference embedding."""
    middle, end = column + 0.14, column + 0.36
    line: dict[str, Any] = {"color": "0.65", "linewidth": 0.6}
    reference = float(tags[present].mean())
    for group in np.unique(groups[present]):
        members = present & (groups == group)
        mean = float(tags[members].mean())
        for k in np.flatnonzero(members):
            ax.plot([x[k], middle], [tags[k], mean], **line, zorder=2)
        ax.plot([middle, end], [mean, reference], **line, zorder=2)
        ax.plot(middle, mean, **_GROUP, zorder=4)
    ax.plot(end, reference, **_REFERENCE, zorder=4)


def _offsets(tags: FloatArray, present: BoolArray) -> FloatArray:
    """Sideways shifts (K,) that keep neighboring dots of a column apart."""
    shift = np.zeros(len(tags))
    order = np.flatnonzero(present)[np.argsort(tags[present], kind="stable")]
    shift[order] = np.resize([-0.06, 0.0, 0.06], len(order))
    return shift


def _name_outliers(
    ax: Axes, column: int, tags: FloatArray, beyond: BoolArray, skeleton: Skeleton, span: float
) -> None:
    """Name the outliers to the left of their dots, moved apart where they would overlap."""
    height = -np.inf
    for k in np.flatnonzero(beyond)[np.argsort(tags[beyond], kind="stable")]:
        height = max(float(tags[k]), height + 0.085 * span)
        ax.text(
            column - 0.23, height, display_name(skeleton.keypoints[k]), ha="right", va="center",
            fontsize=SMALL - 1, color=ALERT, zorder=6,
        )  # fmt: skip

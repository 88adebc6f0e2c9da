"""Keypoint embeddings of people on the tag axis, the means of groups, and the outliers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from poselib.plots.figure import SMALL, TEXT, WIDTH, legend_below, new_sheet, readable, style_axes
from poselib.plots.palette import ALERT, GRAY, GREEN, INK, WHITE, Color, person_colors
from poselib.skeletons import Skeleton
from poselib.typing import BoolArray, FloatArray

_ROW = 2.7  # inches


def fences(values: ArrayLike) -> tuple[float, float]:
    """Return Q1 - 1.5 IQR and Q3 + 1.5 IQR of some numbers (HAE, Section III-D).

    Q1 is rounded down and Q3 up to a value that occurs, as the focal pulling loss does.
    """
    array = np.asarray(values, dtype=np.float64)
    low = float(np.quantile(array, 0.25, method="lower"))
    high = float(np.quantile(array, 0.75, method="higher"))
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


def show_embeddings(
    tags: Mapping[str, ArrayLike],
    present: ArrayLike,
    skeleton: Skeleton,
    *,
    hierarchy: str = "anatomy",
    title: str = "",
) -> Figure:
    """Draw each person's keypoint tags, the means of groups, their mean, fences and outliers.

    It is HAE's Fig. 6 and the tree of its Fig. 5 (a): keypoints, the means of their groups, and
    the reference embedding.

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
    sheet = new_sheet(_ROW * len(tags) + 0.7, WIDTH, title)
    axes = sheet.subplots(len(tags), 1, squeeze=False)[:, 0]
    for ax, (name, array) in zip(axes, tags.items(), strict=True):
        style_axes(ax, name, grid="y")
        _draw_panel(ax, _tags_of(array, there, skeleton, name), there, groups, skeleton)
    legend_below(sheet, _handles())
    return sheet


def _tags_of(tags: ArrayLike, present: BoolArray, skeleton: Skeleton, name: str) -> FloatArray:
    values = np.asarray(tags, dtype=np.float64)
    if values.shape != present.shape or present.shape[1:] != (len(skeleton),):
        raise ValueError(
            f"tags {name!r} must be (people, {len(skeleton)}) for skeleton {skeleton.name!r} "
            f"with as many rows as present {present.shape}, not {values.shape}"
        )
    return values


def _draw_panel(
    ax: Axes,
    tags: FloatArray,
    present: BoolArray,
    groups: NDArray[np.int64],
    skeleton: Skeleton,
) -> None:
    people = np.flatnonzero(present.any(axis=1))
    colors = person_colors(len(present))
    shown, beyond = tags[present], outliers_of(tags, present)
    span = max(float(np.ptp(shown)) if shown.size else 1.0, 1e-3)
    if shown.size:
        ax.set_ylim(shown.min() - 0.12 * span, shown.max() + 0.12 * span)
    for place, n in enumerate(people):
        _draw_person(ax, place, tags[n], present[n], beyond[n], colors[n], groups)
        _label(ax, place, tags[n], beyond[n], skeleton, span)
    ax.set_xticks(range(len(people)), [f"person {n + 1}" for n in people], fontsize=TEXT)
    ax.set(xlim=(-0.5, max(len(people), 1) - 0.5))
    ax.set_ylabel("tag value", fontsize=TEXT)
    ax.tick_params(axis="x", length=0)


def _draw_person(
    ax: Axes,
    place: int,
    tags: FloatArray,
    present: BoolArray,
    beyond: BoolArray,
    color: Color,
    groups: NDArray[np.int64],
) -> None:
    low, high = fences(tags[present])
    ax.fill_between([place - 0.45, place + 0.45], low, high, color="0.88", alpha=0.6, linewidth=0)
    x = place - 0.1 + _offsets(tags, present)
    _draw_tree(ax, place, x, tags, present, groups)
    inside = present & ~beyond
    ax.scatter(
        x[inside], tags[inside], s=26, color=[color], edgecolor=INK, linewidth=0.5, zorder=4
    ).set_gid("keypoints")
    ax.scatter(
        x[beyond], tags[beyond], s=34, facecolor="white", edgecolor=[ALERT], linewidth=1.5, zorder=5
    ).set_gid("outliers")


def _draw_tree(
    ax: Axes,
    place: int,
    x: FloatArray,
    tags: FloatArray,
    present: BoolArray,
    groups: NDArray[np.int64],
) -> None:
    middle, end = place + 0.14, place + 0.36
    reference = float(tags[present].mean())
    for group in np.unique(groups[present]):
        members = present & (groups == group)
        mean = float(tags[members].mean())
        for k in np.flatnonzero(members):
            ax.plot([x[k], middle], [tags[k], mean], color="0.65", linewidth=0.6, zorder=2)
        ax.plot([middle, end], [mean, reference], color="0.65", linewidth=0.6, zorder=2)
        ax.plot(middle, mean, marker="s", ms=5.5, mfc="white", mec=GREEN, mew=1.4, zorder=4)
    ax.plot(end, reference, marker="D", ms=6.5, mfc="white", mec=INK, mew=1.5, zorder=4)


def _offsets(tags: FloatArray, present: BoolArray) -> FloatArray:
    """Sideways shifts (K,) that keep neighboring dots of a column apart."""
    shift = np.zeros(len(tags))
    order = np.flatnonzero(present)[np.argsort(tags[present], kind="stable")]
    shift[order] = np.resize([-0.06, 0.0, 0.06], len(order))
    return shift


def _label(
    ax: Axes, place: int, tags: FloatArray, beyond: BoolArray, skeleton: Skeleton, span: float
) -> None:
    """Name the outliers to the left of their dots, moved apart where they would overlap."""
    order = np.flatnonzero(beyond)[np.argsort(tags[beyond], kind="stable")]
    height = -np.inf
    for k in order:
        height = max(float(tags[k]), height + 0.085 * span)
        ax.annotate(
            readable(skeleton.keypoints[k]),
            (place - 0.2, tags[k]),
            (place - 0.23, height),
            ha="right",
            va="center",
            fontsize=SMALL - 1,
            color=ALERT,
            zorder=6,
        )


def _handles() -> list[Artist]:
    looks = (
        ("keypoint", "o", GRAY, INK, 0.5),
        ("outlier", "o", WHITE, ALERT, 1.5),
        ("mean of a keypoint group", "s", WHITE, GREEN, 1.4),
        ("reference embedding", "D", WHITE, INK, 1.5),
    )
    return [
        *(
            Line2D([], [], linestyle="none", ms=6, marker=m, mfc=face, mec=edge, mew=w, label=label)
            for label, m, face, edge, w in looks
        ),
        Patch(color="0.88", label="within 1.5 IQR of the quartiles"),
    ]

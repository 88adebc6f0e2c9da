"""Keypoint embeddings of people: box plots on the tag axis, means of groups, and outliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from poselib.plots import style
from poselib.plots.style import ALERT, GRAY, GREEN, INK, WHITE, Color, person_colors
from poselib.skeletons import Skeleton
from poselib.typing import BoolArray, FloatArray, IntArray

_ROW = 2.7  # inches
_OUTLIER = style.marker_style("o", 6, WHITE, ALERT, 1.5)
_FRAME = style.marker_style("s", 12, "none", INK, 1.2)
_GROUP = style.marker_style("s", 5.5, WHITE, GREEN, 1.4)
_REFERENCE = style.marker_style("D", 6.5, WHITE, INK, 1.5)


def quartiles(values: FloatArray) -> tuple[float, float]:
    """Return Q1, rounded down, and Q3, rounded up, to values that occur.

    The focal pulling loss does so; a box plot would interpolate.
    """
    low = float(np.quantile(values, 0.25, method="lower"))
    return low, float(np.quantile(values, 0.75, method="higher"))


def within_fences(values: FloatArray) -> BoolArray:
    """Return which values are no outliers: within 1.5 IQR of the quartiles (HAE, Sec. III-D)."""
    low, high = quartiles(values)
    margin = 1.5 * (high - low)
    return (values >= low - margin) & (values <= high + margin)


@style.theme
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

    Raises:
        ValueError: a shape does not fit or the hierarchy is unknown.
    """
    there = np.asarray(present, dtype=bool)
    groups, colors = skeleton.group_indices(hierarchy), person_colors(len(there))
    if not tags:
        raise ValueError("show_embeddings needs the tags of at least one model")
    figure = style.new_figure(_ROW * len(tags) + 0.7, style.WIDTH, title)
    axes = figure.subplots(len(tags), 1, squeeze=False)[:, 0]
    for ax, (name, array) in zip(axes, tags.items(), strict=True):
        values = np.asarray(array, dtype=np.float64)
        if values.shape != there.shape or there.shape[1:] != (len(skeleton),):
            expected = f"(people, {len(skeleton)}) for skeleton {skeleton.name!r}, as present"
            raise ValueError(f"tags {name!r} must be {expected}, not {values.shape}")
        people = np.flatnonzero(there.any(axis=1))
        span = max(float(np.ptp(values[there])), 1e-3) if there.any() else 1.0
        for column, n in enumerate(people):
            named = pd.Series(values[n], skeleton.keypoints)[there[n]]
            _draw_person(ax, column, named, groups[there[n]], colors[n], span)
        labels = [f"person {n + 1}" for n in people]
        ax.set_xticks(range(len(people)), labels, fontsize=style.TEXT)
        ax.set(title=name, ylabel="tag value", xlim=(-0.5, max(len(people), 1) - 0.5))
        ax.margins(y=0.1)
        ax.grid(False, axis="x")
        ax.tick_params(axis="x", length=0)
    entries = {
        "keypoint": style.marker_style("o", 6, GRAY, INK, 0.5),
        "outlier": _OUTLIER,
        "mean of a keypoint group": _GROUP,
        "reference embedding": _REFERENCE,
        "quartiles; whiskers within 1.5 IQR of them": Patch(color="0.9"),
    }
    style.legend_below(figure, entries)
    return figure


def frame_tag_strips(ax: Axes, low: float, high: float) -> None:
    """Set the tag axis and the labels for ``add_tag_strips``."""
    ax.set(ylim=(low, high), xticks=[], ylabel="tag value")
    ax.set_xlabel("person", labelpad=12)
    ax.grid(False, axis="x")


def strip_limits(tags: ArrayLike) -> tuple[float, float]:
    """Return round numbers below and above all tags; NaN does not count."""
    values = np.asarray(tags, np.float64)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
    margin = max(0.03 * (high - low), 1e-3)
    ticks = MaxNLocator(6).tick_values(low - margin, high + margin)
    return float(ticks[0]), float(ticks[-1])


def add_tag_strips(
    ax: Axes,
    tags: ArrayLike,
    colors: Sequence[Color],
    labels: Sequence[str],
    *,
    fills: Mapping[tuple[int, int], Color] | None = None,
    references: ArrayLike | None = None,
    threshold: float = 0.0,
) -> list[tuple[float, float, int, int]]:
    """Draw the tags of people as strips of dots, one column a person, with outliers framed.

    Limits and ticks of the tag axis stay as ``frame_tag_strips`` set them.

    Args:
        tags: (N, K) the first embedding of each keypoint; NaN where it is missing.
        colors, labels: of the N people.
        fills: other colors of single keypoints, by person and type.
        references: (N,) reference embeddings, drawn as diamonds; NaN is left out.
        threshold: of the distance to them, drawn as a band if it is above 0.

    Returns:
        (x, y, person, keypoint) of every dot.
    """
    values, fills = np.asarray(tags, np.float64), fills or {}
    centers = np.full(len(values), np.nan) if references is None else np.asarray(references)
    dots: list[tuple[float, float, int, int]] = []
    outliers: list[tuple[float, float]] = []
    for n, row in enumerate(values):
        (present,) = np.nonzero(np.isfinite(row))
        if not len(present):
            continue
        order = present[np.argsort(row[present], kind="stable")]
        inside = within_fences(row[order])
        spread = n + np.resize([-0.14, -0.07, 0.0, 0.07], len(order))
        found = list(zip(spread.tolist(), row[order].tolist(), order.tolist(), strict=True))
        dots += [(x, y, n, k) for x, y, k in found]
        outliers += [(x, y) for (x, y, _), kept in zip(found, inside, strict=True) if not kept]
    if np.isfinite(centers).any():
        (known,) = np.nonzero(np.isfinite(centers))
        if threshold > 0:
            ax.bar(known, 2 * threshold, 0.8, centers[known] - threshold, color="0.93", zorder=0)
        ax.plot(known + 0.27, centers[known], **_REFERENCE, zorder=4, gid="references")
    if dots:
        faces = [fills.get((n, k), colors[n]) for _, _, n, k in dots]
        x, y = np.array([dot[:2] for dot in dots]).T
        ax.scatter(x, y, 30, faces, edgecolors=INK, linewidths=0.5, zorder=5, gid="keypoints")
    if outliers:
        ax.plot(*np.array(outliers).T, **_FRAME, zorder=6, gid="outliers")
    below: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "fontsize": style.SMALL}
    for n, label in enumerate(labels):
        ax.text(n, -0.02, label, ha="center", va="top", **below)
    ax.set_xlim(-0.5, max(len(values), 1) - 0.5)
    return dots


def _draw_person(
    ax: Axes, column: int, tags: pd.Series, groups: IntArray, color: Color, span: float
) -> None:
    """Draw the named tags of a person around x = ``column``, on an axis that spans ``span``."""
    values = tags.to_numpy()
    q1, q3 = quartiles(values)
    inside = within_fences(values)
    box = {"q1": q1, "med": np.median(values), "q3": q3}
    box |= {"whislo": values[inside].min(), "whishi": values[inside].max()}
    line: dict[str, Any] = {"color": "0.6", "linewidth": 0.8}
    ax.bxp(
        [box], positions=[column - 0.1], widths=0.3, showfliers=False, patch_artist=True,
        boxprops={"fc": "0.9", "ec": "0.6", "lw": 0.8}, medianprops=line, whiskerprops=line,
        capprops=line, manage_ticks=False, zorder=1,
    )  # fmt: skip
    order = np.argsort(values, kind="stable")
    x = np.empty(len(values))  # neighboring dots of a column stand apart
    x[order] = column - 0.1 + np.resize([-0.06, 0.0, 0.06], len(values))
    dot = style.marker_style("o", 5, color, INK, 0.5)
    ax.plot(x[inside], values[inside], **dot, zorder=4, gid="keypoints")
    ax.plot(x[~inside], values[~inside], **_OUTLIER, zorder=5, gid="outliers")
    middle, end, reference = column + 0.14, column + 0.36, values.mean()
    for group in np.unique(groups):
        mean = values[groups == group].mean()
        for k in np.flatnonzero(groups == group):
            ax.plot([x[k], middle, end], [values[k], mean, reference], **line, zorder=2)
        ax.plot(middle, mean, **_GROUP, zorder=4)
    ax.plot(end, reference, **_REFERENCE, zorder=4)
    height = -np.inf
    for k in order[~inside[order]]:  # names stand apart where outliers do not
        height = max(values[k], height + 0.085 * span)
        name = style.display_name(tags.index[k])
        ax.text(column - 0.23, height, name, ha="right", va="center", fontsize=7, color=ALERT)

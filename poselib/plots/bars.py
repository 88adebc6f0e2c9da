"""Stacked bars: stages and parts of networks, and errors by keypoint type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from poselib.plots import style
from poselib.plots.style import ALERT, BLUE, GRAY, INK, ORANGE, PURPLE, SKY, VERMILION, Color

_BAR, _THIN_BAR = 0.3, 0.23  # inches of a row
_ROOM = 1.2  # the longest bar times this is the width of a panel: its sum stands behind it
_PARTS = (SKY, BLUE, style.GREEN, ORANGE, PURPLE, GRAY, VERMILION)
_RIGHT = style.blend(GRAY, style.WHITE, 0.6)
# Colors of what became of keypoints, those that are right first.
_PREDICTED = {
    "correct": _RIGHT,
    "wrong_person": VERMILION,
    "fragment": ORANGE,
    "wrong_side": PURPLE,
    "imprecise": SKY,
    "false_positive": ALERT,
}
_ANNOTATED = {
    "found": _RIGHT,
    "misassigned": BLUE,
    "undetected": style.blend(INK, style.WHITE, 0.25),
}
_LOCALIZED = {"good": _RIGHT, "jitter": SKY, "miss": BLUE, "inversion": PURPLE, "swap": VERMILION}


@style.theme
def show_parts(
    panels: Mapping[str, pd.DataFrame],
    *,
    columns: int = 2,
    unit: str = "",
    digits: int | None = None,
    title: str = "",
) -> Figure:
    """Draw stages or parts as stacked bars, one row each, and their sum at the end of the bar.

    Args:
        panels: by the heading of a panel, one row a case and one column a part. Each panel has
            rows and a scale of its own; the columns are those of the first. A part that is
            missing has no length.
        digits: of each sum behind the point; three digits in all if None.

    Raises:
        ValueError: there is no panel or row, or panels have more than seven or other columns.
    """
    tables = list(panels.values())
    if not tables or not all(len(table) for table in tables):
        raise ValueError("nothing to draw: there is no panel, or one without a row")
    names = tables[0].columns
    if not 1 <= len(names) <= len(_PARTS):
        raise ValueError(f"one to {len(_PARTS)} columns can be drawn, not {list(names)}")
    heights = [_BAR * len(table) + 0.7 for table in tables]
    figure, axes = style.axes_grid(heights, columns, title=title)
    for n, (ax, (heading, table)) in enumerate(zip(axes, panels.items(), strict=True)):
        if not table.columns.equals(names):
            raise ValueError(f"panel {heading!r} has other columns than the first")
        sums = table.sum(axis=1)
        stack_bars(ax, table, _PARTS, heading, width=0.7)
        texts = [_three_digits(v) if digits is None else f"{v:.{digits}f}" for v in sums]
        ax.bar_label(ax.containers[-1], texts, padding=4)  # type: ignore[arg-type]
        style.name_rows(ax, table.index)
        if n % columns and table.index.equals(tables[n - 1].index):
            ax.tick_params(labelleft=False)
        ax.set(xlim=(0, _ROOM * sums.max() or 1), xlabel=unit)
    colors = (Patch(color=color) for color in _PARTS)
    style.legend_below(figure, dict(zip(names, colors, strict=False)))
    return figure


def _three_digits(value: float) -> str:
    """Return three digits of a number, more if it has them before the point."""
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{digits}f}"


def stack_bars(
    ax: Axes, table: pd.DataFrame, colors: Sequence[Color], heading: str, width: float = 0.8
) -> None:
    """Draw one stack of bars a row, a column after the other; missing numbers have no length.

    ``colors`` are those of the columns; a ``width`` of 1 leaves no space between rows.
    """
    table.fillna(0.0).plot.barh(
        stacked=True, ax=ax, color=list(colors[: table.shape[1]]), width=width, legend=False
    )
    style.name_rows(ax, map(style.display_name, table.index), style.SMALL)
    ax.set_title(heading)


def stack_percentages(
    ax: Axes, counts: pd.DataFrame, colors: Sequence[Color], heading: str
) -> None:
    """Draw each row's columns in percent of their sum; a row without any has no bar."""
    totals = counts.sum(axis=1)
    stack_bars(ax, 100 * counts.div(totals.where(totals > 0, 1), axis=0), colors, heading)
    ax.set(xlabel="%", xlim=(0, 100))
    ax.spines["left"].set_visible(False)


@style.theme
def show_error_rates(table: pd.DataFrame, *, title: str = "") -> Figure:
    """Draw how each type's predicted keypoints (left) and annotated ones (right) were classified.

    Bars are fractions. A type without any keypoint has no bar.

    Args:
        table: counts, one row a keypoint type and a last one of their sum: ``correct``,
            ``wrong_person``, ``fragment``, ``wrong_side``, ``imprecise`` and ``false_positive`` of
            predicted keypoints, ``found``, ``misassigned`` and ``undetected`` of annotated ones.

    Raises:
        ValueError: a column is missing or the table is empty.
    """
    style.require_columns(table, *_PREDICTED, *_ANNOTATED)
    figure = style.new_figure(_THIN_BAR * len(table) + 1.7, style.WIDTH, title)
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, colors, heading in (
        (left, _PREDICTED, "keypoints predicted"),
        (right, _ANNOTATED, "visible keypoints annotated"),
    ):
        counts = table[[*colors]].rename(columns=style.display_name)
        total = int(counts.iloc[-1].sum())
        stack_percentages(ax, counts, [*colors.values()], f"{heading}, {total} in all")
        style.legend_under(ax, columns=3)
    return figure


@style.theme
def show_localization_errors(
    rates: pd.DataFrame, gains: pd.DataFrame, *, title: str = ""
) -> Figure:
    """Draw the errors of each keypoint type (left) and the AP gained by correcting them (right).

    Args:
        rates: one row a keypoint type and a last one of all; ``good``, ``jitter``, ``miss``,
            ``inversion`` and ``swap`` in percent, NaN where none was counted (no bar), and how
            many were ``counted``.
        gains: one row for what was corrected, by name, with its ``gain`` of AP, from 0 to 1; the
            first, of nothing, is not drawn.

    Raises:
        ValueError: a column is missing or a table is empty.
    """
    style.require_columns(rates, *_LOCALIZED, "counted")
    style.require_columns(gains, "gain")
    figure = style.new_figure(_THIN_BAR * len(rates) + 1.7, style.WIDTH, title)
    left, right = figure.subplots(1, 2, width_ratios=[1.9, 1])
    heading = f"{int(rates['counted'].iloc[-1])} keypoints of people found"
    stack_percentages(left, rates[[*_LOCALIZED]], [*_LOCALIZED.values()], heading)
    style.legend_under(left, columns=len(_LOCALIZED))
    points = 100 * gains["gain"].iloc[1:].astype(float)
    colors = [_LOCALIZED.get(str(name), INK) for name in points.index]
    bars = right.barh(range(len(points)), points, height=0.5, color=colors)
    right.bar_label(bars, ["" if np.isnan(v) else f"{v:+.1f}" for v in points], padding=4)
    style.name_rows(right, points.index, style.SMALL)
    # Room on the right for the numbers.
    known = points.fillna(0.0)
    right.set_xlim(1.25 * min(known.min(), 0), 1.25 * max(known.max(), 1))
    right.set(title="AP gained if corrected", xlabel="points of AP")
    return figure


def draw_image_gains(ax: Axes, gains: pd.Series, first: str, second: str) -> None:
    """Draw by how much one system is better than another in each image.

    Args:
        gains: of each image, the measure of the second minus that of the first, ascending.
        first, second: names of the systems.
    """
    values = gains.to_numpy(float)
    edges = np.arange(len(values) + 1) + 0.5
    for name, part, color in (
        (first, values.clip(max=0), BLUE),
        (second, values.clip(min=0), ORANGE),
    ):
        label = f"{name} better: {np.count_nonzero(part)}"
        ax.stairs(part, edges, baseline=0, fill=True, color=color, label=label)
    ax.axhline(0, color=INK, linewidth=0.8)
    reach = max(float(np.abs(values).max(initial=0.0)), 0.05) * 1.1
    ax.set(xlim=(0.5, len(values) + 0.5), ylim=(-reach, reach))
    ax.set(xlabel="images, by their gain", ylabel="OKS of B minus OKS of A")
    style.legend_under(ax, columns=2)

"""Stacked bars: stages and parts of networks, and errors by keypoint type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from poselib.plots.figure import (
    SMALL,
    WIDTH,
    display_name,
    legend_below,
    legend_under,
    name_rows,
    new_figure,
    require_columns,
    theme,
)
from poselib.plots.palette import (
    ALERT,
    BLUE,
    GRAY,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    WHITE,
    Color,
    blend,
)

_BAR, _THIN_BAR = 0.3, 0.23  # inches of a row
_ROOM = 1.2  # the longest bar times this is the width of a panel: its sum stands behind it
_PARTS = (SKY, BLUE, GREEN, ORANGE, PURPLE, GRAY, VERMILION)
_RIGHT = blend(GRAY, WHITE, 0.6)
_WRONG = (VERMILION, ORANGE, PURPLE, SKY, ALERT)
_MISSED = (BLUE, blend(INK, WHITE, 0.25))
_KINDS = {"jitter": SKY, "miss": BLUE, "inversion": PURPLE, "swap": VERMILION}


@theme
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
        columns: panels in a row.
        unit: of the numbers.
        digits: of each sum behind the point; three digits in all if None.
        title: heading of the figure.

    Raises:
        ValueError: there is no panel or no row, there are more than seven parts, or panels have
            other columns than the first.
    """
    tables = list(panels.values())
    if not tables or not all(len(table) for table in tables):
        raise ValueError("nothing to draw: there is no panel, or one without a row")
    names = tables[0].columns
    if not 1 <= len(names) <= len(_PARTS):
        raise ValueError(f"one to {len(_PARTS)} columns can be drawn, not {list(names)}")
    columns = min(columns, len(tables))
    starts = range(0, len(tables), columns)
    heights = [_BAR * max(map(len, tables[i : i + columns])) + 0.7 for i in starts]
    figure = new_figure(sum(heights) + 0.4 + (0.35 if title else 0), WIDTH, title)
    axes = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights).ravel()
    for spare in axes[len(tables) :]:
        spare.set_axis_off()
    for ax, (heading, table) in zip(axes, panels.items(), strict=False):
        if not table.columns.equals(names):
            raise ValueError(f"panel {heading!r} has other columns than the first")
        sums = table.sum(axis=1)
        stack_bars(ax, table, _PARTS, heading, width=0.7)
        texts = [_three_digits(v) if digits is None else f"{v:.{digits}f}" for v in sums]
        ax.bar_label(ax.containers[-1], texts, padding=4)
        name_rows(ax, table.index)
        ax.set(xlim=(0, _ROOM * sums.max() or 1), xlabel=unit)
    entries = zip(names, _PARTS, strict=False)
    legend_below(figure, [Patch(color=color, label=str(name)) for name, color in entries])
    return figure


def _three_digits(value: float) -> str:
    """Return three digits of a number, more if it has them before the point."""
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{digits}f}"


def stack_bars(
    ax: Axes, table: pd.DataFrame, colors: Sequence[Color], heading: str, width: float = 0.8
) -> None:
    """Draw one stack of bars a row, a column after the other; missing numbers have no length.

    Args:
        ax: where to draw.
        table: names of the rows, those of keypoints among them, and lengths.
        colors: of the columns.
        heading: of the panel.
        width: of a bar, where 1 leaves no space between rows.
    """
    table.fillna(0.0).plot.barh(
        stacked=True, ax=ax, color=list(colors[: table.shape[1]]), width=width, legend=False
    )
    name_rows(ax, map(display_name, table.index), SMALL)
    ax.set_title(heading)


def stack_percentages(
    ax: Axes, counts: pd.DataFrame, colors: Sequence[Color], heading: str
) -> None:
    """Draw each row's columns in per cent of their sum; a row without any has no bar."""
    totals = counts.sum(axis=1)
    stack_bars(ax, 100 * counts.div(totals.where(totals > 0, 1), axis=0), colors, heading)
    ax.set(xlabel="%", xlim=(0, 100))
    ax.spines["left"].set_visible(False)


@theme
def show_error_rates(
    table: pd.DataFrame,
    predicted: Mapping[str, str],
    annotated: Mapping[str, str],
    *,
    title: str = "",
) -> Figure:
    """Draw how each type's predicted keypoints (left) and annotated ones (right) were classified.

    Bars are fractions; correct keypoints are gray and come first. A type without any has no bar.

    Args:
        table: one row a keypoint type and a last one of their sum, counts in columns.
        predicted: columns that are drawn on the left, correct keypoints first, and their names in
            the legend.
        annotated: the same for the right.
        title: heading of the figure.

    Raises:
        ValueError: a column is not in the table, there are more than six on the left or three on
            the right, or the table is empty.
    """
    require_columns([(table, [*predicted, *annotated])])
    if table.empty:
        raise ValueError("the table has no row")
    figure = new_figure(_THIN_BAR * len(table) + 1.7, WIDTH, title)
    for ax, names, wrong, heading in zip(
        figure.subplots(1, 2, sharey=True),
        (predicted, annotated),
        (_WRONG, _MISSED),
        ("keypoints predicted", "visible keypoints annotated"),
        strict=True,
    ):
        if not 1 <= len(names) <= 1 + len(wrong):
            raise ValueError(f"one to {1 + len(wrong)} columns can be drawn, not {[*names]}")
        counts = table[list(names)].rename(columns=names)
        total = int(counts.iloc[-1].sum())
        stack_percentages(ax, counts, (_RIGHT, *wrong), f"{heading}, {total} in all")
        legend_under(ax, columns=3)
    return figure


@theme
def show_localization_errors(
    rates: pd.DataFrame, gains: pd.DataFrame, *, title: str = ""
) -> Figure:
    """Draw the errors of each keypoint type (left) and the AP gained by correcting them (right).

    Args:
        rates: one row a keypoint type and a last one of all; ``good``, ``jitter``, ``miss``,
            ``inversion`` and ``swap`` in per cent, NaN where none was counted (no bar), and how
            many were ``counted``.
        gains: one row for what was corrected, by name, with its ``gain`` of AP, from 0 to 1; the
            first, of nothing, is not drawn.
        title: heading of the figure.

    Raises:
        ValueError: a column is missing or a table is empty.
    """
    require_columns([(rates, ["good", *_KINDS, "counted"]), (gains, ["gain"])])
    if rates.empty or gains.empty:
        raise ValueError("the table has no row")
    figure = new_figure(_THIN_BAR * len(rates) + 1.7, WIDTH, title)
    left, right = figure.subplots(1, 2, width_ratios=[1.9, 1])
    heading = f"{int(rates['counted'].iloc[-1])} keypoints of people found"
    stack_percentages(left, rates[["good", *_KINDS]], (_RIGHT, *_KINDS.values()), heading)
    legend_under(left, columns=1 + len(_KINDS))
    points = 100 * gains["gain"].iloc[1:].astype(float)
    colors = [_KINDS.get(str(name), INK) for name in points.index]
    bars = right.barh(range(len(points)), points, height=0.5, color=colors)
    right.bar_label(bars, ["" if np.isnan(v) else f"{v:+.1f}" for v in points], padding=4)
    name_rows(right, points.index, SMALL)
    # Room on the right for the numbers.
    known = points.fillna(0.0)
    right.set_xlim(1.25 * min(known.min(), 0), 1.25 * max(known.max(), 1))
    right.set(title="AP gained if corrected", xlabel="points of AP")
    return figure

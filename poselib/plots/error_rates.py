"""Shares of keypoints that were right or wrong, by type: two stacks of bars side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots.figure import SMALL, TEXT, WIDTH, legend_under, new_sheet, readable, style_axes
from poselib.plots.palette import (
    ALERT,
    BLUE,
    GRAY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    WHITE,
    Color,
    mixed,
)

_ROW = 0.23  # inches
_RIGHT = mixed(GRAY, WHITE, 0.6)
_WRONG = (VERMILION, ORANGE, PURPLE, SKY, ALERT)
_MISSED = (BLUE, mixed(INK, WHITE, 0.25))


def show_error_rates(
    table: pd.DataFrame,
    predicted: Mapping[str, str],
    annotated: Mapping[str, str],
    *,
    title: str = "",
) -> Figure:
    """Draw what became of each type's predicted keypoints (left) and annotated ones (right).

    Bars are shares; what is right is gray and comes first. A type without any has no bar.

    Args:
        table: one row a keypoint type and a last one of their sum, counts in columns.
        predicted: columns that are drawn on the left, what is right first, and what the legend
            calls them.
        annotated: the same for the right.
        title: heading of the figure.

    Raises:
        ValueError: a column is not in the table, there are more than six on the left or three on
            the right, or the table is empty.
    """
    for names, colors in ((predicted, _WRONG), (annotated, _MISSED)):
        lacking = [name for name in names if name not in table]
        if lacking or not 1 <= len(names) <= 1 + len(colors):
            raise ValueError(
                f"one to {1 + len(colors)} columns of {list(table)} can be drawn, not {[*names]}"
            )
    if len(table) == 0:
        raise ValueError("nothing to draw: the table has no row")
    sheet = new_sheet(_ROW * len(table) + 1.7, WIDTH, title)
    left, right = sheet.subplots(1, 2, sharey=True)
    for ax, names, colors, heading in (
        (left, predicted, _WRONG, "keypoints predicted"),
        (right, annotated, _MISSED, "visible keypoints annotated"),
    ):
        total = int(table[list(names)].iloc[-1].sum())
        draw_shares(ax, table, names, colors, f"{heading}, {total} in all")
        legend_under(ax, columns=3)
    return sheet


def draw_shares(
    ax: Axes,
    table: pd.DataFrame,
    columns: Mapping[str, str],
    wrong: Sequence[Color],
    title: str,
) -> None:
    """Draw one stack of bars a row: its shares of the sum of the columns, the first one in gray.

    Args:
        ax: where to draw.
        table: names of the rows, and what is shared in columns; rows without any have no bar.
        columns: which are drawn, what is right first, and what the legend calls them.
        wrong: the colors of all but the first.
        title: heading of the panel.
    """
    counts = table[list(columns)].to_numpy(dtype=np.float64)
    total = counts.sum(axis=1, keepdims=True)
    shares = 100 * np.nan_to_num(counts) / np.where(total > 0, total, 1)
    start = np.zeros(len(table))
    for values, label, color in zip(shares.T, columns.values(), (_RIGHT, *wrong), strict=False):
        ax.barh(np.arange(len(table)), values, left=start, height=0.8, color=color, label=label)
        start = start + values
    style_axes(ax, title, grid="x")
    ax.set_xlabel("%", fontsize=TEXT)
    ax.set_xlim(0, 100)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    names = [readable(str(name)) for name in table.index]
    ax.set_yticks(range(len(names)), names, fontsize=SMALL)
    ax.set_ylim(len(names) - 0.5, -0.5)

"""What the parts of networks take: stacks of bars, one for each network."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from poselib.plots.figure import SMALL, TEXT, WIDTH, legend_below, new_sheet, style_axes
from poselib.plots.palette import BLUE, GRAY, GREEN, INK, ORANGE, PURPLE, SKY, VERMILION

_ROW, _LETTER, _DIGIT = 0.3, 0.078, 0.075  # inches: of a bar, and letters of names and of sums
_PARTS = (GRAY, SKY, BLUE, GREEN, VERMILION, ORANGE, PURPLE)


def show_parts(
    panels: Mapping[str, pd.DataFrame], *, columns: int = 2, title: str = "", digits: int = 1
) -> Figure:
    """Draw how much each part of each network takes, and their sum at the end of the bar.

    Args:
        panels: by the heading of a panel, one row a network and one column a part; all have the
            same of both. A part that a network lacks is 0. Each panel has a scale of its own.
        columns: panels in a row.
        title: heading of the figure.
        digits: of each sum behind the point.

    Raises:
        ValueError: there is no panel or network, there are more than seven parts, a number is
            missing, or panels have other rows or columns than the first.
    """
    if not panels or not all(len(table) for table in panels.values()):
        raise ValueError("nothing to draw: there is no panel, or one without a network")
    first = next(iter(panels.values()))
    if not 1 <= first.shape[1] <= len(_PARTS):
        raise ValueError(f"one to {len(_PARTS)} parts can be drawn, not {list(first.columns)}")
    for heading, table in panels.items():
        if not (table.index.equals(first.index) and table.columns.equals(first.columns)):
            raise ValueError(f"panel {heading!r} has other rows or columns than the first")
        if table.isna().any(axis=None):
            raise ValueError(f"panel {heading!r} lacks a number")
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    height = rows * (_ROW * len(first) + 0.55) + 0.4 + (0.35 if title else 0)
    sheet = new_sheet(height, WIDTH, title)
    axes = sheet.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    names = _LETTER * max(len(str(name)) for name in first.index)
    width = (WIDTH - names) / columns - 0.25
    for ax, (heading, table) in zip(axes, panels.items(), strict=False):
        _draw(ax, table, heading, digits, width)
    for spare in axes[len(panels) :]:
        spare.set_axis_off()
    named = zip(first.columns, _PARTS, strict=False)
    legend_below(sheet, [Patch(color=color, label=str(part)) for part, color in named])
    return sheet


def _draw(ax: Axes, table: pd.DataFrame, heading: str, digits: int, width: float) -> None:
    """Fill a panel, ``width`` inches wide, with room for the sum behind the longest bar."""
    places, start = np.arange(len(table)), np.zeros(len(table))
    for (_, values), color in zip(table.items(), _PARTS, strict=False):
        widths = values.to_numpy(dtype=float)
        ax.barh(places, widths, left=start, height=0.7, color=color)
        start = start + widths
    sums = [f"{total:.{digits}f}" for total in start]
    for place, total, text in zip(places, start, sums, strict=True):
        ax.annotate(
            text, (total, place), (4, 0), textcoords="offset points", fontsize=SMALL, va="center",
            color=INK,
        )  # fmt: skip
    room = 0.1 + _DIGIT * max(map(len, sums))
    style_axes(ax, heading, grid="x")
    ax.set_yticks(places, [str(name) for name in table.index], fontsize=TEXT)
    ax.tick_params(axis="y", length=0)
    end = float(start.max()) / (1 - room / width)
    ax.set(xlim=(0, end), ylim=(len(table) - 0.5, -0.5))

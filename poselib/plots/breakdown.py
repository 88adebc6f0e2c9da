"""How long the stages of one work take, by how much there is to do: stacks of bars."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from poselib.plots.figure import SMALL, TEXT, WIDTH, legend_below, new_sheet, style_axes
from poselib.plots.palette import BLUE, GRAY, GREEN, INK, ORANGE, PURPLE, SKY

_ROW = 0.3  # inches of a bar
_ROOM = 1.16  # the longest bar times this is the width of a panel: its sum stands behind it
_STAGES = (SKY, BLUE, GREEN, ORANGE, PURPLE, GRAY)


def show_breakdown(
    panels: Mapping[str, pd.DataFrame], *, columns: int = 2, title: str = ""
) -> Figure:
    """Draw how long each stage takes in each case, and the sum at the end of the bar.

    Args:
        panels: by the heading of a panel, one row a case and one column a stage, ms. Each panel
            has cases and a scale of its own; the stages are those of the first. One that is
            missing has no length.
        columns: panels in a row.
        title: heading of the figure.

    Raises:
        ValueError: there is no panel or no case, panels have other stages than the first, or there
            are more than six.
    """
    if not panels or not all(len(table) for table in panels.values()):
        raise ValueError("nothing to draw: there is no panel, or one without a case")
    stages = next(iter(panels.values())).columns
    if not 1 <= len(stages) <= len(_STAGES):
        raise ValueError(f"one to {len(_STAGES)} stages can be drawn, not {list(stages)}")
    for heading, table in panels.items():
        if not table.columns.equals(stages):
            raise ValueError(f"panel {heading!r} has other stages than the first")
    columns = min(columns, len(panels))
    tables = list(panels.values())
    heights = [
        _ROW * max(len(table) for table in tables[begin : begin + columns]) + 0.7
        for begin in range(0, len(tables), columns)
    ]
    sheet = new_sheet(sum(heights) + 0.4 + (0.35 if title else 0), WIDTH, title)
    grid = sheet.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    axes = grid.ravel()
    for ax, (heading, table) in zip(axes, panels.items(), strict=False):
        _draw(ax, table, heading)
    for spare in axes[len(panels) :]:
        spare.set_axis_off()
    named = zip(stages, _STAGES, strict=False)
    legend_below(sheet, [Patch(color=color, label=str(stage)) for stage, color in named])
    return sheet


def _draw(ax: Axes, table: pd.DataFrame, heading: str) -> None:
    places, start = np.arange(len(table)), np.zeros(len(table))
    for (_, values), color in zip(table.items(), _STAGES, strict=False):
        widths = values.fillna(0.0).to_numpy(dtype=float)
        ax.barh(places, widths, left=start, height=0.7, color=color)
        start = start + widths
    for place, total in zip(places, start, strict=True):
        ax.annotate(
            _written(total), (total, place), (4, 0), textcoords="offset points", fontsize=SMALL,
            va="center", color=INK,
        )  # fmt: skip
    style_axes(ax, heading, grid="x")
    ax.set_yticks(places, [str(name) for name in table.index], fontsize=TEXT)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("ms", fontsize=TEXT)
    longest = float(start.max())
    ax.set(xlim=(0, _ROOM * longest if longest > 0 else 1), ylim=(len(table) - 0.5, -0.5))


def _written(ms: float) -> str:
    """Return three digits of a number, more if it has them before the point."""
    digits = max(0, 2 - math.floor(math.log10(ms))) if ms > 0 else 0
    return f"{ms:.{digits}f}"

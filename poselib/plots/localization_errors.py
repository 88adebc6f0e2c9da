"""How many keypoints have an error of which kind, and what correcting them would gain."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots.error_rates import draw_shares
from poselib.plots.figure import SMALL, TEXT, WIDTH, legend_under, new_sheet, style_axes
from poselib.plots.palette import BLUE, INK, PURPLE, SKY, VERMILION

_ROW = 0.23  # inches
_KINDS = {"jitter": SKY, "miss": BLUE, "inversion": PURPLE, "swap": VERMILION}


def show_localization_errors(
    shares: pd.DataFrame, gains: pd.DataFrame, *, title: str = ""
) -> Figure:
    """Draw the errors of each keypoint type (left) and the AP gained by correcting them (right).

    Args:
        shares: one row a keypoint type and a last one of all; ``good``, ``jitter``, ``miss``,
            ``inversion`` and ``swap`` in per cent, NaN where none was counted (no bar), and how
            many were ``counted``.
        gains: one row for what was corrected, by name, with its ``gain`` of AP, from 0 to 1; the
            first, of nothing, is not drawn.
        title: heading of the figure.

    Raises:
        ValueError: a column is missing or a table is empty.
    """
    for table, needed in ((shares, ["good", *_KINDS, "counted"]), (gains, ["gain"])):
        if lacking := [name for name in needed if name not in table]:
            raise ValueError(f"the table lacks the columns {lacking}; it has {list(table)}")
        if table.empty:
            raise ValueError("the table has no row")
    sheet = new_sheet(_ROW * len(shares) + 1.7, WIDTH, title)
    left, right = sheet.subplots(1, 2, width_ratios=[1.9, 1])
    names = {name: name for name in ("good", *_KINDS)}
    heading = f"{int(shares['counted'].iloc[-1])} keypoints of people found"
    draw_shares(left, shares, names, [*_KINDS.values()], heading)
    legend_under(left, columns=len(names))
    _draw_gains(right, 100 * gains["gain"].iloc[1:])
    return sheet


def _draw_gains(ax: Axes, gains: pd.Series) -> None:
    """Draw a bar and its number for each row."""
    values, places = gains.to_numpy(dtype=np.float64), np.arange(len(gains))
    known = np.isfinite(values)
    ax.barh(places, values, height=0.5, color=[_KINDS.get(str(name), INK) for name in gains.index])
    for place, value in zip(places[known], values[known], strict=True):
        ax.annotate(
            f"{value:+.1f}", (max(value, 0), place), (4, 0), textcoords="offset points",
            fontsize=SMALL, va="center", color=INK,
        )  # fmt: skip
    style_axes(ax, "AP gained if corrected", grid="x")
    ax.set_yticks(places, [str(name) for name in gains.index], fontsize=SMALL)
    ax.set_ylim(len(gains) - 0.5, -0.5)
    # Room on the right for the numbers.
    ax.set_xlim(values[known].min(initial=0), 1.25 * values[known].max(initial=1))
    ax.set_xlabel("points of AP", fontsize=TEXT)

"""Rates of several setups with the target of each panel, and a table of verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots import style
from poselib.plots.style import BLUE, GRAY, GREEN, INK, VERMILION

_BAR = 0.24  # inches of a row
_MET = {True: ("met", GREEN), False: ("missed", VERMILION), None: ("not measured", GRAY)}
_COLUMNS = (0.0, 0.46, 0.64, 0.92)  # where those of the table begin, as fractions of the width
_LETTERS = (80, 28, 54)  # that they have room for


@style.theme
def show_throughput(
    panels: Mapping[str, pd.Series],
    targets: Mapping[str, float],
    verdicts: Sequence[Mapping[str, object]],
    *,
    unit: str,
    columns: int = 2,
    title: str = "",
) -> Figure:
    """Draw a panel of bars for each group of rates, and below them what was wanted and is.

    Args:
        panels: by heading, the rates of setups; NaN for one that gave none. The first is what the
            others are compared with: how many times its rate they have stands behind their bars.
        targets: by heading, the rate that was wanted, drawn as a line.
        verdicts: each with ``target``, ``wanted``, ``measured``, and ``met``, which is None where
            it was not measured.
        unit: of the rates.

    Raises:
        ValueError: there is no panel, or one without a rate.
    """
    if not panels or not all(len(rates) for rates in panels.values()):
        raise ValueError("nothing to draw: there is no panel, or one without a rate")
    heights = [_BAR * len(rates) + 0.65 for rates in panels.values()]
    rows = [max(heights[i : i + columns]) for i in range(0, len(heights), columns)]
    table = _BAR * (len(verdicts) + 1) if verdicts else 0.0
    width = 1.5 * style.WIDTH
    figure = style.new_figure(sum(rows) + table + 0.6, width, title)
    grid = figure.add_gridspec(2, 1, height_ratios=[sum(rows), max(table, 0.01)])
    above, below = figure.add_subfigure(grid[0, 0]), figure.add_subfigure(grid[1, 0])
    axes = above.subplots(len(rows), columns, squeeze=False, height_ratios=rows).ravel()
    for spare in axes[len(heights) :]:
        spare.set_axis_off()
    for ax, (heading, rates) in zip(axes, panels.items(), strict=False):
        _draw_rates(ax, rates, targets.get(heading), heading, unit)
    if verdicts:
        _write_verdicts(below.subplots(), verdicts)
    return figure


def _draw_rates(ax: Axes, rates: pd.Series, target: float | None, heading: str, unit: str) -> None:
    values = rates.to_numpy(float)
    base = values[0]
    colors = [GRAY, *[BLUE] * (len(values) - 1)]
    bars = ax.barh(range(len(values)), np.nan_to_num(values), height=0.7, color=colors)
    texts = [
        "not measured" if np.isnan(v) else f"{v:.3g}" + (f"  ×{v / base:.2f}" if i else "")
        for i, v in enumerate(values)
    ]
    ax.bar_label(bars, texts, padding=4, fontsize=style.SMALL)
    style.name_rows(ax, rates.index, style.SMALL)
    if target is not None:
        ax.axvline(target, color=VERMILION, linestyle="--", linewidth=1.2)
    most = np.nanmax([*np.nan_to_num(values), target or 0.0])
    ax.set(xlim=(0, 1.35 * most or 1), xlabel=unit)  # room for the numbers
    ax.set_title(heading)


def _write_verdicts(ax: Axes, verdicts: Sequence[Mapping[str, object]]) -> None:
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(len(verdicts) + 0.5, -0.5))
    lines = [("target", "wanted", "measured", ("", INK))]
    for each in verdicts:
        known = _MET[each["met"]]  # type: ignore[index]
        lines.append((str(each["target"]), str(each["wanted"]), str(each["measured"]), known))
    for row, (*words, (verdict, color)) in enumerate(lines):
        bold = "bold" if row == 0 else "normal"
        for start, text, letters in zip(_COLUMNS, words, _LETTERS, strict=False):
            short = text if len(text) <= letters else f"{text[: letters - 1]}…"
            ax.text(start, row, short, va="center", fontsize=style.SMALL, fontweight=bold)
        ax.text(_COLUMNS[-1], row, verdict, va="center", fontsize=style.SMALL, color=color)

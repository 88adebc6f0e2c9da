"""Speed against accuracy: one point for each network, one panel for each set that compares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from poselib.plots.palette import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Colour,
)
from poselib.plots.sheet import SMALL, TEXT, WIDTH, legend_below, new_sheet, style_axes, wrapped

_METHODS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY, GREY)
_MARKERS = "osD^vPX"
_STEPS = ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), tuple(np.arange(10, 100, 2) / 10))  # of a decade


def show_tradeoff(
    panels: Mapping[str, pd.DataFrame], *, metric: str = "AP", title: str = ""
) -> Figure:
    """Draw how accurate networks are against the time that they take for an image.

    Networks of one method have its colour and marker in all panels. Upwards is better, and to the
    left is faster; panels share neither axis, since what is measured on other images and machines
    does not compare.

    Args:
        panels: by the heading of a panel, one row a network: its index is written beside the point;
            ``method``, ``ms`` an image, and ``metric`` in per cent.
        metric: column of the panels.
        title: heading of the figure.

    Raises:
        ValueError: there is no panel or no network, a column or a number is missing, a time is
            not positive, or there are more than seven methods.
    """
    if not panels:
        raise ValueError("nothing to draw: there is no panel")
    for heading, table in panels.items():
        _check(heading, table, metric)
    methods = list(dict.fromkeys(name for table in panels.values() for name in table["method"]))
    if len(methods) > len(_METHODS):
        raise ValueError(f"up to {len(_METHODS)} methods can be drawn, not {methods}")
    looks = dict(zip(methods, zip(_METHODS, _MARKERS, strict=True), strict=False))
    sheet = new_sheet(3.9 + (0.3 if title else 0), WIDTH, title)
    axes = sheet.subplots(1, len(panels), squeeze=False)[0]
    for ax, (heading, table) in zip(axes, panels.items(), strict=True):
        _draw(ax, table, metric, looks)
        _style(ax, table, metric, heading, WIDTH / len(panels) - 0.5)
    axes[0].set_ylabel(f"{metric}, %", fontsize=TEXT)
    legend_below(sheet, [_handle(name, *look) for name, look in looks.items()])
    return sheet


def _check(heading: str, table: pd.DataFrame, metric: str) -> None:
    missing = [name for name in ("method", "ms", metric) if name not in table.columns]
    if missing:
        raise ValueError(f"panel {heading!r} lacks the columns {missing}")
    if table.empty:
        raise ValueError(f"panel {heading!r} has no network")
    if table[["ms", metric]].isna().any(axis=None) or not (table["ms"] > 0).all():
        raise ValueError(f"panel {heading!r} lacks a number, or a time is not positive")


def _draw(
    ax: Axes, table: pd.DataFrame, metric: str, looks: Mapping[str, tuple[Colour, str]]
) -> None:
    middle = float(np.sqrt(table["ms"].min() * table["ms"].max()))
    for method, rows in table.groupby("method", sort=False):
        colour, marker = looks[str(method)]
        ax.plot(rows["ms"], rows[metric], marker, color=colour, ms=7, zorder=3)
        ranks = rows[metric].rank(method="first")
        for (name, row), rank in zip(rows.iterrows(), ranks, strict=True):
            left = row["ms"] > middle  # towards the middle there is room
            # The names of networks that are nearly alike go apart.
            up = 4 if rank == len(rows) else -12 if rank == 1 else -4
            ax.annotate(
                str(name), (row["ms"], row[metric]), (-7 if left else 7, up),
                textcoords="offset points", fontsize=SMALL, color=INK,
                ha="right" if left else "left",
            )  # fmt: skip


def _style(ax: Axes, table: pd.DataFrame, metric: str, heading: str, share: float) -> None:
    style_axes(ax, wrapped(heading, share))
    ax.set_xscale("log")
    low, high = table["ms"].min() / 1.4, table["ms"].max() * 1.4
    ax.set_xticks(_ticks(low, high))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:g}"))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlim(low, high)
    bottom, top = table[metric].min(), table[metric].max()
    room = max(0.15 * (top - bottom), 0.5)
    ax.set_ylim(bottom - room, top + 1.5 * room)
    ax.set_xlabel("ms an image", fontsize=TEXT)


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers of ms between two, no fewer than three if they can be had."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps in _STEPS:
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= 3:
            break
    return inside


def _handle(name: str, colour: Colour, marker: str) -> Line2D:
    return Line2D([], [], color=colour, marker=marker, ms=7, linestyle="none", label=name)

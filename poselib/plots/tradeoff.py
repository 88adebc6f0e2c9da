"""Speed against accuracy: one point for each network, one panel for each set that compares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from poselib.plots.figure import SMALL, TEXT, WIDTH, legend_below, new_sheet, style_axes, wrapped
from poselib.plots.palette import (
    BLUE,
    GRAY,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Color,
)

_METHODS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY, GRAY)
_MARKERS = "osD^vPX"
_SIZE = 7.0  # of a marker, points
_POINTS = 72  # an inch
_LETTER, _LINE = 0.62, 1.3  # of the size of type: about how wide and how high letters are
_UP = (4.0, -4.0, 9.0, -9.0, 14.0, -14.0)  # of names beside their points
_STEPS = ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), tuple(np.arange(10, 100, 2) / 10))  # of a decade


def show_tradeoff(
    panels: Mapping[str, pd.DataFrame], *, metric: str = "AP", title: str = ""
) -> Figure:
    """Draw how accurate networks are against the time that they take for an image.

    Networks of one method have its color and marker in all panels. Upwards is better, and to the
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
    sheet.draw_without_rendering()  # where points lie is only known now
    for ax, table in zip(axes, panels.values(), strict=True):
        _name(ax, table, metric, sheet.dpi)
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
    ax: Axes, table: pd.DataFrame, metric: str, looks: Mapping[str, tuple[Color, str]]
) -> None:
    for method, rows in table.groupby("method", sort=False):
        color, marker = looks[str(method)]
        ax.plot(rows["ms"], rows[metric], marker, color=color, ms=_SIZE, zorder=3)


def _name(ax: Axes, table: pd.DataFrame, metric: str, dpi: float) -> None:
    """Write names beside their points, each where it covers least of what is there already."""
    places = table[["ms", metric]].to_numpy(float)
    points = _POINTS / dpi  # a pixel
    taken = [_box(place, (_SIZE, _SIZE)) for place in ax.transData.transform(places) * points]
    inside = np.array(ax.get_window_extent().extents) * points
    for name, place in zip(map(str, table.index), places, strict=True):
        size = (_LETTER * SMALL * len(name), _LINE * SMALL)
        middle = ax.transData.transform(place) * points
        spots = _spots(size[0], towards=-1 if middle[0] > inside[::2].mean() else 1)
        boxes = [_box(middle + spot, size) for spot in spots]
        hidden = [
            sum(_shared(box, other) for other in taken) + size[0] * size[1] - _shared(box, inside)
            for box in boxes
        ]
        best = int(np.argmin(np.round(hidden)))  # of those that cover as little the first
        taken.append(boxes[best])
        ax.annotate(
            name, tuple(place), spots[best], textcoords="offset points", fontsize=SMALL, color=INK,
            ha="center", va="center",
        )  # fmt: skip


def _spots(width: float, towards: int) -> list[tuple[float, float]]:
    """Return where the middle of a name may lie from its point: where there is room first."""
    aside = [(side * (_SIZE + width / 2), up) for up in _UP for side in (towards, -towards)]
    return [*aside[:4], (0.0, 1.6 * _SIZE), (0.0, -1.6 * _SIZE), *aside[4:]]


def _box(middle: NDArray[np.float64], size: tuple[float, float]) -> NDArray[np.float64]:
    """Return (left, bottom, right, top)."""
    half = np.array(size) / 2
    return np.concatenate([middle - half, middle + half])


def _shared(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the area that two boxes share."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    return float(sides.clip(0).prod())


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


def _handle(name: str, color: Color, marker: str) -> Line2D:
    return Line2D([], [], color=color, marker=marker, ms=7, linestyle="none", label=name)

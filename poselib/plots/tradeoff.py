"""Speed against accuracy: one point for each network, one panel for each set that compares."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from poselib.plots import style
from poselib.plots.palette import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILION

_COLORS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY, GRAY)
_MARKERS = "osD^vPX"
_SIZE = 7.0  # of a marker, points
# Where a name may stand from its point, points: its side, and how far up.
_SPOTS = [
    *((side, up) for up in (4, -4) for side in ("left", "right")),
    *(("center", up) for up in (11, -11)),
    *((side, up) for up in (9, -9, 14, -14) for side in ("left", "right")),
]


@style.theme
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
    if len(methods) > len(_COLORS):
        raise ValueError(f"up to {len(_COLORS)} methods can be drawn, not {methods}")
    colors = dict(zip(methods, _COLORS, strict=False))
    markers = dict(zip(methods, _MARKERS, strict=False))
    figure = style.new_figure(3.9 + (0.3 if title else 0), style.WIDTH, title)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (heading, table) in zip(axes, panels.items(), strict=True):
        sns.scatterplot(
            table, x="ms", y=metric, hue="method", palette=colors, style="method", markers=markers,
            s=_SIZE**2, linewidth=0, legend=False, zorder=3, ax=ax,
        )  # fmt: skip
        _style(ax, table["ms"], table[metric])
        ax.set(title=style.wrapped(heading, style.WIDTH / len(panels) - 0.5), ylabel="")
    axes[0].set_ylabel(f"{metric}, %")
    entries = {
        name: style.marker_style(markers[name], _SIZE, colors[name], colors[name])
        for name in methods
    }
    style.legend_below(figure, entries)
    figure.draw_without_rendering()  # where points lie is only known now
    for ax, table in zip(axes, panels.values(), strict=True):
        _name_points(ax, table[["ms", metric]])
    return figure


def _check(heading: str, table: pd.DataFrame, metric: str) -> None:
    missing = [name for name in ("method", "ms", metric) if name not in table.columns]
    if missing:
        raise ValueError(f"panel {heading!r} lacks the columns {missing}")
    if table.empty:
        raise ValueError(f"panel {heading!r} has no network")
    if table[["ms", metric]].isna().any(axis=None) or not (table["ms"] > 0).all():
        raise ValueError(f"panel {heading!r} lacks a number, or a time is not positive")


def _style(ax: Axes, times: pd.Series, values: pd.Series) -> None:
    ax.set_xscale("log")
    low, high = times.min() / 1.4, times.max() * 1.4
    # Round numbers of several decades, or of a part of one.
    ax.xaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5)) if high > 8 * low else MaxNLocator(5, steps=[1, 2, 5, 10])
    )
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:g}"))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    room = max(0.15 * (values.max() - values.min()), 0.5)
    ax.set(xlim=(low, high), ylim=(values.min() - room, values.max() + 1.5 * room))
    ax.set_xlabel("ms an image")


def _name_points(ax: Axes, points: pd.DataFrame) -> None:
    """Write names beside their points, each where it covers least of what is there already."""
    pixels = ax.figure.dpi / 72  # a point
    inside = ax.get_window_extent()
    middles = ax.transData.transform(points.to_numpy(float))
    half = 0.75 * _SIZE * pixels
    taken = [Bbox.from_bounds(x - half, y - half, 2 * half, 2 * half) for x, y in middles]
    for name, x, y in points.itertuples():
        label = ax.annotate(str(name), (x, y), (0, 0), textcoords="offset points", va="center")

        def hidden(spot: tuple[str, int], label: Text = label) -> float:
            side, up = spot
            label.set(ha=side, x={"left": _SIZE, "right": -_SIZE, "center": 0}[side], y=up)
            box = label.get_window_extent()
            outside = _area(box) - _shared(box, inside)
            return round(outside + sum(_shared(box, other) for other in taken))

        hidden(min(_SPOTS, key=hidden))  # of those that hide as little the first
        taken.append(label.get_window_extent())


def _shared(one: Bbox, other: Bbox) -> float:
    """Return the area that two boxes share."""
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else _area(both)


def _area(box: Bbox) -> float:
    return float(box.width * box.height)

"""Times of computations and of the stages of decoding, and accuracy against time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from poselib.plots import style
from poselib.plots.bars import stack_percentages
from poselib.plots.style import BLUE, GRAY, GREEN, INK, ORANGE, PURPLE, SKY, VERMILION

_STAGES = (SKY, BLUE, GREEN, ORANGE)
_VARIANTS = (GRAY, INK, PURPLE, VERMILION)  # none of a stage's colors
_REFERENCE = style.marker_style("o", 6, GRAY, GRAY)
_METHODS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY, GRAY)
_MARKERS = "osD^vPX"
_SIZE = 7.0  # of a marker, points
# Where a name may stand from its point, points: its side, and how far up.
_SPOTS = [
    *((side, up) for up in (4, -4) for side in ("left", "right")),
    *(("center", up) for up in (11, -11)),
    *((side, up) for up in (9, -9, 14, -14) for side in ("left", "right")),
]


@style.theme
def show_speed(table: pd.DataFrame, *, title: str = "") -> Figure:
    """Draw how long each computation and its plain reference take, on a logarithmic axis.

    Args:
        table: one row a measurement: ``work``, ``setting`` (a panel each), ``ms``, ``lower_ms``
            and ``upper_ms``, and ``baseline_ms``, NaN where there is nothing to compare with.

    Raises:
        ValueError: the table is incomplete, or two rows are of the same work and setting.
    """
    times = ["ms", "lower_ms", "upper_ms", "baseline_ms"]
    _check(table, ["work", "setting", *times], ["work", "setting"])
    works, settings = list(table["work"].unique()), list(table["setting"].unique())
    figure = style.new_figure(0.9 + 0.34 * len(works) + (0.3 if title else 0), style.WIDTH, title)
    axes = figure.subplots(1, len(settings), sharey=True, sharex=True, squeeze=False)[0]
    for ax, setting in zip(axes, settings, strict=True):
        part = table[table["setting"] == setting]
        rows = part["work"].map(works.index)
        ax.hlines(rows, part["ms"], part["baseline_ms"], color="0.85", linewidth=2, zorder=1)
        ax.plot(part["baseline_ms"], rows, **_REFERENCE, zorder=2)
        ax.hlines(rows, part["lower_ms"], part["upper_ms"], color=BLUE, linewidth=3, zorder=2)
        ax.plot(part["ms"], rows, **style.marker_style("o", 6, BLUE, BLUE), zorder=3)
        for row, (_, line) in zip(rows, part.iterrows(), strict=True):
            compared = np.isfinite(line["baseline_ms"])
            text = f"×{line['baseline_ms'] / line['ms']:.3g}" if compared else _time(line["ms"])
            end = (np.nanmax([line["upper_ms"], line["baseline_ms"]]), row)
            bold = "bold" if compared else "normal"
            offset = {"xytext": (8, 0), "textcoords": "offset points", "va": "center"}
            ax.annotate(text, end, **offset, fontweight=bold)
        style.name_rows(ax, works)
        ax.set(title=str(setting), xscale="log", xlabel="median time")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: _time(ms)))
    limits = table[times].to_numpy(float)
    # Room on the right for the ratios.
    axes[0].set_xlim(np.nanmin(limits) / 2, np.nanmax(limits) * 6)
    entries = {
        "poselib: median and middle half": {"marker": "o", "color": BLUE, "linewidth": 3},
        "plain reference: median, and how many times longer it takes": _REFERENCE,
    }
    style.legend_below(figure, entries)
    return figure


@style.theme
def show_stages(
    table: pd.DataFrame, stages: Sequence[str], *, people: int, title: str = ""
) -> Figure:
    """Draw the fraction of each stage in the time of decoding, and its growth with the people.

    Args:
        table: one row a measurement: ``variant``, ``people`` (NaN where unknown), the milliseconds
            of each stage in a column of its name, and ``total``.
        stages: columns, in the order in which they run.
        people: the fractions are those of the rows with this many, and of those without.

    Raises:
        ValueError: the table is incomplete, two rows are of the same variant and people, or none
            has ``people``.
    """
    _check(table, ["variant", "people", *stages, "total"], ["variant", "people"])
    if not (table["people"] == people).any():
        known = sorted(table["people"].unique())
        raise ValueError(f"no row has {people} people; there are {known}")
    chosen = table[(table["people"] == people) | table["people"].isna()].set_index("variant")
    figure = style.new_figure(1.6 + 0.32 * len(chosen) + (0.3 if title else 0), style.WIDTH, title)
    left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
    heading = f"fractions of the total time, {people} people"
    stack_percentages(left, chosen[list(stages)], _STAGES * len(stages), heading)
    style.name_rows(left, chosen.index)
    texts = [_time(ms) for ms in chosen["total"]]
    left.bar_label(left.containers[-1], texts, padding=4)
    style.legend_under(left, columns=len(stages))
    growth = table[table["people"].notna()].sort_values("people")
    for i, (name, line) in enumerate(growth.groupby("variant", sort=False)):
        # Variants that take equally long are both seen: every other line is wide.
        width, size = ((3.0, 8), (1.4, 4))[i % 2]
        color, marker = _VARIANTS[i % len(_VARIANTS)], "osD^"[i % 4]
        points = {"color": color, "marker": marker, "ms": size, "lw": width, "label": str(name)}
        right.plot(line["people"], line["total"], **points)
    right.set(title="total time", yscale="log", xlabel="people in the image")
    right.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: _time(ms)))
    right.set_xticks(sorted(growth["people"].unique()))
    right.grid(False, axis="x")
    style.legend_under(right, columns=2)
    return figure


@style.theme
def show_tradeoff(panels: Mapping[str, pd.DataFrame], *, title: str = "") -> Figure:
    """Draw how accurate networks are against the time that they take for an image.

    Networks of one method have its color and marker in all panels. Panels share neither axis:
    measurements on other images and machines do not compare.

    Args:
        panels: by the heading of a panel, one row a network: its index is written beside the point;
            ``method``, ``ms`` an image, and ``AP`` in percent.

    Raises:
        ValueError: a panel is incomplete, a time is not positive, or there are more than seven
            methods.
    """
    if not panels:
        raise ValueError("nothing to draw: there is no panel")
    for heading, table in panels.items():
        style.require_columns(table, "method", "ms", "AP")
        if table[["ms", "AP"]].isna().any(axis=None) or not (table["ms"] > 0).all():
            raise ValueError(f"panel {heading!r} lacks a number, or a time is not positive")
    methods = list(dict.fromkeys(name for table in panels.values() for name in table["method"]))
    if len(methods) > len(_METHODS):
        raise ValueError(f"up to {len(_METHODS)} methods can be drawn, not {methods}")
    colors = dict(zip(methods, _METHODS, strict=False))
    markers = dict(zip(methods, _MARKERS, strict=False))
    figure = style.new_figure(3.9 + (0.3 if title else 0), style.WIDTH, title)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (heading, table) in zip(axes, panels.items(), strict=True):
        sns.scatterplot(
            table, x="ms", y="AP", hue="method", palette=colors, style="method", markers=markers,
            s=_SIZE**2, linewidth=0, legend=False, zorder=3, ax=ax,
        )  # fmt: skip
        times, values = table["ms"], table["AP"]
        low, high = times.min() / 1.4, times.max() * 1.4
        # Round numbers of several decades, or of a part of one.
        several, part = LogLocator(subs=(1, 2, 5)), MaxNLocator(5, steps=[1, 2, 5, 10])
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(several if high > 8 * low else part)
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:g}"))
        ax.yaxis.set_major_locator(MaxNLocator(5))
        room = max(0.15 * (values.max() - values.min()), 0.5)
        ax.set(xlim=(low, high), ylim=(values.min() - room, values.max() + 1.5 * room))
        ax.set(
            title=style.wrapped(heading, style.WIDTH / len(panels) - 0.5),
            xlabel="ms an image",
            ylabel="",
        )
    axes[0].set_ylabel("AP, %")
    entries = {
        name: style.marker_style(markers[name], _SIZE, colors[name], colors[name])
        for name in methods
    }
    style.legend_below(figure, entries)
    figure.draw_without_rendering()  # where points lie is only known now
    for ax, table in zip(axes, panels.values(), strict=True):
        _name_points(ax, table[["ms", "AP"]])
    return figure


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
            outside = _overlap(box, box) - _overlap(box, inside)
            return round(outside + sum(_overlap(box, other) for other in taken))

        hidden(min(_SPOTS, key=hidden))  # of those that hide as little the first
        taken.append(label.get_window_extent())


def _overlap(one: Bbox, other: Bbox) -> float:
    """Return the area that two boxes share."""
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else float(both.width * both.height)


def _check(table: pd.DataFrame, needed: Sequence[str], key: list[str]) -> None:
    style.require_columns(table, *needed)
    if table.duplicated(key).any():
        twice = table.loc[table.duplicated(key), key].iloc[0].tolist()
        raise ValueError(f"the table has two rows of {twice}")


def _time(ms: float) -> str:
    """Return milliseconds in a unit that keeps them short: ``"3.2 ms"``, ``"1.68 s"``."""
    if ms >= 1000:
        return f"{ms / 1000:.3g} s"
    return f"{ms:.3g} ms" if ms >= 1 else f"{1000 * ms:.3g} µs"

"""How long things take: two ways side by side, and the stages of one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from poselib.plots.figure import (
    SMALL,
    TEXT,
    WIDTH,
    legend_below,
    legend_under,
    new_sheet,
    style_axes,
)
from poselib.plots.palette import BLUE, GRAY, GREEN, INK, ORANGE, PURPLE, SKY, VERMILION

_STAGES = (SKY, BLUE, GREEN, ORANGE)
_WAYS = (GRAY, INK, PURPLE, VERMILION)  # none of a stage's colors
_MARKERS = "osD^"


def show_speed(table: pd.DataFrame, *, title: str = "") -> Figure:
    """Draw how long each piece of work takes here and by the plain way, on a logarithmic axis.

    Args:
        table: one row a measurement: ``work``, ``setting`` (a panel each), ``ms``, ``lower_ms``
            and ``upper_ms``, and ``baseline_ms``, NaN where there is nothing to compare with.
        title: heading of the figure.

    Raises:
        ValueError: a column is missing, there is no row, or two rows are of the same work and
            setting.
    """
    needed = ["work", "setting", "ms", "lower_ms", "upper_ms", "baseline_ms"]
    _check(table, needed, ["work", "setting"])
    works, settings = list(table["work"].unique()), list(table["setting"].unique())
    sheet = new_sheet(0.9 + 0.34 * len(works) + (0.3 if title else 0), WIDTH, title)
    axes = sheet.subplots(1, len(settings), sharey=True, sharex=True, squeeze=False)[0]
    for ax, setting in zip(axes, settings, strict=True):
        for _, row in table[table["setting"] == setting].iterrows():
            _draw_speed(ax, works.index(row["work"]), row)
        style_axes(ax, str(setting), grid="x")
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: _time(ms)))
        ax.set_xlabel("median time", fontsize=TEXT)
    times = table[["lower_ms", "baseline_ms", "upper_ms"]].to_numpy(dtype=float)
    # Room on the right for the ratios.
    axes[0].set_xlim(np.nanmin(times) / 2, np.nanmax(times) * 6)
    axes[0].set_yticks(range(len(works)), works, fontsize=TEXT)
    axes[0].set_ylim(len(works) - 0.5, -0.5)
    looks = (
        ("poselib: median and middle half", BLUE, "o-"),
        ("plain reference: median, and how many times longer it takes", GRAY, "o"),
    )
    handles = [
        axes[0].plot([], [], style, color=color, ms=6, linewidth=3, label=label)[0]
        for label, color, style in looks
    ]
    legend_below(sheet, handles)
    return sheet


def show_stages(
    table: pd.DataFrame, stages: Sequence[str], *, people: int, title: str = ""
) -> Figure:
    """Draw where the time of decoding goes, and how it grows with the people.

    Args:
        table: one row a measurement: ``way`` (such as ``"plain, progressive"``), ``people`` (NaN
            where it is not known), the milliseconds of each stage in a column of its name, and
            ``total``.
        stages: columns, in the order in which they run.
        people: the shares are shown of the rows with this many, and of those without.
        title: heading of the figure.

    Raises:
        ValueError: a column is missing, there is no row, two rows are of the same way and number
            of people, or none has ``people``.
    """
    _check(table, ["way", "people", *stages, "total"], ["way", "people"])
    chosen = table[(table["people"] == people) | table["people"].isna()]
    if not (table["people"] == people).any():
        raise ValueError(
            f"no row has {people} people; there are {sorted(table['people'].unique())}"
        )
    sheet = new_sheet(1.6 + 0.32 * len(chosen) + (0.3 if title else 0), WIDTH, title)
    left, right = sheet.subplots(1, 2, width_ratios=[1.35, 1])
    _draw_shares(left, chosen, stages)
    style_axes(left, f"shares of the total time, {people} people", grid="x")
    left.set_yticks(range(len(chosen)), chosen["way"].tolist(), fontsize=TEXT)
    _draw_growth(right, table[table["people"].notna()])
    return sheet


def _check(table: pd.DataFrame, needed: Sequence[str], key: list[str]) -> None:
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise ValueError(f"the table lacks the columns {missing}; it has {list(table.columns)}")
    if table.empty:
        raise ValueError("the table has no row")
    if table.duplicated(key).any():
        twice = table.loc[table.duplicated(key), key].iloc[0].tolist()
        raise ValueError(f"the table has two rows of {twice}")


def _draw_speed(ax: Axes, place: int, row: pd.Series) -> None:
    ours, baseline = float(row["ms"]), float(row["baseline_ms"])
    if np.isfinite(baseline):
        ax.plot([ours, baseline], [place, place], color="0.85", linewidth=2, zorder=1)
        ax.plot(baseline, place, "o", color=GRAY, ms=6, zorder=2)
        text = f" ×{baseline / ours:.3g}"
    else:
        text = f" {_time(ours)}"
    ax.plot([row["lower_ms"], row["upper_ms"]], [place] * 2, color=BLUE, linewidth=3, zorder=2)
    ax.plot(ours, place, "o", color=BLUE, ms=6, zorder=3)
    end = np.nanmax([float(row["upper_ms"]), baseline])
    ax.annotate(
        text, (end, place), (5, 0), textcoords="offset points", fontsize=SMALL, va="center",
        color=INK, fontweight="bold" if np.isfinite(baseline) else "normal",
    )  # fmt: skip


def _draw_shares(ax: Axes, table: pd.DataFrame, stages: Sequence[str]) -> None:
    start = np.zeros(len(table))
    places = np.arange(len(table))
    total = table[list(stages)].sum(axis=1).to_numpy(dtype=float)
    for stage, color in zip(stages, cycle(_STAGES), strict=False):
        share = table[stage].to_numpy(dtype=float) / total
        ax.barh(places, share, left=start, color=color, height=0.7, label=stage)
        start = start + share
    for place, ms in enumerate(table["total"]):
        ax.text(1.02, place, _time(float(ms)), fontsize=SMALL, va="center", color=INK)
    ax.set(xlim=(0, 1), ylim=(len(table) - 0.5, -0.5))
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    legend_under(ax, columns=len(stages))


def _draw_growth(ax: Axes, table: pd.DataFrame) -> None:
    for i, way in enumerate(table["way"].unique()):
        line = table[table["way"] == way].sort_values("people")
        wide = i % 2 == 0  # ways that take equally long are seen both
        ax.plot(
            line["people"], line["total"], marker=_MARKERS[i % len(_MARKERS)], ms=8 if wide else 4,
            linewidth=3 if wide else 1.4, color=_WAYS[i % len(_WAYS)], label=str(way),
        )  # fmt: skip
    style_axes(ax, "total time", grid="y")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: _time(ms)))
    ax.set_xticks(sorted(table["people"].unique()))
    ax.set_xlabel("people in the image", fontsize=TEXT)
    legend_under(ax, columns=2)


def _time(ms: float) -> str:
    """Return milliseconds in a unit that keeps them short: ``"3.2 ms"``, ``"1.68 s"``."""
    if ms >= 1000:
        return f"{ms / 1000:.3g} s"
    return f"{ms:.3g} ms" if ms >= 1 else f"{1000 * ms:.3g} µs"

"""Times of single computations beside a reference, and of the stages of decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from poselib.plots import style
from poselib.plots.bars import stack_percentages
from poselib.plots.palette import BLUE, GRAY, GREEN, INK, ORANGE, PURPLE, SKY, VERMILION

_STAGES = (SKY, BLUE, GREEN, ORANGE)
_VARIANTS = (GRAY, INK, PURPLE, VERMILION)  # none of a stage's colors
_REFERENCE = style.marker_style("o", 6, GRAY, GRAY)


@style.theme
def show_speed(table: pd.DataFrame, *, title: str = "") -> Figure:
    """Draw how long each computation and its plain reference take, on a logarithmic axis.

    Args:
        table: one row a measurement: ``work``, ``setting`` (a panel each), ``ms``, ``lower_ms``
            and ``upper_ms``, and ``baseline_ms``, NaN where there is nothing to compare with.
        title: heading of the figure.

    Raises:
        ValueError: a column is missing, there is no row, or two rows are of the same work and
            setting.
    """
    times = ["ms", "lower_ms", "upper_ms", "baseline_ms"]
    _check(table, ["work", "setting", *times], ["work", "setting"])
    works, settings = list(table["work"].unique()), list(table["setting"].unique())
    figure = style.new_figure(0.9 + 0.34 * len(works) + (0.3 if title else 0), style.WIDTH, title)
    axes = figure.subplots(1, len(settings), sharey=True, sharex=True, squeeze=False)[0]
    for ax, setting in zip(axes, settings, strict=True):
        part = table[table["setting"] == setting]
        _draw_speed(ax, part.assign(row=part["work"].map(works.index)))
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


def _draw_speed(ax: Axes, table: pd.DataFrame) -> None:
    ax.hlines(table["row"], table["ms"], table["baseline_ms"], color="0.85", linewidth=2, zorder=1)
    ax.plot(table["baseline_ms"], table["row"], **_REFERENCE, zorder=2)
    ax.hlines(table["row"], table["lower_ms"], table["upper_ms"], color=BLUE, linewidth=3, zorder=2)
    ax.plot(table["ms"], table["row"], **style.marker_style("o", 6, BLUE, BLUE), zorder=3)
    for _, line in table.iterrows():
        compared = np.isfinite(line["baseline_ms"])
        text = f"×{line['baseline_ms'] / line['ms']:.3g}" if compared else _time(line["ms"])
        end = np.nanmax([line["upper_ms"], line["baseline_ms"]])
        weight = "bold" if compared else "normal"
        ax.annotate(
            text, (end, line["row"]), (8, 0), textcoords="offset points", va="center",
            fontweight=weight,
        )  # fmt: skip


@style.theme
def show_stages(
    table: pd.DataFrame, stages: Sequence[str], *, people: int, title: str = ""
) -> Figure:
    """Draw the fraction of each stage in the time of decoding, and its growth with the people.

    Args:
        table: one row a measurement: ``variant`` (such as ``"plain, progressive"``), ``people``
            (NaN where it is not known), the milliseconds of each stage in a column of its name,
            and ``total``.
        stages: columns, in the order in which they run.
        people: the fractions are those of the rows with this many, and of those without.
        title: heading of the figure.

    Raises:
        ValueError: a column is missing, there is no row, two rows are of the same variant and
            number of people, or none has ``people``.
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
    left.bar_label(left.containers[-1], texts, padding=4)  # type: ignore[arg-type]
    style.legend_under(left, columns=len(stages))
    _draw_growth(right, table[table["people"].notna()])
    return figure


def _draw_growth(ax: Axes, table: pd.DataFrame) -> None:
    for i, (name, line) in enumerate(table.groupby("variant", sort=False)):
        line = line.sort_values("people")
        # Variants that take equally long are both seen: every other line is wide.
        width, size = ((3.0, 8), (1.4, 4))[i % 2]
        options: dict[str, Any] = {"color": _VARIANTS[i % len(_VARIANTS)], "marker": "osD^"[i % 4]}
        ax.plot(line["people"], line["total"], **options, lw=width, ms=size, label=str(name))
    ax.set(title="total time", yscale="log", xlabel="people in the image", ylabel="")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: _time(ms)))
    ax.set_xticks(sorted(table["people"].unique()))
    ax.grid(False, axis="x")
    style.legend_under(ax, columns=2)


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

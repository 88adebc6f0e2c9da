"""Rows of an ablation with their spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from poselib.plots.figure import TEXT, WIDTH, legend_below, new_sheet, style_axes
from poselib.plots.palette import BLUE, GRAY, INK

_ROW = 0.34  # inches
_ABREAST = 5  # panels; with more, the published ones have a line of their own


def show_ablation(
    results: pd.DataFrame,
    metrics: Mapping[str, str],
    published: pd.DataFrame,
    *,
    published_on: str,
    rows: Sequence[str],
    title: str = "",
) -> Figure:
    """Draw every seed of every row, their mean and standard deviation, one panel a metric.

    Args:
        results: one line a run: ``row`` and the metrics.
        metrics: columns of ``results`` and the headings of their panels.
        published: numbers of a paper, one line a row and one column a metric; they are
            drawn in panels of their own, since they come from other data: on the left, or above
            where there are more than five panels.
        published_on: data of the published numbers.
        rows: which, from the top; one without numbers keeps its place.
        title: heading of the figure.

    Raises:
        ValueError: ``results`` lacks a column, or published numbers do not say on what data.
    """
    if absent := [name for name in ("row", *metrics) if name not in results]:
        raise ValueError(f"results lack the columns {absent}; they have {list(results)}")
    if not published_on.strip():
        raise ValueError("say on which data the published numbers were obtained")
    lines = 1 if published.shape[1] + len(metrics) <= _ABREAST else 2
    sheet = new_sheet(lines * (_ROW * len(rows) + 0.75) + 0.6, WIDTH, title)
    theirs, ours = _panels(sheet, lines, published.shape[1], len(metrics))
    for ax, (metric, values) in zip(theirs, published.reindex(list(rows)).items(), strict=True):
        ax.plot(values.to_numpy(float), range(len(rows)), "D", color=GRAY, markersize=5)
        style_seeds(ax, f"published {metric}\n{published_on}")
    for ax, (metric, heading) in zip(ours, metrics.items(), strict=True):
        draw_seeds(ax, results, metric, rows)
        style_seeds(ax, heading)
    sheet.axes[0].set_yticks(range(len(rows)), rows)
    sheet.axes[0].set_ylim(len(rows) - 0.5, -0.5)
    for ax in (*theirs, *ours):
        ax.tick_params(axis="y", labelsize=TEXT)
    legend_below(sheet, [_published_handle(), *seed_handles()])
    return sheet


def _panels(sheet: Figure, lines: int, theirs: int, ours: int) -> tuple[list[Axes], list[Axes]]:
    """Return the panels of published and of measured numbers, abreast or in two lines."""
    columns = theirs + ours if lines == 1 else max(theirs, ours)
    grid = sheet.subplots(lines, columns, sharey=True, squeeze=False)
    if lines == 1:
        return list(grid[0, :theirs]), list(grid[0, theirs:])
    for spare in (*grid[0, theirs:], *grid[1, ours:]):
        spare.remove()
    return list(grid[0, :theirs]), list(grid[1, :ours])


def _values(results: pd.DataFrame, row: str, metric: str) -> np.ndarray:
    values = results.loc[results["row"] == row, metric].to_numpy(float)
    return values[np.isfinite(values)]


def draw_seeds(ax: Axes, results: pd.DataFrame, metric: str, rows: Sequence[str]) -> None:
    """Draw every seed of each row, their mean and standard deviation, the first row at 0."""
    for place, row in enumerate(rows):
        values = _values(results, row, metric)
        if not len(values):
            continue
        spread = values.std(ddof=1) if len(values) > 1 else 0.0
        ax.errorbar(
            *(values.mean(), place),
            xerr=spread,
            fmt="|",
            color=BLUE,
            markersize=13,
            markeredgewidth=2,
            capsize=3,
        )
        ax.plot(values, np.full(len(values), place), "o", color=INK, markersize=3, alpha=0.6)


def style_seeds(ax: Axes, title: str) -> None:
    """Give axes that ``draw_seeds`` has drawn in a title and the look of a panel of rows."""
    style_axes(ax, title, grid="x")
    ax.tick_params(length=0)
    ax.margins(x=0.12)
    ax.locator_params(axis="x", nbins=4)
    ax.spines["left"].set_visible(False)


def _published_handle() -> Line2D:
    return Line2D([], [], marker="D", linestyle="", color=GRAY, markersize=5, label="published")


def seed_handles() -> list[Line2D]:
    """Return the legend entries of what ``draw_seeds`` draws."""
    return [
        Line2D([], [], marker="o", linestyle="", color=INK, markersize=3, label="one seed, here"),
        Line2D([], [], marker="|", color=BLUE, markersize=10, label="mean ± std, here"),
    ]

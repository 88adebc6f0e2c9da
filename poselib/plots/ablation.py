"""Rows of an ablation with their spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from poselib.plots.palette import BLUE, GREY, INK
from poselib.plots.sheet import TEXT, WIDTH, legend_below, new_sheet, style_axes

_ROW = 0.34  # inches


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
            drawn in panels of their own, since they come from other data.
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
    panels = published.shape[1] + len(metrics)
    sheet = new_sheet(_ROW * len(rows) + 1.35, WIDTH, title)
    axes = iter(sheet.subplots(1, panels, sharey=True, squeeze=False)[0])
    for metric, values in published.reindex(list(rows)).items():
        ax = next(axes)
        ax.plot(values.to_numpy(float), range(len(rows)), "D", color=GREY, markersize=5)
        _style(ax, f"published {metric}\n{published_on}")
    for metric, heading in metrics.items():
        ax = next(axes)
        _draw_seeds(ax, [_values(results, row, metric) for row in rows])
        _style(ax, heading)
    first = sheet.axes[0]
    first.set_yticks(range(len(rows)), rows, fontsize=TEXT)
    first.set_ylim(len(rows) - 0.5, -0.5)
    legend_below(sheet, _handles())
    return sheet


def _values(results: pd.DataFrame, row: str, metric: str) -> np.ndarray:
    values = results.loc[results["row"] == row, metric].to_numpy(float)
    return values[np.isfinite(values)]


def _draw_seeds(ax: Axes, rows: Sequence[np.ndarray]) -> None:
    for place, values in enumerate(rows):
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


def _style(ax: Axes, title: str) -> None:
    style_axes(ax, title, grid="x")
    ax.tick_params(length=0)
    ax.margins(x=0.12)
    ax.locator_params(axis="x", nbins=4)
    ax.spines["left"].set_visible(False)


def _handles() -> list[Line2D]:
    return [
        Line2D([], [], marker="D", linestyle="", color=GREY, markersize=5, label="published"),
        Line2D([], [], marker="o", linestyle="", color=INK, markersize=3, label="one seed, here"),
        Line2D([], [], marker="|", color=BLUE, markersize=10, label="mean ± std, here"),
    ]

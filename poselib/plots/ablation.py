"""Rows of an ablation with their spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from poselib.plots.palette import GREY, INK, OKABE_ITO
from poselib.plots.sheet import SMALL, TEXT, WIDTH, new_sheet

_ROW = 0.34  # inches
_MEASURED = OKABE_ITO[5]


def show_ablation(
    results: pd.DataFrame,
    metrics: Mapping[str, str],
    *,
    rows: Sequence[str] | None = None,
    published: pd.DataFrame | None = None,
    published_on: str = "",
    title: str = "",
) -> Figure:
    """Draw every seed of every row, their mean and standard deviation, one panel a metric.

    Args:
        results: one line a run: ``row`` and the metrics.
        metrics: columns of ``results`` and the headings of their panels.
        rows: order of the rows; by default that of ``results``.
        published: numbers of a paper, one line a row and one column a metric; they are
            drawn in panels of their own, since they come from other data.
        published_on: data of the published numbers.
        title: heading of the figure.

    Raises:
        ValueError: ``results`` lacks a column, or published numbers do not say on what data.
    """
    if absent := [name for name in ("row", *metrics) if name not in results]:
        raise ValueError(f"results lack the columns {absent}; they have {list(results)}")
    if published is not None and not published_on.strip():
        raise ValueError("say on which data the published numbers were obtained")
    names = list(dict.fromkeys(results["row"])) if rows is None else list(rows)
    extra = [] if published is None else list(published)
    panels = len(extra) + len(metrics)
    sheet = new_sheet(_ROW * len(names) + 1.35, WIDTH, title)
    axes = sheet.subplots(1, max(panels, 1), sharey=True, squeeze=False)[0]
    for ax, metric in zip(axes, extra, strict=False):
        assert published is not None
        _draw_published(ax, published[metric].reindex(names).to_numpy(float))
        ax.set_title(f"published {metric}\n{published_on}", fontsize=SMALL, color=GREY)
    for ax, (metric, heading) in zip(axes[len(extra) :], metrics.items(), strict=True):
        _draw_seeds(ax, [_values(results, name, metric) for name in names])
        ax.set_title(heading, fontsize=SMALL, color=INK)
    axes[0].set_yticks(range(len(names)), names, fontsize=TEXT)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    sheet.legend(handles=_legend(bool(extra)), loc="outside lower center", ncols=3, fontsize=SMALL)
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
            color=_MEASURED,
            markersize=13,
            markeredgewidth=2,
            capsize=3,
        )
        ax.plot(values, np.full(len(values), place), "o", color=INK, markersize=3, alpha=0.6)
    _tidy(ax)


def _draw_published(ax: Axes, values: np.ndarray) -> None:
    ax.plot(values, np.arange(len(values)), "D", color=GREY, markersize=5)
    _tidy(ax)


def _tidy(ax: Axes) -> None:
    ax.grid(axis="x", color="0.92")
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=SMALL, length=0)
    ax.margins(x=0.12)
    ax.locator_params(axis="x", nbins=4)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def _legend(published: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], marker="o", linestyle="", color=INK, markersize=3, label="one seed"),
        Line2D([], [], marker="|", color=_MEASURED, markersize=10, label="mean ± std, here"),
    ]
    if published:
        handles.append(
            Line2D([], [], marker="D", linestyle="", color=GREY, markersize=5, label="published")
        )
    return handles

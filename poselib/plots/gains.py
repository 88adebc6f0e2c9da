"""What a change adds: published numbers in a panel of their own, measured ones with a spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from poselib.plots.ablation import draw_seeds, seed_handles, style_seeds
from poselib.plots.figure import TEXT, WIDTH, legend_below, new_sheet
from poselib.plots.palette import GRAY, INK, WHITE

_ROW = 0.34  # inches


def show_gains(
    results: pd.DataFrame,
    metrics: Mapping[str, str],
    published: pd.DataFrame,
    *,
    published_about: str,
    rows: Sequence[str],
    title: str = "",
) -> Figure:
    """Draw differences to a baseline: a paper's on the left, each seed's here on the right.

    Args:
        results: one line a run: ``row`` and the differences.
        metrics: columns of ``results`` and the headings of their panels.
        published: differences of a paper, one line a row of its panel, one column for each of
            ``rows``, all of one metric.
        published_about: heading of the published panel: which metric, on which data.
        rows: the cases that are compared, from the top; one without numbers keeps its place.
        title: heading of the figure.

    Raises:
        ValueError: a column is missing, there are other than two rows, or published numbers do not
            say what they are.
    """
    lacking = [name for name in ("row", *metrics) if name not in results]
    lacking += [name for name in rows if name not in published]
    if lacking:
        raise ValueError(f"the tables lack the columns {lacking}")
    if len(rows) != 2 or not published_about.strip():
        raise ValueError(f"two rows and what is published must be named, not {list(rows)}")
    sheet = new_sheet(_ROW * max(len(published), 2) + 1.5, WIDTH, title)
    left, *others = sheet.subplots(1, 1 + len(metrics), width_ratios=[1.6, *[1] * len(metrics)])
    _draw_published(left, published[list(rows)])
    _style(left, published_about, [str(name) for name in published.index])
    for place, (ax, (metric, heading)) in enumerate(zip(others, metrics.items(), strict=True)):
        draw_seeds(ax, results, metric, rows)
        _style(ax, heading, list(rows) if place == 0 else [""] * len(rows))
    legend_below(sheet, [*_handles(rows), *seed_handles()])
    return sheet


def _draw_published(ax: Axes, published: pd.DataFrame) -> None:
    for (_, values), style in zip(published.items(), _MARKERS, strict=True):
        ax.plot(values.to_numpy(float), range(len(values)), **style, zorder=3)


def _style(ax: Axes, title: str, names: Sequence[str]) -> None:
    style_seeds(ax, title)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1, gid="nothing")
    ax.set_yticks(range(len(names)), names, fontsize=TEXT)
    ax.set_ylim(len(names) - 0.5, -0.5)


_SHAPE: dict[str, Any] = {
    "linestyle": "none",
    "marker": "D",
    "markersize": 6,
    "markeredgecolor": GRAY,
}
_MARKERS = ({**_SHAPE, "markerfacecolor": WHITE}, {**_SHAPE, "markerfacecolor": GRAY})


def _handles(rows: Sequence[str]) -> list[Line2D]:
    return [
        Line2D([], [], **style, label=f"published, {row}")
        for row, style in zip(rows, _MARKERS, strict=True)
    ]

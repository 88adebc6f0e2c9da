"""How the loss fell in the trainings of an ablation, and where it led."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots.ablation import draw_seeds, seed_handles, style_seeds
from poselib.plots.figure import SMALL, TEXT, WIDTH, legend_below, new_sheet, style_axes
from poselib.plots.palette import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION

_LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_STYLES = ("-", "--", "-.", ":")
# Shares of the training: a curve is averaged over the first, or single batches would hide the rows,
# and begins after the second, since rows differ by less than the loss falls there.
_SMOOTH, _SKIPPED = 0.1, 0.1


def show_loss_curves(
    losses: pd.DataFrame,
    results: pd.DataFrame,
    metrics: Mapping[str, str],
    *,
    rows: Sequence[str],
    heading: str,
    title: str = "",
) -> Figure:
    """Draw the loss of every row over the steps (left) and what each row came to (right).

    A curve is the mean over the seeds, each averaged over neighboring steps, a tenth of all; the
    band about it spans the seeds. The first tenth of the training, where all fall steeply, is not
    drawn.

    Args:
        losses: one line a run and noted step: ``row``, ``run``, ``step`` and ``loss``.
        results: one line a run: ``row`` and the metrics.
        metrics: columns of ``results`` and the headings of their panels.
        rows: which, from the top; one without runs keeps its place.
        heading: of the panel of the curves.
        title: heading of the figure.

    Raises:
        ValueError: a column is missing, there are more than six rows, or none of them has a run.
    """
    for table, needed in ((losses, ["row", "run", "step", "loss"]), (results, ["row", *metrics])):
        if absent := [name for name in needed if name not in table]:
            raise ValueError(f"the table lacks the columns {absent}; it has {list(table)}")
    if len(rows) > len(_LINES) or not losses["row"].isin(rows).any():
        known = sorted(set(losses["row"]))
        raise ValueError(f"one to {len(_LINES)} rows of {known} can be drawn, not {list(rows)}")
    sheet = new_sheet(3.4, WIDTH, title)
    ratios = [2.0, *[1.0] * len(metrics)]
    curves, *others = sheet.subplots(1, 1 + len(metrics), width_ratios=ratios)
    _draw_curves(curves, losses, rows)
    style_axes(curves, heading)
    for place, (ax, (metric, name)) in enumerate(zip(others, metrics.items(), strict=True)):
        draw_seeds(ax, results, metric, rows)
        style_seeds(ax, name)
        ax.set_yticks(range(len(rows)), rows if place == 0 else [""] * len(rows), fontsize=TEXT)
        ax.set_ylim(len(rows) - 0.5, -0.5)
    legend_below(sheet, seed_handles())
    return sheet


def _draw_curves(ax: Axes, losses: pd.DataFrame, rows: Sequence[str]) -> None:
    for place, row in enumerate(rows):
        curves = _smoothed(losses[losses["row"] == row])
        if curves.empty:
            continue
        color = _LINES[place]
        steps, values = curves.index.to_numpy(float), curves.to_numpy(float)
        ax.fill_between(steps, values.min(1), values.max(1), color=color, alpha=0.15, linewidth=0)
        style = _STYLES[place % len(_STYLES)]
        ax.plot(steps, values.mean(axis=1), style, color=color, linewidth=1.6, label=row)
    ax.ticklabel_format(axis="y", scilimits=(-2, 3))
    ax.yaxis.get_offset_text().set_fontsize(SMALL)
    ax.set_xlabel("optimizer step", fontsize=TEXT)
    ax.legend(fontsize=SMALL, frameon=False)


def _smoothed(losses: pd.DataFrame) -> pd.DataFrame:
    """Return the curve of each run, a column a run, over the steps that all of them noted."""
    table = losses.pivot(index="step", columns="run", values="loss").dropna()
    window = max(1, round(_SMOOTH * len(table)))
    mean = table.rolling(window, center=True, min_periods=1).mean()
    return mean[mean.index > _SKIPPED * mean.index.max()]

"""Measurements of several seeds, with deviation or interval, beside a paper's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.ops.intervals import interval_of
from poselib.plots import style
from poselib.plots.style import BLUE, GRAY, INK, LINES, WHITE

_ROW = 0.34  # inches
_ABREAST = 5  # panels; with more, the published ones have a line of their own
_CURVES = 6  # rows of a figure of loss curves
_DASHES = ("", (4, 1.5), (5, 1, 1, 1), (1, 1))
# Fractions of the training: losses are averaged over the first, or single batches would hide the
# rows, and drawn after the second, since rows differ by less than the loss falls there.
_SMOOTHED, _SKIPPED = 0.1, 0.1
_POINTS = 200  # of a curve


@style.theme
def show_ablation(
    results: pd.DataFrame,
    metrics: Mapping[Any, str],  # pandas does not promise that its columns have texts
    published: pd.DataFrame,
    *,
    published_on: str,
    rows: Sequence[str],
    title: str = "",
) -> Figure:
    """Draw every seed of every row, their mean and standard deviation, one panel a metric.

    Of a gain, ``<metric>_gain``, the bar is the 95% interval of the mean.

    Args:
        results: one line a run: ``row`` and the metrics.
        metrics: columns of ``results`` and the headings of their panels.
        published: numbers of a paper, one line a row and one column a metric; of other data, so in
            panels of their own: on the left, or above where there are more than five panels.
        rows: which, from the top; one without numbers keeps its place.

    Raises:
        ValueError: ``results`` lacks a column, or published numbers do not say on what data.
    """
    style.require_columns(results, "row", *metrics, empty=True)
    theirs = published.shape[1]
    if theirs and not published_on.strip():
        raise ValueError("say on which data the published numbers were obtained")
    lines = 1 if theirs + len(metrics) <= _ABREAST else 2
    columns = theirs + len(metrics) if lines == 1 else max(theirs, len(metrics))
    figure = style.new_figure(lines * (_ROW * len(rows) + 0.75) + 0.6, style.WIDTH, title)
    axes = figure.subplots(lines, columns, squeeze=False)
    for spare in (*axes[0, theirs:], *axes[1, len(metrics) :]) if lines == 2 else ():
        spare.remove()
    for ax, metric in zip(axes[0], published, strict=False):
        values = published[metric].reindex(list(rows)).to_numpy(float)
        ax.plot(values, range(len(rows)), **_PUBLISHED)
        heading = f"published {metrics.get(metric, metric)}\n{published_on}"
        _style(ax, heading, rows, ax is axes[0, 0])
    ours = list(axes[-1, theirs if lines == 1 else 0 :])
    compared = [name for name in metrics if name.endswith("_gain")]
    _draw_seeds(ours, results, metrics, rows, named=list(axes[:, 0]), gains=compared)
    bars = _GAINS if len(compared) == len(metrics) else _BOTH if compared else _SEEDS
    style.legend_below(figure, {"published": _PUBLISHED, **bars} if theirs else bars)
    return figure


@style.theme
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

    The bar is the 95% interval of the mean over seeds, of which there must be three.

    Args:
        results, metrics: as in ``show_ablation``, of differences.
        published: differences of a paper, one line a row of its panel, one column for each of
            ``rows``, all of one metric.
        published_about: heading of the published panel: which metric, on which data.
        rows: the two cases that are compared, from the top; one without numbers keeps its place.

    Raises:
        ValueError: a table is incomplete, there are not two rows, or nothing says what is
            published.
    """
    style.require_columns(results, "row", *metrics, empty=True)
    style.require_columns(published, *rows, empty=True)
    if len(rows) != 2 or not published_about.strip():
        raise ValueError(f"two rows and what is published must be named, not {list(rows)}")
    figure = style.new_figure(_ROW * max(len(published), 2) + 1.5, style.WIDTH, title)
    left, *others = figure.subplots(1, 1 + len(metrics), width_ratios=[1.6, *[1] * len(metrics)])
    markers = {
        row: style.marker_style("D", 6, face, GRAY)
        for row, face in zip(rows, (WHITE, GRAY), strict=True)
    }
    for row, marker in markers.items():
        left.plot(published[row].to_numpy(float), range(len(published)), **marker, zorder=3)
    _style(left, published_about, list(published.index))
    _draw_seeds(others, results, metrics, rows, named=others[:1], gains=list(metrics))
    for ax in (left, *others):
        ax.axvline(0, color=INK, linewidth=0.8, zorder=1, gid="no difference")
    entries = {f"published, {row}": marker for row, marker in markers.items()}
    style.legend_below(figure, {**entries, **_GAINS})
    return figure


@style.theme
def show_decodings(
    results: pd.DataFrame,
    *,
    metric: str,
    label: str,
    rows: Sequence[str],
    decodings: Sequence[str],
    title: str = "",
) -> Figure:
    """Draw a metric of several decodings of the same networks, row by row: a line each.

    Points are means over seeds, with their standard deviation.

    Args:
        results: one line a run and decoding: ``row``, ``decoding`` and the metric.
        metric: column of ``results``.
        label: of the axis of the metric.
        rows: from left to right, such as trainings of growing length.

    Raises:
        ValueError: a column is missing, or there are more decodings than colors.
    """
    style.require_columns(results, "row", "decoding", metric)
    if len(decodings) > len(LINES):
        raise ValueError(f"at most {len(LINES)} decodings can be drawn, not {list(decodings)}")
    figure = style.new_figure(3.4, style.WIDTH, title)
    ax = figure.subplots()
    sns.pointplot(
        results, x="row", y=metric, hue="decoding", order=list(rows), hue_order=list(decodings),
        palette=list(LINES[: len(decodings)]), errorbar="sd", markersize=4, linewidth=1.6,
        capsize=0.05, err_kws={"linewidth": 1}, dodge=0.1, ax=ax,
    )  # fmt: skip
    ax.set(xlabel="", ylabel=label)
    ax.legend(title="", loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


@style.theme
def show_loss_curves(
    losses: pd.DataFrame,
    results: pd.DataFrame,
    metrics: Mapping[str, str],
    *,
    rows: Sequence[str],
    heading: str,
    title: str = "",
) -> Figure:
    """Draw the loss of every row over the steps (left) and the row's final metrics (right).

    A curve is the mean over the seeds, each averaged over a tenth of the steps; the band about it
    spans the seeds. The first tenth of the training, where all fall steeply, is not drawn.

    Args:
        losses: one line a run and noted step: ``row``, ``run``, ``step`` and ``loss``.
        results, metrics, rows: as in ``show_ablation``.

    Raises:
        ValueError: a column is missing, there are more than six rows, or none of them has a run.
    """
    style.require_columns(losses, "row", "run", "step", "loss")
    style.require_columns(results, "row", *metrics, empty=True)
    if len(rows) > _CURVES or not losses["row"].isin(rows).any():
        known = sorted(set(losses["row"]))
        raise ValueError(f"one to {_CURVES} rows of {known} can be drawn, not {list(rows)}")
    figure = style.new_figure(3.4, style.WIDTH, title)
    ratios = [2.0, *[1.0] * len(metrics)]
    left, *others = figure.subplots(1, 1 + len(metrics), width_ratios=ratios)
    curves = pd.concat([_smoothed(losses[losses["row"] == row]).assign(row=row) for row in rows])
    drawn = [row for row in rows if row in set(curves["row"])]
    sns.lineplot(
        curves, x="step", y="loss", hue="row", style="row", hue_order=drawn, style_order=drawn,
        palette={row: LINES[rows.index(row)] for row in drawn},
        dashes={row: _DASHES[rows.index(row) % len(_DASHES)] for row in drawn},
        errorbar=("pi", 100), err_kws={"alpha": 0.15, "linewidth": 0}, ax=left,
    )  # fmt: skip
    left.set(title=heading, xlabel="optimizer step", ylabel="")
    left.ticklabel_format(axis="y", scilimits=(-2, 3))
    left.legend(title="")
    _draw_seeds(others, results, metrics, rows, named=others[:1])
    style.legend_below(figure, _SEEDS)
    return figure


def _smoothed(losses: pd.DataFrame) -> pd.DataFrame:
    """Return the curve of each run, over the steps that all of them noted: ``step``, ``loss``."""
    table = losses.pivot(index="step", columns="run", values="loss").dropna()
    window = max(1, round(_SMOOTHED * len(table)))
    mean = table.rolling(window, center=True, min_periods=1).mean()
    mean = mean[mean.index > _SKIPPED * mean.index.max()]
    drawn = mean[:: max(1, len(mean) // _POINTS)]
    return drawn.melt(value_name="loss", ignore_index=False).reset_index()


def _draw_seeds(
    axes: Sequence[Axes],
    results: pd.DataFrame,
    metrics: Mapping[str, str],
    rows: Sequence[str],
    named: Sequence[Axes],
    gains: Sequence[str] = (),
) -> None:
    """Draw a metric each: every seed of each row, their mean and deviation, the first row at 0.

    Gains have the 95% interval of the mean instead of the deviation.
    """
    for ax, (metric, heading) in zip(axes, metrics.items(), strict=False):
        data = {"data": results, "x": metric, "y": "row", "order": list(rows), "orient": "y"}
        sns.pointplot(
            **data, errorbar=interval_of if metric in gains else "sd", linestyle="none", color=BLUE,
            marker="|", markersize=13, markeredgewidth=2, capsize=0.15, err_kws={"linewidth": 1.5},
            ax=ax,
        )  # fmt: skip
        sns.stripplot(**data, jitter=False, size=3.5, color=INK, alpha=0.6, ax=ax)
        _style(ax, heading, rows, ax in named)


def _style(ax: Axes, title: str, rows: Sequence[object], named: bool = True) -> None:
    style.name_rows(ax, rows)
    ax.set(title=title, xlabel="")
    ax.tick_params(length=0, labelleft=named)
    ax.margins(x=0.12)
    ax.locator_params(axis="x", nbins=4)
    ax.spines["left"].set_visible(False)


_PUBLISHED = style.marker_style("D", 5, GRAY, GRAY)
_SEED = {"one seed, here": style.marker_style("o", 3, INK, INK)}
_MEAN: dict[str, Any] = {"marker": "|", "color": BLUE, "markersize": 10}
_SEEDS: dict[str, Any] = {**_SEED, "mean ± std, here": _MEAN}
_GAINS: dict[str, Any] = {**_SEED, "mean with 95% interval, here": _MEAN}
_BOTH: dict[str, Any] = {**_SEED, "mean ± std, of a difference with 95% interval, here": _MEAN}

"""Training curves: losses, validation metrics and the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots import style
from poselib.plots.style import INK, LINES

# What a line of metrics says besides loss terms and validation metrics.
_CLOCK = ["step", "epoch", "seconds", "lr"]
_STYLES = ("-", "--", "-.", ":")
_METRICS = ("AP", "AP50", "AP75", "AR")
# Losses are averaged over a tenth of the training, but over at most so many lines.
_SMOOTH = 15
_NO_LOSS = "No loss was recorded: one is every log_every steps, if it is finite."


@style.theme
def show_training(
    records: Sequence[Mapping[str, Any]] | pd.DataFrame, *, title: str = ""
) -> Figure:
    """Draw the loss and its terms, the validation metrics and the learning rate over the steps.

    Losses are averaged over neighboring lines; single values are drawn pale. Of a training that is
    too short for any, a sentence says so.

    Args:
        records: lines of ``metrics.jsonl``: training lines hold ``step``, ``loss``, its terms and
            ``lr``; lines without ``loss`` are validations, of which AP, AP50, AP75 and AR are
            drawn where given, or else all metrics.

    Raises:
        ValueError: a line with a ``loss`` lacks its ``step``.
    """
    if pd.DataFrame(records).get("loss", pd.Series(dtype=float)).isna().all():
        return style.sentence(_NO_LOSS, title)
    training, validation = training_lines(records)
    count = 1 + (not validation.empty) + ("lr" in training)
    figure = style.new_figure(3.5, style.WIDTH, title)
    axes = figure.subplots(1, count, width_ratios=[1.5, 1.2, 0.9][:count], squeeze=False)[0]
    draw_losses(axes[0], training)
    if not validation.empty:
        draw_validation(axes[1], validation)
    if "lr" in training:
        marker = _marker(training)
        training["lr"].plot(ax=axes[-1], color=LINES[0], marker=marker, title="learning rate")
        axes[-1].ticklabel_format(axis="y", scilimits=(-2, 3))
        axes[-1].yaxis.get_offset_text().set_fontsize(style.SMALL)
    for ax in axes:
        ax.set_xlabel("optimizer step")
    return figure


def _marker(lines: pd.DataFrame) -> str:
    """A single value is no line: it is drawn as a point."""
    return "o" if len(lines) == 1 else ""


def training_lines(
    records: Sequence[Mapping[str, Any]] | pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the lines of ``metrics.jsonl`` as two tables by step: of training, of validation.

    The validation has the metrics that are drawn: AP, AP50, AP75 and AR where given, or else all.

    Raises:
        ValueError: no line holds a ``step`` and a ``loss``.
    """
    table = pd.DataFrame(records)
    if not {"step", "loss"} <= set(table.columns) or table["loss"].isna().all():
        raise ValueError(f"lines need 'step' and 'loss', and have the fields {list(table)}")
    table = table.sort_values("step", kind="stable").set_index("step", drop=False)
    training = table[table["loss"].notna()].dropna(axis=1, how="all")
    validation = _numbers(table[table["loss"].isna()].dropna(axis=1, how="all"))
    metrics = [name for name in _METRICS if name in validation] or [*validation]
    return training, validation[metrics]


def draw_validation(ax: Axes, validation: pd.DataFrame) -> None:
    """Draw the validation metrics of ``training_lines`` over the steps."""
    for i, name in enumerate(validation):
        color, marker = LINES[i % len(LINES)], "osD^vPX"[i % 7]
        line = validation[name].dropna()
        label = f"{name}, last {line.iloc[-1]:.3f}"
        ax.plot(line.index, line, color=color, marker=marker, ms=4.5, lw=1.6, label=label)
    top = float(np.nanmax(validation.to_numpy()))
    if top <= 1.0:
        ax.set_ylim(0, min(1.0, top * 1.15 + 0.02))
    ax.set_title("validation")
    style.legend_under(ax, columns=2)


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    return table.select_dtypes("number").drop(columns=_CLOCK, errors="ignore").astype(float)


def draw_losses(ax: Axes, training: pd.DataFrame) -> None:
    """Draw the loss of ``training_lines`` and its terms over the steps, smoothed."""
    losses = _numbers(training)
    terms = [name for name in losses if name != "loss"]
    # A single term is the loss itself.
    losses = losses[["loss", *terms]] if len(terms) > 1 else losses[["loss"]]
    names = {"loss": "sum of all terms" if terms else "loss"}
    losses = losses.rename(columns=lambda name: names.get(name, style.display_name(name)))
    losses = losses.where(losses > 0)  # zero has no place on a logarithmic axis
    mean = losses.rolling(
        max(1, min(_SMOOTH, len(losses) // 10)), center=True, min_periods=1
    ).mean()
    for i, name in enumerate(losses):
        options: dict[str, Any] = {"color": INK if i == 0 else LINES[(i - 1) % len(LINES)]}
        options["marker"] = _marker(losses)
        ax.plot(losses.index, losses[name], **options, alpha=0.18, linewidth=0.7)
        options["linestyle"] = _STYLES[i % len(_STYLES)]
        ax.plot(mean.index, mean[name], **options, linewidth=1.6, label=name)
    # A single batch with hardly any loss must not squeeze the curves.
    floor = float(np.nanmin(mean.to_numpy(), initial=np.inf))
    ax.set(yscale="log", ylim=(0.5 * floor if np.isfinite(floor) else None, None))
    for label in ax.get_yticklabels(which="both"):
        label.set_parse_math(True)  # powers of ten
    ax.set_title("weighted training loss")
    style.legend_under(ax, columns=3)


@style.theme
def show_rates(
    panels: Mapping[str, pd.DataFrame],
    *,
    xlabel: str | Sequence[str] = "",
    ylabel: str = "",
    title: str = "",
) -> Figure:
    """Draw rates as lines over a number, a panel beside the other with one scale from 0 to 1.

    Args:
        panels: by heading, one column a line and one row a number of the x axis, its index. The
            lines of all panels are those of the first.
        xlabel: of all panels, or of each.

    Raises:
        ValueError: there is no panel, or a panel has no row or other lines.
    """
    if not panels or any(table.empty for table in panels.values()):
        raise ValueError("nothing to draw: there is no panel, or one without a row")
    names = list(next(iter(panels.values())))
    labels = [xlabel] * len(panels) if isinstance(xlabel, str) else list(xlabel)
    width = min(style.WIDTH, 4.5 * len(panels))
    figure = style.new_figure(3.3 + 0.2 * len(names), width, title)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, label, (heading, table) in zip(axes, labels, panels.items(), strict=True):
        if list(table) != names:
            raise ValueError(f"panel {heading!r} has the lines {list(table)}, not {names}")
        for n, name in enumerate(names):
            color = LINES[n % len(LINES)]
            marker: dict[str, Any] = {"marker": "osD^vPX"[n % 7], "ms": 4.5, "clip_on": False}
            ax.plot(table.index, table[name], color=color, lw=1.6, **marker)
        ax.set(ylim=(0, 1), xlabel=label, title=heading)
        ax.set_xticks(list(table.index))
    axes[0].set_ylabel(ylabel)
    entries = {
        str(name): {"color": LINES[n % len(LINES)], "marker": "osD^vPX"[n % 7], "lw": 1.6}
        for n, name in enumerate(names)
    }
    style.legend_below(figure, entries)
    return figure

"""Training curves from the lines of a run's metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots.figure import SMALL, TEXT, WIDTH, legend_under, new_sheet, readable, style_axes
from poselib.plots.palette import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, VERMILION

# What a line of metrics says besides loss terms and validation figures.
_CLOCK = ("step", "epoch", "seconds", "lr")
_LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_STYLES = ("-", "--", "-.", ":")
_FIGURES = ("AP", "AP50", "AP75", "AR")
# Losses are averaged over a tenth of the training, but over at most so many lines.
_SMOOTH = 15


def show_training(
    records: Sequence[Mapping[str, Any]] | pd.DataFrame,
    *,
    title: str = "",
) -> Figure:
    """Draw the loss and its terms, the validation figures and the learning rate over the steps.

    Losses are averaged over neighboring lines; what they were is drawn pale.

    Args:
        records: lines of ``metrics.jsonl``: training lines hold ``step``, ``loss``, its terms and
            ``lr``; lines without ``loss`` are validations, of which AP, AP50, AP75 and AR are
            drawn where given, or else all figures.
        title: heading of the figure.

    Raises:
        ValueError: no line holds a ``step`` and a ``loss``.
    """
    table = pd.DataFrame(records)
    if not {"step", "loss"} <= set(table.columns) or table["loss"].isna().all():
        raise ValueError(
            f"show_training needs lines with 'step' and 'loss'; the fields are {list(table)}"
        )
    table = table.sort_values("step", kind="stable")
    training = table[table["loss"].notna()].dropna(axis=1, how="all")
    measured = table[table["loss"].isna()].dropna(axis=1, how="all")
    given = _numeric(measured)
    names = [name for name in _FIGURES if name in given] or given
    panels = 1 + bool(names) + ("lr" in training)
    sheet = new_sheet(3.5, WIDTH, title)
    axes = iter(sheet.subplots(1, panels, width_ratios=[1.5, 1.2, 0.9][:panels], squeeze=False)[0])
    _draw_losses(next(axes), training)
    if names:
        _draw_figures(next(axes), measured, names)
    if "lr" in training:
        ax = next(axes)
        ax.plot(training["step"], training["lr"], color=_LINES[0])
        ax.ticklabel_format(axis="y", scilimits=(-2, 3))
        ax.yaxis.get_offset_text().set_fontsize(SMALL)
        _style(ax, "learning rate")
    return sheet


def _numeric(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table.select_dtypes("number") if name not in _CLOCK]


def _draw_losses(ax: Axes, training: pd.DataFrame) -> None:
    terms = [name for name in _numeric(training) if name != "loss"]
    # A single term is the loss itself.
    names = ["loss", *terms] if len(terms) > 1 else ["loss"]
    floor = np.inf
    window = max(1, min(_SMOOTH, len(training) // 10))
    for i, name in enumerate(names):
        color = INK if i == 0 else _LINES[(i - 1) % len(_LINES)]
        # Zero has no place on a logarithmic axis.
        values = training[name].astype(float)
        values = values.where(values > 0)
        mean = values.rolling(window, center=True, min_periods=1).mean()
        ax.plot(training["step"], values, color=color, alpha=0.18, linewidth=0.7)
        label = "sum of all terms" if name == "loss" and terms else readable(name)
        style = _STYLES[i % len(_STYLES)]
        ax.plot(training["step"], mean, style, color=color, linewidth=1.6, label=label)
        floor = float(np.nanmin([floor, mean.min()]))
    ax.set_yscale("log")
    # A single batch with hardly any loss must not squeeze the curves.
    ax.set_ylim(bottom=0.5 * floor if np.isfinite(floor) else None)
    legend_under(ax, columns=3)
    _style(ax, "weighted training loss")


def _draw_figures(ax: Axes, measured: pd.DataFrame, names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        line = measured[["step", name]].dropna()
        marker = "osD^vP"[i % 6]
        ax.plot(
            line["step"], line[name], marker=marker, ms=4.5, linewidth=1.6,
            color=_LINES[i % len(_LINES)], label=f"{name}, last {line[name].iloc[-1]:.3f}",
        )  # fmt: skip
    top = float(np.nanmax(measured[list(names)].to_numpy(dtype=float)))
    if top <= 1.0:
        ax.set_ylim(0, min(1.0, top * 1.15 + 0.02))
    legend_under(ax, columns=2)
    _style(ax, "validation")


def _style(ax: Axes, title: str) -> None:
    style_axes(ax, title)
    ax.set_xlabel("optimizer step", fontsize=TEXT)

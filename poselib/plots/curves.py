"""Training curves from the lines of a run's metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots.palette import INK, OKABE_ITO, Colour
from poselib.plots.sheet import SMALL, TEXT, WIDTH, new_sheet

# What a line of metrics says besides loss terms and validation figures.
CLOCK = ("step", "epoch", "seconds", "lr")
# Yellow is too pale for a line on white; blue and vermilion come first.
_LINES: tuple[Colour, ...] = tuple(OKABE_ITO[i] for i in (5, 6, 3, 2, 0, 1))
_STYLES = ("-", "--", "-.", ":")
_DEFAULT_FIGURES = ("AP", "AP50", "AP75", "AR")


def show_training(
    records: Sequence[Mapping[str, Any]] | pd.DataFrame,
    *,
    figures: Sequence[str] | None = None,
    smooth: int = 15,
    title: str = "",
) -> Figure:
    """Draw the loss and its terms, the validation figures and the learning rate over the steps.

    Args:
        records: lines of ``metrics.jsonl``: training lines hold ``step``, ``loss``, its terms and
            ``lr``; lines without ``loss`` are validations.
        figures: validation figures to draw; if None, AP, AP50, AP75 and AR where
            given, or else all.
        smooth: losses are averaged over this many lines; what they were is drawn pale.
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
    names = _figures(measured, figures)
    panels = 1 + bool(names) + ("lr" in training)
    sheet = new_sheet(3.1, WIDTH, title)
    axes = iter(sheet.subplots(1, panels, width_ratios=[1.5, 1.2, 0.9][:panels], squeeze=False)[0])
    _draw_losses(next(axes), training, smooth)
    if names:
        _draw_figures(next(axes), measured, names)
    if "lr" in training:
        ax = next(axes)
        ax.plot(training["step"], training["lr"], color=_LINES[0])
        ax.ticklabel_format(axis="y", scilimits=(-2, 3))
        ax.yaxis.get_offset_text().set_fontsize(SMALL)
        _style(ax, "learning rate")
    return sheet


def _figures(measured: pd.DataFrame, wanted: Sequence[str] | None) -> list[str]:
    given = [str(name) for name in measured.columns if name not in CLOCK]
    numeric = [name for name in given if pd.api.types.is_numeric_dtype(measured[name])]
    if wanted is not None:
        return [name for name in wanted if name in numeric]
    return [name for name in _DEFAULT_FIGURES if name in numeric] or numeric


def _draw_losses(ax: Axes, training: pd.DataFrame, smooth: int) -> None:
    terms = [str(c) for c in training.columns if c not in CLOCK and c != "loss"]
    terms = [name for name in terms if pd.api.types.is_numeric_dtype(training[name])]
    # A single term is the loss itself.
    names = ["loss", *terms] if len(terms) > 1 else ["loss"]
    floor = np.inf
    window = max(1, min(smooth, len(training) // 3))
    for i, name in enumerate(names):
        colour = INK if i == 0 else _LINES[(i - 1) % len(_LINES)]
        # Zero has no place on a logarithmic axis.
        values = training[name].astype(float)
        values = values.where(values > 0)
        mean = values.rolling(window, center=True, min_periods=1).mean()
        ax.plot(training["step"], values, color=colour, alpha=0.18, linewidth=0.7)
        label = "sum of all terms" if name == "loss" and terms else name.replace("_", " ")
        style = _STYLES[i % len(_STYLES)]
        ax.plot(training["step"], mean, style, color=colour, linewidth=1.6, label=label)
        floor = float(np.nanmin([floor, mean.min()]))
    ax.set_yscale("log")
    # A single batch with hardly any loss must not squeeze the curves.
    ax.set_ylim(bottom=0.5 * floor if np.isfinite(floor) else None)
    ax.legend(fontsize=SMALL, frameon=False)
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
    ax.legend(fontsize=SMALL, frameon=False)
    _style(ax, "validation")


def _style(ax: Axes, title: str) -> None:
    ax.set_title(title, fontsize=TEXT, color=INK)
    ax.set_xlabel("optimiser step", fontsize=TEXT)
    ax.tick_params(labelsize=SMALL)
    ax.grid(color="0.92")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)

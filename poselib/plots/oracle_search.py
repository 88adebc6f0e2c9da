"""AP of an oracle search near detected keypoints, and the keypoints that it could correct."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots import style
from poselib.plots.bars import stack_bars
from poselib.plots.style import BLUE, GRAY, INK, LINES, ORANGE, WHITE, blend

_ROW = 0.2  # inches
_MISSING = blend(GRAY, WHITE, 0.35)
_OUTSIDE = blend(GRAY, WHITE, 0.8)
_LARGER = blend(ORANGE, WHITE, 0.45)


@style.theme
def show_local_search(
    results: pd.DataFrame,
    rates: pd.DataFrame,
    published: pd.DataFrame,
    *,
    window: int,
    drawn: Sequence[int],
    published_about: str,
    title: str = "",
) -> Figure:
    """Draw AP against the window of an oracle search, and the keypoints whose truth is inside.

    Published numbers (left) and ours (middle) are of other data and have axes of their own. On the
    right is the percentage of keypoints inside nested windows.

    Args:
        results: AP in percent, one line per row and window: ``row``, of which detections,
            ``window``, ``AP``.
        rates: of one row, in percent, one line a keypoint: ``keypoint``, ``missing`` and
            ``within_1`` and the like; one without numbers keeps its place.
        published: the same as ``results``; without a window a number is drawn as a line.
        window: side of the window that the figure is about.
        drawn: sides of the windows whose rates are drawn; ``window`` is added.
        published_about: heading of the published panel: of which data.

    Raises:
        ValueError: a table is incomplete, the window is not measured, or published numbers do not
            say what they are.
    """
    sides = sorted({window, *drawn})
    needed = ["keypoint", "missing", *(f"within_{side}" for side in sides)]
    style.require_columns(results, "row", "window", "AP")
    style.require_columns(rates, *needed)
    if window not in set(results["window"]):
        raise ValueError(f"window {window} is not among those measured")
    if not published_about.strip():
        raise ValueError("say in published_about which data the published numbers are of")
    figure = style.new_figure(max(_ROW * len(rates), 2.0) + 1.75, style.WIDTH, title)
    left, middle, right = figure.subplots(1, 3, width_ratios=[0.8, 1.1, 1.5])
    _draw_published(left, published, window)
    left.set_title(f"published,\n{published_about}")
    for number, (row, part) in enumerate(results.groupby("row", sort=False)):
        line = part.sort_values("window").set_index("window")["AP"]
        color = LINES[number % len(LINES)]
        middle.plot(line, "o-", color=color, ms=4.5, lw=1.6, label=row)
        for side in {1, window}.intersection(line.index):
            _write_value(middle, side, line[side])
    middle.axvline(window, color=GRAY, linewidth=0.8, linestyle=":", zorder=1)
    if results["row"].nunique() > 1:
        middle.legend()
        middle.set(title="measured here")
    else:
        middle.set(title=f"measured here,\n{results['row'].iloc[0]}")
    ap = results.set_index("window")["AP"]
    middle.set(xticks=sorted({*ap.index}))
    room = max(ap.max() - ap.min(), 2.0) * 0.14
    middle.set(xlim=(ap.index.min() - 1.5, ap.index.max() + 1))
    middle.set(ylim=(ap.min() - room, ap.max() + room))
    _draw_rates(right, rates.set_index("keypoint"), sides, window)
    for ax in (left, middle):
        ax.set(xlabel="side of the window", ylabel="AP, %")
    return figure


def _draw_published(ax: Axes, published: pd.DataFrame, window: int) -> None:
    for _, line in published.iterrows():
        value = float(line["AP"])
        if np.isnan(line["window"]):
            ax.axhline(value, color=GRAY, linestyle="--", linewidth=1.2, zorder=1)
            ax.annotate(
                f"{line['row']}  {value:.1f}", (0.98, value), (0, 3),
                xycoords=ax.get_yaxis_transform(), textcoords="offset points",
                ha="right", va="bottom",
            )  # fmt: skip
        else:
            ax.plot(line["window"], value, "D", color=GRAY, markersize=6, zorder=3)
            _write_value(ax, float(line["window"]), value)
    known = published["window"].dropna()
    ax.set_xticks(sorted({*known.astype(int), window}))
    ax.set_xlim(-1.5, max(known.max(), window) + 3.5)
    ax.set_ylim(published["AP"].min() - 5, published["AP"].max() + 5)


def _write_value(ax: Axes, side: float, value: float) -> None:
    """Write a value below its point, on the side where no line is."""
    ax.annotate(f"{value:.1f}", (side, value), (4, -4), textcoords="offset points", va="top")


def _draw_rates(ax: Axes, rates: pd.DataFrame, sides: Sequence[int], window: int) -> None:
    # Windows contain one another: each bar is what a window adds to the next smaller one.
    within = rates[[f"within_{side}" for side in sides]]
    within = within.set_axis([f"within {side}×{side}" for side in sides], axis=1)
    parts = within.diff(axis=1).fillna(within)
    parts["farther off"] = (100 - within.iloc[:, -1] - rates["missing"]).clip(lower=0)
    parts["not found"] = rates["missing"]
    main = f"within {window}×{window}"
    # The smaller a window the darker; those beyond the one of the figure are orange.
    inner = sum(side <= window for side in sides)
    shades = sns.blend_palette([blend(BLUE, INK, 0.5), blend(BLUE, WHITE, 0.45)], inner)
    larger = sns.blend_palette([_LARGER, WHITE], len(sides) - inner + 2)[: len(sides) - inner]
    colors = [*shades, *larger, _OUTSIDE, _MISSING]
    stack_bars(ax, parts, colors, f"position of the truth;\nnumbers: {main}, %")
    for row, value in enumerate(within[main]):
        ax.text(102, row, "–" if np.isnan(value) else f"{value:.0f}", va="center")
    ax.grid(False)
    ax.set(xlim=(0, 100), xlabel="keypoints of people found, %")
    ax.spines["left"].set_visible(False)
    style.legend_under(ax, columns=3)

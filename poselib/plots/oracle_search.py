"""What a search near the keypoints found could gain, and how many keypoints it could put right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from poselib.plots.figure import (
    SMALL,
    TEXT,
    WIDTH,
    legend_under,
    new_sheet,
    readable,
    style_axes,
)
from poselib.plots.palette import (
    BLUE,
    GRAY,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    VERMILION,
    WHITE,
    Color,
    mixed,
)

_ROW = 0.2  # inches
_LINES = tuple(zip((BLUE, VERMILION, GREEN, PURPLE, ORANGE), "osD^v", strict=True))
_MISSING = mixed(GRAY, WHITE, 0.35)
_OUTSIDE = mixed(GRAY, WHITE, 0.8)
# Windows larger than the one the figure is about are orange.
_LARGER = mixed(ORANGE, WHITE, 0.45)


def show_local_search(
    results: pd.DataFrame,
    shares: pd.DataFrame,
    published: pd.DataFrame,
    *,
    window: int,
    drawn: Sequence[int],
    published_about: str,
    title: str = "",
) -> Figure:
    """Draw AP against the window of a perfect search, and the keypoints whose truth is inside.

    Published numbers (left) and ours (middle) have axes of their own: they are of other data. On
    the right is the share of keypoints inside windows that lie in each other, of one way.

    Args:
        results: AP in per cent, one line a way and window: ``row``, ``window`` and ``AP``; there is
            a line for each of at most five ways.
        shares: of one way, in per cent, one line a keypoint: ``keypoint``, ``missing`` and
            ``within_1`` and the like; one without numbers keeps its place.
        published: the same as ``results``; without a window a number is drawn as a line.
        window: side of the window that the figure is about.
        drawn: sides of the windows whose shares are drawn; ``window`` is added.
        published_about: heading of the published panel: of which data.
        title: heading of the figure.

    Raises:
        ValueError: a column is missing, nothing is measured, the window is not among those that
            were measured, there are more than five ways, or published numbers do not say what
            they are.
    """
    sides = sorted({window, *drawn})
    _check(results, shares, sides, window)
    if not published_about.strip():
        raise ValueError("what published numbers are of must be said in published_about")
    sheet = new_sheet(max(_ROW * len(shares), 2.0) + 1.75, WIDTH, title)
    left, middle, right = sheet.subplots(1, 3, width_ratios=[0.8, 1.1, 1.5])
    _draw_published(left, published, window, published_about)
    _draw_measured(middle, results, window)
    _draw_shares(right, shares, sides, window)
    return sheet


def _check(results: pd.DataFrame, shares: pd.DataFrame, sides: Sequence[int], window: int) -> None:
    lacking = [name for name in ("row", "window", "AP") if name not in results]
    needed = ("keypoint", "missing", *(f"within_{side}" for side in sides))
    lacking += [name for name in needed if name not in shares]
    if lacking:
        raise ValueError(f"the tables lack the columns {lacking}")
    ways = results["row"].nunique()
    if shares.empty:
        raise ValueError("nothing to draw: the shares are of no keypoint")
    if not 1 <= ways <= len(_LINES):
        raise ValueError(f"one to {len(_LINES)} ways can be drawn, not {ways}")
    if window not in set(results["window"]):
        raise ValueError(f"window {window} is not among those measured")


def _draw_published(ax: Axes, published: pd.DataFrame, window: int, about: str) -> None:
    for _, line in published.iterrows():
        value = float(line["AP"])
        if np.isnan(line["window"]):
            ax.axhline(value, color=GRAY, linestyle="--", linewidth=1.2, zorder=1)
            ax.annotate(
                f"{line['row']}  {value:.1f}", (0.98, value), (0, 3),
                xycoords=ax.get_yaxis_transform(), textcoords="offset points",
                ha="right", va="bottom", fontsize=SMALL, color=INK,
            )  # fmt: skip
        else:
            ax.plot(line["window"], value, "D", color=GRAY, markersize=6, zorder=3)
            _number(ax, float(line["window"]), value)
    known = published["window"].dropna()
    _style_windows(ax, sorted({*known.astype(int), window}), f"published,\n{about}")
    ax.set_xlim(-1.5, max(known.max(), window) + 3.5)
    ax.set_ylim(published["AP"].min() - 5, published["AP"].max() + 5)


def _draw_measured(ax: Axes, results: pd.DataFrame, window: int) -> None:
    ways = results.groupby("row", sort=False)
    for (color, marker), (name, part) in zip(_LINES, ways, strict=False):
        line = part.sort_values("window")
        style: dict[str, Any] = {
            "color": color,
            "marker": marker,
            "markersize": 4.5,
            "linewidth": 1.6,
        }
        ax.plot(line["window"], line["AP"], **style, label=str(name))
        if len(ways) == 1:
            marked = line[line["window"].isin([1, window])]
            for side, value in zip(marked["window"], marked["AP"], strict=True):
                _number(ax, float(side), float(value))
    ax.axvline(window, color=GRAY, linewidth=0.8, linestyle=":", zorder=1)
    sides = sorted(set(results["window"]))
    _style_windows(ax, sides, "measured here")
    ax.set_xlim(min(sides) - 1.5, max(sides) + 1)
    low, high = float(results["AP"].min()), float(results["AP"].max())
    room = max(high - low, 2.0) * 0.14
    ax.set_ylim(low - room, high + room)
    legend_under(ax, columns=1)


def _number(ax: Axes, side: float, value: float) -> None:
    """Write a value below the point that it belongs to, on the side where no line is."""
    ax.annotate(
        f"{value:.1f}", (side, value), (4, -4), textcoords="offset points",
        ha="left", va="top", fontsize=SMALL, color=INK,
    )  # fmt: skip


def _style_windows(ax: Axes, sides: Sequence[int], title: str) -> None:
    style_axes(ax, title)
    ax.set_xticks(list(sides))
    ax.set_xlabel("side of the window", fontsize=TEXT)
    ax.set_ylabel("AP, %", fontsize=TEXT)


def _draw_shares(ax: Axes, shares: pd.DataFrame, sides: Sequence[int], window: int) -> None:
    rows = np.arange(len(shares))
    # Windows lie in each other: the smaller ones are drawn over the larger ones.
    for n, (side, color) in enumerate(zip(sides, _shades(sides, window), strict=True)):
        inside = shares[f"within_{side}"].fillna(0)
        _bars(ax, inside, color, f"within {_square(side)}", order=1 + len(sides) - n)
    whole = np.where(shares[f"within_{window}"].notna(), 100.0, 0.0)
    _bars(ax, whole, _OUTSIDE, "farther off", order=0)
    missing = shares["missing"].fillna(0)
    _bars(ax, missing, _MISSING, "not found", order=1, left=100 - missing)
    for row, value in enumerate(shares[f"within_{window}"]):
        text = "–" if np.isnan(value) else f"{value:.0f}"
        ax.text(102, row, text, va="center", fontsize=SMALL, color=INK)
    style_axes(ax, f"where the truth lies;\nnumbers: within {_square(window)}, %")
    ax.grid(False)
    ax.set(xlim=(0, 100), ylim=(len(rows) - 0.5, -0.5))
    ax.set_yticks(rows, [readable(str(name)) for name in shares["keypoint"]], fontsize=SMALL)
    ax.set_xlabel("keypoints of people found, %", fontsize=TEXT)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    legend_under(ax, columns=3)


def _bars(
    ax: Axes, values: ArrayLike, color: Color, label: str, *, order: int, left: ArrayLike = 0.0
) -> None:
    widths = np.asarray(values, np.float64)
    style: dict[str, Any] = {"height": 0.8, "color": color, "label": label, "zorder": 2 + order}
    ax.barh(np.arange(len(widths)), widths, left=left, **style)


def _square(side: int) -> str:
    return f"{side}×{side}"


def _shades(sides: Sequence[int], window: int) -> list[Color]:
    """A color for each window: the smaller the darker, and those beyond the main one orange."""
    inner = [side for side in sides if side <= window]
    dark, light = mixed(BLUE, INK, 0.5), mixed(BLUE, WHITE, 0.45)
    shades = [mixed(light, dark, 1 - n / max(len(inner) - 1, 1)) for n in range(len(inner))]
    outer = len(sides) - len(inner)
    return shades + [mixed(_LARGER, WHITE, 0.6 * n / max(outer, 1)) for n in range(outer)]

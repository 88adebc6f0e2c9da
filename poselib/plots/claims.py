"""A forest plot: published effects beside measured ones with their intervals, claim by claim."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from poselib.plots import style
from poselib.plots.style import BLUE, GRAY, INK, VERMILION, WHITE

_ROW = 0.215  # inches
# From 1 on a step of the axis is a factor: effects go from tenths of a point to tens.
_LINEAR, _TICKS = 1.0, (-100, -10, -1, 0, 1, 10, 100)
_PUBLISHED = style.marker_style("D", 5, GRAY, GRAY)
# By verdict: on the side of the claim, across zero, on the other side.
_MARKERS = (
    style.marker_style("o", 5.5, BLUE, BLUE),
    style.marker_style("o", 5.5, WHITE, INK, 1.2),
    style.marker_style("X", 7, VERMILION, VERMILION),
)


@style.theme
def show_claims(
    table: pd.DataFrame, verdicts: Sequence[str], *, untested: str, title: str = ""
) -> Figure:
    """Draw what papers claim (left) and what was measured, with its interval (right).

    Published and measured effects have panels of their own, since they are of other data and at
    another scale: only their signs are to be compared. The axes are linear up to one point and
    logarithmic beyond. What has no interval has no marker.

    Args:
        table: one line a claim: ``paper``, ``name``, ``unit``, ``published``, ``measured``, its
            interval from ``low`` to ``high``, and ``verdict``. Lines of a paper are together.
        verdicts: those with an interval: that the claim shows, that it does not, and that its
            opposite does.
        untested: the verdict without an interval.

    Raises:
        ValueError: a column is missing, the table is empty, or a verdict is another one.
    """
    needed = ("paper", "name", "unit", "published", "measured", "low", "high", "verdict")
    style.require_columns(table, *needed)
    markers = dict(zip(verdicts, _MARKERS, strict=True))
    if unknown := sorted(set(table["verdict"]) - {*markers, untested}):
        raise ValueError(f"verdicts must be among {[*markers, untested]}, not {unknown}")
    names, places = _rows(table)
    figure = style.new_figure(_ROW * len(names) + 1.5, style.WIDTH, title)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1.35])
    left.plot(table["published"], places, **_PUBLISHED, zorder=3)
    for place, line in zip(places, table.to_dict("records"), strict=True):
        beside = {"va": "center", "fontsize": style.SMALL}
        left.text(
            1.02, place, f"{line['published']:+.1f}", transform=left.get_yaxis_transform(), **beside
        )
        color, text = GRAY, untested
        if marker := markers.get(line["verdict"]):
            color, text = INK, f"{line['measured']:+.1f} [{line['low']:+.1f}, {line['high']:+.1f}]"
            ends = [line["low"], line["high"]]
            right.plot(ends, [place] * 2, color=marker["markeredgecolor"], linewidth=1.4)
            right.plot(line["measured"], place, **marker, zorder=3)
        right.text(1.02, place, text, transform=right.get_yaxis_transform(), color=color, **beside)
    _axis(left, names, "published", table[["published"]])
    _axis(right, names, "measured here", table[["measured", "low", "high"]])
    left.tick_params(labelleft=True)
    headings = set(range(len(names))) - set(places)
    for number, label in enumerate(left.get_yticklabels()):
        label.set_fontweight("bold" if number in headings else "normal")
    style.legend_below(figure, {"published": _PUBLISHED, **markers})
    return figure


def _rows(table: pd.DataFrame) -> tuple[list[str], list[int]]:
    """Return the labels of all rows, with a heading for each paper, and the places of claims."""
    names: list[str] = []
    places = []
    for paper, lines in table.groupby("paper", sort=False):
        names.append(str(paper))
        for name, unit in zip(lines["name"], lines["unit"], strict=True):
            places.append(len(names))
            names.append(f"{name}, {unit}")
    return names, places


def _axis(ax: Axes, names: Sequence[str], title: str, drawn: pd.DataFrame) -> None:
    """Name the rows and scale the axis of effects, with room for all that is drawn."""
    style.name_rows(ax, names, style.SMALL)
    ax.tick_params(labelleft=False)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1, gid="no difference")
    ax.set_xscale("symlog", linthresh=_LINEAR)
    values = drawn.to_numpy(float)
    low, high = (1.6 * float(np.nanmax(side, initial=_LINEAR)) for side in (-values, values))
    ax.set(xlim=(-low, high), title=title, xlabel="difference, points; of time, percent")
    ax.set_xticks([tick for tick in _TICKS if -low <= tick <= high])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.spines["left"].set_visible(False)

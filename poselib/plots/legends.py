"""Legend entries for the marks that poses are drawn with."""

from __future__ import annotations

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from poselib.plots.palette import ALERT, GRAY, INK, WHITE, Color, side_color


def side_handles() -> list[Line2D]:
    """Return legend entries for the three kinds of keypoints."""
    return [
        _handle("o", side_color(GRAY, "left"), INK, "left side of a person"),
        _handle("s", side_color(GRAY, "right"), INK, "right side"),
        _handle("^", GRAY, INK, "center"),
    ]


def hidden_handle() -> Line2D:
    """Return the legend entry of an annotated keypoint that cannot be seen."""
    return _handle("o", WHITE, GRAY, "labeled but hidden", 1.6)


def ignore_handle() -> Patch:
    """Return the legend entry of a hatched region."""
    return Patch(
        facecolor="white", edgecolor=ALERT, hatch="////", linewidth=0.5, label="ignored region"
    )


def area_handle() -> Line2D:
    """Return the legend entry of the number above a person."""
    label = "√area, px (s of OKS)"
    return Line2D([], [], linestyle="none", marker="$99$", markersize=11, color=GRAY, label=label)


def _handle(marker: str, face: Color, edge: Color, label: str, width: float = 0.8) -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        markersize=7,
        markerfacecolor=face,
        markeredgecolor=edge,
        markeredgewidth=width,
        label=label,
    )

"""How well scores rank poses by OKS, and the learning curve of a scoring network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from poselib.plots import style
from poselib.plots.style import BLUE, GRAY, INK, VERMILION


@style.theme
def show_scoring(
    oks: ArrayLike,
    scores: Mapping[str, ArrayLike],
    losses: Sequence[float],
    *,
    constant: float,
    title: str = "",
) -> Figure:
    """Draw the OKS of detections over their rank by score, for each scoring, and the losses.

    Only the order of scores counts: detections are spaced evenly, from the lowest to the highest.
    A line joins the mean OKS of each tenth; the steeper it rises, the better scores rank poses.

    Args:
        oks: (P,) of each detection, with the annotated person it is most similar to.
        scores: (P,) each, by the heading of its panel.
        losses: the mean squared error of each epoch.
        constant: the error of the best constant, the variance of the regression target.

    Raises:
        ValueError: there are no scores or losses.
    """
    if not scores or not len(losses):
        raise ValueError(f"nothing to draw: {len(scores)} scorings and {len(losses)} losses")
    figure = style.new_figure(3.6, style.WIDTH, title)
    *axes, last = figure.subplots(1, len(scores) + 1)
    # Thousands of points must show where most of them are, and a few must be seen.
    alpha = float(np.clip(300 / max(len(np.asarray(oks)), 1), 0.08, 0.7))
    points = {"x": "rank", "y": "oks", "s": 7, "color": BLUE, "alpha": alpha, "linewidth": 0}
    for ax, (name, values) in zip(axes, scores.items(), strict=True):
        people = pd.DataFrame({"rank": percent_ranks(values), "oks": np.asarray(oks, float)})
        sns.scatterplot(people, **points, ax=ax)
        means = people.groupby(people["rank"] // 10).mean()
        ax.plot(means["rank"], means["oks"], "-o", color=VERMILION, ms=4, label="mean of a tenth")
        ax.plot([], [], "o", color=BLUE, ms=4, label="detection")  # points are too faint
        ax.set(title=name, xlabel="rank by score, % of detections", ylabel="")
        ax.set(xlim=(-2, 102), ylim=(-0.03, 1.03))
    axes[0].set_ylabel("highest OKS of the detection")
    last.plot(range(1, len(losses) + 1), losses, "-o", ms=3, color=INK, label="scoring network")
    last.axhline(constant, color=GRAY, linestyle="--", label="always the mean")
    last.set(title="regression of the OKS", xlabel="epoch", ylabel="mean squared error")
    last.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    finite = [value for value in (*losses, constant) if np.isfinite(value)]
    last.set_ylim(0, 1.1 * max(finite, default=0.0) or 1.0)
    for ax in (*axes, last):
        style.legend_under(ax, columns=1)
    return figure


def percent_ranks(scores: ArrayLike) -> pd.Series:
    """Return (P,) how many detections have lower scores than each, in percent; ties share."""
    values = pd.Series(np.asarray(scores, dtype=np.float64))
    return 100 * (values.rank() - 0.5) / max(len(values), 1)

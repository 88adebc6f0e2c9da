"""How well scores tell good poses, and how a scoring net was taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from poselib.plots.figure import TEXT, WIDTH, legend_under, new_sheet, style_axes
from poselib.plots.palette import BLUE, GRAY, INK, VERMILION

_GROUPS = 10


def show_scoring(
    oks: ArrayLike,
    scores: Mapping[str, ArrayLike],
    losses: Sequence[float],
    *,
    constant: float,
    title: str = "",
) -> Figure:
    """Draw the OKS of people over their places by score, for each scoring, and the learning curve.

    Only the order of scores counts, and most of them are low: so people stand side by side, from
    the lowest score to the highest. A line joins the mean OKS of each tenth of them: the steeper it
    rises, the better the scores tell good poses.

    Args:
        oks: (P,) how good each person is.
        scores: (P,) each, by the heading of its panel.
        losses: the mean squared error of each epoch.
        constant: the error of the best constant, the variance of what was taught.
        title: heading of the figure.

    Raises:
        ValueError: there are no scores or losses, or a number of scores is not that of people.
    """
    good = np.asarray(oks, dtype=np.float64)
    given = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    wrong = [values.shape for values in given.values() if values.shape != good.shape]
    if not given or wrong or good.ndim != 1 or not len(losses):
        raise ValueError(
            f"expected scores {good.shape} of each way and losses, not shapes {wrong}, "
            f"{len(given)} ways and {len(losses)} losses"
        )
    sheet = new_sheet(3.6, WIDTH, title)
    *axes, last = sheet.subplots(1, len(given) + 1)
    for ax, (name, values) in zip(axes, given.items(), strict=True):
        _draw_people(ax, values, good, name)
    axes[0].set_ylabel("highest OKS of the person", fontsize=TEXT)
    _draw_losses(last, losses, constant)
    return sheet


def places(scores: ArrayLike) -> NDArray[np.float64]:
    """Return (P,) how many people have lower scores than each, in per cent; equal ones share."""
    values = np.asarray(scores, dtype=np.float64)
    return 100 * (rankdata(values) - 0.5) / max(len(values), 1)


def group_means(where: ArrayLike, oks: ArrayLike, groups: int) -> NDArray[np.float64]:
    """Return (G, 2) the mean place and OKS of groups of people, the lowest places first.

    Groups are of one size, or nearly so; there are fewer where there are fewer people.
    """
    order = np.argsort(np.asarray(where), kind="stable")
    pairs = np.stack([np.asarray(where), np.asarray(oks)], axis=1)[order].astype(np.float64)
    parts = [part for part in np.array_split(pairs, groups) if len(part)]
    return np.array([part.mean(axis=0) for part in parts]).reshape(-1, 2)


def _draw_people(
    ax: Axes, scores: NDArray[np.float64], oks: NDArray[np.float64], title: str
) -> None:
    # Thousands of points must show where most of them are, and a few must be seen.
    alpha = float(np.clip(300 / max(len(scores), 1), 0.08, 0.7))
    where = places(scores)
    ax.scatter(where, oks, s=7, color=BLUE, alpha=alpha, linewidths=0)
    means = group_means(where, oks, _GROUPS)
    ax.plot(means[:, 0], means[:, 1], "-o", color=VERMILION, ms=4, label="mean of a tenth of them")
    ax.plot([], [], "o", color=BLUE, ms=4, label="person found")  # points are too faint
    style_axes(ax, title)
    ax.set_xlabel("place by score, % of people", fontsize=TEXT)
    ax.set(xlim=(-2, 102), ylim=(-0.03, 1.03))
    legend_under(ax, columns=1)


def _draw_losses(ax: Axes, losses: Sequence[float], constant: float) -> None:
    epochs = np.arange(1, len(losses) + 1)
    ax.plot(epochs, losses, "-o", ms=3, color=INK, label="scoring net")
    ax.axhline(constant, color=GRAY, linestyle="--", label="always the mean")
    style_axes(ax, "learning the OKS")
    ax.set_xlabel("epoch", fontsize=TEXT)
    ax.set_ylabel("mean squared error", fontsize=TEXT)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    finite = [value for value in (*losses, constant) if np.isfinite(value)]
    ax.set_ylim(0, 1.1 * max(finite, default=0.0) or 1.0)
    legend_under(ax, columns=1)

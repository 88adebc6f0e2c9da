"""Reference embeddings during a grouping, beside those of another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment

from poselib.plots import style
from poselib.plots.grouping import Step, people_in, type_name
from poselib.plots.palette import GRAY, INK, Color, person_colors
from poselib.skeletons import Skeleton
from poselib.typing import FloatArray, IntArray


@style.theme
def show_reference_paths(
    groupings: Mapping[str, Sequence[Step]],
    skeleton: Skeleton,
    *,
    title: str = "",
) -> Figure:
    """Draw the tags that join each person and its reference embedding, step by step.

    Several groupings of the same candidates, such as a fixed and a progressive order, get a row
    each with the same tag axis; a person has one color in all of them. Where keypoints have
    several embeddings, the first is drawn.

    Args:
        groupings: the steps of each, by name.
        skeleton: names of the keypoints.
        title: heading of the figure.

    Raises:
        ValueError: there is no grouping or one has no steps.
    """
    if not groupings or not all(groupings.values()):
        raise ValueError("show_reference_paths needs at least one step in each grouping")
    figure = style.new_figure(2.9 * len(groupings) + 0.6, style.WIDTH, title)
    axes = figure.subplots(len(groupings), 1, squeeze=False, sharey=True)[:, 0]
    first = next(iter(groupings.values()))
    for ax, (name, grouping) in zip(axes, groupings.items(), strict=True):
        numbers = _aligned(first, grouping)
        colors = person_colors(max(int(numbers.max()) + 1, 1))
        ax.set_title(f"{name}: {style.people_label(people_in(grouping))} found")
        _draw_paths(ax, grouping, [colors[n] for n in numbers])
        labels = [type_name(skeleton, step) for step in grouping]
        options = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        ax.set_xticks(range(len(labels)), labels, **options)
    axes[-1].set_xlabel("keypoint types in the order of grouping")
    entries = {
        "candidate that starts a person": style.marker_style("*", 11, GRAY, INK, 0.6),
        "candidate that joins a person": style.marker_style("o", 6, GRAY, INK, 0.6),
        "reference embedding (mean so far)": {"color": GRAY, "linewidth": 2.4},
    }
    style.legend_below(figure, entries)
    return figure


def reference_paths(steps: Sequence[Step]) -> FloatArray:
    """Return (S, P, L) reference embeddings after each step; NaN before a person starts."""
    people = people_in(steps)
    length = np.asarray(steps[0].tags).shape[-1]
    sums, counts = np.zeros((people, length)), np.zeros((people, 1))
    paths = np.full((len(steps), people, length), np.nan)
    for number, step in enumerate(steps):
        np.add.at(sums, step.people, np.asarray(step.tags, dtype=np.float64))
        np.add.at(counts, step.people, 1)
        begun = counts[:, 0] > 0
        paths[number, begun] = sums[begun] / counts[begun]
    return paths


def _draw_paths(ax: Axes, steps: Sequence[Step], colors: Sequence[Color]) -> None:
    paths = reference_paths(steps)[..., 0]
    for person, color in enumerate(colors):
        ax.plot(paths[:, person], color=INK, linewidth=2.6, zorder=2)
        ax.plot(paths[:, person], color=color, linewidth=1.6, zorder=3, gid="reference")
    for number, step in enumerate(steps):
        for tag, person, started in zip(step.tags, step.people, step.started, strict=True):
            marker, size = ("*", 11) if started else ("o", 5)
            dot = style.marker_style(marker, size, colors[person], INK, 0.6)
            ax.plot(number, tag[0], **dot, zorder=4)
    ax.set_xlim(-0.5, len(steps) - 0.5)
    ax.set_ylabel("tag value")


def _aligned(first: Sequence[Step], other: Sequence[Step]) -> IntArray:
    """Number the people of ``other`` as those of ``first`` that share most keypoints with them."""
    common = _members(first).merge(_members(other), on=["keypoint", "x", "y"])
    shared = np.zeros((people_in(other), people_in(first)))
    np.add.at(shared, (common["person_y"], common["person_x"]), 1)
    numbers = shared.shape[1] + np.arange(len(shared))
    for mine, same in zip(*linear_sum_assignment(-shared), strict=True):
        if shared[mine, same]:
            numbers[mine] = same
    return numbers


def _members(steps: Sequence[Step]) -> pd.DataFrame:
    """Return a row a candidate: its keypoint type, its cell (x, y), and its person."""
    rows = [
        (step.keypoint, *cell, person)
        for step in steps
        for cell, person in zip(step.cells, step.people, strict=True)
    ]
    return pd.DataFrame(rows, columns=["keypoint", "x", "y", "person"], dtype=int)

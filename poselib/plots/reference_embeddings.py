"""Reference embeddings during a grouping, beside those of another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from poselib.plots.figure import (
    WIDTH,
    handle,
    legend_below,
    marker_style,
    new_figure,
    people_label,
    theme,
)
from poselib.plots.grouping import Step, people_in, type_name
from poselib.plots.palette import GRAY, INK, Color, person_colors
from poselib.skeletons import Skeleton
from poselib.typing import FloatArray


@theme
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
    figure = new_figure(2.9 * len(groupings) + 0.6, WIDTH, title)
    axes = figure.subplots(len(groupings), 1, squeeze=False, sharey=True)[:, 0]
    first = next(iter(groupings.values()))
    for ax, (name, grouping) in zip(axes, groupings.items(), strict=True):
        numbers = _aligned(first, grouping)
        colors = person_colors(max(int(numbers.max()) + 1, 1))
        ax.set_title(f"{name}: {people_label(people_in(grouping))} found")
        _draw_paths(ax, grouping, [colors[n] for n in numbers])
        labels = [type_name(skeleton, step) for step in grouping]
        style = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        ax.set_xticks(range(len(labels)), labels, **style)
    axes[-1].set_xlabel("keypoint types in the order of grouping")
    handles = [
        handle("candidate that starts a person", **marker_style("*", 11, GRAY, INK, 0.6)),
        handle("candidate that joins a person", **marker_style("o", 6, GRAY, INK, 0.6)),
        handle("reference embedding (mean so far)", color=GRAY, linewidth=2.4),
    ]
    legend_below(figure, handles)
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
        tags = np.asarray(step.tags)[:, 0]
        for kind, size, chosen in (("o", 26, ~step.started), ("*", 110, step.started)):
            ax.scatter(
                np.full(int(chosen.sum()), number),
                tags[chosen],
                s=size,
                marker=kind,
                color=[colors[p] for p in step.people[chosen]],
                edgecolor=INK,
                linewidth=0.6,
                zorder=4,
            )
    ax.set_xlim(-0.5, len(steps) - 0.5)
    ax.set_ylabel("tag value")


def _aligned(first: Sequence[Step], other: Sequence[Step]) -> NDArray[np.int64]:
    """Number the people of ``other`` as those of ``first`` that share most keypoints with them."""
    owner = dict(_members(first))
    shared = np.zeros((people_in(other), people_in(first)))
    for place, person in _members(other):
        if place in owner:
            shared[person, owner[place]] += 1
    numbers = np.full(len(shared), -1)
    for mine, same in zip(*linear_sum_assignment(-shared), strict=True):
        if shared[mine, same]:
            numbers[mine] = same
    strangers = numbers < 0
    numbers[strangers] = shared.shape[1] + np.arange(strangers.sum())
    return numbers


def _members(steps: Sequence[Step]) -> list[tuple[tuple[int, int, int], int]]:
    return [
        ((step.keypoint, int(cell[0]), int(cell[1])), int(person))
        for step in steps
        for cell, person in zip(step.cells, step.people, strict=True)
    ]

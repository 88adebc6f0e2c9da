"""The charts of an explorer of association: distances of keypoint types, and tags of people."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from poselib.plots.embeddings import add_tag_strips, strip_limits
from poselib.plots.grouping import add_distances, frame_distances
from poselib.plots.style import ALERT, GRAY, INK, WHITE, Color, marker_style
from poselib.typing import IntArray
from poselib.widgets.association_views import WalkView

_GROUPED = marker_style("o", 6, WHITE, INK, 1.2)
_WRONG = marker_style("o", 10, "none", ALERT, 1.6)
_CHOSEN = marker_style("o", 15, "none", INK, 2.0)


def frame_matrix(ax: Axes, view: WalkView) -> None:
    """Name the rows and columns of ``draw_matrix``."""
    frame_distances(ax, len(view.walk.steps), view.seen.system.skeleton)


def draw_matrix(ax: Axes, view: WalkView) -> None:
    """Draw the distances of keypoint types to people in each step (HAE, Eq. 18).

    A dot is the type that the step groups, the smallest distance if the order is progressive.
    """
    walk, height = view.walk, len(view.seen.system.skeleton)
    if not walk.steps:
        return
    add_distances(ax, walk.distances, [])
    places = np.array([(n, step.keypoint) for n, step in enumerate(walk.steps)]) + 0.5
    ax.plot(*places.T, **_GROUPED, gid="grouped", clip_on=False)
    spec: dict[str, Any] = {"fill": False, "ec": INK, "lw": 1.6}
    if 0 < view.count <= len(walk.steps) and view.count < walk.length:
        ax.add_artist(Rectangle((view.count - 1, 0), 1, height, **spec)).set_clip_on(False)
    if view.keypoint >= 0:
        row = Rectangle((0, view.keypoint), len(walk.steps), 1, **spec)
        ax.add_artist(row).set_clip_on(False)


def matrix_names(view: WalkView) -> list[tuple[float, float, str]]:
    """Return what the cells of ``draw_matrix`` say, at their centers.

    Each distance is that of the nearest keypoint of the type to its nearest person.
    """
    walk, called = view.walk, (view.numbers + 1).tolist()
    mean = walk.options.grouping.distance_reduction == "mean"
    found = []
    for (step, keypoint), pair in walk.nearest.items():
        value = f"{walk.distances[step, keypoint]:.3f}"
        if mean and pair.waiting > 1:
            value += f" on average, nearest {pair.distance:.3f}"
        who = f"to person {called[pair.reference]}"
        if pair.owner != pair.reference:
            who += f", but goes to person {called[pair.owner]}"
        text = f"step {step + 1}, {view.name(keypoint)}: {value} {who}"
        found.append((step + 0.5, keypoint + 0.5, text))
    return found


def tag_limits(view: WalkView) -> tuple[float, float]:
    """Return the ends of the tag axis, for all steps of the walk."""
    return strip_limits(view.walk.tags[view.walk.poses.scores > view.min_score, 0])


def draw_strips(ax: Axes, view: WalkView) -> list[tuple[float, float, int, int]]:
    """Draw the tags of the people so far, and return (x, y, person, type) of each dot."""
    walk, people = view.walk, view.columns
    tags = np.where(view.shown, walk.tags[..., 0], np.nan)[people]
    done = min(view.count, len(walk.steps))
    dots = add_tag_strips(
        ax,
        tags,
        [view.color(n) for n in people],
        [str(view.numbers[n] + 1) for n in people],
        fills=_owner_colors(view, people),
        references=walk.references[done - 1, people, 0] if done else None,
        threshold=walk.options.grouping.tag_threshold if walk.tags.shape[2] == 1 else 0.0,
    )
    found = [(x, y, int(people[n]), k) for x, y, n, k in dots]
    for x, y, n, k in found:
        if view.wrong[n, k]:
            ax.plot(x, y, **_WRONG, zorder=7, gid="wrong")
        if (n, k) == (view.person, view.keypoint):
            ax.plot(x, y, **_CHOSEN, zorder=7)
    return found


def _owner_colors(view: WalkView, people: IntArray) -> dict[tuple[int, int], Color]:
    """Return the colors of wrong keypoints, by column and type: of the people they lie on."""
    if view.errors is None:
        return {}
    columns = {int(n): column for column, n in enumerate(people)}
    fills = {}
    for n, k in np.argwhere(view.wrong & view.shown):
        (right,) = np.nonzero(view.errors.partners == view.errors.owners[n, k])
        fills[columns[int(n)], int(k)] = view.color(int(right[0])) if len(right) else GRAY
    return fills

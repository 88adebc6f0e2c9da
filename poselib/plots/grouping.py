"""Associative grouping step by step: candidates, distances and reference embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from poselib.plots import style
from poselib.plots.panels import window_around
from poselib.plots.poses import add_people
from poselib.plots.shapes import people_shapes, person_unit
from poselib.plots.style import ALERT, GRAY, INK, WHITE, person_colors, to_pale_gray
from poselib.skeletons import Skeleton
from poselib.structures import GroupingStep
from poselib.typing import FloatArray, IntArray
from poselib.wording import people_label

_RING = style.marker_style("o", 11, "none", INK, 1.6)


@style.theme
def show_grouping(
    image: ArrayLike,
    steps: Sequence[GroupingStep],
    skeleton: Skeleton,
    *,
    stride: tuple[float, float],
    columns: int = 5,
    title: str = "",
) -> Figure:
    """Draw one panel a step: the people grouped so far, with the keypoints of the step ringed.

    It is HAE's Fig. 5 (b) on a real image, cut to the part that holds candidates.

    Args:
        image: (3, H, W) uint8 RGB.
        steps: in the order in which they were taken.
        stride: px of ``image`` that a cell of the decoded maps covers, (across, down).

    Raises:
        ValueError: there is no step, or the image is not (3, H, W) uint8.
    """
    pixels = style.as_image(image)
    if not steps:
        raise ValueError("show_grouping: no steps; there were no candidates to group")
    size = pixels.shape[1:]
    positions = [(np.asarray(step.cells) + 0.5) * stride for step in steps]
    left, top, right, bottom = window_around(np.concatenate(positions), size)
    shape = (bottom - top, right - left)
    figure, axes = style.panel_grid([shape] * len(steps), columns, title=title, margin=0.45)
    colors, weight = person_colors(people_in(steps)), style.line_weight(min(columns, len(steps)))
    whole = np.full((len(colors), len(skeleton), 2), np.nan)
    for step, points in zip(steps, positions, strict=True):
        whole[step.people, step.keypoint] = points
    # From the whole people, so that markers keep their size from panel to panel.
    units = [person_unit(person[np.isfinite(person[:, 0])], size) for person in whole]
    grouped, solid = np.full_like(whole, np.nan), np.zeros(whole.shape[:2], dtype=bool)
    for number, (ax, step, points) in enumerate(zip(axes, steps, positions, strict=True), start=1):
        name = style.display_name(skeleton.keypoints[step.keypoint])
        heading = f"{number}. {name}\n{_reason(step)}"
        style.show_image(ax, to_pale_gray(pixels, 0.6), heading)
        grouped[step.people, step.keypoint] = points
        shapes = people_shapes(
            grouped, ~solid, solid, skeleton, colors, size, weight=weight, units=units
        )
        add_people(ax, shapes)
        ax.plot(*points.T, **style.marker_style("o", 11, "none", WHITE, 3.0), zorder=5)
        ax.plot(*points.T, **_RING, zorder=6, gid="new")
        ax.set(xlim=(left, right), ylim=(bottom, top))
    style.legend_below(figure, {"grouped in this step": _RING, **style.SIDES})
    return figure


@style.theme
def show_distances(steps: Sequence[GroupingStep], skeleton: Skeleton, *, title: str = "") -> Figure:
    """Draw the distance of each remaining keypoint type to the people, step by step.

    The framed type is the nearest one, which progressive decoding chooses (HAE, Eq. 18). Empty
    cells are types that are done, or absent.

    Args:
        steps: of a grouping that recorded its distances.

    Raises:
        ValueError: there is no step.
    """
    if not steps:
        raise ValueError("show_distances needs at least one step")
    figure = style.new_figure(0.24 * len(skeleton) + 1.6, style.WIDTH, title)
    ax = figure.subplots()
    table = np.array([step.distances for step in steps])
    mesh = add_distances(ax, table, [step.keypoint for step in steps])
    frame_distances(ax, len(steps), skeleton)
    ax.set_xlabel("step; framed: the keypoint type grouped in it")
    label = "smallest distance to a reference embedding"
    style.bar_beside(ax, mesh, label, extend="max")
    return figure


def frame_distances(ax: Axes, columns: int, skeleton: Skeleton) -> None:
    """Name the keypoint types of ``add_distances``, one a row, and its steps, one a column."""
    names = [style.display_name(name) for name in skeleton.keypoints]
    ax.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=style.SMALL)
    every = max(1, -(-columns // 20))
    ax.set_xticks(np.arange(0, columns, every) + 0.5, np.arange(1, columns + 1, every))
    ax.set(xlim=(0, max(columns, 1)), ylim=(len(names), 0), xlabel="step")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.grid(False)


def add_distances(ax: Axes, distances: ArrayLike, chosen: Sequence[int]) -> ScalarMappable:
    """Draw distances of keypoint types, by row, in S steps, by column, and frame those chosen.

    Args:
        distances: (S, K); NaN is left empty.
        chosen: (S,) the type that each step groups.

    Returns:
        what a bar of the colors belongs to.
    """
    table = np.ma.masked_invalid(np.asarray(distances, np.float64).T)
    known = table.compressed()
    top = max(float(np.quantile(known, 0.98)), 1e-6) if known.size else 1.0
    mesh = ax.pcolormesh(table, vmin=0, vmax=top, cmap="viridis_r")
    frame: dict[str, Any] = {"fill": False, "ec": ALERT, "lw": 1.8, "gid": "chosen"}
    for column, keypoint in enumerate(chosen):
        ax.add_artist(Rectangle((column, keypoint), 1, 1, **frame)).set_clip_on(False)
    return mesh


@style.theme
def show_reference_paths(
    groupings: Mapping[str, Sequence[GroupingStep]],
    skeleton: Skeleton,
    *,
    numbers: Mapping[str, IntArray] | None = None,
    title: str = "",
) -> Figure:
    """Draw the tags that join each person and its reference embedding, step by step.

    Several groupings of the same candidates, such as a fixed and a progressive order, get a row
    each with the same tag axis. Where keypoints have several embeddings, the first is drawn.

    Args:
        groupings: the steps of each, by name.
        numbers: by name, (P,) a number per person of a grouping; people of one number have one
            color. Their own numbers if None.

    Raises:
        ValueError: there is no grouping or one has no steps.
    """
    if not groupings or not all(groupings.values()):
        raise ValueError("show_reference_paths needs at least one step in each grouping")
    figure = style.new_figure(2.9 * len(groupings) + 0.6, style.WIDTH, title)
    axes = figure.subplots(len(groupings), 1, squeeze=False, sharey=True)[:, 0]
    for ax, (name, grouping) in zip(axes, groupings.items(), strict=True):
        people = np.arange(people_in(grouping)) if numbers is None else numbers[name]
        colors = person_colors(int(people.max(initial=0)) + 1)
        ax.set_title(f"{name}: {people_label(people_in(grouping))} found")
        for path, number in zip(reference_paths(grouping)[..., 0].T, people, strict=True):
            ax.plot(path, color=INK, linewidth=2.6, zorder=2)
            ax.plot(path, color=colors[number], linewidth=1.6, zorder=3, gid="reference")
        for x, step in enumerate(grouping):
            for tag, person, started in zip(step.tags, step.people, step.started, strict=True):
                marker, size = ("*", 11) if started else ("o", 5)
                dot = style.marker_style(marker, size, colors[people[person]], INK, 0.6)
                ax.plot(x, tag[0], **dot, zorder=4)
        ax.set(xlim=(-0.5, len(grouping) - 0.5), ylabel="tag value")
        labels = [style.display_name(skeleton.keypoints[step.keypoint]) for step in grouping]
        turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        ax.set_xticks(range(len(labels)), labels, **turned)
    axes[-1].set_xlabel("keypoint types in the order of grouping")
    entries = {
        "candidate that starts a person": style.marker_style("*", 11, GRAY, INK, 0.6),
        "candidate that joins a person": style.marker_style("o", 6, GRAY, INK, 0.6),
        "reference embedding (mean so far)": {"color": GRAY, "linewidth": 2.4},
    }
    style.legend_below(figure, entries)
    return figure


def reference_paths(steps: Sequence[GroupingStep]) -> FloatArray:
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


def people_in(steps: Sequence[GroupingStep]) -> int:
    """Return how many people a grouping has found."""
    return max((int(np.max(step.people)) + 1 for step in steps if len(step.people)), default=0)


def _reason(step: GroupingStep) -> str:
    new = int(np.sum(step.started))
    starts = f"starts {people_label(new)}" if new else ""
    distance = float(np.asarray(step.distances)[step.keypoint])
    gap = f"distance {distance:.3f}" if np.isfinite(distance) else ""
    return ", ".join(part for part in (gap, starts) if part) or " "

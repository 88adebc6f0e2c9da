"""Contact sheet of samples with people, visibility, areas and ignored regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from poselib.plots.figure import (
    SMALL,
    handle,
    legend_below,
    line_weight,
    panel_grid,
    people_label,
    pose_handles,
    show_image,
    theme,
)
from poselib.plots.palette import ALERT, GRAY, WHITE, person_colors
from poselib.plots.poses import add_truth, as_people, labeled_people
from poselib.skeletons import Skeleton
from poselib.structures import Sample


@theme
def contact_sheet(
    samples: Sequence[Sample],
    skeleton: Skeleton,
    *,
    columns: int = 4,
    show_areas: bool = True,
    titles: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Draw samples side by side with their annotations.

    Args:
        samples: what to draw; each keeps its own aspect.
        skeleton: names and limbs of the keypoints.
        columns: samples in a row.
        show_areas: write the square root of each person's area, px, above the person.
        titles: one per sample; the image's number and its people if None.
        title: heading of the figure.

    Raises:
        ValueError: there are no samples, or a sample does not fit the skeleton.
    """
    if titles is not None and len(titles) != len(samples):
        raise ValueError(f"contact_sheet got {len(titles)} titles for {len(samples)} samples")
    names = titles if titles is not None else [_title(sample) for sample in samples]
    figure, axes = panel_grid([sample.size for sample in samples], columns, title=title)
    weight = line_weight(min(columns, len(samples)))
    for ax, sample, name in zip(axes, samples, names, strict=True):
        show_image(ax, sample.image, name)
        people = as_people(sample.keypoints, skeleton)
        add_truth(ax, people, skeleton, sample.size, weight=weight)
        if show_areas:
            _add_areas(ax, sample)
        _hatch(ax, sample.ignore_mask)
    handles = pose_handles(hidden=True)
    if show_areas:
        style: dict[str, Any] = {"linestyle": "none", "marker": "$99$", "markersize": 11}
        handles.append(handle("√area, px (s of OKS)", color=GRAY, **style))
    if any(sample.ignore_mask.any() for sample in samples):
        hatch: dict[str, Any] = {"facecolor": "white", "edgecolor": ALERT, "hatch": "////"}
        handles.append(Patch(**hatch, linewidth=0.5, label="ignored region"))
    legend_below(figure, handles)
    return figure


def _hatch(ax: Axes, ignore: NDArray[np.bool_]) -> None:
    """Hatch the true part of a mask (H, W) on an axes that shows its image."""
    if not ignore.any():
        return
    height, width = ignore.shape
    # A border of false closes regions that reach the edge of the image.
    padded = np.pad(ignore.astype(np.float64), 1)
    xs, ys = np.arange(-0.5, width + 1), np.arange(-0.5, height + 1)
    region = ax.contourf(
        xs, ys, padded, levels=[0.5, 1.5], colors=[(*WHITE, 0.35)], hatches=["////"], zorder=2
    )
    region.set_edgecolor(ALERT)
    region.set_linewidth(0.0)
    region.set_gid("ignore")


def _title(sample: Sample) -> str:
    return f"#{sample.image_id} · {people_label(labeled_people(sample.keypoints))}"


def _add_areas(ax: Axes, sample: Sample) -> None:
    colors = person_colors(len(sample.keypoints))
    outline = [patheffects.withStroke(linewidth=2.0, foreground="black")]
    margin = 0.03 * sample.size[0]
    for person, area, color in zip(sample.keypoints, sample.areas, colors, strict=True):
        points = person[person[:, 2] > 0, :2]
        if len(points):
            top = points[points[:, 1].argmin()]
            label = ax.text(
                float(np.clip(top[0], margin, sample.size[1] - margin)),
                float(max(top[1] - margin, 3 * margin)),
                f"{np.sqrt(area):.0f}",
                color=color,
                fontsize=SMALL,
                fontweight="bold",
                ha="center",
                va="bottom",
                path_effects=outline,
                zorder=5,
            )
            label.set_clip_on(True)

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

from poselib.plots import style
from poselib.plots.palette import ALERT, GRAY, WHITE, person_colors
from poselib.plots.poses import draw_truth, labeled_people
from poselib.skeletons import Skeleton
from poselib.structures import Sample


@style.theme
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
    names = titles or [
        f"#{sample.image_id} · {style.people_label(labeled_people(sample.keypoints))}"
        for sample in samples
    ]
    if len(names) != len(samples):
        raise ValueError(f"contact_sheet got {len(names)} titles for {len(samples)} samples")
    figure, axes = style.panel_grid([sample.size for sample in samples], columns, title=title)
    weight = style.line_weight(min(columns, len(samples)))
    for ax, sample, name in zip(axes, samples, names, strict=True):
        draw_truth(sample.image, sample.keypoints, skeleton, ax=ax, weight=weight, title=name)
        if show_areas:
            _add_areas(ax, sample)
        if sample.ignore_mask.any():
            _hatch(ax, sample.ignore_mask)
    entries: dict[str, Any] = dict(style.VISIBILITY)
    if show_areas:
        entries["√area, px (s of OKS)"] = style.marker_style("$99$", 11, GRAY, GRAY)
    if any(sample.ignore_mask.any() for sample in samples):
        entries["ignored region"] = Patch(fc="white", ec=ALERT, hatch="////", linewidth=0.5)
    style.legend_below(figure, entries)
    return figure


def _hatch(ax: Axes, ignore: NDArray[np.bool_]) -> None:
    """Hatch the true part of a mask (H, W) on an axes that shows its image."""
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


def _add_areas(ax: Axes, sample: Sample) -> None:
    colors = person_colors(len(sample.keypoints))
    outline = [patheffects.withStroke(linewidth=2.0, foreground="black")]
    margin = 0.03 * sample.size[0]
    for person, area, color in zip(sample.keypoints, sample.areas, colors, strict=True):
        points = person[person[:, 2] > 0, :2]
        if len(points):
            top = points[points[:, 1].argmin()]
            x = np.clip(top[0], margin, sample.size[1] - margin)
            y = max(top[1] - margin, 3 * margin)
            ax.text(
                x, y, f"{np.sqrt(area):.0f}", color=color, fontweight="bold", ha="center",
                va="bottom", path_effects=outline, zorder=5, clip_on=True,
            )  # fmt: skip

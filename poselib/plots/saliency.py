"""What the regression of a person's keypoints looks at, over the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from poselib.plots.figure import image_of, legend_below, panel_grid, show_image
from poselib.plots.heatmaps import add_heat
from poselib.plots.palette import INK, SKY, VERMILION, WHITE, to_pale_gray
from poselib.typing import FloatArray

# Convolutions of stride 2 read neighboring pixels unequally often: regions are what is to be seen.
_BLUR = 2.0  # px
_BRIGHTEST = 99.5  # per cent of pixels below what is drawn brightest: single pixels stand out far
_MARGIN = 0.45  # inches, for a heading of two lines


def _nowhere() -> FloatArray:
    return np.zeros((0, 2))


@dataclass(frozen=True)
class FocusPanel:
    """One picture of a figure.

    Attributes:
        image: (3, H, W) uint8 RGB.
        center: (2,) px, from where keypoints are regressed.
        keypoints: (J, 2) px, where they truly are.
        saliency: (H, W), not negative; if None, none is drawn.
        activated: (P, 2) px; those outside the image are not seen.
        radius: px around keypoints that are said to be near; 0 for no circle.
        title: heading.
    """

    image: NDArray[np.uint8]
    center: FloatArray
    keypoints: FloatArray
    saliency: ArrayLike | None = None
    activated: FloatArray = field(default_factory=_nowhere)
    radius: float = 0.0
    title: str = ""


def show_focus(panels: Sequence[FocusPanel], *, columns: int = 3, title: str = "") -> Figure:
    """Draw saliency or activated pixels over images (DEKR, Figs. 1 and 4).

    Saliency is blurred a little, to be seen as regions, and has a brightness of its own in each
    panel: where it lies can be compared, not how much of it there is.

    Args:
        panels: row by row.
        columns: panels in a row.
        title: heading of the figure.

    Raises:
        ValueError: there is no panel, or an image or its saliency has a wrong shape.
    """
    sheet, axes = panel_grid(
        [image_of(panel.image).shape[1:] for panel in panels], columns, title=title, margin=_MARGIN
    )
    for ax, panel in zip(axes, panels, strict=True):
        show_image(ax, to_pale_gray(panel.image, 0.4), panel.title)
        if panel.saliency is not None:
            _add_saliency(ax, panel)
        _add_marks(ax, panel)
    legend_below(sheet, _handles(panels))
    return sheet


def _add_saliency(ax: Axes, panel: FocusPanel) -> None:
    values, size = np.asarray(panel.saliency, dtype=np.float64), panel.image.shape[1:]
    if values.shape != size:
        raise ValueError(f"saliency must be {size} as the image, not {values.shape}")
    values = gaussian_filter(values, _BLUR, mode="constant")
    top = float(np.percentile(values, _BRIGHTEST))
    add_heat(ax, values, size, top if top > 0 else 1.0)


def _add_marks(ax: Axes, panel: FocusPanel) -> None:
    ax.plot(*panel.activated.T, gid="activated", zorder=3, **_DOT)
    for place in panel.keypoints if panel.radius else ():
        for width, color in ((2.4, INK), (1.2, SKY)):
            ring = Circle(place, panel.radius, fill=False, linewidth=width, edgecolor=color)
            ax.add_patch(ring).set_zorder(4)
    ax.plot(*panel.keypoints.T, gid="keypoints", zorder=5, **_CROSS)
    ax.plot(*panel.center, gid="center", zorder=5, **_STAR)


def _mark(marker: str, size: float, face: object, edge: object, width: float) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": marker,
        "markersize": size,
        "markerfacecolor": face,
        "markeredgecolor": edge,
        "markeredgewidth": width,
    }


_DOT = _mark("o", 2.6, VERMILION, INK, 0.2)
_CROSS = _mark("P", 6.0, SKY, INK, 0.7)
_STAR = _mark("*", 8.0, WHITE, INK, 0.7)


def _handles(panels: Sequence[FocusPanel]) -> list[Artist]:
    handles: list[Artist] = [
        Line2D([], [], label="keypoint", **_CROSS),
        Line2D([], [], label="center of the person", **_STAR),
    ]
    if any(panel.radius for panel in panels):
        handles.append(Line2D([], [], label="near", **_mark("o", 9, "none", SKY, 1.2)))
    if any(len(panel.activated) for panel in panels):
        handles.append(Line2D([], [], label="activated pixel", **_DOT))
    return handles

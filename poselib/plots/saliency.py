"""Saliency and activated pixels of keypoint regression over the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from poselib.plots import style
from poselib.plots.heatmaps import add_heatmap
from poselib.plots.style import INK, SKY, VERMILION, WHITE, to_pale_gray
from poselib.typing import FloatArray

# Convolutions of stride 2 read neighboring pixels unequally often: a blur shows regions instead.
_BLUR = 2.0  # px
_BRIGHTEST = 99.5  # percent of pixels below the brightest color: single pixels are outliers
_MARGIN = 0.45  # inches, for a heading of two lines
_DOT = style.marker_style("o", 2.6, VERMILION, INK, 0.2)
_CROSS = style.marker_style("P", 6.0, SKY)
_STAR = style.marker_style("*", 8.0, WHITE)


@dataclass(frozen=True)
class FocusPanel:
    """One picture of a figure.

    Attributes:
        image: (3, H, W) uint8 RGB.
        center: (2,) px, the pixel from which keypoints are regressed.
        keypoints: (J, 2) px, as annotated.
        saliency: (H, W), not negative; if None, none is drawn.
        activated: (P, 2) px; those outside the image are not drawn.
        radius: px of the circle around each keypoint; 0 for none.
        title: heading.
    """

    image: NDArray[np.uint8]
    center: FloatArray
    keypoints: FloatArray
    saliency: ArrayLike | None = None
    activated: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    radius: float = 0.0
    title: str = ""


@style.theme
def show_focus(panels: Sequence[FocusPanel], *, columns: int = 3, title: str = "") -> Figure:
    """Draw saliency or activated pixels over images (DEKR, Figs. 1 and 4).

    Saliency is blurred a little, to show regions, and scaled in each panel: its position can be
    compared, not its amount.

    Raises:
        ValueError: there is no panel, or an image or its saliency has a wrong shape.
    """
    sizes = [style.as_image(panel.image).shape[1:] for panel in panels]
    figure, axes = style.panel_grid(sizes, columns, title=title, margin=_MARGIN)
    for ax, panel in zip(axes, panels, strict=True):
        style.show_image(ax, to_pale_gray(panel.image, 0.4), panel.title)
        if panel.saliency is not None:
            size = panel.image.shape[1:]
            values = np.asarray(panel.saliency, dtype=np.float64)
            if values.shape != size:
                raise ValueError(f"saliency must be {size} as the image, not {values.shape}")
            values = gaussian_filter(values, _BLUR, mode="constant")
            top = float(np.percentile(values, _BRIGHTEST))
            add_heatmap(ax, values, size, top if top > 0 else 1.0)
        ax.plot(*panel.activated.T, gid="activated", zorder=3, **_DOT)
        for place in panel.keypoints if panel.radius else ():
            for width, color in ((2.4, INK), (1.2, SKY)):
                ring = Circle(place, panel.radius, fill=False, linewidth=width, edgecolor=color)
                ax.add_patch(ring).set_zorder(4)
        ax.plot(*panel.keypoints.T, gid="keypoints", zorder=5, **_CROSS)
        ax.plot(*panel.center, gid="center", zorder=5, **_STAR)
    entries = {"keypoint": _CROSS, "center of the person": _STAR}
    if any(panel.radius for panel in panels):
        entries["near"] = style.marker_style("o", 9, "none", SKY, 1.2)
    if any(len(panel.activated) for panel in panels):
        entries["activated pixel"] = _DOT
    style.legend_below(figure, entries)
    return figure

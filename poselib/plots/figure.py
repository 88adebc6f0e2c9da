"""A figure that shows itself once in a notebook, and the look that all figures share."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from poselib.plots.palette import INK

WIDTH = 9.0  # inches: 900 px where a page shows 100 px an inch
_PAGE_DPI = 100
_RENDER_DPI = 150

# The font sizes of every figure here, in points at a width of ``WIDTH``.
TITLE, TEXT, SMALL = 10.5, 9.0, 8.0


class Sheet(Figure):
    """A figure outside pyplot: nothing global keeps it, and a notebook displays it once."""

    def draw(self, renderer: RendererBase) -> None:
        """Draw the figure; the layout is solved twice, since images shrink panels in between."""
        engine = self.get_layout_engine()
        if engine is not None:
            engine.execute(self)
        super().draw(renderer)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue(), {"width": round(self.get_figwidth() * _PAGE_DPI)}


def new_sheet(height: float, width: float = WIDTH, title: str = "") -> Sheet:
    """Return an empty figure, sizes in inches, whose layout keeps every label inside."""
    sheet = Sheet(figsize=(width, height), dpi=_RENDER_DPI, facecolor="white")
    FigureCanvasAgg(sheet)  # a canvas that can draw, which a bare Figure has not
    sheet.set_layout_engine("constrained", h_pad=0.06, w_pad=0.04)
    if title:
        sheet.suptitle(wrapped(title, width / 1.3), fontsize=TITLE + 1, color=INK)
    return sheet


def wrapped(text: str, width: float) -> str:
    """Return ``text`` broken into lines that fit ``width`` inches at the size ``TEXT``."""
    letters = max(int(13 * width), 8)
    return "\n".join(textwrap.fill(line, letters) for line in text.splitlines())


def readable(keypoint: str) -> str:
    """Return a keypoint's name as a reader expects it, ``left hip`` for ``left_hip``."""
    return keypoint.replace("_", " ")


def counted(people: int) -> str:
    """Return ``1 person``, ``2 people`` and so on."""
    return f"{people} {'person' if people == 1 else 'people'}"


def panel_grid(
    shapes: Sequence[tuple[float, float]],
    columns: int,
    *,
    title: str = "",
    margin: float = 0.3,
    side: float = 0.0,
) -> tuple[Sheet, list[Axes]]:
    """Return a figure with one axes for each image, as high as the images need.

    Args:
        shapes: (height, width) of the image in each panel, row by row.
        columns: panels in a row.
        title: heading of the figure.
        margin: inches of text above each row.
        side: inches that color bars take from the width.

    Raises:
        ValueError: there is no image, or ``columns`` is below 1.
    """
    if not shapes:
        raise ValueError("nothing to draw: the list of images is empty")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    columns = min(columns, len(shapes))
    rows = math.ceil(len(shapes) / columns)
    ratios = [
        max(height / width for height, width in shapes[row * columns : (row + 1) * columns])
        for row in range(rows)
    ]
    width = WIDTH if columns > 1 else WIDTH * min(1.0, 0.75 / ratios[0] + 0.1)
    heights = [ratio * ((width - side) / columns - 0.1) + margin for ratio in ratios]
    sheet = new_sheet(sum(heights) + 0.35 + (0.3 if title else 0.0), width, title)
    axes = sheet.subplots(rows, columns, squeeze=False, height_ratios=heights).ravel()
    for spare in axes[len(shapes) :]:
        spare.set_axis_off()
    return sheet, list(axes[: len(shapes)])


def line_weight(columns: int) -> float:
    """Return the factor of line widths that keeps poses legible in panels ``columns`` abreast."""
    return max(1.0, columns / 2.6)


def image_of(image: ArrayLike) -> NDArray[np.uint8]:
    """Return ``image`` as an array; raises ValueError unless it is (3, H, W) uint8."""
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[0] != 3 or array.dtype != np.uint8:
        raise ValueError(f"image must be (3, H, W) uint8, not {array.shape} {array.dtype}")
    return array


def show_image(ax: Axes, image: ArrayLike, title: str = "") -> None:
    """Fill ``ax`` with an image (3, H, W) uint8; data coordinates are px, centers at + 0.5."""
    pixels = image_of(image)
    height, width = pixels.shape[1:]
    ax.imshow(pixels.transpose(1, 2, 0), extent=(0, width, height, 0), zorder=0)
    frame(ax, (height, width), title)


def frame(ax: Axes, size: tuple[int, int], title: str = "") -> None:
    """Fix the limits of ``ax`` to an image of ``size`` (height, width) and drop its ticks."""
    ax.set(xlim=(0, size[1]), ylim=(size[0], 0), xticks=[], yticks=[], aspect="equal")
    ax.autoscale(False)
    for spine in ax.spines.values():
        spine.set(color="0.75", linewidth=0.6)
    if title:
        ax.set_title(wrapped(title, _width_of(ax)), fontsize=TEXT, color=INK, pad=3)


def _width_of(ax: Axes) -> float:
    """Inches that a panel may take of its row, before the layout is solved."""
    grid = ax.get_gridspec()
    return float(ax.figure.bbox.width / ax.figure.dpi) / (grid.ncols if grid is not None else 1)


def show_map(ax: Axes, values: ArrayLike, size: tuple[int, int], **style: Any) -> Any:
    """Draw a map (h, w), or (h, w, 4) of colors, stretched over an image of ``size`` (H, W).

    The cell grid covers the image exactly, so a cell of stride s lies on the s by s pixels that
    it describes. ``style`` goes to matplotlib's ``imshow``; returns what that returns.
    """
    style = {"interpolation": "nearest", **style}
    return ax.imshow(np.asarray(values), extent=(0, size[1], size[0], 0), **style)


def style_axes(ax: Axes, title: str = "", grid: Literal["x", "y", "both"] = "both") -> None:
    """Give axes of numbers a title, small labels, a pale grid behind the data and open corners."""
    ax.set_title(title, fontsize=TEXT, color=INK)
    ax.tick_params(labelsize=SMALL)
    ax.grid(axis=grid, color="0.92")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def bar_beside(ax: Axes, mesh: ScalarMappable, label: str, extend: str = "neither") -> None:
    """Add the bar of a map's colors on the right of ``ax``, as high as what it shows."""
    # The map itself may have a transparency per cell, which a bar cannot show.
    colors = ScalarMappable(norm=mesh.norm, cmap=mesh.cmap)
    inch = 1 / _width_of(ax)
    place = ax.inset_axes((1 + 0.08 * inch, 0.0, 0.15 * inch, 1.0), label="<colorbar>")
    bar = ax.figure.colorbar(colors, cax=place, extend=extend)
    bar.set_label(label, fontsize=TEXT, color=INK)
    place.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)


def legend_below(sheet: Figure, handles: Sequence[Any]) -> None:
    """Add one legend for the whole figure, below all panels."""
    sheet.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=len(handles),
        fontsize=SMALL,
        frameon=False,
        handletextpad=0.4,
        columnspacing=1.4,
    )


def legend_under(ax: Axes, columns: int) -> None:
    """Add the legend of what is drawn in ``ax`` below its axis, whatever its height."""
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        borderaxespad=5.0,
        ncols=columns,
        fontsize=SMALL,
        frameon=False,
    )

"""The look that all figures share: colors, style, panels of images, legends and labels.

Colors stay apart for color-blind readers: one per person, lighter on the left side.
"""

from __future__ import annotations

import colorsys
import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from numpy.typing import ArrayLike, NDArray

from poselib.structures import Size

Color = tuple[float, float, float]  # red, green, blue in [0, 1]

# Okabe and Ito's palette without black, which is lost on photographs.
ORANGE: Color = (0.902, 0.624, 0.000)
SKY: Color = (0.337, 0.706, 0.914)
PURPLE: Color = (0.800, 0.475, 0.655)
GREEN: Color = (0.000, 0.620, 0.451)
YELLOW: Color = (0.941, 0.894, 0.259)
BLUE: Color = (0.000, 0.447, 0.698)
VERMILION: Color = (0.835, 0.369, 0.000)
WHITE: Color = (1.0, 1.0, 1.0)
INK: Color = (0.13, 0.13, 0.15)
GRAY: Color = (0.55, 0.55, 0.58)
ALERT: Color = (0.80, 0.10, 0.12)
BRIGHT: Color = (0.00, 0.85, 0.45)  # what is right, over photographs

# The order keeps the first few people, and the first few lines of a plot, as far apart as possible.
_PEOPLE = (ORANGE, SKY, PURPLE, GREEN, YELLOW, BLUE, VERMILION)
LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GRAY)
_GOLDEN = 0.6180339887  # spreads any number of hues evenly

WIDTH = 9.0  # inches: 900 px where a page shows 100 px an inch
TEXT, SMALL = 9.0, 8.0  # points

# A decorator that gives this style to the figure of a function alone.
theme = rc_context(
    {
        "figure.titlesize": TEXT + 2.5,
        "figure.constrained_layout.h_pad": 0.06,
        "font.size": SMALL,
        "text.color": INK,
        "text.parse_math": False,  # names of files and methods are no formulas
        "axes.titlesize": TEXT,
        "axes.titlecolor": INK,
        "axes.labelsize": TEXT,
        "axes.grid": True,
        "grid.color": "0.92",
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)


def blend(color: Color, other: Color, amount: float) -> Color:
    """Return ``color`` moved towards ``other`` by ``amount`` in [0, 1]."""
    red, green, blue = ((1 - amount) * a + amount * b for a, b in zip(color, other, strict=True))
    return red, green, blue


def person_colors(count: int) -> tuple[Color, ...]:
    """Return ``count`` distinct colors: Okabe and Ito's seven first, then spread hues."""
    extra = max(count - len(_PEOPLE), 0)
    more = tuple(
        colorsys.hls_to_rgb((0.12 + i * _GOLDEN) % 1.0, (0.45, 0.65)[i % 2], 0.75)
        for i in range(extra)
    )
    return (*_PEOPLE, *more)[:count]


def partner_colors(people: int, partners: ArrayLike) -> list[Color]:
    """Return the colors of detections (P,): that of the annotated person each was matched to, or,
    without a partner (-1), one that none of the ``people`` annotated has.
    """
    given = np.asarray(partners, dtype=np.int64)
    colors = person_colors(people + len(given))
    numbers = np.where(given >= 0, given, people + np.cumsum(given < 0) - 1)
    return [colors[number] for number in numbers]


def side_color(color: Color, side: str) -> Color:
    """Return a person's color for ``"left"`` (lighter), ``"right"`` (darker) or ``"center"``."""
    if side == "left":
        return blend(color, WHITE, 0.5)
    return blend(color, INK, 0.2) if side == "right" else color


def to_pale_gray(image: NDArray[np.uint8], strength: float = 0.55) -> NDArray[np.uint8]:
    """Return an image (3, H, W) uint8 as gray, moved to white by ``strength`` in [0, 1]."""
    gray = image.astype(np.float32).mean(axis=0)
    pale = (1 - strength) * gray + strength * 255
    return np.repeat(pale[None].round().astype(np.uint8), 3, axis=0)


class NotebookFigure(Figure):
    """A figure outside pyplot: nothing global keeps it, and a notebook displays it once."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue(), {"width": round(100 * self.get_figwidth())}


def new_figure(height: float, width: float = WIDTH, title: str = "") -> Figure:
    """Return an empty figure, sizes in inches, whose layout keeps every label inside."""
    size = (width, height)
    figure = NotebookFigure(figsize=size, dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)  # a bare Figure has no canvas that can draw
    if title:
        figure.suptitle(wrapped(title, width / 1.3), color=INK)
    return figure


@theme
def sentence(text: str, title: str = "") -> Figure:
    """Return a figure of a sentence, for where there is nothing to draw."""
    figure = new_figure(1.2 if title else 0.8, title=title)
    figure.text(0.02, 0.4, wrapped(text, WIDTH), va="center", fontsize=TEXT)
    return figure


def wrapped(text: str, width: float) -> str:
    """Break ``text`` into lines that fit ``width`` inches at the size ``TEXT``."""
    letters = max(int(13 * width), 8)
    return "\n".join(textwrap.fill(line, letters) for line in drawable(text).splitlines())


def drawable(text: str) -> str:
    """Return ``text`` with escapes for bytes of file names that are no letters."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def display_name(keypoint: object) -> str:
    """Return a keypoint's name as a reader expects it, ``left hip`` for ``left_hip``."""
    return str(keypoint).replace("_", " ")


def require_columns(table: pd.DataFrame, *needed: str, empty: bool = False) -> None:
    """Raise ValueError if a table lacks one of the columns, or rows unless it may be empty."""
    if lacking := [name for name in needed if name not in table]:
        raise ValueError(f"the table lacks the columns {lacking}; it has {list(table)}")
    if table.empty and not empty:
        raise ValueError("nothing to draw: the table has no row")


def name_rows(ax: Axes, names: Iterable[object], size: float = TEXT) -> None:
    """Name rows of bars or dots on the y axis, the first on top, with a grid along x alone."""
    names = list(names)
    ax.set_yticks(range(len(names)), [drawable(str(name)) for name in names], fontsize=size)
    ax.set(ylim=(len(names) - 0.5, -0.5), ylabel="")
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")


def panel_grid(
    shapes: Sequence[tuple[float, float]],
    columns: int,
    *,
    title: str = "",
    margin: float = 0.3,
    side: float = 0.0,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with one axes for each image of ``shapes`` (height, width), row by row.

    It is as high as the images need with ``margin`` inches of text above each row; color bars take
    ``side`` inches of its width. Raises ValueError without images or columns.
    """
    if not shapes:
        raise ValueError("nothing to draw: the list of images is empty")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    columns, ratios = min(columns, len(shapes)), [height / width for height, width in shapes]
    width = WIDTH if columns > 1 else WIDTH * min(1.0, 0.75 / ratios[0] + 0.1)
    heights = [ratio * ((width - side) / columns - 0.1) + margin for ratio in ratios]
    return axes_grid(heights, columns, width, title)


def axes_grid(
    heights: Sequence[float], columns: int, width: float = WIDTH, title: str = ""
) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes of the given heights in rows of ``columns``, sizes in inches."""
    columns = min(columns, len(heights))
    rows = [max(heights[i : i + columns]) for i in range(0, len(heights), columns)]
    figure = new_figure(sum(rows) + 0.35 + (0.3 if title else 0.0), width, title)
    axes = figure.subplots(len(rows), columns, squeeze=False, height_ratios=rows).ravel()
    for spare in axes[len(heights) :]:
        spare.set_axis_off()
    return figure, list(axes[: len(heights)])


def line_weight(columns: int) -> float:
    """Return the factor of line widths that keeps poses legible in panels ``columns`` abreast."""
    return max(1.0, columns / 2.6)


def as_image(image: ArrayLike) -> NDArray[np.uint8]:
    """Return ``image`` as an array; raises ValueError unless it is (3, H, W) uint8."""
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[0] != 3 or array.dtype != np.uint8:
        raise ValueError(f"image must be (3, H, W) uint8, not {array.shape} {array.dtype}")
    return array


def show_image(ax: Axes, image: ArrayLike, title: str = "") -> None:
    """Fill ``ax`` with an image (3, H, W) uint8; data coordinates are px, centers at + 0.5."""
    pixels = as_image(image)
    height, width = pixels.shape[1:]
    ax.imshow(pixels.transpose(1, 2, 0), extent=(0, width, height, 0), zorder=0)
    fit_axes(ax, (height, width), title)


def fit_axes(ax: Axes, size: Size, title: str = "") -> None:
    """Fix the limits of ``ax`` to an image of ``size`` (height, width) and drop its ticks."""
    ax.set(xlim=(0, size[1]), ylim=(size[0], 0), xticks=[], yticks=[], aspect="equal")
    ax.autoscale(False)
    ax.spines[:].set(color="0.75", linewidth=0.6, visible=True)
    if title:
        ax.set_title(wrapped(title, _width_of(ax)), pad=3)


def _width_of(ax: Axes) -> float:
    """Inches that a panel may take of its row, before the layout is solved."""
    grid = ax.get_gridspec()
    return float(ax.figure.bbox.width / ax.figure.dpi) / (grid.ncols if grid is not None else 1)


def show_map(ax: Axes, values: ArrayLike, size: Size, **style: Any) -> Any:
    """Draw a map (h, w), or (h, w, 4) of colors, stretched over an image of ``size`` (H, W).

    The cell grid covers the image exactly, so a cell of stride s lies on the s by s pixels that
    it describes. ``style`` goes to matplotlib's ``imshow``; returns what that returns.
    """
    style = {"interpolation": "nearest", **style}
    return ax.imshow(np.asarray(values), extent=(0, size[1], size[0], 0), **style)


def bar_beside(ax: Axes, mesh: ScalarMappable, label: str, extend: str = "neither") -> Colorbar:
    """Add the bar of a map's colors on the right of ``ax``, as high as what it shows."""
    # The map itself may have a transparency per cell, which a bar cannot show.
    colors = ScalarMappable(norm=mesh.norm, cmap=mesh.cmap)
    inch = 1 / _width_of(ax)
    beside = ax.inset_axes((1 + 0.08 * inch, 0.0, 0.15 * inch, 1.0), label="<colorbar>")
    bar = ax.figure.colorbar(colors, cax=beside, extend=extend, label=label)
    bar.outline.set_visible(False)
    return bar


def legend_below(figure: Figure, entries: Mapping[str, Any]) -> None:
    """Add one legend below all panels, no wider than the figure: what is drawn, by its label.

    An entry is an artist, or the style of a line or marker as ``Axes.plot`` takes it.
    """
    handles = [e if isinstance(e, Artist) else Line2D([], [], **e) for e in entries.values()]
    letters, most = [len(label) + 6 for label in entries], int(15.5 * figure.get_figwidth())
    columns = len(letters) if sum(letters) <= most else max(1, most // max(letters))
    spaces = {"handletextpad": 0.4, "columnspacing": 1.4}
    figure.legend(handles, entries.keys(), loc="outside lower center", ncols=columns, **spaces)


def legend_under(ax: Axes, columns: int) -> None:
    """Add the legend of what is drawn in ``ax`` below its axis, whatever its height."""
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), borderaxespad=5.0, ncols=columns)


def marker_style(
    marker: str | MarkerStyle, size: float, face: object, edge: object = INK, width: float = 0.7
) -> dict[str, Any]:
    """Return the arguments with which ``Axes.plot`` draws markers without a line."""
    return {
        "linestyle": "none", "marker": marker, "markersize": size,
        "markerfacecolor": face, "markeredgecolor": edge, "markeredgewidth": width,
    }  # fmt: skip


# Legend entries of the three kinds of keypoints, and of those that are annotated but hidden.
SIDES = {
    "left side of a person": marker_style("o", 7, side_color(GRAY, "left")),
    "right side": marker_style("s", 7, side_color(GRAY, "right")),
    "midline": marker_style("^", 7, GRAY),  # nose and neck; a person's center is the mean point
}
VISIBILITY = {**SIDES, "labeled but hidden": marker_style("o", 7, WHITE, GRAY, 1.6)}

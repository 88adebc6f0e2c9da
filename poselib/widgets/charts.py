"""A small chart of matplotlib, kept and drawn anew in a widget, on white in any theme."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from poselib.plots import style
from poselib.widgets.canvas import ImageCanvas

_DPI = 100
_FRAMES = 16  # kept by a chart, 0.7 MB each


class Chart(ImageCanvas):
    """A chart whose points can be clicked and named: ``redraw`` lets a function draw into its axes.

    Args:
        width, height: inches; 100 px an inch.
        title: what it shows.
    """

    @style.theme
    def __init__(self, width: float, height: float, title: str = "") -> None:
        super().__init__(title=title, width=round(width * _DPI))
        self._figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
        self._agg = FigureCanvasAgg(self._figure)
        self.axes: Axes = self._figure.add_subplot()
        self._laid_out = False
        # By key: pixels, the position of the axes and their limits.
        self._frames: dict[Hashable, tuple[Any, Any, dict[str, Any]]] = {}
        self._kept: set[Artist] = set()

    @style.theme
    def redraw(
        self,
        draw: Callable[[Axes], None],
        names: Sequence[tuple[float, float, str]] = (),
        *,
        layout: bool = False,
    ) -> None:
        """Clear the axes, draw into them and show the result.

        Args:
            draw: fills the axes.
            names: (x, y, text) of points that are named when the mouse is near, data coordinates.
            layout: make room for other labels; the first drawing does, and it takes as long as
                all the rest.
        """
        self._frames.clear()
        self.axes.clear()
        draw(self.axes)
        self._draw_figure(layout or not self._laid_out)
        self._show(names)

    @style.theme
    def redraw_within(
        self,
        key: Hashable,
        frame: Callable[[Axes], None],
        draw: Callable[[Axes], None],
        names: Sequence[tuple[float, float, str]] = (),
    ) -> None:
        """Draw into a frame that stays as it is for a key: most of the time goes into its labels.

        The last few frames are kept, to be shown again.

        Args:
            frame: sets limits, ticks and labels.
            draw: adds the rest, and leaves these alone.
            names: as in ``redraw``.
        """
        if key not in self._frames:
            self._draw_frame(key, frame)
        background, place, limits = self._frames[key]
        for artist in self._added():
            artist.remove()
        self.axes.containers.clear()  # which would keep the bars that were removed
        self.axes.set_position(place)
        self.axes.set_in_layout(True)  # of the next frame
        self.axes.set(**limits)
        draw(self.axes)
        self._agg.restore_region(background)
        for artist in sorted(self._added(), key=Artist.get_zorder):
            self.axes.draw_artist(artist)
        self._show(names)

    def _draw_frame(self, key: Hashable, frame: Callable[[Axes], None]) -> None:
        self.axes.clear()
        frame(self.axes)
        self.axes.autoscale(False)
        self._draw_figure(layout=True)
        self._kept = set(self.axes.get_children())
        background = self._agg.copy_from_bbox(self._figure.bbox)
        limits = {"xlim": self.axes.get_xlim(), "ylim": self.axes.get_ylim()}
        self._frames[key] = background, self.axes.get_position(original=True), limits
        if len(self._frames) > _FRAMES:
            del self._frames[next(iter(self._frames))]

    def _draw_figure(self, layout: bool) -> None:
        self._figure.set_layout_engine("constrained" if layout else "none")
        self._laid_out = True
        self._agg.draw()

    def _added(self) -> list[Artist]:
        return [artist for artist in self.axes.get_children() if artist not in self._kept]

    def _show(self, names: Sequence[tuple[float, float, str]]) -> None:
        places = self._px([(x, y) for x, y, _ in names])
        labels = [(x, y, text) for (x, y), (_, _, text) in zip(places, names, strict=True)]
        self.show(np.asarray(self._agg.buffer_rgba())[..., :3], labels=labels)

    def at_click(self) -> tuple[float, float]:
        """Return the point last clicked, in data coordinates."""
        x, y, _ = self.clicked
        found = self.axes.transData.inverted().transform((x, self.size[0] - y))
        return float(found[0]), float(found[1])

    def _px(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        if not points:
            return []
        height = self._figure.bbox.height
        px = self.axes.transData.transform(points)
        return [(float(x), float(height - y)) for x, y in px]

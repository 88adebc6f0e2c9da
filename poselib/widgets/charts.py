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
        self._frame: tuple[Hashable, Any, set[Artist]] | None = None

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
        self._frame = None
        self._draw_all(draw, layout)
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

        Args:
            frame: sets limits, ticks and labels.
            draw: adds the rest, and leaves these alone.
            names: as in ``redraw``.
        """
        if self._frame is None or self._frame[0] != key:
            self._draw_all(frame, True)
            self.axes.autoscale(False)
            background = self._agg.copy_from_bbox(self._figure.bbox)
            self._frame = key, background, set(self.axes.get_children())
        _, background, kept = self._frame
        for artist in set(self.axes.get_children()) - kept:
            artist.remove()
        draw(self.axes)
        self._agg.restore_region(background)
        added = [artist for artist in self.axes.get_children() if artist not in kept]
        for artist in sorted(added, key=Artist.get_zorder):
            self.axes.draw_artist(artist)
        self._show(names)

    def _draw_all(self, draw: Callable[[Axes], None], layout: bool) -> None:
        self.axes.clear()
        draw(self.axes)
        self._figure.set_layout_engine("constrained" if layout or not self._laid_out else "none")
        self._laid_out = True
        self._agg.draw()

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

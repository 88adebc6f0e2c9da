"""A small chart of matplotlib, kept and drawn anew in a widget, on white in any theme."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
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

    @style.theme
    def redraw(
        self,
        draw: Callable[[Axes], None],
        names: Sequence[tuple[float, float, str]] = (),
        *,
        layout: bool = False,
        keep: bool = False,
    ) -> None:
        """Clear the axes, draw into them and show the result.

        Args:
            draw: fills the axes.
            names: (x, y, text) of points that are named when the mouse is near, data coordinates.
            layout: make room for other labels; the first drawing does, and it takes as long as
                all the rest.
            keep: leave what is in the axes to ``draw``: new ticks take longer than all the rest.
        """
        if not keep:
            self.axes.clear()
        draw(self.axes)
        self._figure.set_layout_engine("constrained" if layout or not self._laid_out else "none")
        self._laid_out = True
        self._agg.draw()
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

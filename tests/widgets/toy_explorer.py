"""An explorer with one control of each kind, for what is tried in a browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets as ipw
import numpy as np
from matplotlib.figure import Figure

from poselib.plots.style import new_figure
from poselib.skeletons import SKELETONS
from poselib.widgets.canvas import ImageCanvas
from poselib.widgets.charts import Chart
from poselib.widgets.explorer import Explorer, settings_of
from poselib.widgets.images import NAMES, ImageSettings, ImageSource
from poselib.widgets.painting import Picture


@dataclass(frozen=True)
class Settings(ImageSettings):
    gain: float = 0.5
    colors: str = "magma"
    pale: bool = True
    fault: bool = False


class Toy(Explorer):
    """A map over an image, a picture with a box, and a chart of one point."""

    function = "toy"
    slow = NAMES[:6]

    def __init__(self, **settings: Any) -> None:
        self.source = ImageSource(None, SKELETONS["coco"], 64)
        self.canvas = ImageCanvas(title="map", width=256)
        self.masked = ImageCanvas(title="box", width=256, boxed=True)
        self.chart = Chart(2.5, 2, "chart")
        for canvas, name in ((self.canvas, "clicked"), (self.masked, "box")):
            canvas.observe(lambda _: self.refresh(), name)
        slider = ipw.FloatSlider(0.5, min=0, max=1, step=0.05, description="gain")
        colors = ipw.Dropdown(options=["magma", "viridis"], description="colors")
        own = {
            "gain": slider,
            "colors": colors,
            "pale": ipw.Checkbox(True, description="pale"),
            "fault": ipw.Checkbox(False, description="fault"),
        }
        super().__init__(
            settings_of(Settings, self.function, settings),
            {**self.source.controls, **own},
            [ipw.HBox([self.canvas, self.masked, self.chart])],
            resolve=self.source.resolve,
            sections={"Image": NAMES, "Map": list(own)[:2], "More": list(own)[2:]},
            folded=["More"],
        )

    def state(self) -> int:
        return len(self.controls["upload"].value)

    def compute(self, values: Mapping[str, Any]) -> Any:
        return self.source.sample(values)

    def draw(self, values: Mapping[str, Any], computed: Any) -> str:
        if values["fault"]:
            raise ZeroDivisionError("a fault on purpose")
        cells = values["gain"] * np.linspace(0, 1, 64).reshape(8, 8)
        for canvas in (self.canvas, self.masked):
            picture = Picture(computed.image, pale=values["pale"])
            picture.add_map(cells, (0, 1), colors=values["colors"])
            picture.add_rings([canvas.clicked[:2]])
            if canvas.box:
                picture.add_box(canvas.box)
            canvas.show(picture.pixels, picture.size, labels=[(32, 32, "left wrist")])
        point = (0.5, values["gain"])
        self.chart.redraw(lambda axes: axes.plot(*point, "o"), [(*point, "gain")])
        box = [round(side) for side in self.masked.box]
        return f"point {[round(part) for part in self.canvas.clicked]}, box {box}"

    def figure(self) -> Figure:
        figure = new_figure(3)
        figure.subplots().imshow(self.computed().image.transpose(1, 2, 0))
        return figure

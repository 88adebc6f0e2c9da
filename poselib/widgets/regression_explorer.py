"""Explorer of poses that are regressed from centers: offsets, what they depend on, adaptation."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import ipywidgets as ipw
from matplotlib.figure import Figure

from poselib.analysis.regressed_people import regress_image
from poselib.skeletons import COCO
from poselib.widgets import regression_pictures as painted
from poselib.widgets.canvas import ImageCanvas
from poselib.widgets.charts import Chart
from poselib.widgets.explorer import Explorer
from poselib.widgets.images import NAMES, ImageSource
from poselib.widgets.latest import Kept
from poselib.widgets.models import ModelSource
from poselib.widgets.painting import Picture
from poselib.widgets.regression_choice import (
    Chosen,
    at_point,
    chart_title,
    chosen_labels,
    people_labels,
    people_title,
)
from poselib.widgets.regression_chooser import Chooser
from poselib.widgets.regression_controls import (
    ACTIVATED,
    CENTERS,
    DECODING,
    FILTER,
    SALIENCY,
    SECTIONS,
    RegressionSettings,
    control_widgets,
    own_settings,
    suit_controls,
)
from poselib.widgets.regression_pictures import FILTER_LEGEND
from poselib.widgets.regression_views import Seen, describe, regression_figure, view_map
from poselib.widgets.settings import argument, reach, settings_of

_NEAR = 0.03  # of the image's side: a click so near to a keypoint chooses it
_ADVICE = (
    "regression takes a system that regresses poses from people's centers, and none comes with "
    'poselib: name the checkpoint of a training, or published weights such as "dekr_w32_coco"'
)


class RegressionExplorer(Explorer):
    """Looks into a system that regresses poses; see ``regression``."""

    function = "regression"
    slow = ("model", *NAMES[:6], "flip")

    def __init__(self, model: Any, image: Any, settings: RegressionSettings) -> None:
        self.models = ModelSource(model, self.function, _ADVICE)
        self._system = None if model is None else self.models.predictor(self.models.name).system
        self.source = ImageSource(image, COCO, 256)
        self._arguments = [
            "model" if self.models.given else "None",
            *([] if image is None else [argument(image, "image")]),
        ]
        controls = {"model": self.models.control, **self.source.controls, **control_widgets()}
        reach({name: controls[name] for name in DECODING}, vars(settings))
        if self._system is not None:
            suit_controls(controls, self._system)
        self.left, self.right = ImageCanvas(width=410), ImageCanvas(width=410)
        self.chart = Chart(8.3, 2.0)
        self.filters = [ImageCanvas(width=150) for _ in range(3)]
        shown, gap = [*self.filters, ipw.HTML(FILTER_LEGEND)], ipw.Layout(grid_gap="6px 12px")
        self._strip = ipw.HBox(shown, layout=gap)
        self._images, self._salient, self._chooser = Kept(4), Kept(16), Chooser()
        self.chosen: Chosen | None = None
        wrapped = ipw.Layout(flex_flow="row wrap", grid_gap="6px 12px")
        super().__init__(
            replace(settings, model=settings.model or self.models.name),
            controls,
            [ipw.HBox([self.left, self.right], layout=wrapped), self._strip, self.chart],
            sections=SECTIONS,
            folded=("Decoding",),
            resolve=self._resolve,
        )
        self.controls["person"].observe(self._forget_cell, "value")
        for canvas in (self.left, self.right):
            canvas.observe(self._clicked, "clicked")
        self.chart.observe(self._bar_clicked, "clicked")

    @property
    def code(self) -> str:
        name, image = self.controls["model"].value.strip(), self._arguments[1:]
        first = [repr(name)] if name else self._arguments[:1] if image or self.models.given else []
        self.given = [*first, *image]
        self._defaults["model"] = self.controls["model"].value  # an argument by its place
        return super().code

    def set(self, **values: Any) -> None:
        if "cell" in values:  # last, as another person forgets it
            values["cell"] = values.pop("cell")
        super().set(**values)

    def state(self) -> Hashable:
        values = self.values
        view, names = values["view"], ("keypoint", "person", "cell", "guided", *DECODING)
        asked = tuple(values[name] for name in names) if view == SALIENCY else ()
        slow = (view,) if view in (SALIENCY, ACTIVATED) else ()
        return (self.source.uploads, *slow, *asked)

    def known(self, values: Mapping[str, Any]) -> Seen | None:
        image = self._images.get(self._image_key(values))
        if image is None or (values["view"] == ACTIVATED and "taps" not in vars(image)):
            return None
        if values["view"] != SALIENCY:
            return Seen(image)
        try:
            chosen = self._chooser.choose(values, image)
        except ValueError:  # said by ``compute``
            return None
        saliency = self._salient.get(_saliency_key(chosen, values))
        return None if saliency is None else Seen(image, saliency)

    def compute(self, values: Mapping[str, Any]) -> Seen:
        key = self._image_key(values)
        if (image := self._images.get(key)) is None:
            predictor = self.models.predictor(values["model"].strip())
            system, options = predictor.system, replace(predictor.options, flip=values["flip"])
            sample = self.source.sample(values, system.skeleton, options.size_for(system))
            image = self._images.put(key, regress_image(system, sample, options))
        if values["view"] == ACTIVATED:
            _ = image.taps
        if values["view"] != SALIENCY:
            return Seen(image)
        chosen = self._chooser.choose(values, image)
        saliency = image.saliency(chosen.cell, chosen.keypoint, guided=values["guided"])
        return Seen(image, self._salient.put(_saliency_key(chosen, values), saliency))

    def fit(self, values: Mapping[str, Any], computed: Seen) -> None:
        system = computed.image.system
        if system is not self._system:
            self._system = system
            suit_controls(self.controls, system)
            for name, value in own_settings(system).items():
                self._defaults[name] = value
                if name in DECODING:
                    self.controls[name].value = value

    def draw(self, values: Mapping[str, Any], computed: Seen) -> str:
        image = computed.image
        self.chosen = chosen = self._chooser.choose(values, image)
        size = image.sample.size
        people = painted.paint_people(chosen)
        self.left.show(people.pixels, size, people_labels(chosen), people_title(chosen))
        picture = Picture(image.sample.image, pale=True)
        title, seen = self._paint_view(picture, chosen, computed, values["view"])
        painted.paint_arrows(picture, chosen, alone=values["view"] != CENTERS)
        self.right.show(picture.pixels, size, chosen_labels(chosen), title)
        self._show_filters(chosen)
        self._show_chart(chosen)
        return "; ".join(part for part in (describe(chosen), seen) if part) + "."

    def figure(self) -> Figure:
        seen = self.computed()
        return regression_figure(self._chooser.choose(self.values, seen.image), self.values, seen)

    def _paint_view(
        self, picture: Picture, chosen: Chosen, seen: Seen, view: str
    ) -> tuple[str, str]:
        """Paint what is under the arrows; return its title, and what is seen in words."""
        values, title, words = view_map(chosen, seen.saliency, view)
        if values is not None:
            picture.add_map(values, (0.0, max(float(values.max()), 1e-6)), colors="inferno")
        if view == CENTERS:
            painted.paint_centers(picture, chosen)
        elif view == ACTIVATED:
            painted.paint_taps(picture, chosen)
        elif view == FILTER:
            painted.paint_filter(picture, chosen, chosen.local_filter())
        return title, words

    def _show_filters(self, chosen: Chosen) -> None:
        shown = chosen.adapts
        self._strip.layout.display = None if shown else "none"
        if shown:
            pairs = zip(self.filters, painted.filter_pictures(chosen), strict=True)
            for canvas, (title, pixels, size) in pairs:
                canvas.show(pixels, size, title=title)

    def _show_chart(self, chosen: Chosen) -> None:
        self.chart.title = chart_title(chosen)
        top, annotated = painted.bar_top(chosen), chosen.fit is not None
        self.chart.redraw_within(
            (chosen.skeleton.keypoints, annotated, top),
            lambda ax: painted.draw_bar_frame(ax, chosen, top),
            lambda ax: painted.draw_bars(ax, chosen, top),
        )

    def _clicked(self, change: Any) -> None:
        """Choose the keypoint, the person or else the cell that was clicked."""
        chosen, (x, y, _) = self.chosen, change["new"]
        if chosen is None:
            return
        near = _NEAR * max(chosen.image.sample.size)
        found = at_point(chosen, (x, y), near, everybody=change["owner"] is self.left)
        if found is None:
            column, row = chosen.image.cell_at(x, y)
            self.set(cell=f"{column}, {row}")
        else:
            person, keypoint = found
            names = chosen.skeleton.keypoints
            changes: dict[str, Any] = {} if keypoint < 0 else {"keypoint": names[keypoint]}
            if person >= 0:
                changes |= {"person": person + 1, "cell": ""}
            self.set(**changes)

    def _bar_clicked(self, _: Any) -> None:
        if self.chosen is not None:
            names = self.chosen.skeleton.keypoints
            place = round(self.chart.at_click()[0])
            self.set(keypoint=names[min(max(place, 0), len(names) - 1)])

    def _forget_cell(self, _: Any) -> None:
        self.controls["cell"].value = ""

    def _resolve(self, settings: dict[str, Any]) -> dict[str, Any]:
        own = own_settings(self._system)
        resolved = self.source.resolve(settings)
        return {n: own[n] if n in own and v in ("", None) else v for n, v in resolved.items()}

    def _image_key(self, values: Mapping[str, Any]) -> Hashable:
        return (self.source.uploads, *(values[name] for name in self.slow))


def regression(model: Any = None, image: Any = None, **settings: Any) -> RegressionExplorer:
    """Explore how a system regresses poses from the centers of people, in a notebook.

    On the left the people of an image, on the right the offsets from one center over a map: the
    center map, a keypoint's heatmap, the saliency of its offset, the pixels that its branch
    samples (DEKR, Figs. 1 and 4) or the filter that moves it (LOGO-CAP, Fig. 1). A click on a
    keypoint or a center chooses it and its person; a click elsewhere shows the pose of that cell.
    A bar for each keypoint shows its error, if it is annotated, and chooses it when clicked.

    Args:
        model: what ``poselib.load`` takes, or a predictor: of a system that regresses poses.
            Nothing bundled does; without one, a sentence says what to give.
        image: one image or several, as a predictor takes them, or a dataset; synthetic scenes by
            default.
        **settings: ``view``, ``keypoint``, ``person``, ``cell``, ``truth``, ``guided``,
            ``center_threshold``, ``nms_distance``, ``min_score``, ``prior``, ``match`` and
            ``flip``, see ``widgets.regression_controls.RegressionSettings``; and those that choose
            an image, see ``widgets.images.ImageSettings``.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: the model regresses no poses, the image is none, or a setting is unknown or out
            of range.

    Example::

        poselib.widgets.regression("dekr.safetensors", view="saliency", keypoint="left_ankle")
    """
    return RegressionExplorer(
        model, image, settings_of(RegressionSettings, RegressionExplorer.function, settings)
    )


def _saliency_key(chosen: Chosen, values: Mapping[str, Any]) -> Hashable:
    return (chosen.image, chosen.cell, chosen.keypoint, values["guided"])

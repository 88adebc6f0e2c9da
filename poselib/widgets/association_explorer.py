"""The explorer of association: how peaks of heatmaps become people by their tags, step by step."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import ipywidgets as ipw
import numpy as np
from matplotlib.figure import Figure

from poselib.analysis.inspect_image import decode_options, inspect_image
from poselib.plots import style
from poselib.plots.embeddings import frame_tag_strips
from poselib.widgets.association_charts import (
    draw_matrix,
    draw_strips,
    frame_matrix,
    matrix_names,
    tag_limits,
)
from poselib.widgets.association_image import SeenImage
from poselib.widgets.association_settings import (
    END,
    FOLDED,
    LEGEND,
    MATRIX,
    SECTIONS,
    STRIPS,
    AssociationSettings,
    parse_scales,
    scales_text,
    shown_by,
    suit_model,
    view_controls,
)
from poselib.widgets.association_sides import views_of
from poselib.widgets.association_views import WalkView
from poselib.widgets.canvas import ImageCanvas
from poselib.widgets.charts import Chart
from poselib.widgets.decoding import (
    DECODING,
    SECOND,
    decoding_controls,
    own_settings,
)
from poselib.widgets.explorer import Explorer, settings_of
from poselib.widgets.images import NAMES, ImageSource
from poselib.widgets.models import ModelSource
from poselib.widgets.settings import argument


def association(model: Any = None, image: Any = None, **settings: Any) -> AssociationExplorer:
    """Explore how an associative network groups keypoints into people.

    Click a keypoint to see the step in which it was grouped, and why; where people are annotated,
    keypoints that went to the wrong person are ringed. The matrix holds the distance of each
    keypoint type to the people in each step (HAE, Eq. 18), and a cell says between which keypoint
    and person it is; the strips are the tags of each person's keypoints, outliers (HAE, Sec.
    III-D) in squares, each keypoint in the color of the person it lies on.

    Args:
        model: what ``poselib.load`` takes, or a ``Predictor``; by default the bundled model.
        image: one image or several, or a dataset; by default synthetic scenes.
        **settings: see ``widgets.association_settings``: of the image ``source``, ``scene``,
            ``people``, ``crowd_index``, ``index`` and ``file``; ``model``, ``size``, ``scales`` and
            ``flip``; ``map_shown``, ``keypoint``, ``person``, ``step``, ``poses`` and
            ``min_score``; of the decoding ``order``, ``detection_threshold``, ``tag_threshold``,
            ``progressive_unit``, ``distance_reduction``, ``tie_rule``, ``round_distance``,
            ``threshold_before_assignment``, ``max_people``, ``resolution`` and ``refine``; with
            ``compare=True`` the same of a second one, such as ``second_order``, and ``side``.

    Raises:
        ValueError: the model does not group keypoints by tags, the image is none, or a setting is
            unknown or has no such value.
        FileNotFoundError: the file of the model or of the image is absent.

    Example:
        >>> explorer = association(scene=3, order="top_down", step=2)
        >>> explorer.code
        "poselib.widgets.association(scene=3, order='top_down', step=2)"
    """
    return AssociationExplorer(model, image, **settings)


class AssociationExplorer(Explorer):
    """See ``association``.

    Attributes:
        views: by the name of a decoding, what is drawn of it.
    """

    function = "association"
    status_first = True
    slow = (*NAMES[:6], "model", "size", "scales", "flip")

    def __init__(self, model: Any = None, image: Any = None, **settings: Any) -> None:
        self.models = ModelSource(model, self.function)
        self.views: dict[str, WalkView] = {}
        first = self.models.predictor(self.models.name)
        system = first.system
        self._name, self._drawn = self.models.name, dict[str, Hashable]()
        self._last: SeenImage | None = None
        self._said = ""
        self._dots: list[tuple[float, float, int, int]] = []
        self._own = own_settings(decode_options(system), system.skeleton)
        self._shown = shown_by(first.options)
        self.source = ImageSource(image, system.skeleton, first.options.size_for(system))
        self.canvases = {name: ImageCanvas(width=420) for name in ("first", "second")}
        self.matrix, self.strips = Chart(4.3, 4.0, MATRIX), Chart(4.3, 2.8, STRIPS)
        scales = scales_text(settings.get("scales") or self._shown["scales"])
        controls = view_controls(system.skeleton, (self._shown["scales"], scales))
        controls |= {**self.source.controls, "model": self.models.control}
        controls |= decoding_controls(system.skeleton, self._own, settings)
        self._image = [] if image is None else [argument(image, "image")]
        settings = {"model": self.models.name, **settings, "scales": scales}
        super().__init__(
            settings_of(AssociationSettings, self.function, settings),
            controls,
            [self._pictures(controls)],
            sections=SECTIONS,
            folded=FOLDED,
            resolve=self._resolve,
        )
        for name, canvas in self.canvases.items():
            canvas.observe(lambda _, name=name: self._clicked(name), "clicked")
        self.matrix.observe(lambda _: self._matrix_clicked(), "clicked")
        self.strips.observe(lambda _: self._strips_clicked(), "clicked")

    @property
    def code(self) -> str:
        if self.models.given and not self.controls["model"].value:
            self.given = ["model", *self._image]
        else:
            self.given = [f"image={image}" for image in self._image]
        return super().code

    def state(self) -> Hashable:
        return self.source.uploads

    def compute(self, values: Mapping[str, Any]) -> SeenImage:
        predictor = self.models.predictor(values["model"])
        shown = {"flip": values["flip"], "scales": parse_scales(values["scales"])}
        size = values["size"] or predictor.options.size
        options = replace(predictor.options, size=size, **shown)
        system = predictor.system
        system.model.to(predictor.device)
        sample = self.source.sample(values, system.skeleton, options.size_for(system))
        return SeenImage(system, inspect_image(system, sample, options, combined=True))

    def fit(self, values: Mapping[str, Any], computed: SeenImage) -> None:
        other = self._last is not None and self._last is not computed
        if other and self._last is not None:
            self._last.maps.clear()
        self._last = computed
        if values["model"] != self._name:
            self._fit_model(values, computed)
        longest = max(
            computed.walk(self.values, prefix).length
            for prefix in (("", SECOND) if values["compare"] else ("",))
        )
        step = self.controls["step"]
        at_end = other or step.value >= step.max
        step.max = self._play.max = longest
        step.value = longest if at_end else step.value
        self._defaults["step"] = longest

    def draw(self, values: Mapping[str, Any], computed: SeenImage) -> str:
        names = ("first", "second") if values["compare"] else ("first",)
        for widget in (self.controls["side"], self._second, self.canvases["second"]):
            widget.layout.display = None if values["compare"] else "none"
        side = values["side"] if values["compare"] else "first"
        self.views, differences = views_of(values, computed)
        for name in names:
            view, order = self.views[name], "order" if name == "first" else SECOND + "order"
            whose = f"{name} decoding: {values[order]}, " if values["compare"] else "people "
            if self._drawn.get(name) != (key := view.picture_key):
                pixels, size = view.picture().pixels, computed.sample.size
                self.canvases[name].show(pixels, size, view.names())
                self._drawn[name] = key
            self.canvases[name].title = f"{whose}{view.at}{view.wrong_title}{view.map_title}"
        self._draw_charts(self.views[side])
        self._said = self.views[side].explain(values["person"])
        if differences:
            marked = ", ringed in purple" if self.views["first"].differs.any() else ""
            self._said += f" With the second decoding {differences}{marked}."
        return self._said

    @style.theme
    def figure(self) -> Figure:
        self.computed()
        compared = "second" in self.views
        side = self.controls["side"].value if compared else "first"
        figure = style.new_figure(8.6, style.WIDTH, self._said)
        rows: list[Any] = [["first", "second"], ["matrix", "strips"]]
        rows = rows if compared else [["first", "matrix"], ["strips", "strips"]]
        axes = figure.subplot_mosaic(rows, height_ratios=(1.2, 1) if compared else (1.4, 1))
        for name, view in self.views.items():
            title = f"{name} decoding, {view.at}" if compared else f"people {view.at}"
            style.show_image(axes[name], view.picture().pixels.transpose(2, 0, 1), title)
        draw_matrix(axes["matrix"], self.views[side])
        frame_matrix(axes["matrix"], self.views[side])
        frame_tag_strips(axes["strips"], *tag_limits(self.views[side]))
        draw_strips(axes["strips"], self.views[side])
        for name, chart in (("matrix", self.matrix), ("strips", self.strips)):
            axes[name].set_title(style.wrapped(chart.title, 3.6))
        return figure

    def _resolve(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return settings in which what the model says stands for None."""
        values = self.source.resolve(settings)
        for name, own in {**self._own, **self._shown}.items():
            if values[name] is None or values[name] == "":
                values[name] = own
        values["step"] = END if values["step"] == -1 else values["step"]
        return values

    def _fit_model(self, values: Mapping[str, Any], seen: SeenImage) -> None:
        """Offer what another model has, with its own decoding; see ``suit_model``."""
        before, skeleton = self._own, seen.system.skeleton
        self._name, self._own = values["model"], own_settings(decode_options(seen.system), skeleton)
        shown = shown_by(self.models.predictor(self._name).options)
        self._defaults |= self._own | shown
        suit_model(self.controls, before, self._own, skeleton, shown["scales"])

    def _draw_charts(self, view: WalkView) -> None:
        """Draw the charts whose contents have changed."""
        place, keypoints = (view.count, view.keypoint), view.seen.system.skeleton.keypoints
        matrix = id(view.walk), *place, view.numbers.tobytes()
        if self._drawn.get("matrix") != matrix:
            key = keypoints, len(view.walk.steps)
            self.matrix.redraw_within(
                key,
                lambda ax: frame_matrix(ax, view),
                lambda ax: draw_matrix(ax, view),
                matrix_names(view),
            )
            self._drawn["matrix"] = matrix
        strips = id(view.walk), *place, view.person, view.min_score, view.numbers.tobytes()
        if self._drawn.get("strips") != strips:
            limits = tag_limits(view)
            self.strips.redraw_within(
                limits,
                lambda ax: frame_tag_strips(ax, *limits),
                lambda ax: setattr(self, "_dots", draw_strips(ax, view)),
            )
            self._drawn["strips"] = strips

    def _clicked(self, name: str) -> None:
        x, y, count = self.canvases[name].clicked
        if count and name in self.views:
            self._choose(name, self.views[name].nearest(x, y))

    def _choose(self, name: str, found: tuple[int, int] | None) -> None:
        """Explain a keypoint in the step in which it was grouped; None for no keypoint."""
        if found is None:
            self.set(person=0)
            return
        person, keypoint = found
        view = self.views[name]
        self.set(
            side=name,
            person=int(view.numbers[person]) + 1,
            keypoint=view.seen.system.skeleton.keypoints[keypoint],
            step=int(view.walk.step_of[person, keypoint]) + 1,
        )

    def _matrix_clicked(self) -> None:
        view = self.views.get(self.controls["side"].value, self.views.get("first"))
        x, y = self.matrix.at_click()
        keypoints = () if view is None else view.seen.system.skeleton.keypoints
        if view is not None and 0 <= y < len(keypoints) and 0 <= x < len(view.walk.steps):
            self.set(step=int(x) + 1, keypoint=keypoints[int(y)], person=0)  # says between whom

    def _strips_clicked(self) -> None:
        name = self.controls["side"].value if "second" in self.views else "first"
        if not self.views or not self._dots:
            return
        places, px = np.array(self._dots), self.strips.axes.transData.transform
        apart = np.linalg.norm(px(places[:, :2]) - px(self.strips.at_click()), axis=1)
        if apart.min() < 15:
            person, keypoint = places[apart.argmin(), 2:].astype(int)
            self._choose(name, (int(person), int(keypoint)))

    def _pictures(self, controls: Mapping[str, Any]) -> ipw.Widget:
        """Return the pictures, with the controls of steps and of the comparison above them."""
        step, wide = controls["step"], {"width": "100%", "max_width": "860px"}
        self._play = ipw.Play(min=0, max=END, interval=900)
        self._link = ipw.jslink((step, "value"), (self._play, "value"))
        step.layout.flex = "1 1 auto"
        walk = ipw.HBox([self._play, step], layout=ipw.Layout(**wide))
        compare = ipw.HBox([controls["compare"], controls["side"]])
        columns = {"grid_template_columns": "repeat(auto-fill, minmax(19em, 1fr))"}
        second = [controls[SECOND + name] for name in DECODING]
        self._second = ipw.GridBox(second, layout=ipw.Layout(**wide, **columns))
        wrapped = ipw.Layout(flex_flow="row wrap", grid_gap="6px 14px")
        shown = ipw.HBox([*self.canvases.values(), self.matrix, self.strips], layout=wrapped)
        return ipw.VBox([walk, compare, self._second, shown, ipw.HTML(LEGEND)])

"""Relations of the joints of one person in a clip, and what they recover under a mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import ipywidgets as ipw
import numpy as np
from matplotlib.figure import Figure

from poselib.analysis.masked_frames import MaskedJoints, relation_of
from poselib.analysis.relations import as_array
from poselib.api import Predictor, load
from poselib.engine.person_stream import folded
from poselib.plots.relations import show_masked_frame
from poselib.plots.style import display_name
from poselib.typing import Float32Array
from poselib.widgets.canvas import ImageCanvas
from poselib.widgets.clips import NAMES, ClipSource
from poselib.widgets.explorer import Explorer, settings_of
from poselib.widgets.matrices import MatrixChart
from poselib.widgets.models import check_fits, check_model
from poselib.widgets.relations_frames import RUN, FrameRuns, View, mask_text
from poselib.widgets.relations_pictures import frame_picture, maps_picture
from poselib.widgets.relations_settings import (
    RelationSettings,
    first_frames,
    relation_controls,
    resolved,
)
from poselib.widgets.relations_texts import HEADINGS, LEGEND, heading, maps_title, sentences
from poselib.widgets.settings import argument, set_control

_WIDTH = 300  # px of a picture on the page


class RelationExplorer(Explorer):
    """See ``relations``."""

    function = "relations"
    slow = (*NAMES, "frame", "mask", "masked", "run", "temperature")
    _drawn: tuple[View, dict[str, Any]] | None = None
    _painted: Any = None  # what the pictures of poses depend on

    def __init__(
        self, predictor: Predictor, clip: Any, settings: RelationSettings, given: list[str]
    ) -> None:
        self.system = folded(predictor.system)
        self.skeleton = self.system.skeleton
        self.relation = relation_of(self.system)
        self.source = ClipSource(clip, predictor)
        self.runs = FrameRuns(self.system, self.source)
        trained = None if self.relation is None else self.relation.temperature
        own = relation_controls(self.skeleton, trained)
        self.controls = {**self.source.controls, **own}
        for name in NAMES:
            self.controls[name].observe(self._fit_frames, "value")
        self.controls["masked"].observe(self._show_run, "value")
        pictures = self._build_pictures()
        self._fit_frames()
        self._show_run()
        for name, value in self.source.resolve(asdict(settings)).items():
            if name in NAMES:  # first, as they say how many frames there are
                set_control(self.controls[name], name, value)
        sections = {
            "Clip": NAMES,
            "Mask": ("mask", "masked", "run"),
            "Relation": ("joint", "other", "temperature"),
            "A joint is found within": ("threshold", "reference", "truth"),
        }
        shown: dict[str, Any] = {"sections": sections, "given": given, "resolve": self._resolve}
        super().__init__(settings, self.controls, pictures, **shown)

    def compute(self, values: Mapping[str, Any]) -> View:
        """Run the network up to the frame, with a mask from the first masked one on."""
        return self.runs.view(values, lambda: self.overtaken)

    def known(self, values: Mapping[str, Any]) -> View | None:
        """Return a frame whose outputs are kept."""
        try:
            return self.runs.known(values)
        except ValueError:
            return None  # said by ``compute``

    def preview(self, values: Mapping[str, Any]) -> None:
        """Show the mask where it is dragged at once, and the pose of before until the next one."""
        drawn = self._drawn
        if drawn is None or any(drawn[1][n] != values[n] for n in (*NAMES, "frame")):
            return
        try:
            image = self.runs.seen(values)
        except ValueError:
            return
        if image is not None:
            pixels, names = frame_picture(image, drawn[0].poses[1], self.skeleton)
            self.pictures[1].show(pixels, image.shape[1:], names)
            self._painted = None

    def prepare(self, values: Mapping[str, Any]) -> None:
        """Compute the other frames, so that they are there when they are asked for."""
        try:
            self.runs.fill(values, lambda: self.overtaken)
        except (OSError, ValueError):  # interrupted; or said by ``compute``
            return

    def fit(self, values: Mapping[str, Any], computed: View) -> None:
        """Let the defaults be those of a clip as long as this one."""
        self._defaults |= first_frames(self.controls["frame"].max)

    def draw(self, values: Mapping[str, Any], computed: View) -> str:
        """Fill the pictures, the matrices and the maps."""
        rule = values["reference"], values["threshold"]
        found = [None, *(computed.joints(number, rule) for number in (1, 2))]
        truth = computed.crop.keypoints[0] if values["truth"] else None
        if self._painted != (painted := (id(computed), *rule, values["truth"])):
            self._draw_poses(computed, found, truth)
        self._drawn, self._painted = (computed, dict(values)), painted
        self._place_box(values["mask"])
        self._draw_matrices(values, computed, found[1])
        joint = self.skeleton.index(values["joint"])
        maps = computed.maps(joint)
        images = {n: computed.seen if "mask" in n else computed.crop.image for n in maps}
        pixels, names = maps_picture(images, maps, None if truth is None else truth[joint])
        self.maps.show(pixels, labels=names, title=maps_title(values["joint"], computed))
        return sentences(values, computed, found, self.skeleton)

    def figure(self) -> Figure:
        """Return poses, matrices and maps of the frame as a figure."""
        view, values = self.computed(), self.values
        images, rings = {}, {}
        for number, name in enumerate(HEADINGS):
            poses = view.poses[number]
            if poses is None or (number == 1 and not view.differs):
                continue
            images[name] = (view.seen if number else view.crop.image), poses
            found = view.joints(number, (values["reference"], values["threshold"]))
            if number and found is not None:
                points = poses.keypoints[0]
                rings[name] = points[found.found], points[found.lost]
        matrices = {}
        if view.relations is not None:
            matrices["correlation"] = as_array(view.relations.correlation[0])
            matrices["W_r, rows attend to columns"] = as_array(view.relations.weights[0])
        joint, name = self.skeleton.index(values["joint"]), display_name(values["joint"])
        maps = {
            f"{name}, {n}": (view.seen if "mask" in n else view.crop.image, values)
            for n, values in view.maps(joint).items()
        }
        title = f"Frame {values['frame']} of {view.clip or 'the clip'}"
        known = view.crop.keypoints[0][view.crop.keypoints[0][:, 2] > 0, :2]
        shown: dict[str, Any] = {"rings": rings, "truth": known if values["truth"] else ()}
        return show_masked_frame(images, matrices, maps, self.skeleton, title=title, **shown)

    def _build_pictures(self) -> list[ipw.Widget]:
        self.pictures = [ImageCanvas(width=_WIDTH, boxed=number == 1) for number in range(3)]
        for number in (0, 2):
            self.pictures[number].observe(self._joint_clicked, "clicked")
        self.pictures[1].observe(self._mask_dragged, "box")
        self._placing = False
        self.matrices = [MatrixChart(self.skeleton) for _ in range(2)]
        for chart in self.matrices:
            chart.observe(self._cell_clicked, "clicked")
        self.maps = ImageCanvas(width=_WIDTH)
        self.play = ipw.Play(interval=150, tooltip="show the frames one after another")
        self._link = ipw.jslink((self.play, "value"), (self.controls["frame"], "value"))
        remove = ipw.Button(description="Remove mask", icon="times")
        remove.on_click(lambda _: self.set(mask=""))
        above, below = [*self.pictures], [*self.matrices, self.maps]
        if self.relation is None:
            above, below = above[:2], [self.maps]
        bar = ipw.HBox([self.play, self.controls["frame"], remove])
        wrapped = ipw.Layout(flex_flow="row wrap", grid_gap="4px 10px")
        rows = [ipw.HBox(above, layout=wrapped), ipw.HBox(below, layout=wrapped)]
        return [bar, rows[0], ipw.HTML(LEGEND), rows[1]]

    def _resolve(self, settings: dict[str, Any]) -> dict[str, Any]:
        assert self.system.crop is not None
        found = self.source.resolve(settings)
        return resolved(found, self.controls, self.skeleton, self.system.crop)

    def _fit_frames(self, _: Any = None) -> None:
        """Let the sliders end with the clip's last frame."""
        last = self.source.length({name: self.controls[name].value for name in NAMES}) - 1
        for slider in (self.controls["frame"], self.controls["run"], self.play):
            slider.max = last

    def _show_run(self, _: Any = None) -> None:
        shown = self.controls["masked"].value == RUN
        self.controls["run"].layout.display = None if shown else "none"

    def _place_box(self, text: str) -> None:
        """Let the canvas have the box of the text, unless it is what was dragged there."""
        canvas, box = self.pictures[1], [float(each) for each in text.split()]
        if mask_text(canvas.box) != mask_text(box):
            self._placing = True
            canvas.box = box
            self._placing = False

    def _mask_dragged(self, _: Any) -> None:
        if not self._placing:
            self.controls["mask"].value = mask_text(self.pictures[1].box)

    def _joint_clicked(self, change: Any) -> None:
        """Choose the joint that is nearest to the point clicked."""
        labels = change["owner"].labels
        if change["new"][2] and labels:
            places = np.array([label[:2] for label in labels]) - change["new"][:2]
            nearest = int(np.hypot(*places.T).argmin())
            self.set(joint=self.skeleton.keypoints[nearest])

    def _cell_clicked(self, change: Any) -> None:
        pair = change["owner"].pair_at_click()
        if change["new"][2] and pair is not None:
            row, column = (self.skeleton.keypoints[each] for each in pair)
            self.set(joint=row, other=column)

    def _draw_poses(
        self, view: View, found: Sequence[MaskedJoints | None], truth: Float32Array | None
    ) -> None:
        for number, (canvas, poses) in enumerate(zip(self.pictures, view.poses, strict=True)):
            if poses is None:
                continue
            image, joints = (view.seen, found[number]) if number else (view.crop.image, None)
            pixels, names = frame_picture(image, poses, self.skeleton, truth, joints)
            canvas.show(pixels, image.shape[1:], names, heading(number, joints))

    def _draw_matrices(
        self, values: Mapping[str, Any], view: View, joints: MaskedJoints | None
    ) -> None:
        if view.relations is None:
            return
        pair = self.skeleton.index(values["joint"]), self.skeleton.index(values["other"])
        marked: Any = [] if joints is None else np.flatnonzero(joints.masked)
        how = " with the mask" if view.differs else ""
        correlation = as_array(view.relations.correlation[0])
        largest = max(float(correlation.max()), 1e-12)
        title = f"correlation{how}, of the largest ({largest:.3g})"
        self.matrices[0].paint(correlation / largest, pair, title, marked)
        title = f"W_r{how}: rows attend to columns"
        self.matrices[1].paint(as_array(view.relations.weights[0]), pair, title, marked)


def relations(model: Any = None, clip: Any = None, **settings: Any) -> RelationExplorer:
    """Explore how the joints of a person are related in a clip, and what that recovers.

    The crop that the network is shown is drawn with the pose, beside it with a gray mask that can
    be dragged, and with the pose before the joint relation extractor. Below are the correlations of
    the heatmaps, the relation weights W_r and the heatmaps of the chosen joint before and after: a
    click on a cell, or a joint, chooses. Joints under the mask have a green ring if they are found,
    a red cross if they are lost. The network is not shown the mirrored image.

    Args:
        model: what ``poselib.load`` takes, or a ``Predictor``, of a system that is shown one person
            at a time.
        clip: what ``data.footage.footage`` takes: a clip, consecutive images, a dataset, a video or
            an image; or the name of a synthetic dataset, such as ``"clip_crowd"``. By default
            synthetic clips.
        **settings: those of ``RelationSettings``: ``source``, ``number``, ``people``,
            ``crowd_index``, ``file``, ``begin``, ``person``, ``frame``, ``mask``, ``masked``,
            ``run``, ``joint``, ``other``, ``temperature``, ``reference``, ``threshold``,
            ``truth``.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: no model is given, it is for another explorer, the clip is none, or a setting is
            unknown or out of range.

    Example::

        poselib.widgets.relations("runs/<id>/rpstn_clips.safetensors", frame=8, temperature=3)
    """
    if model is None or (isinstance(model, str) and not model):
        raise ValueError(
            "relations takes a system that sees one person at a time, and none comes with poselib: "
            "give the checkpoint of a training of system 'rpstn' or 'jre'"
        )
    check_model(model, "relations")
    predictor = model if isinstance(model, Predictor) else load(model)
    check_fits(predictor.system, "relations")
    given = [argument(model, "model")]
    if clip is not None:
        given.append(argument(clip, "clip"))
    return RelationExplorer(
        predictor, clip, settings_of(RelationSettings, "relations", settings), given
    )

"""An image of a run, its annotated people beside the detections, and the way to its explorer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as ipw
import numpy as np

import poselib.widgets
from poselib.analysis.image_errors import Marks, image_poses, mark_errors
from poselib.api import load
from poselib.experiments.run_results import RunResults
from poselib.experiments.run_table import weights_of
from poselib.experiments.runs import RunRecord
from poselib.metrics.matching import matched_people
from poselib.plots.panels import Panel
from poselib.plots.style import ALERT
from poselib.poses import Poses
from poselib.skeletons import Skeleton
from poselib.structures import Sample
from poselib.widgets.canvas import ImageCanvas
from poselib.widgets.models import fitting_explorer
from poselib.widgets.painting import Picture

_SAME_PERSON = 0.1  # OKS from which a detection has the color of a person
_WIDTHS = {1: 480, 2: 370}  # px on the page, of the images of one run and of two


class RunImages:
    """Canvases of the truth and of the detections of one run or two, and buttons to open them."""

    def __init__(self, say: Callable[..., None]) -> None:
        self.canvases = [ImageCanvas() for _ in range(3)]
        self.buttons = [ipw.Button(icon="search", layout=ipw.Layout(width="auto")) for _ in "AB"]
        self.opened = ipw.VBox()
        self.explorer: Any = None
        self._say = say
        self._shown: list[tuple[RunRecord, RunResults, int]] = []
        for number, button in enumerate(self.buttons):
            button.on_click(lambda _, number=number: self._open(number))
        row = ipw.HBox(self.canvases, layout=ipw.Layout(flex_flow="row wrap", grid_gap="8px"))
        self.box = ipw.VBox([ipw.HBox(self.buttons), row, self.opened])

    def show(self, shown: Sequence[tuple[str, RunRecord, RunResults, int]], kind: str) -> None:
        """Show an image of one run, or the same image of two.

        Args:
            shown: a heading, the run, its results, and the position of the image in them.
            kind: of the errors that are marked, see ``mark_errors``.
        """
        _, _, results, position = shown[0]
        for canvas in self.canvases:
            canvas.width = _WIDTHS[len(shown)]
        sample, skeleton = results.dataset[position], results.dataset.skeleton
        marks = [mark_errors(each.comparison, n, kind, sample) for _, _, each, n in shown]
        truth = Picture(sample.image).add_poses(_truth(sample), skeleton)
        _mark(truth, marks[0].truth, marks[0].boxes)
        labels = _labels(_truth(sample), skeleton, "person")
        self.canvases[0].show(truth.pixels, truth.size, labels, f"truth, image {sample.image_id}")
        for canvas, (name, _, each, n), own in zip(self.canvases[1:], shown, marks, strict=False):
            poses = image_poses(each.comparison, n, sample)
            picture = Picture(sample.image).add_poses(_colored(poses, sample, skeleton), skeleton)
            _mark(picture, own.found, own.false_boxes)
            canvas.show(picture.pixels, picture.size, _labels(poses, skeleton, "detection"), name)
        chosen = [(record, each, n) for _, record, each, n in shown]
        if [(record.id, n) for record, _, n in chosen] != [(r.id, n) for r, _, n in self._shown]:
            self.close()
        self._shown = chosen
        for number, button in enumerate(self.buttons):
            button.layout.display = None if number < len(shown) else "none"
            which = "" if len(shown) < 2 else f" with the network of {'AB'[number]}"
            button.description = f"Look into this image{which}"
        self.canvases[2].layout.display = None if len(shown) > 1 else "none"
        self.box.layout.display = None

    def hide(self) -> None:
        """Take the images off the page."""
        self._shown = []
        self.close()
        self.box.layout.display = "none"

    def close(self) -> None:
        """Close the explorer that was opened."""
        if self.explorer is not None:
            self.explorer.close()
        self.explorer, self.opened.children = None, ()

    def _open(self, number: int) -> None:
        record, results, position = self._shown[number]
        try:
            self._say("opening ...")
            self.close()
            self.explorer, said = open_fitting(record, results, position)
            self.opened.children = [self.explorer.box]
            self._say(f"below, {said}")
        except Exception as error:
            expected = isinstance(error, ValueError | OSError | ImportError)
            self._say(str(error) if expected else f"{type(error).__name__}: {error}", wrong=True)


def open_fitting(record: RunRecord, results: RunResults, position: int) -> tuple[Any, str]:
    """Open an image in the explorer that fits the network of a run; return it, and what it shows.

    It is given the annotated people too, so that it can say which keypoints are wrong.

    Raises:
        FileNotFoundError, ValueError: the weights are absent, or no explorer fits them.
    """
    weights = weights_of(record)
    model = load(weights or None)
    name, _ = fitting_explorer(model.system)
    sample = results.dataset[position]
    try:
        function = getattr(poselib.widgets, name)
    except AttributeError as error:
        raise ValueError(f"the explorer {name!r} is not part of this installation") from error
    said = f"poselib.widgets.{name}: image {sample.image_id} by the network {model.name}"
    return function(weights or None, sample), said


def oks_label(oks: float) -> str:
    """Return the mean OKS of an image in words; it is NaN where no person is labeled."""
    return "no person is labeled" if math.isnan(oks) else f"OKS {oks:.2f}"


def image_panels(
    name: str, results: RunResults, positions: Sequence[int], kind: str
) -> list[Panel]:
    """Return two panels an image, the truth and a run's detections, errors of a kind ringed."""
    panels = []
    for position in positions:
        sample, skeleton = results.dataset[position], results.dataset.skeleton
        poses = image_poses(results.comparison, position, sample)
        marks: Marks = mark_errors(results.comparison, position, kind, sample)
        oks = float(results.errors["oks"].loc[position])
        title = f"image {sample.image_id}: truth"
        panels.append(Panel(sample.image, sample.keypoints, title=title, rings=marks.truth))
        found = f"{name}: {oks_label(oks)}"
        partners = _partners(poses, sample, skeleton)
        panels.append(
            Panel(sample.image, sample.keypoints, poses, partners, found, rings=marks.found)
        )
    return panels


def _mark(picture: Picture, points: Any, boxes: Sequence[Sequence[float]]) -> None:
    picture.add_rings(points)
    for box in boxes:
        picture.add_box(box, ALERT)


def _truth(sample: Sample) -> Poses:
    people = sample.keypoints
    labeled = (people[..., 2] > 0).astype(np.float32)
    return Poses(people[..., :2], labeled, np.ones(len(people), np.float32))


def _partners(poses: Poses, sample: Sample, skeleton: Skeleton) -> Any:
    """Return (P,) the person that each detection is matched to; -1 for those without."""
    found, oks = matched_people(poses, sample, skeleton)
    people = np.flatnonzero((found >= 0) & (oks >= _SAME_PERSON))
    partners = np.full(len(poses), -1, np.int64)
    partners[found[people]] = people
    return partners


def _colored(poses: Poses, sample: Sample, skeleton: Skeleton) -> Poses:
    """Return the detections with an empty one for each missed person, so that colors match."""
    partners, people = _partners(poses, sample, skeleton), len(sample.keypoints)
    order = np.argsort(partners, kind="stable")
    alone, matched = order[partners[order] < 0], order[partners[order] >= 0]
    rows = np.concatenate([partners[matched], people + np.arange(len(alone))]).astype(np.int64)
    chosen, count = np.concatenate([matched, alone]).astype(np.int64), people + len(alone)
    keypoints = np.zeros((count, len(skeleton), 2), np.float32)
    scores, whole = np.zeros((count, len(skeleton)), np.float32), np.zeros(count, np.float32)
    keypoints[rows], scores[rows] = poses.keypoints[chosen], poses.scores[chosen]
    whole[rows] = poses.person_scores[chosen]
    return Poses(keypoints, scores, whole)


def _labels(poses: Poses, skeleton: Skeleton, what: str) -> list[tuple[float, float, str]]:
    names = [name.replace("_", " ") for name in skeleton.keypoints]
    return [
        (float(x), float(y), f"{names[k]}, {what} {n + 1}")
        for n, k in zip(*np.nonzero(poses.found), strict=True)
        for x, y in [poses.keypoints[n, k]]
    ]

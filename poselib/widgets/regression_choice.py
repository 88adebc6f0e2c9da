"""The person or cell of an image that is looked into, and the names of what is near it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from poselib.analysis.regressed_people import (
    Cell,
    LocalFilter,
    Options,
    RegressedImage,
    RegressedPeople,
)
from poselib.analysis.truth_fit import TruthFit
from poselib.decoders.local_global import LocalGlobalOptions
from poselib.ops.center_poses import CenterPoses
from poselib.plots.style import Color, display_name, person_colors, side_color
from poselib.skeletons import Skeleton
from poselib.typing import BoolArray, FloatArray
from poselib.wording import people_label

FREE: Color = (0.82, 0.11, 0.55)  # of the pose of a cell that was clicked
COLORS = 24  # of people, as in plots.poses

Labels = list[tuple[float, float, str]]


@dataclass(frozen=True, eq=False)
class Chosen:
    """The person or cell that is looked into.

    Attributes:
        image, people: where it was found, and with whom.
        person: row of ``people``; -1 for the pose of a cell alone.
        cell: from which the pose is regressed.
        row: the pose as regressed, one row, px of the frame.
        before, after: (K, 2) px of the network input, as regressed and as decoded.
        scores: (K,) heatmap scores.
        keypoint: that is looked into.
        fit: to the annotated person it is most like; None if none is known.
        options: of the decoder.
        min_score: of the people that are shown.
        attraction: (1, K, r, r) its keypoint attraction maps; None without any.
    """

    image: RegressedImage
    people: RegressedPeople
    person: int
    cell: Cell
    row: CenterPoses
    before: FloatArray
    after: FloatArray
    scores: FloatArray
    keypoint: int
    fit: TruthFit | None
    options: Options
    min_score: float
    attraction: Tensor | None

    @property
    def shown(self) -> BoolArray:
        """(n,) whether each person is shown: those with a score, and the chosen one."""
        scores = self.people.poses.person_scores
        return (scores >= self.min_score) | (np.arange(len(scores)) == self.person)

    @property
    def skeleton(self) -> Skeleton:
        return self.image.system.skeleton

    @property
    def name(self) -> str:
        """Of the keypoint."""
        return display_name(self.skeleton.keypoints[self.keypoint])

    @property
    def color(self) -> Color:
        return FREE if self.person < 0 else person_colors(COLORS)[self.person % COLORS]

    @property
    def moved(self) -> bool:
        """Whether the decoder moves regressed keypoints."""
        return bool(np.abs(self.after - self.before).max(initial=0.0) > 1e-3)

    @property
    def adapts(self) -> bool:
        """Whether local filters move its keypoints."""
        return self.attraction is not None

    def local_filter(self, keypoint: int | None = None) -> LocalFilter:
        """Return what moves a keypoint, by default the one that is looked into."""
        assert isinstance(self.options, LocalGlobalOptions) and self.attraction is not None
        number = self.keypoint if keypoint is None else keypoint
        return self.image.local_filter(self.row, number, self.attraction, self.options)

    @property
    def tolerances(self) -> FloatArray:
        """The error (K,), px, of a similarity of exp(-1/2): 2 σ √area of the annotated person."""
        assert self.fit is not None
        area = float(self.image.sample.areas[self.fit.person])
        return 2 * np.asarray(self.skeleton.sigmas) * np.sqrt(area)

    def heatmap_value(self, point: FloatArray) -> float:
        """Return the value of the keypoint's heatmap in the cell of a point, px."""
        column, row = self.image.cell_at(*point)
        return max(float(self.image.outputs.heatmaps[0, self.keypoint, row, column]), 0.0)

    def colors(self) -> list[Color]:
        """Return the color of each keypoint: lighter on the left side, darker on the right."""
        sides = ["left" if "left" in k else "right" if "right" in k else "center"
                 for k in self.skeleton.keypoints]  # fmt: skip
        return [side_color(self.color, side) for side in sides]


def at_point(
    chosen: Chosen, point: tuple[float, float], near: float, *, everybody: bool
) -> tuple[int, int] | None:
    """Return the person and keypoint at a point, px, -1 for neither; None if there is nothing.

    Args:
        near: px within which something is found; the nearest is.
        everybody: look for all people's keypoints, not for those of the chosen pose alone.
    """
    found: list[tuple[float, tuple[int, int]]] = []

    def add(places: FloatArray, person: int, center: bool) -> None:
        apart = np.linalg.norm(places - point, axis=1)
        best = int(apart.argmin())
        found.append((float(apart[best]), (person, -1 if center else best)))

    add(chosen.after, chosen.person, False)
    for person, cell in enumerate(chosen.people.cells):
        if not chosen.shown[person]:
            continue
        add(chosen.image.px_of(cell)[None], person, True)
        if everybody:
            add(chosen.people.poses.keypoints[person].astype(np.float64), person, False)
    least, what = min(found)
    return what if least <= near else None


def people_labels(chosen: Chosen) -> Labels:
    """Return the names of all people's keypoints, those of the chosen one with their errors."""
    labels: Labels = []
    names = [display_name(each) for each in chosen.skeleton.keypoints]
    for number, pose in enumerate(chosen.people.poses.keypoints.tolist()):
        if number != chosen.person and chosen.shown[number]:
            pairs = zip(pose, names, strict=True)
            labels += [(x, y, f"{name}, person {number + 1}") for (x, y), name in pairs]
    return labels + chosen_labels(chosen)


def chosen_labels(chosen: Chosen) -> Labels:
    """Return the names of the chosen pose's keypoints, with score and error, and its center."""
    labels: Labels = []
    for k, (x, y) in enumerate(chosen.after.tolist()):
        text = f"{display_name(chosen.skeleton.keypoints[k])}: score {chosen.scores[k]:.2f}"
        if chosen.fit is not None and np.isfinite(chosen.fit.errors[-1, k]):
            text += f", error {chosen.fit.errors[-1, k]:.1f} px"
        labels.append((x, y, text))
    x, y = chosen.image.px_of(chosen.cell).tolist()
    return [*labels, (x, y, f"center: score {chosen.image.score_of(chosen.cell):.2f}")]


def people_title(chosen: Chosen) -> str:
    """Return the heading of the picture of all people."""
    count, drawn = len(chosen.shown), int(chosen.shown.sum())
    people = people_label(drawn)
    if drawn < count:
        people = f"{drawn} of {people_label(count)}, score ≥ {chosen.min_score:.2f}"
    truth = "green: annotated; " if chosen.fit is not None else ""
    return f"{people}; {truth}click one"


def chart_title(chosen: Chosen) -> str:
    """Return the heading of the bars of all keypoints."""
    if chosen.fit is None:
        return "heatmap score of each keypoint; click one"
    gray = "gray: as regressed; " if chosen.moved else ""
    return (
        f"error of each keypoint, px; {gray}lines: OKS tolerance; red triangles: nearer to that "
        "of another person; click one"
    )

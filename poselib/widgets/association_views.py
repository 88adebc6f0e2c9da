"""What an explorer of association draws over the image of one decoding, and what it says."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from poselib.analysis.association_reasons import (
    ASSOCIATION_ERRORS,
    explain_distance,
    explain_keypoint,
)
from poselib.analysis.association_walk import AssociationWalk
from poselib.metrics.association_errors import KeypointErrors, PredictionError
from poselib.plots.style import ALERT, INK, WHITE, Color, display_name, person_colors
from poselib.typing import BoolArray, IntArray
from poselib.widgets.association_image import HEATMAP, IMAGE, TAGS, SeenImage
from poselib.widgets.painting import Picture
from poselib.wording import counted

DIFFERENT: Color = (0.45, 0.0, 0.85)  # no person's color
_COLORS = person_colors(24)
_REACH = 16.0  # px of the picture within which a click means a keypoint


@dataclass(frozen=True)
class WalkView:
    """One decoding after some of its steps.

    Attributes:
        seen, walk: the image and the decoding.
        count: steps that are done.
        numbers: (P,) of the people, by which they are called and colored.
        errors: where people are annotated.
        differs: (P, K), keypoints to mark as different.
        person: index of the person whose keypoint is chosen; -1 for none.
        keypoint: the type whose map is shown; -1 for all.
        map_shown: one of ``association_image.MAPS``.
        min_score: keypoints that do not score more are left out.
        skeletons: whether poses are drawn.
    """

    seen: SeenImage
    walk: AssociationWalk
    count: int
    numbers: IntArray
    errors: KeypointErrors | None
    differs: BoolArray
    person: int
    keypoint: int
    map_shown: str
    min_score: float
    skeletons: bool

    @cached_property
    def shown(self) -> BoolArray:
        """(P, K) keypoints that are drawn so far."""
        steps = self.walk.step_of
        there = self.seen.drawn(self.walk).scores > max(self.min_score, 0.0)
        return there & (steps >= 0) & (steps < self.count)

    @cached_property
    def waiting(self) -> BoolArray:
        """(P, K) keypoints that a later step groups: drawn as dots."""
        steps = self.walk.step_of
        later = (steps >= self.count) & (steps < len(self.walk.steps))
        return later & (self.walk.poses.scores > self.min_score)

    @cached_property
    def wrong(self) -> BoolArray:
        """(P, K) keypoints that went to the wrong person."""
        if self.errors is None:
            return np.zeros(self.walk.step_of.shape, dtype=bool)
        return np.isin(self.errors.kinds, ASSOCIATION_ERRORS)

    @property
    def chosen(self) -> bool:
        """Whether a keypoint that is there is chosen."""
        there = 0 <= self.person < len(self.numbers) and self.keypoint >= 0
        return there and bool(self.walk.step_of[self.person, self.keypoint] >= 0)

    @property
    def at(self) -> str:
        """Say which steps are done."""
        steps = self.walk.steps
        if self.count >= self.walk.length:
            return "after all steps"
        if self.count == 0:
            return "before the first step"
        return (
            f"after step {self.count} of {len(steps)}: {self.name(steps[self.count - 1].keypoint)}"
        )

    @property
    def wrong_title(self) -> str:
        """Say how many of the keypoints so far went to a wrong person."""
        wrong = int((self.wrong & self.shown).sum())
        return f", {wrong} to a wrong person" if wrong else ""

    @property
    def map_title(self) -> str:
        """Say which map is shown, and what its colors mean."""
        whose = "all keypoints" if self.keypoint < 0 else self.name(self.keypoint)
        if self.map_shown == HEATMAP:
            return f"; heatmap of {whose}"
        low, high = self.seen.limits
        colors = f"; tags of {whose}, dark {low:.1f} to yellow {high:.1f}"
        return colors if self.map_shown == TAGS else ""

    def color(self, person: int) -> Color:
        """Return the color of a person."""
        return _COLORS[int(self.numbers[person]) % len(_COLORS)]

    @property
    def picture_key(self) -> Hashable:
        """What ``picture`` depends on."""
        shown = self.count, self.person, self.keypoint, self.map_shown, self.min_score
        marks = self.numbers.tobytes(), self.differs.tobytes()
        return id(self.seen), id(self.walk), *shown, self.skeletons, *marks

    def picture(self) -> Picture:
        """Paint the image with the map and the people so far."""
        picture = Picture(self.seen.sample.image, pale=self.map_shown != IMAGE)
        self.seen.add_map(picture, self.map_shown, self.keypoint)
        poses, shown = self.walk.poses, self.shown
        unit = max(1.0, max(picture.size) / 512)  # large pictures are shown smaller
        line = round(2 * unit)
        if self.skeletons:
            drawn = replace(poses, scores=shown.astype(np.float32), tracks=self.numbers)
            picture.add_poses(drawn, self.seen.system.skeleton)
        points = poses.keypoints
        if self.count < self.walk.length:
            picture.add_dots(points[self.waiting], WHITE, 2.5 * unit)
            now = self.walk.step_of == self.count - 1
            picture.add_rings(points[shown & now], INK, 7.0 * unit, line)
        picture.add_rings(points[shown & self.differs], DIFFERENT, 12.5 * unit, line)
        picture.add_rings(points[shown & self.wrong], ALERT, 9.5 * unit, line)
        marked = self.person if self.chosen else -1
        if self.cell is not None:
            marked = self.walk.nearest[self.cell].owner
        if marked >= 0:
            picture.add_rings(points[marked, self.keypoint][None], INK, 15.0 * unit, line + 1)
        self._add_numbers(picture)
        return picture

    def names(self) -> list[tuple[float, float, str]]:
        """Return what the keypoints are called, each at its place, px of the image."""
        found = []
        for n, k in np.argwhere(self.shown):
            x, y = self.walk.poses.keypoints[n, k].tolist()
            text = f"person {self.numbers[n] + 1}: {self.name(k)}, "
            text += f"heatmap {self.walk.poses.scores[n, k]:.2f}"
            if np.isfinite(tag := self.walk.tags[n, k, 0]):
                text += f", tag {tag:.2f}"
            if self.errors is not None:
                kind = PredictionError(int(self.errors.kinds[n, k])).name
                refined = kind == PredictionError.ABSENT.name
                text += f" ({'refined' if refined else kind.lower().replace('_', ' ')})"
            found.append((x, y, text))
        return found

    def nearest(self, x: float, y: float) -> tuple[int, int] | None:
        """Return the person and type of the keypoint at a point of the image, if there is one."""
        unit = 512 / max(self.seen.sample.size)
        apart = np.linalg.norm(self.walk.poses.keypoints - (x, y), axis=-1) * unit
        apart -= 3.0 * self.wrong  # they are sought
        for there in (self.shown, self.waiting):
            near = np.where(there, apart, np.inf)
            if near.size and near.min() <= _REACH:
                person, keypoint = np.unravel_index(near.argmin(), near.shape)
                return int(person), int(keypoint)
        return None

    @cached_property
    def columns(self) -> IntArray:
        """The people of ``draw_strips``: those with a keypoint in the end, by number."""
        grouped = (self.walk.step_of >= 0) & (self.walk.step_of < len(self.walk.steps))
        found = (grouped & (self.walk.poses.scores > self.min_score)).any(axis=1)
        (people,) = np.nonzero(found)
        return people[np.argsort(self.numbers[people], kind="stable")]

    def explain(self, number: int = 0) -> str:
        """Say in one sentence why the chosen keypoint is that person's, or what the step does.

        Args:
            number: of the person whose keypoint is asked for; 0 for none.
        """
        skeleton = self.seen.system.skeleton
        if self.chosen:
            return explain_keypoint(
                self.walk, self.person, self.keypoint, skeleton, self.errors, self.numbers.tolist()
            )
        if number and self.keypoint >= 0:
            return f"There is no person {number} with a {self.name(self.keypoint)}."
        if self.count == 0 or self.count >= self.walk.length:
            return self._summary()
        step = self.walk.steps[self.count - 1]
        distance = self.walk.distances[self.count - 1, step.keypoint]
        why = "starts" if np.isnan(distance) else f"comes at distance {distance:.3f}"
        joined, started = int((~step.started).sum()), int(step.started.sum())
        said = (
            f"Step {self.count} of {len(self.walk.steps)}: {self.name(step.keypoint)} {why}; "
            f"{counted(joined, 'keypoint')} joined people, {started or 'none'} started one."
        )
        if self.cell is None:
            return said
        near = explain_distance(self.walk, *self.cell, skeleton, self.numbers.tolist())
        return f"{said} {near}"

    def _summary(self) -> str:
        people = counted(len(self.columns), "person", "people")
        if not self.walk.steps:
            return "No peak of a heatmap is above the threshold."
        if self.count == 0:
            return f"No step is done: the dots are the peaks that become {people}."
        text = f"{people} found in {counted(len(self.walk.steps), 'step')}"
        if self.errors is None:
            return f"{text}; click a keypoint to see how it was grouped."
        wrong = int((self.wrong & self.shown).sum())
        if not wrong:
            return f"{text}; no keypoint went to a wrong person."
        went = f"{counted(wrong, 'keypoint')} went to a wrong person"
        return f"{text}; {went}, ringed in red: click one to see why."

    def name(self, keypoint: int) -> str:
        """Return what a keypoint type is called."""
        return display_name(self.seen.system.skeleton.keypoints[keypoint])

    @cached_property
    def cell(self) -> tuple[int, int] | None:
        """The step and type whose distance is chosen: of a type without a person, and a step."""
        found = self.count - 1, self.keypoint
        alone = self.person < 0 and self.count < self.walk.length
        return found if alone and found in self.walk.nearest else None

    def _add_numbers(self, picture: Picture) -> None:
        """Write the number of each person above its highest keypoint."""
        people = [n for n in self.columns.tolist() if self.shown[n].any()]
        points = self.walk.poses.keypoints
        tops = [min(points[n, self.shown[n]].tolist(), key=lambda point: point[1]) for n in people]
        if people and self.skeletons:
            large = max(picture.pixels.shape) / 512
            places = np.array(tops) - (0.0, 9.0 * large / picture.unit)
            reach = 14.0 * large / picture.unit  # of a number
            for n in range(1, len(places)):  # beside the one it would cover
                while (np.abs(places[:n] - places[n]).max(axis=1) < reach).any():
                    places[n, 0] += reach
            texts = [str(self.numbers[n] + 1) for n in people]
            picture.add_texts(places, texts, [WHITE] * len(people), round(15 * large))

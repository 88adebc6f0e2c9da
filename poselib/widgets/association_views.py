"""What an explorer of association draws of one decoding: picture, distances, tags of people."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from poselib.analysis.association_reasons import ASSOCIATION_ERRORS, explain_keypoint
from poselib.analysis.association_walk import AssociationWalk
from poselib.metrics.association_errors import KeypointErrors, PredictionError
from poselib.plots.embeddings import add_tag_strips, strip_limits
from poselib.plots.grouping import add_distances, frame_distances
from poselib.plots.style import ALERT, GRAY, INK, WHITE, Color, display_name, person_colors
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
            f"after step {self.count} of {len(steps)}: {self._name(steps[self.count - 1].keypoint)}"
        )

    @property
    def wrong_title(self) -> str:
        """Say how many of the keypoints so far went to a wrong person."""
        wrong = int((self.wrong & self.shown).sum())
        return f", {wrong} to a wrong person" if wrong else ""

    @property
    def map_title(self) -> str:
        """Say which map is shown, and what its colors mean."""
        whose = "all keypoints" if self.keypoint < 0 else self._name(self.keypoint)
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
        if self.chosen:
            chosen = points[self.person, self.keypoint][None]
            picture.add_rings(chosen, INK, 15.0 * unit, line + 1)
        self._add_numbers(picture)
        return picture

    def names(self) -> list[tuple[float, float, str]]:
        """Return what the keypoints are called, each at its place, px of the image."""
        found = []
        for n, k in np.argwhere(self.shown):
            x, y = self.walk.poses.keypoints[n, k].tolist()
            text = f"person {self.numbers[n] + 1}: {self._name(k)}, "
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

    def frame_matrix(self, ax: Axes) -> None:
        """Name the rows and columns of ``draw_matrix``."""
        frame_distances(ax, len(self.walk.steps), self.seen.system.skeleton)

    def draw_matrix(self, ax: Axes) -> None:
        """Draw the distances of keypoint types to people in each step (HAE, Eq. 18)."""
        steps, height = self.walk.steps, len(self.seen.system.skeleton)
        if not steps:
            return
        add_distances(ax, self.walk.distances, [step.keypoint for step in steps])
        spec: dict[str, Any] = {"fill": False, "ec": INK, "lw": 1.6}
        if 0 < self.count <= len(steps) and self.count < self.walk.length:
            ax.add_artist(Rectangle((self.count - 1, 0), 1, height, **spec)).set_clip_on(False)
        if self.keypoint >= 0:
            row = Rectangle((0, self.keypoint), len(steps), 1, **spec)
            ax.add_artist(row).set_clip_on(False)

    def matrix_names(self) -> list[tuple[float, float, str]]:
        """Return what the cells of ``draw_matrix`` say, at their centers."""
        return [
            (s + 0.5, k + 0.5, f"step {s + 1}, {self._name(k)}: {self.walk.distances[s, k]:.3f}")
            for s, k in np.argwhere(np.isfinite(self.walk.distances))
        ]

    @cached_property
    def columns(self) -> IntArray:
        """The people of ``draw_strips``: those with a keypoint in the end, by number."""
        grouped = (self.walk.step_of >= 0) & (self.walk.step_of < len(self.walk.steps))
        found = (grouped & (self.walk.poses.scores > self.min_score)).any(axis=1)
        (people,) = np.nonzero(found)
        return people[np.argsort(self.numbers[people], kind="stable")]

    @property
    def tag_limits(self) -> tuple[float, float]:
        """The ends of the tag axis, for all steps of the walk."""
        return strip_limits(self.walk.tags[self.walk.poses.scores > self.min_score, 0])

    def draw_strips(self, ax: Axes) -> list[tuple[float, float, int, int]]:
        """Draw the tags of the people so far, and return (x, y, person, type) of each dot."""
        people = self.columns
        tags = np.where(self.shown, self.walk.tags[..., 0], np.nan)[people]
        done = min(self.count, len(self.walk.steps))
        references = self.walk.references[done - 1, people, 0] if done else None
        single = self.walk.tags.shape[2] == 1
        dots = add_tag_strips(
            ax,
            tags,
            [self.color(n) for n in people],
            [str(self.numbers[n] + 1) for n in people],
            fills=self._owner_colors(people),
            references=references,
            threshold=self.walk.options.grouping.tag_threshold if single else 0.0,
        )
        found = [(x, y, int(people[n]), k) for x, y, n, k in dots]
        for x, y, n, k in found:
            if (n, k) == (self.person, self.keypoint):
                ax.plot(x, y, "o", ms=15, mfc="none", mec=INK, mew=2.0, zorder=7)
        return found

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
            return f"There is no person {number} with a {self._name(self.keypoint)}."
        if self.count == 0 or self.count >= self.walk.length:
            return self._summary()
        step = self.walk.steps[self.count - 1]
        distance = self.walk.distances[self.count - 1, step.keypoint]
        why = "starts" if np.isnan(distance) else f"comes at distance {distance:.3f}"
        joined, started = int((~step.started).sum()), int(step.started.sum())
        return (
            f"Step {self.count} of {len(self.walk.steps)}: {self._name(step.keypoint)} {why}; "
            f"{counted(joined, 'keypoint')} joined people, {started or 'none'} started one."
        )

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

    def _name(self, keypoint: int) -> str:
        return display_name(self.seen.system.skeleton.keypoints[keypoint])

    def _owner_colors(self, people: IntArray) -> dict[tuple[int, int], Color]:
        """Return the colors of wrong keypoints, by column and type: of the people they lie on."""
        if self.errors is None:
            return {}
        columns = {int(n): column for column, n in enumerate(people)}
        fills = {}
        for n, k in np.argwhere(self.wrong & self.shown):
            (right,) = np.nonzero(self.errors.partners == self.errors.owners[n, k])
            fills[columns[int(n)], int(k)] = self.color(int(right[0])) if len(right) else GRAY
        return fills

    def _add_numbers(self, picture: Picture) -> None:
        """Write the number of each person above its highest keypoint."""
        people = [n for n in self.columns.tolist() if self.shown[n].any()]
        points = self.walk.poses.keypoints
        tops = [min(points[n, self.shown[n]].tolist(), key=lambda point: point[1]) for n in people]
        if people and self.skeletons:
            large = max(picture.pixels.shape) / 512
            places = np.array(tops) - (0.0, 9.0 * large / picture.unit)
            texts = [str(self.numbers[n] + 1) for n in people]
            picture.add_texts(places, texts, [WHITE] * len(people), round(15 * large))

"""Boxes of the people of a video that are detected now and then and follow the poses in between."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from poselib.data.boxes import match_boxes
from poselib.engine.inference import check_whole
from poselib.engine.person_boxes import BoxSource, PersonBoxes, boxes_around
from poselib.engine.person_stream import distinct_poses
from poselib.structures import Poses, Sample
from poselib.typing import Float32Array, FloatArray


@dataclass(frozen=True)
class FollowOptions:
    """How people are followed from frame to frame.

    Attributes:
        every: frames after which the detector is asked again.
        min_score: mean keypoint score below which a person is lost in a frame; and score of the
            keypoints that a box is put around.
        patience: so many frames in a row a person may be lost, or be a duplicate of another one,
            before he or she is given up.
        growth: by how much of its sides a box is larger than that of the keypoints, in all, as
            PoseTrack18's own boxes are.

    Raises:
        ValueError: an option is out of range.
    """

    every: int = 30
    min_score: float = 0.1
    patience: int = 3
    growth: float = 0.3

    def __post_init__(self) -> None:
        check_whole(self, "every", "patience")
        for name in ("min_score", "growth"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")


@dataclass
class _Person:
    """A person who is followed.

    Attributes:
        box: (4,) of the next frame.
        score: of the box that was detected.
        known: once found, and no duplicate: the detector is asked when he or she is given up.
        lost: so many frames in a row, also as a duplicate.
    """

    box: FloatArray
    score: float
    known: bool = False
    lost: int = 0


@dataclass
class FollowedBoxes:
    """Boxes that are detected now and then, and follow the poses in between; see ``PoseStream``.

    Each frame, ``boxes`` gives those of the people, and ``update`` takes their poses.

    Attributes:
        detector: finds the people of a frame; its tracks are not used.
        options: of the following.
        people: those who are followed, by track, the oldest track first.
        asked: false after a track ended, until the detector is asked again.
        frames: how many there have been.
        count: how many people there have been, which is the next track.
    """

    detector: BoxSource
    options: FollowOptions
    people: dict[int, _Person] = field(default_factory=dict)
    asked: bool = False
    frames: int = 0
    count: int = 0

    def boxes(self, sample: Sample) -> PersonBoxes:
        """Return the box of each person in the next frame, with tracks."""
        if self.frames % self.options.every == 0 or not self.people or not self.asked:
            self._detect(sample)
        self.frames += 1
        return PersonBoxes(
            self._corners(),
            np.array([each.score for each in self.people.values()], np.float32),
            np.array(list(self.people), np.int64),
        )

    def _corners(self) -> Float32Array:
        rows = [each.box for each in self.people.values()]
        return np.array(rows, np.float32).reshape(-1, 4)

    def _detect(self, sample: Sample) -> None:
        self.asked, found = True, self.detector(sample)
        known = match_boxes(found.corners, self._corners()) >= 0
        for row in np.flatnonzero(~known).tolist():
            self.people[self.count] = _Person(found.corners[row], float(found.scores[row]))
            self.count += 1

    def update(self, poses: Poses, sample: Sample) -> Poses:
        """Move the boxes to the poses of the frame; return the poses that are not duplicates.

        Args:
            poses: one for each box, in order, px of the file.
            sample: the frame.
        """
        kept = np.zeros(len(poses), bool)
        kept[distinct_poses(poses, ranks=-np.arange(len(poses)))] = True
        local = poses.warped(sample.to_original.inverse())
        scores = np.where(poses.scores >= self.options.min_score, poses.scores, 0)
        around = boxes_around(local.keypoints, scores, self.options.growth)
        means = poses.scores.mean(axis=1)
        for row, (track, person) in enumerate(list(self.people.items())):
            certain = bool(means[row] >= self.options.min_score)
            if certain:
                person.box = around[row]
            person.known |= certain and bool(kept[row])
            person.lost = 0 if certain and kept[row] else person.lost + 1
            if person.lost >= self.options.patience or _outside(person.box, sample):
                del self.people[track]
                self.asked &= not person.known
        return poses[np.flatnonzero(kept)]


def _outside(box: FloatArray, image: Sample) -> bool:
    """Return whether the center of a box is outside of an image."""
    height, width = image.size
    x, y = (box[:2] + box[2:]) / 2
    return not (0 <= x <= width and 0 <= y <= height)

"""Poses of the people of a video frame by frame, by a system that sees one person at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from poselib.data.boxes import match_boxes
from poselib.data.image_folder import bare_sample
from poselib.data.image_io import as_rgb
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.inference import PredictOptions, device_of
from poselib.engine.person_boxes import (
    BoxSource,
    BoxTracks,
    PersonBoxes,
    boxes_around,
)
from poselib.engine.person_stream import PersonStream, distinct_poses, person_crop, person_poses
from poselib.engine.predict import detected_boxes
from poselib.engine.predict_people import check_crop_options
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample, Size
from poselib.systems import System
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
        growth: see ``engine.person_boxes.DetectedBoxes``.

    Raises:
        ValueError: an option is out of range.
    """

    every: int = 30
    min_score: float = 0.2
    patience: int = 3
    growth: float = 0.2

    def __post_init__(self) -> None:
        for name in ("every", "patience"):
            value = getattr(self, name)
            if not (isinstance(value, int | np.integer) and value >= 1):
                raise ValueError(f"{name} must be 1 or more and whole, not {value!r}")
        for name in ("min_score", "growth"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")


class PoseStream:
    """Finds the people of each frame of a video, and keeps what it needs of the frames before.

    All people of a frame are in the network together; a video network keeps a state of each.

    Boxes are given for every frame, or found: a detector is asked for the first frame, every
    ``follow.every`` frames, after someone was lost, and as long as nobody is there. In between, the
    box of a person is put around the pose of the frame before. Detections that overlap with nobody
    known are new people. Who leaves the image, or is lost for some frames, is given up, and gets
    another number if found again. Of people whose poses become nearly equal the one who has been
    known for longest stays.

    Args:
        system: with ``crop``; its model is put into evaluation mode, and on the device if one is
            given.
        detector: finds people in whole images, or gives boxes as they are; by default the bundled
            model. Asked now and then.
        boxes: of the people of each frame, instead of a detector.
        options: ``flip``, and ``renew``, frames after which the network forgets what it has seen.
        follow: how people are followed, if boxes are found.
        device: where the networks run; by default where the system's weights are.
        first_id: the image id of the first frame, if frames are given as arrays; those of the next
            ones follow.

    Raises:
        ValueError: the system or the detector is not for this, or an option does not apply.

    Example:
        >>> system = build("jre", "posetrack18", backbone="hrnet_tiny", height=64, width=64)
        >>> stream = PoseStream(system, boxes=AnnotatedBoxes())
        >>> clip = open_dataset("clips", "val", count=1)
        >>> stream.step(clip[0], time=0.0).tracks.tolist()
        [0]
    """

    def __init__(
        self,
        system: System,
        detector: System | BoxSource | None = None,
        *,
        boxes: BoxSource | None = None,
        options: PredictOptions | None = None,
        follow: FollowOptions | None = None,
        device: torch.device | str | None = None,
        first_id: int = 0,
    ) -> None:
        if system.crop is None:
            raise ValueError(f"a system of one person is wanted; {system.name!r} sees whole images")
        if boxes is not None and detector is not None:
            raise ValueError("boxes and a detector are given: one of them says where people are")
        self.system, self.boxes = system, boxes
        self.options = options or PredictOptions()
        check_crop_options(system, self.options)
        system.model.to(device_of(system) if device is None else device).eval()
        self._people = BoxTracks(system.crop_rule)
        self._network = PersonStream(system, self.options.flip)
        self._found = None
        if boxes is None:
            if detector is None:
                detector = load_checkpoint().system
            if isinstance(detector, System):
                detector = detected_boxes(detector, device=device_of(system))
            self._found = _Followed(detector, follow or FollowOptions())
        self._first_id, self._frames = first_id, 0
        self._size: Size | None = None
        self._time = -math.inf

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that are predicted."""
        return self.system.skeleton

    def step(self, image: Any, time: float) -> Poses:
        """Return the people of the next frame, with their tracks.

        Args:
            image: a ``Sample``, whose people may be where boxes come from, or whatever
                ``data.image_io.as_rgb`` takes, such as an array (H, W, 3).
            time: of the frame, seconds; later than that of the frame before.

        Returns:
            The poses in px of the file, or array. A person's score is that of the box when it was
            found or given, times the mean of the keypoint scores.

        Raises:
            ValueError: the frame is not an image, has another size than the one before, or is not
                later than it.
        """
        sample = self._sample(image, time)
        if self.options.renew and self._frames % self.options.renew == 0:
            self._network.forget()
        if self.boxes is not None:
            given = self._people.linked(self.boxes(sample))
            regions = self._people.region(given) if self.system.clips else given.corners
            poses = self._poses(sample, given, regions)
            poses = poses if self.boxes.exact else poses[distinct_poses(poses)]
        else:
            assert self._found is not None
            given = self._found.boxes(sample)
            found = self._poses(sample, given, self._people.region(given))
            poses = self._found.update(found, sample)
        self._frames += 1
        return poses

    def _sample(self, image: Any, time: float) -> Sample:
        here = f"frame {self._frames}"
        if not isinstance(image, Sample):
            try:
                image = bare_sample(as_rgb(image), self._first_id + self._frames)
            except ValueError as error:
                raise ValueError(f"{here}: {error}") from error
        if not (math.isfinite(time) and time > self._time):
            raise ValueError(f"{here}: a time after {self._time} s is wanted, not {time}")
        if self._size not in (None, image.size):
            wanted, size = ("{1} x {0}".format(*each) for each in (self._size, image.size))
            raise ValueError(f"{here} has {size} px; those before have {wanted}")
        self._size, self._time = image.size, time
        return image

    def _poses(self, sample: Sample, boxes: PersonBoxes, regions: Float32Array) -> Poses:
        """Return the pose of each of the boxes, in their order, px of the file."""
        assert boxes.tracks is not None
        tracks = boxes.tracks.tolist()
        self._network.keep(tracks)
        if not tracks:
            empty = Poses.empty(len(self.skeleton))
            return replace(empty, skeleton=self.skeleton, tracks=np.zeros(0, np.int64))
        crops = [person_crop(self.system, sample, region) for region in regions]
        parts = self._network.step(crops, tracks)
        decoded = [poses for part in parts for poses in self.system.decode(part)]
        rows = zip(crops, decoded, boxes.scores.tolist(), strict=True)
        found = Poses.join([person_poses(self.system, *row) for row in rows])
        return replace(found, tracks=boxes.tracks)


@dataclass
class _Person:
    """A person who is followed.

    Attributes:
        box: (4,) of the next frame.
        score: of the box that was detected.
        known: once found, so that the detector is asked when he or she is given up.
        lost: frames since then.
    """

    box: FloatArray
    score: float
    known: bool = False
    lost: int = 0


@dataclass
class _Followed:
    """Boxes that are detected now and then, and follow the poses in between."""

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
            duplicate = not kept[row] and not person.known  # someone else, detected once more
            if duplicate or person.lost >= self.options.patience or _outside(person.box, sample):
                del self.people[track]
                self.asked &= not person.known
        return poses[np.flatnonzero(kept)]


def _outside(box: FloatArray, image: Sample) -> bool:
    """Return whether the center of a box is outside of an image."""
    height, width = image.size
    x, y = (box[:2] + box[2:]) / 2
    return not (0 <= x <= width and 0 <= y <= height)

"""Poses of the people of a video frame by frame, by a system that sees one person at a time."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from poselib.data.image_folder import bare_sample
from poselib.data.image_io import as_rgb
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.followed_boxes import FollowedBoxes, FollowOptions
from poselib.engine.image_stream import check_frame
from poselib.engine.inference import PredictOptions, device_of
from poselib.engine.person_boxes import (
    BoxSource,
    BoxTracks,
    PersonBoxes,
)
from poselib.engine.person_stream import (
    PersonStream,
    distinct_poses,
    folded,
    person_crop,
    person_poses,
)
from poselib.engine.predict import check_person_options, detected_boxes
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample, Size
from poselib.systems import System


class PoseStream:
    """Finds the people of each frame of a video, and keeps what it needs of the frames before.

    All people of a frame are in the network together; a video network keeps a state of each.

    Boxes are given for every frame, or found: a detector sees the first frame, one in
    ``follow.every``, the next after a track ended, and all while there is no track. In between, the
    box of a person is put around the pose of the frame before. A detection that overlaps with no
    track starts a new one. The track of a person who leaves the image, or is lost for some frames,
    ends; its id is never used again. Of tracks whose poses become nearly equal the oldest stays.

    Args:
        system: with ``crop``; its model is put into evaluation mode, and on the device if one is
            given.
        detector: finds people in whole images, or gives boxes as they are; by default the bundled
            model. Asked now and then.
        boxes: of the people of each frame, instead of a detector.
        options: ``flip``, and ``renew``, frames after which the network forgets what it has seen;
            regions follow people on, as the boxes of the frames to come are not known.
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
        self.system, self.boxes = system, boxes
        self.options = options or PredictOptions()
        check_person_options(system, self.options, detector, boxes)
        system.model.to(device_of(system) if device is None else device).eval()
        self._people = BoxTracks(system.crop_rule)
        self._network = PersonStream(folded(system), self.options.flip)
        self._found = None
        if boxes is None:
            if detector is None:
                detector = load_checkpoint().system
            if isinstance(detector, System):
                detector = detected_boxes(detector, device=device_of(system))
            self._found = FollowedBoxes(detector, follow or FollowOptions())
        self._first_id, self._frames = first_id, 0
        self._size: Size | None = None
        self._time = -math.inf

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that are predicted."""
        return self.system.skeleton

    def step(self, image: Any, time: float) -> Poses:
        """Return the people of the next frame, with their tracks and its time.

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
            given = self._people.linked(self.boxes(sample), sample.image_id)
            poses = self._poses(sample, given)
            poses = poses if self.boxes.exact else poses[distinct_poses(poses)]
        else:
            assert self._found is not None
            poses = self._found.update(self._poses(sample, self._found.boxes(sample)), sample)
        self._frames += 1
        return poses

    def _sample(self, image: Any, time: float) -> Sample:
        here = f"frame {self._frames}"
        if not isinstance(image, Sample):
            try:
                image = bare_sample(as_rgb(image), self._first_id + self._frames)
            except ValueError as error:
                raise ValueError(f"{here}: {error}") from error
        check_frame(self._frames, time, self._time, image.size, self._size)
        self._size, self._time = image.size, time
        return image

    def _poses(self, sample: Sample, boxes: PersonBoxes) -> Poses:
        """Return the pose of each of the boxes, in their order, px of the file."""
        assert boxes.tracks is not None
        tracks = boxes.tracks.tolist()
        self._network.keep(tracks)
        # Boxes of photographs are taken as they are given.
        follows = self.system.clips or self.boxes is None
        people = self._people if follows else BoxTracks(self.system.crop_rule)
        (regions,) = people.regions([boxes], [sample.size])
        found = Poses.empty(len(self.skeleton))
        if tracks:
            crops = [person_crop(self.system, sample, region) for region in regions]
            parts = self._network.step(crops, tracks)
            decoded = [poses for part in parts for poses in self.system.decode(part)]
            rows = zip(crops, decoded, boxes.scores.tolist(), strict=True)
            found = Poses.join([person_poses(self.system, *row) for row in rows])
        return replace(found, skeleton=self.skeleton, tracks=boxes.tracks, time=self._time)

"""Where the people are that a system of crops is shown: annotated, listed or detected boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from poselib.data.boxes import keypoint_boxes
from poselib.data.readers.detections import Boxes, read_detections
from poselib.data.transforms import warp_boxes
from poselib.structures import Poses, Sample
from poselib.typing import Float32Array, IntArray

# Shortest side, px, of a box around a person of whom one keypoint is known.
_SHORTEST = 8.0


@dataclass(frozen=True)
class PersonBoxes:
    """Boxes of the people of one image.

    Attributes:
        corners: (N, 4) float32, left, top, right, bottom, px of the sample's image; zeros for a
            person who is listed, but not where: then the region is that of the frame before, or the
            whole image.
        scores: (N,) float32.
        tracks: (N,) int64, the video's numbers of the people, if known.
    """

    corners: Float32Array
    scores: Float32Array
    tracks: IntArray | None = None

    def __len__(self) -> int:
        return len(self.corners)


class BoxSource(Protocol):
    """Gives the boxes of the people of a sample.

    Attributes:
        exact: every box is of another person, so that none of their poses is a duplicate.
    """

    @property
    def exact(self) -> bool: ...

    def __call__(self, sample: Sample, /) -> PersonBoxes: ...


@dataclass(frozen=True)
class AnnotatedBoxes:
    """Boxes of a sample's own people, or around their labeled keypoints; one a row, score 1."""

    exact: bool = True

    def __call__(self, sample: Sample, /) -> PersonBoxes:
        around = _with_area(keypoint_boxes(sample.keypoints))
        unseen = ~(sample.keypoints[..., 2] > 0).any(axis=1, keepdims=True)
        around = np.where(unseen, np.float32(0), around)
        corners = around if sample.boxes is None else sample.boxes
        flat = ((corners[:, 2:] - corners[:, :2]) <= 0).any(axis=1, keepdims=True)
        corners = np.where(flat, around, corners)
        return PersonBoxes(corners, np.ones(len(corners), np.float32), sample.tracks)


@dataclass(frozen=True)
class ListedBoxes:
    """Boxes of a detections file in COCO's results format, best first.

    Attributes:
        boxes: of each image, by its id, px of the image file.
    """

    boxes: Mapping[Any, Boxes]
    exact: bool = False

    @classmethod
    def read(cls, path: Path, image_ids: Any, min_score: float = 0.0) -> ListedBoxes:
        """Read a file; arguments and errors are those of ``read_detections``."""
        return cls(read_detections(path, image_ids, min_score))

    def __call__(self, sample: Sample, /) -> PersonBoxes:
        """Return the boxes of an image.

        Raises:
            ValueError: the file was not read for this image.
        """
        if sample.image_id not in self.boxes:
            raise ValueError(f"image {sample.image_id}: there are no boxes of it")
        listed = self.boxes[sample.image_id]
        corners = warp_boxes(listed.corners, sample.to_original.inverse())
        return PersonBoxes(_with_area(corners), listed.scores)


@dataclass(frozen=True)
class DetectedBoxes:
    """Boxes around poses that are found in the whole image.

    Attributes:
        detect: returns the poses in an image, px of the image file.
        growth: by how much of its sides a box is larger than that of the keypoints, in all: of
            a body these leave out the top of the head, hands and feet.
    """

    detect: Callable[[Sample], Poses]
    growth: float = 0.2
    exact: bool = False

    def __call__(self, sample: Sample, /) -> PersonBoxes:
        poses = self.detect(sample).warped(sample.to_original.inverse())
        poses = poses[np.flatnonzero(poses.found.any(axis=1))]
        corners = boxes_around(poses.keypoints, poses.scores, self.growth)
        return PersonBoxes(corners, poses.person_scores)


def boxes_around(keypoints: Float32Array, scores: Float32Array, growth: float) -> Float32Array:
    """Return boxes (N, 4) around the keypoints (N, K, 2) with a score (N, K) above 0."""
    corners = keypoint_boxes(np.concatenate([keypoints, scores[..., None]], axis=2))
    more = growth / 2 * (corners[:, 2:] - corners[:, :2])
    return _with_area(corners + np.concatenate([-more, more], axis=1))


def _with_area(corners: Float32Array) -> Float32Array:
    """Return boxes (N, 4) whose sides have a least length."""
    middle = (corners[:, :2] + corners[:, 2:]) / 2
    half = np.maximum(corners[:, 2:] - corners[:, :2], _SHORTEST) / 2
    grown: Float32Array = np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)
    return grown

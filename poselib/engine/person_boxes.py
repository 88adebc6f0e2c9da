"""Where the people are that a system of crops is shown: annotated, listed or detected boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from poselib.data.boxes import keypoint_boxes, match_boxes
from poselib.data.crops import CropRule
from poselib.data.readers.detections import Boxes, read_detections
from poselib.data.transforms import warp_boxes
from poselib.structures import Poses, Sample, Size
from poselib.typing import Float32Array, FloatArray, IntArray

# Shortest side, px, of a box around a person with one known keypoint.
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


def box_source(boxes: Any, image_ids: Sequence[int]) -> BoxSource:
    """Return where the people of images are, from what a user says.

    Args:
        boxes: a file of detections in COCO's results format; (N, 4) left, top, right, bottom, px,
            of the only image; a list with such an array for each image, whose boxes are each of
            another person; or a ``BoxSource``.
        image_ids: of the images.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not as ``read_detections`` wants it; or boxes are not (N, 4), without an
            area, or not for each image.
    """
    if isinstance(boxes, str | Path):
        return ListedBoxes.read(Path(boxes), image_ids)
    if callable(boxes):
        source: BoxSource = boxes
        return source
    if len(image_ids) == 1 and np.ndim(boxes[0] if len(boxes) else []) == 1:
        boxes = [boxes]
    if len(boxes) != len(image_ids) or len(set(image_ids)) != len(image_ids):
        raise ValueError(
            f"boxes: expected (N, 4) for each of {len(image_ids)} images, whose ids are different; "
            f"found {len(boxes)}"
        )
    rows = map(_given_corners, boxes, image_ids)
    listed = [Boxes(each, np.ones(len(each), np.float32)) for each in rows]
    return ListedBoxes(dict(zip(image_ids, listed, strict=True)), exact=True)


def _given_corners(boxes: Any, image_id: int) -> Float32Array:
    """Return boxes (N, 4) of an image after a check."""
    here = f"image {image_id}: boxes"
    try:
        corners = np.asarray(boxes, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{here}: expected numbers (N, 4): {error}") from error
    corners = corners.reshape(-1, 4) if corners.size == 0 else corners
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise ValueError(f"{here}: expected (N, 4), found {corners.shape}")
    good = np.isfinite(corners).all(axis=1) & (corners[:, 2:] > corners[:, :2]).all(axis=1)
    for row in np.flatnonzero(~good)[:1].tolist():
        raise ValueError(
            f"{here}[{row}]: expected left, top, right and bottom of a box with an area, found "
            f"{corners[row].tolist()}"
        )
    return corners


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


@dataclass
class BoxTracks:
    """Which boxes of a video are of one person, and which region of the image each person is shown.

    Attributes:
        rule: of the regions.
    """

    rule: CropRule
    _last: PersonBoxes | None = None
    _regions: dict[int, FloatArray] = field(default_factory=dict)
    _people: int = 0

    def linked(self, boxes: PersonBoxes, image_id: int) -> PersonBoxes:
        """Return the boxes of the next frame with tracks: their own, or those of the boxes before.

        Raises:
            ValueError: a track is in the image twice.
        """
        if boxes.tracks is not None and len(set(boxes.tracks.tolist())) < len(boxes):
            raise ValueError(f"image {image_id}: a track is in it twice: {boxes.tracks.tolist()}")
        if boxes.tracks is None:
            tracks = np.full(len(boxes), -1, np.int64)
            if self._last is not None and self._last.tracks is not None:
                partner = match_boxes(boxes.corners, self._last.corners)
                tracks[partner >= 0] = self._last.tracks[partner[partner >= 0]]
            new = tracks < 0
            tracks[new] = self._people + np.arange(new.sum())
            self._people += int(new.sum())
            boxes = replace(boxes, tracks=tracks)
        self._last = boxes
        return boxes

    def regions(
        self, frames: Sequence[PersonBoxes], sizes: Sequence[Size], shared: bool = False
    ) -> list[FloatArray]:
        """Return which region (N, 4) each person is shown in each of the next frames.

        Args:
            frames: boxes with tracks.
            sizes: (H, W) of the frames.
            shared: a person has one region in all of these frames, as in a clip of them; otherwise
                the region follows the person from frame to frame; see ``CropRule``.
        """
        if shared:
            whole: dict[int, list[FloatArray]] = {}
            for boxes in frames:
                for track, box in _each(boxes):
                    whole.setdefault(track, []).append(box)
            ahead = {
                track: iter(self.rule.regions(np.stack(own), sizes[0]))
                for track, own in whole.items()
            }
            return [_rows(next(ahead[track]) for track, _ in _each(boxes)) for boxes in frames]
        regions = []
        for boxes, size in zip(frames, sizes, strict=True):
            known, rule = self._regions, self.rule
            self._regions = {
                track: rule.follow(known[track], box)
                if track in known
                else rule.regions(box[None], size)[0]
                for track, box in _each(boxes)
            }
            regions.append(_rows(self._regions.values()))
        return regions


def _rows(boxes: Iterable[FloatArray]) -> FloatArray:
    return np.array(list(boxes)).reshape(-1, 4)


def _each(boxes: PersonBoxes) -> list[tuple[int, FloatArray]]:
    assert boxes.tracks is not None
    return list(zip(boxes.tracks.tolist(), boxes.corners.astype(np.float64), strict=True))


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

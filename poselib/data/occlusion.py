"""Masks over random joints of people, in runs of frames of videos (RPSTN/JRE, Fig. 9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from poselib.annotations import AnnotationTable
from poselib.data.boxes import keypoint_boxes
from poselib.data.clips import VideoFrames
from poselib.structures import Sample, sample_index
from poselib.typing import BoolArray, IntArray


@dataclass(frozen=True)
class MaskRule:
    """Which joints are masked, in which frames, and how.

    Attributes:
        frames: consecutive frames that are masked, each run after some clear ones.
        clear: frames without masks before each run; 0 for photographs, of which all are masked.
        joints: of each person, drawn anew for each run.
        side: of a square mask, as a fraction of the longer side of the person's box.
        off: the joint is up to this fraction of the side off the mask's center, in x and in y, so
            that the mask does not tell where it is.

    Raises:
        ValueError: a number is out of range.
    """

    frames: int = 2
    clear: int = 4
    joints: int = 3
    side: float = 0.2
    off: float = 0.35

    def __post_init__(self) -> None:
        if self.frames < 1 or self.joints < 1 or self.clear < 0:
            raise ValueError(
                f"frames and joints must be 1 or more and clear 0 or more, not {self.frames}, "
                f"{self.joints} and {self.clear}"
            )
        if not (self.side > 0 and 0 <= self.off < 0.5):
            raise ValueError(
                f"side must be positive and off from 0 to below 0.5, not {self.side} and {self.off}"
            )


class MaskedVideos:
    """The frames of videos, in some of which squares of one color lie over joints.

    A square moves with its joint. Labels stay as they are, so that what is hidden can be measured.

    Args:
        dataset: the frames; images without videos are videos of one frame each.
        rule: what is masked.
        seed: joints, colors and positions of the masks follow from it, the video, the person and
            the number of the run.

    Attributes:
        dataset, rule, skeleton, videos, times: as given, and as of the dataset.
        since: (F,) of each frame, how many frames before it the last clear one is; 0 if it is
            clear itself.
    """

    def __init__(self, dataset: VideoFrames, rule: MaskRule, seed: int = 0) -> None:
        self.dataset, self.rule, self.seed = dataset, rule, seed
        self.skeleton = dataset.skeleton
        count = len(dataset)
        self.videos: tuple[str, ...] = tuple(
            getattr(dataset, "videos", None) or map(str, range(count))
        )
        self.times: tuple[float, ...] = getattr(dataset, "times", (0.0,) * count)
        places = [
            (number, place)
            for number, (_, frames) in enumerate(groupby(self.videos))
            for place, _ in enumerate(frames)
        ]
        self._runs = [(video, place // self._period) for video, place in places]
        inside = np.array([place % self._period for _, place in places], np.int64)
        self.since: IntArray = np.maximum(inside - rule.clear + 1, 0)

    @property
    def _period(self) -> int:
        return self.rule.clear + self.rule.frames

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        index = sample_index(index, len(self))
        sample = self.dataset[index]
        if not self.since[index]:
            return sample
        image = sample.image.copy()
        for corners, color in self._masks(index, sample):
            left, top, right, bottom = corners
            image[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = color
        return replace(sample, image=image)

    def track_ids(self, index: int) -> IntArray:
        return self.dataset.track_ids(index)

    def annotations(self) -> AnnotationTable:
        return self.dataset.annotations()

    def masked(self, index: int, sample: Sample) -> BoolArray:
        """Return (N, K), which labeled joints of a frame lie under a mask of any person."""
        hidden = np.zeros(sample.keypoints.shape[:2], dtype=bool)
        if self.since[index]:
            x, y = np.floor(sample.keypoints[..., 0]), np.floor(sample.keypoints[..., 1])
            for (left, top, right, bottom), _ in self._masks(index, sample):
                hidden |= (left <= x) & (x < right) & (top <= y) & (y < bottom)
        masked: BoolArray = hidden & (sample.keypoints[..., 2] > 0)
        return masked

    def _masks(
        self, index: int, sample: Sample
    ) -> Iterator[tuple[tuple[int, int, int, int], NDArray[np.uint8]]]:
        """Yield left, top, right and bottom, px, and the color (3, 1, 1) of each mask."""
        joints = sample.keypoints.shape[1]
        around = keypoint_boxes(sample.keypoints)
        boxes = around if sample.boxes is None else sample.boxes
        tracks = range(len(boxes)) if sample.tracks is None else sample.tracks.tolist()
        for person, box, track in zip(sample.keypoints, boxes, tracks, strict=True):
            rng = np.random.default_rng([self.seed, *self._runs[index], track])
            chosen = rng.permutation(joints)[: self.rule.joints]
            offsets = rng.uniform(-self.rule.off, self.rule.off, (joints, 2))
            colors = rng.integers(0, 256, (joints, 3, 1, 1), np.uint8)
            side = self.rule.side * float((box[2:] - box[:2]).max())
            for joint in chosen[person[chosen, 2] > 0]:
                low = person[joint, :2] + (offsets[joint] - 0.5) * side
                left, top = np.floor(low).astype(int).tolist()
                right, bottom = np.ceil(low + side).astype(int).tolist()
                yield (left, top, right, bottom), colors[joint]

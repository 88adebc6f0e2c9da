"""Data passed between rooms: transforms, samples, clips, batches, targets, poses, grouping steps.

Every coordinate is ``(x, y)`` with pixel centers at integer + 0.5, so the pixel in the first row
and column covers ``[0, 1) x [0, 1)`` and its center is ``(0.5, 0.5)``. A map with stride ``s``
has a cell ``i`` that covers ``[i * s, (i + 1) * s)`` of the network's input.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from poselib.poses import Poses as Poses
from poselib.typing import BoolArray, Float32Array, FloatArray, IntArray

Size = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class AffineTransform:
    """An affine map between two pixel frames; ``matrix`` is (2, 3) float64."""

    matrix: NDArray[np.float64]

    @classmethod
    def identity(cls) -> AffineTransform:
        """Return the transform between two equal frames."""
        return cls(np.eye(2, 3))

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map points (..., 2), in px of the source frame, to px of the target frame."""
        xy = np.asarray(points, dtype=np.float64)
        return xy @ self.matrix[:, :2].T + self.matrix[:, 2]

    def then(self, after: AffineTransform) -> AffineTransform:
        """Return the transform that applies this one first and ``after`` second."""
        return AffineTransform((after._square() @ self._square())[:2])

    def inverse(self) -> AffineTransform:
        """Return the transform from the target frame to the source frame."""
        return AffineTransform(np.asarray(np.linalg.inv(self._square())[:2], dtype=np.float64))

    def _square(self) -> NDArray[np.float64]:
        return np.vstack([self.matrix, [0.0, 0.0, 1.0]])

    @property
    def scale(self) -> float:
        """Length of a unit in the target frame: the square root of the area factor."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))


@dataclass(frozen=True)
class Sample:
    """One image with its people.

    Attributes:
        image: (3, H, W) uint8, RGB.
        keypoints: (N, K, 3) float32, x and y in px of ``image`` and the visibility: 0 not
            labeled, 1 labeled but hidden, 2 visible.
        areas: (N,) float32, px² of ``image``; the ``s²`` of OKS.
        ignore_mask: (H, W) bool, true where people are present but not labeled.
        image_id: the dataset's number of the image.
        to_original: warp from px of ``image`` to px of the file it was read from.
        boxes: (N, 4) float32, left, top, right and bottom, px of ``image``; zeros for a person
            who is not in the image; None if not known.
        tracks: (N,) int64, the video's numbers of the people; None if not known.
    """

    image: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    areas: NDArray[np.float32]
    ignore_mask: NDArray[np.bool_]
    image_id: int
    to_original: AffineTransform
    boxes: Float32Array | None = None
    tracks: IntArray | None = None

    @property
    def size(self) -> Size:
        return self.image.shape[1], self.image.shape[2]

    def only(self, people: BoolArray | IntArray) -> Sample:
        """Return the sample with some of its people, of a mask (N,) or of indices."""
        return replace(
            self,
            keypoints=self.keypoints[people],
            areas=self.areas[people],
            boxes=None if self.boxes is None else self.boxes[people],
            tracks=None if self.tracks is None else self.tracks[people],
        )


@dataclass(frozen=True)
class Clip:
    """Consecutive frames of a video; a row of people is one person throughout.

    A person who is not in a frame has visibility 0 there.

    Attributes:
        frames: T samples of one size, with the same number of people and keypoints.
        times: (T,) float64, seconds from the start of the video.
        video: name of the video.

    Raises:
        ValueError: there is no frame, or frames differ in size or people; the message names them.
    """

    frames: tuple[Sample, ...]
    times: FloatArray
    video: str = ""

    def __post_init__(self) -> None:
        here = f"clip of video {self.video!r}"
        if not self.frames or len(self.times) != len(self.frames):
            raise ValueError(f"{here}: {len(self.frames)} frames with {len(self.times)} times")
        first = self.frames[0]
        for frame in self.frames[1:]:
            for what in ("size", "keypoints", "tracks"):
                one, other = (_layout(sample, what) for sample in (first, frame))
                if one != other:
                    images = f"images {first.image_id} and {frame.image_id}"
                    raise ValueError(f"{here}: {images} differ in {what}, {one} and {other}")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> Size:
        return self.frames[0].size

    @property
    def labeled(self) -> BoolArray:
        """(N,) true for people with a labeled keypoint in some frame."""
        seen = [(frame.keypoints[..., 2] > 0).any(axis=1) for frame in self.frames]
        return np.any(seen, axis=0)

    def each(self, change: Callable[[Sample, int], Sample]) -> Clip:
        """Return the clip with every frame changed, by its sample and its position."""
        return replace(self, frames=tuple(map(change, self.frames, range(len(self)))))

    def only(self, people: BoolArray | IntArray) -> Clip:
        """Return the clip with some of its people, of a mask (N,) or of indices."""
        return self.each(lambda frame, _: frame.only(people))


def _layout(sample: Sample, what: str) -> object:
    """Return what must be equal in all frames of a clip: image size, people or track ids."""
    if what == "tracks":
        return None if sample.tracks is None else sample.tracks.tolist()
    return sample.size if what == "size" else sample.keypoints.shape


def sample_index(index: int, count: int) -> int:
    """Return which of ``count`` samples an index means; negative ones count from the end.

    Raises:
        TypeError: it is not an integer, such as a slice.
        IndexError: there are fewer samples.
    """
    try:
        number = operator.index(index)
    except TypeError:
        raise TypeError(
            f"a dataset takes one integer, not {index!r}; several are "
            "[dataset[i] for i in range(3)]"
        ) from None
    if not -count <= number < count:
        raise IndexError(f"image {number} of {count}")
    return number % count


@dataclass(frozen=True)
class Batch:
    """Samples of one size, or the frames of clips, stacked; absent people have visibility 0.

    Attributes:
        images: (B, 3, H, W) uint8, RGB; the frames of a clip follow each other.
        keypoints: (B, N, K, 3) float32, px of ``images`` and visibility.
        areas: (B, N) float32, px²; 0 for padding.
        ignore_mask: (B, H, W) bool.
        image_ids: B numbers.
        to_original: B warps from px of ``images`` to px of the files.
        frames: images per clip, by which B can be divided; 1 for photographs.
    """

    images: Tensor
    keypoints: Tensor
    areas: Tensor
    ignore_mask: Tensor
    image_ids: tuple[int, ...]
    to_original: tuple[AffineTransform, ...]
    frames: int = 1

    @property
    def size(self) -> Size:
        return self.images.shape[-2], self.images.shape[-1]

    def to(self, device: torch.device | str) -> Batch:
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory, from which a GPU copies faster."""
        return self._each(Tensor.pin_memory)

    def halved(self) -> Batch:
        """Return the batch at half its size, which must be even: each px the mean of four."""
        doubled = AffineTransform(np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))
        return replace(
            self,
            images=F.avg_pool2d(self.images.float(), 2).round().to(torch.uint8),
            keypoints=self.keypoints * self.keypoints.new_tensor([0.5, 0.5, 1.0]),
            areas=self.areas / 4,
            ignore_mask=F.max_pool2d(self.ignore_mask[:, None].float(), 2)[:, 0] > 0,
            to_original=tuple(doubled.then(warp) for warp in self.to_original),
        )

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            images=change(self.images),
            keypoints=change(self.keypoints),
            areas=change(self.areas),
            ignore_mask=change(self.ignore_mask),
        )


@dataclass(frozen=True)
class Targets:
    """Dense supervision of one batch, and the people it was made from.

    Attributes:
        heatmaps: one (B, K, h, w) float32 per output scale, coarse to fine.
        masks: one (B, 1, h, w) float32 per output scale; 0 where the loss must not count.
        keypoints: (B, N, K, 3) float32, px of the network input and visibility.
        areas: (B, N) float32, px² of the network input.
        image_size: (H, W) of the network input.
    """

    heatmaps: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    keypoints: Tensor
    areas: Tensor
    image_size: Size


@dataclass(frozen=True)
class RegressionTargets(Targets):
    """Supervision of keypoint heatmaps with a center map, and of offsets around the centers.

    There is one scale; its heatmaps are (B, K + 1, h, w), the center map last, with masks of the
    same shape. Offsets follow from ``center_assignment`` and ``keypoints`` where a loss needs
    them: maps of them would be nearly empty, and the largest of all.

    Attributes:
        centers: (B, N, 3) float32, px of the network input, and 1 where the person has a center.
        center_assignment: (B, h, w) int64, the person to whose center region a cell belongs, or
            -1; or (B, K, h, w), one for each keypoint type.
        frame: what a cell stands for; see ``ops.map_coordinates``.
        to_original: B transforms from px of the network input to px of the files, as of a batch.
    """

    centers: Tensor
    center_assignment: Tensor
    frame: Literal["center", "index"] = "center"
    to_original: tuple[AffineTransform, ...] = ()


@dataclass(frozen=True)
class GroupingStep:
    """One step of grouping: the assignment of the n candidates of one keypoint type.

    Attributes:
        keypoint: the type.
        candidates: (n,) int64, indices among the type's M candidates.
        cells: (n, 2) int64, (column, row) in the decoded maps.
        tags: (n, L) float64.
        references: (P, L) float64, reference embeddings before this step.
        people: (n,) int64, the person each candidate was assigned to; P and above are new.
        started: (n,) bool, true where the candidate started a person.
        distances: (K,) float64, distance of each type to the references, by which progressive
            grouping selects the type (HAE, Eq. 18, and ``GroupingOptions.distance_reduction``);
            NaN for types that are grouped or absent, in the first step, and in fixed orders.
    """

    keypoint: int
    candidates: IntArray
    cells: IntArray
    tags: FloatArray
    references: FloatArray
    people: IntArray
    started: NDArray[np.bool_]
    distances: FloatArray

"""What flows through poselib: warps, samples, batches, targets, outputs and poses.

Every coordinate is ``(x, y)`` with pixel centres at integer + 0.5, so the pixel in the first row
and column covers ``[0, 1) x [0, 1)`` and its centre is ``(0.5, 0.5)``. A map with stride ``s``
has a cell ``i`` that covers ``[i * s, (i + 1) * s)`` of the network's input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from poselib.skeleton import Skeleton

Size = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class Warp:
    """An affine map between two pixel frames; ``matrix`` is (2, 3) float64."""

    matrix: NDArray[np.float64]

    @classmethod
    def identity(cls) -> Warp:
        return cls(np.eye(2, 3))

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map points (..., 2), in px of the source frame, to px of the target frame."""
        xy = np.asarray(points, dtype=np.float64)
        return xy @ self.matrix[:, :2].T + self.matrix[:, 2]

    def then(self, after: Warp) -> Warp:
        """Return the warp that applies this one first and ``after`` second."""
        return Warp((after._square() @ self._square())[:2])

    def inverse(self) -> Warp:
        return Warp(np.asarray(np.linalg.inv(self._square())[:2], dtype=np.float64))

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
            labelled, 1 labelled but hidden, 2 visible.
        areas: (N,) float32, px² of ``image``; the ``s²`` of OKS.
        ignore: (H, W) bool, true where people are present but not labelled.
        image_id: the dataset's number of the image.
        to_original: warp from px of ``image`` to px of the file it was read from.
    """

    image: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    areas: NDArray[np.float32]
    ignore: NDArray[np.bool_]
    image_id: int
    to_original: Warp

    @property
    def size(self) -> Size:
        return self.image.shape[1], self.image.shape[2]


@dataclass(frozen=True)
class Batch:
    """Samples of one size, stacked; absent people have visibility 0.

    Attributes:
        images: (B, 3, H, W) uint8, RGB.
        keypoints: (B, N, K, 3) float32, px of ``images`` and visibility.
        areas: (B, N) float32, px²; 0 for padding.
        ignore: (B, H, W) bool.
        image_ids: B numbers.
        to_original: B warps from px of ``images`` to px of the files.
    """

    images: Tensor
    keypoints: Tensor
    areas: Tensor
    ignore: Tensor
    image_ids: tuple[int, ...]
    to_original: tuple[Warp, ...]

    @property
    def size(self) -> Size:
        return self.images.shape[-2], self.images.shape[-1]

    def to(self, device: torch.device | str) -> Batch:
        return replace(
            self,
            images=self.images.to(device, non_blocking=True),
            keypoints=self.keypoints.to(device, non_blocking=True),
            areas=self.areas.to(device, non_blocking=True),
            ignore=self.ignore.to(device, non_blocking=True),
        )


@dataclass(frozen=True)
class Targets:
    """Dense supervision of one batch, and the people it was made from.

    Attributes:
        heatmaps: one (B, K, h, w) float32 per output scale, coarse to fine.
        weights: one (B, 1, h, w) float32 per output scale; 0 where the loss must not count.
        keypoints: (B, N, K, 3) float32, px of the network input and visibility.
        areas: (B, N) float32, px² of the network input.
        image_size: (H, W) of the network input.
    """

    heatmaps: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    keypoints: Tensor
    areas: Tensor
    image_size: Size


class Outputs(Protocol):
    """What flip and multi-scale testing need from the outputs of any network."""

    @property
    def image_size(self) -> Size: ...

    def mirror(self, skeleton: Skeleton) -> Self: ...

    def with_mirrored(self, mirrored: Self) -> Self: ...

    def resize(self, size: Size) -> Self: ...

    def with_scales(self, others: Sequence[Self]) -> Self: ...


@dataclass(frozen=True)
class TagOutputs:
    """Heatmaps and associative tags of a batch.

    Attributes:
        heatmaps: one (B, K, h, w) per scale, coarse to fine; values near [0, 1].
        tags: (B, K, L, h, w), L embeddings of each keypoint type; L = 1 from one forward pass
            and 2 after flip testing.
        image_size: (H, W) of the network input that all maps cover.
        intermediate: what earlier stages of the network said of the same images, first to last.
            Training supervises them; whatever is made of outputs leaves them out.
    """

    heatmaps: tuple[Tensor, ...]
    tags: Tensor
    image_size: Size
    intermediate: tuple[TagOutputs, ...] = ()

    @property
    def stages(self) -> tuple[TagOutputs, ...]:
        """The outputs of every stage of the network, these last."""
        return (*self.intermediate, self)

    def mirror(self, skeleton: Skeleton) -> TagOutputs:
        """Return the outputs of the mirrored image: columns reversed, left and right exchanged."""
        order = torch.as_tensor(skeleton.flip_indices, device=self.tags.device)
        flipped = tuple(h.flip(-1)[:, order] for h in self.heatmaps)
        tags = self.tags.flip(-1)[:, order]
        return replace(self, heatmaps=flipped, tags=tags, intermediate=())

    def with_mirrored(self, mirrored: TagOutputs) -> TagOutputs:
        """Join with the outputs of the mirrored image, brought back by ``mirror``.

        Heatmaps are averaged. Tags are kept side by side (L doubles): the mean of two
        embeddings of unrelated sign would mean nothing.
        """
        heatmaps = tuple((a + b) / 2 for a, b in zip(self.heatmaps, mirrored.heatmaps, strict=True))
        tags = torch.cat([self.tags, mirrored.tags], dim=2)
        return replace(self, heatmaps=heatmaps, tags=tags, intermediate=())

    def resize(self, size: Size) -> TagOutputs:
        """Return one heatmap, the mean of all scales, and the tags, both of ``size`` cells.

        Coarser maps are brought to the finest one first and from there to ``size``, as in the
        official code: fewer cells are interpolated twice than once from each scale.
        """
        finest = (self.heatmaps[-1].shape[-2], self.heatmaps[-1].shape[-1])
        mean = torch.stack([_resized(h, finest) for h in self.heatmaps]).mean(dim=0)
        tags = _resized(_resized(self.tags.flatten(1, 2), finest), size)
        tags = tags.unflatten(1, self.tags.shape[1:3])
        return replace(self, heatmaps=(_resized(mean, size),), tags=tags, intermediate=())

    def with_scales(self, others: Sequence[TagOutputs]) -> TagOutputs:
        """Average the heatmaps with those of other image scales, resized to this one's maps.

        Tags are taken from this scale alone: embeddings of other scales are not comparable.
        """
        if not others:
            return self
        size = tuple(self.heatmaps[-1].shape[-2:])
        maps = [outputs.resize((size[0], size[1])).heatmaps[0] for outputs in (self, *others)]
        return replace(self, heatmaps=(torch.stack(maps).mean(dim=0),), intermediate=())


def _resized(maps: Tensor, size: Size) -> Tensor:
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Poses:
    """The people found in one image.

    Attributes:
        keypoints: (N, K, 2) float32, px; (0, 0) where a keypoint is missing.
        scores: (N, K) float32; 0 where a keypoint is missing.
        person_scores: (N,) float32.
    """

    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    person_scores: NDArray[np.float32]

    @classmethod
    def empty(cls, keypoints: int) -> Poses:
        return cls(
            np.zeros((0, keypoints, 2), np.float32),
            np.zeros((0, keypoints), np.float32),
            np.zeros(0, np.float32),
        )

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def found(self) -> NDArray[np.bool_]:
        """(N, K) true where a keypoint is present."""
        return self.scores > 0

    def warped(self, warp: Warp) -> Poses:
        """Return the poses in another frame; missing keypoints stay at (0, 0)."""
        moved = warp(self.keypoints).astype(np.float32)
        return replace(self, keypoints=np.where(self.found[..., None], moved, np.float32(0)))

"""What flows through poselib: warps, samples, batches, targets, outputs and poses.

Every coordinate is ``(x, y)`` with pixel centres at integer + 0.5, so the pixel in the first row
and column covers ``[0, 1) x [0, 1)`` and its centre is ``(0.5, 0.5)``. A map with stride ``s``
has a cell ``i`` that covers ``[i * s, (i + 1) * s)`` of the network's input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory, from which a GPU copies faster."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            images=change(self.images),
            keypoints=change(self.keypoints),
            areas=change(self.areas),
            ignore=change(self.ignore),
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


@dataclass(frozen=True)
class RegressionTargets(Targets):
    """Supervision of keypoint heatmaps with a centre map, and of offsets around the centres.

    There is one scale; its heatmaps are (B, K + 1, h, w), the centre map last, with weights of the
    same shape. Offsets follow from ``owners`` and ``keypoints`` where a loss needs them: maps of
    them would be nearly empty, and the largest of all.

    Attributes:
        centers: (B, N, 3) float32, px of the network input, and 1 where the person has a centre.
        owners: (B, h, w) int64, the person to whose centre region a cell belongs; -1 for nobody.
    """

    centers: Tensor
    owners: Tensor


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

    @property
    def finest(self) -> Size:
        """(h, w) of the finest heatmaps, in cells."""
        return self.heatmaps[-1].shape[-2], self.heatmaps[-1].shape[-1]

    def resize(self, size: Size) -> TagOutputs:
        """Return one heatmap, the mean of all scales, and the tags, both of ``size`` cells.

        Coarser maps are brought to the finest one first and from there to ``size``, as in the
        official code: fewer cells are interpolated twice than once from each scale.
        """
        heatmap, tags = self.resized_heatmap(size), self.resized_tags(size)
        return replace(self, heatmaps=(heatmap,), tags=tags, intermediate=())

    def resized_heatmap(self, size: Size) -> Tensor:
        """Return the heatmap of ``resize`` alone, (B, K, h, w)."""
        maps = [_resized(each, self.finest) for each in self.heatmaps]
        return _resized(torch.stack(maps).mean(dim=0) if len(maps) > 1 else maps[0], size)

    def resized_tags(self, size: Size) -> Tensor:
        """Return the tags of ``resize`` alone, (B, K, L, h, w)."""
        tags = _resized(_resized(self.tags.flatten(1, 2), self.finest), size)
        return tags.unflatten(1, self.tags.shape[1:3])

    def with_scales(self, others: Sequence[TagOutputs]) -> TagOutputs:
        """Average the heatmaps with those of other image scales, resized to this one's maps.

        Tags are taken from this scale alone: embeddings of other scales are not comparable.
        """
        if not others:
            return self
        maps = [outputs.resized_heatmap(self.finest) for outputs in (self, *others)]
        return replace(self, heatmaps=(torch.stack(maps).mean(dim=0),), intermediate=())


@dataclass(frozen=True)
class RegressionOutputs:
    """Heatmaps, a centre map and, for every cell, the pose of the person whose centre it may be.

    Attributes:
        heatmaps: (B, K, h, w); values near [0, 1].
        centers: (B, 1, h, w), how likely a cell is a person's centre; near [0, 1].
        offsets: (B, K, 2, h, w), in cells, (x, y): the cell's own place minus the keypoint's.
        image_size: (H, W) of the network input that all maps cover.
        others: what the network said of the same images at other scales.
        scorer: what the network has to judge poses by, if anything: from keypoints (N, K, 2) in px
            and their heats times that of the centre (N, K) to a factor (N,) of each person's score.
    """

    heatmaps: Tensor
    centers: Tensor
    offsets: Tensor
    image_size: Size
    others: tuple[RegressionOutputs, ...] = ()
    scorer: Callable[[Tensor, Tensor], Tensor] | None = None

    def mirror(self, skeleton: Skeleton) -> RegressionOutputs:
        """Return the outputs of the mirrored image: columns reversed, left and right exchanged."""
        order = torch.as_tensor(skeleton.flip_indices, device=self.heatmaps.device)
        sign = self.offsets.new_tensor([-1.0, 1.0])[:, None, None]
        return replace(
            self,
            heatmaps=self.heatmaps.flip(-1)[:, order],
            centers=self.centers.flip(-1),
            offsets=self.offsets.flip(-1)[:, order] * sign,
            others=tuple(other.mirror(skeleton) for other in self.others),
        )

    def with_mirrored(self, mirrored: RegressionOutputs) -> RegressionOutputs:
        """Average with the outputs of the mirrored image, brought back by ``mirror``."""
        return replace(
            self,
            heatmaps=(self.heatmaps + mirrored.heatmaps) / 2,
            centers=(self.centers + mirrored.centers) / 2,
            offsets=(self.offsets + mirrored.offsets) / 2,
        )

    def resize(self, size: Size) -> RegressionOutputs:
        """Return the outputs with maps of ``size`` cells; offsets are in cells of these."""
        height, width = self.heatmaps.shape[-2:]
        ratio = self.offsets.new_tensor([size[1] / width, size[0] / height])[:, None, None]
        offsets = _resized(self.offsets.flatten(1, 2), size).unflatten(1, (-1, 2)) * ratio
        heatmaps, centers = _resized(self.heatmaps, size), _resized(self.centers, size)
        return replace(self, heatmaps=heatmaps, centers=centers, offsets=offsets)

    def with_scales(self, others: Sequence[RegressionOutputs]) -> RegressionOutputs:
        """Keep the outputs of other scales: people are looked for in each (DEKR, Sec. 4.1)."""
        return replace(self, others=(*self.others, *others))


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

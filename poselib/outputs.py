"""What networks answer: one small class for each kind of head.

Each knows how to flip itself and how to combine with its like from other scales:
flip and multi-scale testing need nothing else, whatever the paper. Maps lie as ``structures`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.skeletons import Skeleton
from poselib.structures import Size


class Outputs(Protocol):
    """What flip and multi-scale testing need from the outputs of any network."""

    @property
    def image_size(self) -> Size: ...

    def flip(self, skeleton: Skeleton) -> Self: ...

    def merge_flipped(self, mirrored: Self) -> Self: ...

    def merge_scales(self, others: Sequence[Self]) -> Self: ...


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

    def flip(self, skeleton: Skeleton) -> TagOutputs:
        """Return the outputs of the mirrored image: columns reversed, left and right exchanged."""
        order = torch.as_tensor(skeleton.flip_indices, device=self.tags.device)
        flipped = tuple(h.flip(-1)[:, order] for h in self.heatmaps)
        tags = self.tags.flip(-1)[:, order]
        return replace(self, heatmaps=flipped, tags=tags, intermediate=())

    def merge_flipped(self, mirrored: TagOutputs) -> TagOutputs:
        """Join with the outputs of the mirrored image, brought back by ``flip``.

        Heatmaps are averaged. Tags are kept side by side (L doubles): the mean of two
        embeddings of unrelated sign would mean nothing.
        """
        heatmaps = tuple((a + b) / 2 for a, b in zip(self.heatmaps, mirrored.heatmaps, strict=True))
        tags = torch.cat([self.tags, mirrored.tags], dim=2)
        return replace(self, heatmaps=heatmaps, tags=tags, intermediate=())

    @property
    def resolution(self) -> Size:
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
        maps = [_resized(each, self.resolution) for each in self.heatmaps]
        return _resized(torch.stack(maps).mean(dim=0) if len(maps) > 1 else maps[0], size)

    def resized_tags(self, size: Size) -> Tensor:
        """Return the tags of ``resize`` alone, (B, K, L, h, w)."""
        tags = _resized(_resized(self.tags.flatten(1, 2), self.resolution), size)
        return tags.unflatten(1, self.tags.shape[1:3])

    def merge_scales(self, others: Sequence[TagOutputs]) -> TagOutputs:
        """Average the heatmaps with those of other image scales, resized to this one's maps.

        Tags are taken from this scale alone: embeddings of other scales are not comparable.
        """
        if not others:
            return self
        maps = [outputs.resized_heatmap(self.resolution) for outputs in (self, *others)]
        return replace(self, heatmaps=(torch.stack(maps).mean(dim=0),), intermediate=())


@dataclass(frozen=True)
class RegressionOutputs:
    """Heatmaps, a center map and, for every cell, the pose of the person whose center it may be.

    Attributes:
        heatmaps: (B, K, h, w); values near [0, 1].
        centers: (B, 1, h, w), how likely a cell is a person's center; near [0, 1].
        offsets: (B, K, 2, h, w), in cells, (x, y): the cell's own place minus the keypoint's.
        image_size: (H, W) of the network input that all maps cover.
        other_scales: what the network said of the same images at other scales.
        scorer: what the network has to judge poses by, if anything: from keypoints (N, K, 2) in px
            and their heats times that of the center (N, K) to a factor (N,) of each person's score.
    """

    heatmaps: Tensor
    centers: Tensor
    offsets: Tensor
    image_size: Size
    other_scales: tuple[RegressionOutputs, ...] = ()
    scorer: Callable[[Tensor, Tensor], Tensor] | None = None

    def flip(self, skeleton: Skeleton) -> Self:
        """Return the outputs of the mirrored image: columns reversed, left and right exchanged."""
        order = torch.as_tensor(skeleton.flip_indices, device=self.heatmaps.device)
        sign = self.offsets.new_tensor([-1.0, 1.0])[:, None, None]
        return replace(
            self,
            heatmaps=self.heatmaps.flip(-1)[:, order],
            centers=self.centers.flip(-1),
            offsets=self.offsets.flip(-1)[:, order] * sign,
            other_scales=tuple(other.flip(skeleton) for other in self.other_scales),
        )

    def merge_flipped(self, mirrored: Self) -> Self:
        """Average with the outputs of the mirrored image, brought back by ``flip``."""
        return replace(
            self,
            heatmaps=(self.heatmaps + mirrored.heatmaps) / 2,
            centers=(self.centers + mirrored.centers) / 2,
            offsets=(self.offsets + mirrored.offsets) / 2,
        )

    def merge_scales(self, others: Sequence[Self]) -> Self:
        """Keep the outputs of other scales: people are looked for in each (DEKR, Sec. 4.1)."""
        return replace(self, other_scales=(*self.other_scales, *others))


@dataclass(frozen=True, kw_only=True)
class LocalGlobalOutputs(RegressionOutputs):
    """Regressed poses, and what it takes to adapt them to their surroundings.

    Attributes:
        embedding: (B, D, h, w), what is read around each keypoint of a pose.
            Of a mirrored image it is not used: what that says of a left keypoint is not comparable,
            and the official code leaves it too.
        attract: the network that says from what was read around all K keypoints of n poses,
            (n, K * D, r, r), how much each place of the r x r window attracts each keypoint:
            (n, K, r, r), near [0, 1]. It sees poses alone, and none that it is not asked about.
    """

    embedding: Tensor
    attract: Callable[[Tensor], Tensor]

    def flip(self, skeleton: Skeleton) -> Self:
        """Return the outputs of the mirrored image.

        The embedding's columns are reversed; it has no left and right to be exchanged.
        """
        return replace(super().flip(skeleton), embedding=self.embedding.flip(-1))


def _resized(maps: Tensor, size: Size) -> Tensor:
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)

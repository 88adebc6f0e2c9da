"""Outputs of networks, one small class for each kind of head.

Each can flip itself and merge with the outputs of the mirrored image and of other scales, so that
flip and multi-scale testing are the same for every paper. ``structures`` says how maps cover an
image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.skeletons import Skeleton
from poselib.structures import Size


@dataclass(frozen=True)
class TagOutputs:
    """Heatmaps and associative tags of a batch.

    Attributes:
        heatmaps: one (B, K, h, w) per scale, coarse to fine; values near [0, 1].
        tags: (B, K, L, h, w), L embeddings of each keypoint type; L = 1 from one forward pass
            and 2 after flip testing.
        image_size: (H, W) of the network input that all maps cover.
        intermediate: outputs of earlier stages of the network for the same images, first to last.
            Training supervises them; flipping and merging drop them.
    """

    heatmaps: tuple[Tensor, ...]
    tags: Tensor
    image_size: Size
    intermediate: tuple[TagOutputs, ...] = ()

    @property
    def stages(self) -> tuple[TagOutputs, ...]:
        """The outputs of every stage of the network, first to last."""
        return (*self.intermediate, self)

    def flip(self, skeleton: Skeleton) -> TagOutputs:
        """Return the outputs for the mirrored image: columns reversed, left and right swapped."""
        order = torch.as_tensor(skeleton.flip_indices, device=self.tags.device)
        flipped = tuple(h.flip(-1)[:, order] for h in self.heatmaps)
        tags = self.tags.flip(-1)[:, order]
        return replace(self, heatmaps=flipped, tags=tags, intermediate=())

    def merge_flipped(self, mirrored: TagOutputs) -> TagOutputs:
        """Merge with the outputs of the mirrored image, after their ``flip``.

        Heatmaps are averaged. Tags are concatenated (L doubles), since the mean of two embeddings
        of unrelated sign has no meaning.
        """
        heatmaps = tuple((a + b) / 2 for a, b in zip(self.heatmaps, mirrored.heatmaps, strict=True))
        tags = torch.cat([self.tags, mirrored.tags], dim=2)
        return replace(self, heatmaps=heatmaps, tags=tags, intermediate=())

    @property
    def resolution(self) -> Size:
        """(h, w) of the finest heatmaps, in cells."""
        return self.heatmaps[-1].shape[-2], self.heatmaps[-1].shape[-1]

    def resize(self, size: Size, aligned: bool = False) -> TagOutputs:
        """Return one heatmap, the mean of all scales, and the tags, both of ``size`` cells.

        Coarser maps are resized to the finest one and their mean to ``size``, as in the official
        code. In frame ``"aligned"`` of ``ops.map_coordinates`` the outermost values stay.
        """
        heatmap, tags = self.resized_heatmap(size, aligned), self.resized_tags(size, aligned)
        return replace(self, heatmaps=(heatmap,), tags=tags, intermediate=())

    def resized_heatmap(self, size: Size, aligned: bool = False) -> Tensor:
        """Return the heatmap of ``resize`` alone, (B, K, h, w)."""
        maps = [_resized(each, self.resolution, aligned) for each in self.heatmaps]
        return _resized(torch.stack(maps).mean(dim=0) if len(maps) > 1 else maps[0], size, aligned)

    def resized_tags(self, size: Size, aligned: bool = False) -> Tensor:
        """Return the tags of ``resize`` alone, (B, K, L, h, w)."""
        tags = _resized(self.tags.flatten(1, 2), self.resolution, aligned)
        return _resized(tags, size, aligned).unflatten(1, self.tags.shape[1:3])

    def merge_scales(self, others: Sequence[TagOutputs], aligned: bool = False) -> TagOutputs:
        """Average the heatmaps with those of other image scales, at the resolution of this one.

        Tags are those of this scale: embeddings of different scales are not comparable. See
        ``resize`` for ``aligned``.
        """
        if not others:
            return self
        maps = [outputs.resized_heatmap(self.resolution, aligned) for outputs in (self, *others)]
        return replace(self, heatmaps=(torch.stack(maps).mean(dim=0),), intermediate=())


@dataclass(frozen=True)
class RegressionOutputs:
    """Heatmaps, a center heatmap and, for every cell, a pose relative to it as a center.

    Attributes:
        heatmaps: (B, K, h, w); values near [0, 1].
        centers: (B, 1, h, w), heatmap of the people's centers; values near [0, 1].
        offsets: (B, K, 2, h, w), in cells, (x, y): the location of the cell minus that of the
            keypoint.
        image_size: (H, W) of the network input that all maps cover.
        other_scales: outputs for the same images at other scales.
        scorer: the network's scoring net, if it has one: maps keypoints (N, K, 2), px, and their
            heatmap values times that of the center, (N, K), to a factor (N,) of the person scores.
    """

    heatmaps: Tensor
    centers: Tensor
    offsets: Tensor
    image_size: Size
    other_scales: tuple[RegressionOutputs, ...] = ()
    scorer: Callable[[Tensor, Tensor], Tensor] | None = None

    def flip(self, skeleton: Skeleton) -> Self:
        """Return the outputs for the mirrored image: columns reversed, left and right swapped."""
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
        """Average with the outputs of the mirrored image, after their ``flip``."""
        return replace(
            self,
            heatmaps=(self.heatmaps + mirrored.heatmaps) / 2,
            centers=(self.centers + mirrored.centers) / 2,
            offsets=(self.offsets + mirrored.offsets) / 2,
        )

    def merge_scales(self, others: Sequence[Self]) -> Self:
        """Keep the outputs of other scales; people are detected in each (DEKR, Sec. 4.1)."""
        return replace(self, other_scales=(*self.other_scales, *others))


@dataclass(frozen=True, kw_only=True)
class LocalGlobalOutputs(RegressionOutputs):
    """Regressed poses, and the features and network that refine them.

    Attributes:
        embedding: (B, D, h, w) features, of which a window around each keypoint is the local
            context of a pose. Those of a mirrored image are not used, as in the official code:
            the features of a left and a right keypoint are not comparable.
        attraction_network: maps the local contexts of all K keypoints of n poses, (n, K * D, r, r),
            to keypoint attraction maps (n, K, r, r) with values near [0, 1]. It is run only
            on the poses to be refined.
    """

    embedding: Tensor
    attraction_network: Callable[[Tensor], Tensor]

    def flip(self, skeleton: Skeleton) -> Self:
        """Return the outputs for the mirrored image.

        The columns of the embedding are reversed; its channels have no left and right.
        """
        return replace(super().flip(skeleton), embedding=self.embedding.flip(-1))


@dataclass(frozen=True)
class JointRelations:
    """How the heatmaps of the keypoints of each image were related (RPSTN/JRE, Eqs. 6-9).

    Attributes:
        pseudo_heatmaps: (B, K, h, w), the maps before they were related.
        correlation: (B, K, K), dot products of the pseudo heatmaps.
        weights: (B, K, K), W_r: how much each keypoint, by row, attends to each other one; rows sum
            to 1. Not so in official code, whose columns do.
    """

    pseudo_heatmaps: Tensor
    correlation: Tensor
    weights: Tensor

    @property
    def diagonal(self) -> Tensor:
        """(B,) mean weight of a keypoint for itself: 1 where no other one is attended to."""
        return self.weights.diagonal(dim1=1, dim2=2).mean(dim=1)

    @property
    def entropy(self) -> Tensor:
        """(B,) mean entropy of the rows of ``weights``, nats: 0 for one keypoint, log K for all."""
        return torch.special.entr(self.weights).sum(dim=2).mean(dim=1)

    def flip(self, skeleton: Skeleton) -> JointRelations:
        """Return the relations in the mirrored image."""
        order = torch.as_tensor(skeleton.flip_indices, device=self.weights.device)
        return JointRelations(
            self.pseudo_heatmaps.flip(-1)[:, order],
            self.correlation[:, order][:, :, order],
            self.weights[:, order][:, :, order],
        )

    def __getitem__(self, images: Tensor) -> JointRelations:
        """Return the relations of some of the images, of an index tensor."""
        return JointRelations(
            self.pseudo_heatmaps[images], self.correlation[images], self.weights[images]
        )

    @classmethod
    def join(cls, parts: Sequence[JointRelations]) -> JointRelations:
        """Return the relations of the images of all parts, in order."""
        return cls(
            torch.cat([each.pseudo_heatmaps for each in parts]),
            torch.cat([each.correlation for each in parts]),
            torch.cat([each.weights for each in parts]),
        )

    def merge(self, other: JointRelations) -> JointRelations:
        """Average with the relations of the same images, of the same orientation and size."""
        return JointRelations(
            (self.pseudo_heatmaps + other.pseudo_heatmaps) / 2,
            (self.correlation + other.correlation) / 2,
            (self.weights + other.weights) / 2,
        )


@dataclass(frozen=True)
class HeatmapOutputs:
    """Heatmaps of one person in each image.

    Attributes:
        heatmaps: (B, K, h, w); values near [0, 1]. Of clips, B counts their frames, clip by clip.
        image_size: (H, W) of the network input that the maps cover.
        relations: of the heatmaps, where the network relates them to each other.
        intermediate: outputs of earlier stages of the network for the same images, first to last.
            Training supervises them; flipping and merging drop them.
    """

    heatmaps: Tensor
    image_size: Size
    relations: JointRelations | None = None
    intermediate: tuple[HeatmapOutputs, ...] = ()

    @classmethod
    def join(cls, parts: Sequence[HeatmapOutputs]) -> HeatmapOutputs:
        """Return the outputs for the images of all parts, in order; they are of one size."""
        related = [part.relations for part in parts if part.relations]
        relations = JointRelations.join(related) if len(related) == len(parts) else None
        return cls(torch.cat([each.heatmaps for each in parts]), parts[0].image_size, relations)

    def __getitem__(self, images: Tensor) -> HeatmapOutputs:
        """Return the outputs for some of the images, of an index tensor."""
        relations = self.relations[images] if self.relations else None
        return HeatmapOutputs(self.heatmaps[images], self.image_size, relations)

    @property
    def stages(self) -> tuple[HeatmapOutputs, ...]:
        """The outputs of every stage of the network, first to last."""
        return (*self.intermediate, self)

    def flip(self, skeleton: Skeleton) -> HeatmapOutputs:
        """Return the outputs for the mirrored image: columns reversed, left and right swapped."""
        order = torch.as_tensor(skeleton.flip_indices, device=self.heatmaps.device)
        relations = self.relations.flip(skeleton) if self.relations else None
        flipped = self.heatmaps.flip(-1)[:, order]
        return replace(self, heatmaps=flipped, relations=relations, intermediate=())

    def merge_flipped(self, mirrored: HeatmapOutputs) -> HeatmapOutputs:
        """Average with the outputs of the mirrored image, after their ``flip``."""
        relations = self.relations
        if relations and mirrored.relations:
            relations = relations.merge(mirrored.relations)
        heatmaps = (self.heatmaps + mirrored.heatmaps) / 2
        return replace(self, heatmaps=heatmaps, relations=relations, intermediate=())

    def merge_scales(self, others: Sequence[HeatmapOutputs]) -> HeatmapOutputs:
        """Average the heatmaps with those of other image scales, at the resolution of this one.

        Relations are those of this scale: correlations grow with the number of cells.
        """
        if not others:
            return self
        size = (self.heatmaps.shape[-2], self.heatmaps.shape[-1])
        maps = [_resized(each.heatmaps, size) for each in (self, *others)]
        return replace(self, heatmaps=torch.stack(maps).mean(dim=0), intermediate=())


def clip_by_clip(frames: Sequence[HeatmapOutputs]) -> HeatmapOutputs:
    """Return the outputs of T frames of B clips each as those of B·T images, clip by clip."""
    joined = HeatmapOutputs.join(frames)
    order = torch.arange(len(joined.heatmaps), device=joined.heatmaps.device)
    return joined[order.unflatten(0, (len(frames), -1)).T.flatten()]


def _resized(maps: Tensor, size: Size, aligned: bool = False) -> Tensor:
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=aligned)

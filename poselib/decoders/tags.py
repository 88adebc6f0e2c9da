"""From heatmaps and tag maps to poses: the whole decoding of tag outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poselib.decoders.associative import group_associative
from poselib.decoders.grouping import Candidates, GroupingOptions, Groups
from poselib.decoders.progressive import group_progressive
from poselib.decoders.refinement import find_missing
from poselib.ops.peaks import SUBPIXEL, Subpixel, find_peaks, sample_cells, subpixel_shift
from poselib.structures import Poses, Size, TagOutputs

# Map values decoded at a time (256 MB in float32): bounds the memory, whatever the batch.
_VALUES = 1 << 26


@dataclass(frozen=True)
class DecodeOptions:
    """How tag outputs become poses; the defaults are those of HAE's published configuration.

    Attributes:
        order: ``"progressive"`` (HAE, Algorithm 1) or every keypoint type once, in a fixed order;
            ``keypoint_order`` makes the usual ones.
        grouping: thresholds and cost of the grouping.
        resolution: ``"image"`` enlarges all maps to the network input before decoding; ``"map"``
            decodes at the finest map's own resolution, faster and coarser.
        kernel: odd side, in decoded cells, of the window in which a peak is the highest. None:
            5 at image resolution, as published, and 3 at map resolution.
        subpixel: how peaks are placed within their cell, one of ``poselib.ops.peaks.SUBPIXEL``.
        refine: whether to look for the keypoints that a person lacks.

    Raises:
        ValueError: an option is none of those above.
    """

    order: Literal["progressive"] | Sequence[int] = "progressive"
    grouping: GroupingOptions = field(default_factory=GroupingOptions)
    resolution: Literal["image", "map"] = "image"
    kernel: int | None = None
    subpixel: Subpixel = "quarter"
    refine: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.order, str) and self.order != "progressive":
            raise ValueError(
                f"order must be 'progressive' or a sequence of keypoint types, not {self.order!r}"
            )
        if self.resolution not in ("image", "map"):
            raise ValueError(f"resolution must be 'image' or 'map', not {self.resolution!r}")
        if self.kernel is not None and (self.kernel < 1 or self.kernel % 2 == 0):
            raise ValueError(f"kernel must be an odd positive number of cells, not {self.kernel}")
        if self.subpixel not in SUBPIXEL:
            raise ValueError(f"unknown subpixel method {self.subpixel!r}; known: {SUBPIXEL}")

    @property
    def window(self) -> int:
        """Side of the window of a peak, in decoded cells."""
        return self.kernel or (5 if self.resolution == "image" else 3)


@torch.no_grad()
def decode_tags(outputs: TagOutputs, options: DecodeOptions | None = None) -> list[Poses]:
    """Find the people in each image of a batch.

    A keypoint's score is its heat. A person's score is the sum of the scores of the keypoints that
    were grouped, over K: keypoints that refinement adds do not raise it, as in the published code.

    Args:
        outputs: maps of one or more scales; any values, also those that are not finite.
        options: defaults to ``DecodeOptions()``.

    Returns:
        One ``Poses`` an image, in px of the network input, people in the order they were started.

    Raises:
        ValueError: a fixed order is not a permutation of the keypoint types.
    """
    options = options or DecodeOptions()
    return [poses for part in _parts(outputs, options) for poses in _decode(part, options)]


@torch.no_grad()
def tag_candidates(outputs: TagOutputs, options: DecodeOptions | None = None) -> list[Candidates]:
    """Find the peaks that decoding would group, for each image of a batch.

    The centre of cell (i, j) lies at ((i + 0.5) * W / w, (j + 0.5) * H / h) px of the network
    input of (H, W), decoded at (h, w) cells.
    """
    options = options or DecodeOptions()
    return [found for part in _parts(outputs, options) for found in _candidates(part, options)]


def decoded_size(outputs: TagOutputs, options: DecodeOptions) -> Size:
    """Return the (h, w) of the maps in which people are looked for."""
    if options.resolution == "image":
        return outputs.image_size
    height, width = outputs.heatmaps[-1].shape[-2:]
    return height, width


def group_candidates(candidates: Candidates, options: DecodeOptions) -> Groups:
    """Group one image's candidates into people in the order that the options name."""
    if isinstance(options.order, str):
        return group_progressive(candidates, options.grouping)
    return group_associative(candidates, options.order, options.grouping)


@dataclass
class _People:
    """All people of several images, one row each, while they are put together."""

    images: NDArray[np.int64]  # (N,)
    cells: NDArray[np.int64]  # (N, K, 2)
    values: NDArray[np.float32]  # (N, K), 0 where missing
    references: NDArray[np.float64]  # (N, L)


def _parts(outputs: TagOutputs, options: DecodeOptions) -> Iterator[TagOutputs]:
    """Yield as many images at a time as fit the memory, with all maps at the decoded size."""
    images, keypoints, length = outputs.tags.shape[:3]
    size = decoded_size(outputs, options)
    count = max(1, _VALUES // max(1, keypoints * (1 + length) * size[0] * size[1]))
    for start in range(0, images, count):
        part = slice(start, start + count)
        heatmaps = tuple(h[part].float() for h in outputs.heatmaps)
        tags = outputs.tags[part].float()
        yield replace(outputs, heatmaps=heatmaps, tags=tags).resize(size)


def _decode(maps: TagOutputs, options: DecodeOptions) -> list[Poses]:
    candidates = _candidates(maps, options)
    people = _collect(candidates, [group_candidates(c, options) for c in candidates])
    scores = people.values.mean(axis=1, dtype=np.float64).astype(np.float32)
    if options.refine:
        _add_missing(people, maps)
    points = _points(people, maps, options)
    return [
        Poses(points[rows], people.values[rows], scores[rows])
        for rows in (people.images == image for image in range(len(candidates)))
    ]


def _candidates(maps: TagOutputs, options: DecodeOptions) -> list[Candidates]:
    peaks = find_peaks(maps.heatmaps[0], options.grouping.max_candidates, options.window)
    tags = sample_cells(maps.tags, peaks.cells)
    arrays = (peaks.cells, peaks.values, tags)
    return [Candidates(*each) for each in zip(*(a.cpu().numpy() for a in arrays), strict=True)]


def _collect(candidates: list[Candidates], groups: list[Groups]) -> _People:
    keypoints = np.arange(len(candidates[0].values))
    images = np.repeat(np.arange(len(groups)), [len(g.members) for g in groups])
    members = np.concatenate([g.members for g in groups])
    cells = np.stack([c.cells for c in candidates])[images[:, None], keypoints, members]
    values = np.stack([c.values for c in candidates])[images[:, None], keypoints, members]
    references = np.concatenate([g.references for g in groups])
    return _People(images, cells, np.where(members >= 0, values, np.float32(0)), references)


def _add_missing(people: _People, maps: TagOutputs) -> None:
    rows, keypoints = np.nonzero(people.values == 0)
    device = maps.tags.device
    cells, values = find_missing(
        maps.heatmaps[0],
        maps.tags,
        torch.as_tensor(people.references[rows], device=device),
        torch.as_tensor(people.images[rows], device=device),
        torch.as_tensor(keypoints, device=device),
    )
    people.cells[rows, keypoints] = cells.cpu().numpy()
    people.values[rows, keypoints] = values.clamp(min=0).cpu().numpy()


def _points(people: _People, maps: TagOutputs, options: DecodeOptions) -> NDArray[np.float32]:
    """Return (N, K, 2) float32 positions in px of the network input; (0, 0) where missing."""
    heatmaps: Tensor = maps.heatmaps[0]
    rows, keypoints = np.nonzero(people.values > 0)
    channels = people.images[rows] * heatmaps.shape[1] + keypoints
    cells = torch.as_tensor(people.cells[rows, keypoints], device=heatmaps.device)
    channel = torch.as_tensor(channels, device=heatmaps.device)
    shift = subpixel_shift(heatmaps.flatten(0, 1), channel, cells, options.subpixel)
    (height, width), image = heatmaps.shape[-2:], maps.image_size
    scale = torch.tensor([image[1] / width, image[0] / height], device=heatmaps.device)
    points = np.zeros((*people.values.shape, 2), np.float32)
    points[rows, keypoints] = ((cells + 0.5 + shift) * scale).cpu().numpy()
    return points

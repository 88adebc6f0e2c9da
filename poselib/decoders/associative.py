r"""Associative embedding decoding: from heatmaps and tag maps to poses (HAE, Sec. III-C).

.. math::
    \hat x_{nk} = \arg\max_x H_k(x) - \mathrm{round} \lVert T_k(x) - \bar t_n \rVert

Peaks of the heatmaps are grouped into people by their tags. Then the keypoints that a person lacks
are refined, as in the equation: at the cell with the highest heatmap value less the rounded
distance of its tag to the person's reference embedding. All keypoints are placed at subpixel
precision (HAE, Eq. 5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poselib.decoders.associative_options import AssociativeOptions as AssociativeOptions
from poselib.decoders.associative_options import TagFrame as TagFrame
from poselib.decoders.grouping import Candidates, Groups, collect_groups
from poselib.decoders.keypoint_order import fixed_order_steps
from poselib.decoders.progressive import progressive_steps
from poselib.decoders.refinement import find_missing
from poselib.ops.lazy_upsampling import LazyUpsampled
from poselib.ops.map_coordinates import cell_to_px, half_pixel
from poselib.ops.peaks import find_peaks, finite_maps, sample_cells
from poselib.ops.taylor_peaks import peak_shift
from poselib.outputs import TagOutputs
from poselib.structures import GroupingStep, Poses, Size

# Resize maps, detect peaks, group them, refine missing keypoints, adjust all within their cells.
Stage = Literal["resize", "nms", "match", "refine", "adjust"]
STAGES: tuple[Stage, ...] = get_args(Stage)

# Map values decoded at a time (256 MB in float32): bounds the memory of large batches.
_VALUES = 1 << 26


@torch.no_grad()
def decode_associative(
    outputs: TagOutputs,
    options: AssociativeOptions | None = None,
    on_stage: Callable[[Stage], None] | None = None,
) -> list[Poses]:
    """Decode the heatmaps and tags of a batch into the poses of each image.

    A keypoint's score is its heatmap value. A person's score is the sum of the scores of its
    grouped keypoints divided by K: as in the official code, keypoints added by refinement do not
    raise it. Only candidates and finished poses are transferred from a GPU, once each.

    Args:
        outputs: maps of one or more scales, any values, also those that are not finite.
        options: defaults to ``AssociativeOptions()``.
        on_stage: called at the end of each stage, to time it; once for each part of a batch that
            is too large to be decoded at once.

    Returns:
        One ``Poses`` per image, in px of the network input, people in the order they were started.

    Raises:
        ValueError: a fixed order is not a permutation of the keypoint types.

    Example:
        >>> heatmaps, tags = torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 1, 8, 8)
        >>> heatmaps[0, 0, 1, 1], heatmaps[0, 0, 1, 6] = 0.9, 0.8  # the heads of two people
        >>> heatmaps[0, 1, 6, 1], heatmaps[0, 1, 6, 6] = 0.7, 0.6  # and their feet
        >>> tags[..., 4:] = 5.0  # the tags of the person on the right
        >>> options = AssociativeOptions(resolution="map", subpixel="none")
        >>> (poses,) = decode_associative(TagOutputs((heatmaps,), tags, (32, 32)), options)
        >>> poses.keypoints.tolist()
        [[[6.0, 6.0], [6.0, 26.0]], [[26.0, 6.0], [26.0, 26.0]]]
    """
    options, on_stage = options or AssociativeOptions(), on_stage or _ignore_stage
    parts = _parts(outputs, options)
    return [poses for part in parts for poses in _decode(part, options, on_stage)]


@torch.no_grad()
def trace_associative(
    outputs: TagOutputs,
    options: AssociativeOptions | None = None,
    kept: dict[Any, Any] | None = None,
) -> tuple[tuple[GroupingStep, ...], Poses]:
    """Decode the outputs of one image, and return the steps of its grouping too.

    The poses are those of ``decode_associative``; person n of the steps is their n-th.

    Args:
        kept: receives resized maps, so that the same outputs are decoded with other options in
            half the time.
    """
    options, kept = options or AssociativeOptions(), {} if kept is None else kept
    key = options.resolution, options.frame
    if key not in kept:
        kept[key] = _maps_of(next(_parts(outputs, options)), options)
    maps = kept[key]
    (candidates,) = _candidates(maps, options)
    steps = candidate_steps(candidates, options)
    people = _collect([candidates], [collect_groups(steps, candidates)])
    return steps, _finish(people, maps, options)[0]


@torch.no_grad()
def find_candidates(
    outputs: TagOutputs, options: AssociativeOptions | None = None
) -> list[Candidates]:
    """Detect the peaks that decoding would group, for each image of a batch.

    The center of cell (i, j) is at ((i + 0.5) * W / w, (j + 0.5) * H / h) px of the network input
    of size (H, W), decoded at (h, w) cells; see ``ops.map_coordinates`` for frame ``"aligned"``.
    """
    options = options or AssociativeOptions()
    return [
        candidates
        for part in _parts(outputs, options)
        for candidates in _candidates(_maps_of(part, options), options)
    ]


def decoded_size(outputs: TagOutputs, options: AssociativeOptions) -> Size:
    """Return the (h, w) of the maps that are decoded."""
    return outputs.image_size if options.resolution == "image" else outputs.resolution


def candidate_steps(
    candidates: Candidates, options: AssociativeOptions
) -> tuple[GroupingStep, ...]:
    """Group one image's candidates in the order of the options, and return every step."""
    if isinstance(options.order, str):
        return progressive_steps(candidates, options.grouping)
    return fixed_order_steps(candidates, options.order, options.grouping)


def group_candidates(candidates: Candidates, options: AssociativeOptions) -> Groups:
    """Group one image's candidates into people in the order of the options."""
    return collect_groups(candidate_steps(candidates, options), candidates)


@dataclass(frozen=True)
class _People:
    """All grouped people of several images, one row each."""

    images: NDArray[np.int64]  # (N,)
    cells: NDArray[np.int64]  # (N, K, 2)
    values: NDArray[np.float32]  # (N, K), 0 where missing
    references: NDArray[np.float64]  # (N, L)


def _ignore_stage(stage: Stage) -> None:
    """Ignore the end of a stage (default callback)."""


@dataclass(frozen=True)
class _Maps:
    """Maps to decode, all of one size."""

    heatmaps: Tensor  # (B, K, h, w), finite or -inf
    block_maxima: Tensor  # of the heatmaps
    tags: Tensor | LazyUpsampled  # (B, K, L, h, w)
    image_size: Size


def _parts(outputs: TagOutputs, options: AssociativeOptions) -> Iterator[TagOutputs]:
    """Yield as many images at a time as fit into memory with all maps at the decoded size."""
    images, keypoints, length = outputs.tags.shape[:3]
    height, width = decoded_size(outputs, options)
    count = max(1, _VALUES // max(1, keypoints * (1 + length) * height * width))
    for start in range(0, images, count):
        part = slice(start, start + count)
        heatmaps = tuple(h[part].float() for h in outputs.heatmaps)
        yield replace(outputs, heatmaps=heatmaps, tags=outputs.tags[part].float())


def _maps_of(
    outputs: TagOutputs,
    options: AssociativeOptions,
    on_stage: Callable[[Stage], None] = _ignore_stage,
) -> _Maps:
    size, aligned = decoded_size(outputs, options), options.frame == "aligned"
    heatmaps, tags = outputs.resized_heatmap(size, aligned), _tags_at(outputs, size, aligned)
    on_stage("resize")
    return _Maps(*finite_maps(heatmaps), tags, outputs.image_size)


def _tags_at(outputs: TagOutputs, size: Size, aligned: bool) -> Tensor | LazyUpsampled:
    """Resize tags; those of the wanted size are not copied."""
    tags = outputs.tags
    if tuple(tags.shape[-2:]) == outputs.resolution == tuple(size):
        return tags
    # On a CPU it is slow to write whole maps of which few cells are read.
    if tags.device.type == "cpu" and tags.isfinite().all():
        return LazyUpsampled(tags.flatten(0, 1), (outputs.resolution, size), aligned)
    return outputs.resized_tags(size, aligned)


def _decode(
    outputs: TagOutputs, options: AssociativeOptions, on_stage: Callable[[Stage], None]
) -> list[Poses]:
    maps = _maps_of(outputs, options, on_stage)
    candidates = _candidates(maps, options)
    on_stage("nms")
    people = _collect(candidates, [group_candidates(c, options) for c in candidates])
    on_stage("match")
    return _finish(people, maps, options, on_stage)


def _finish(
    people: _People,
    maps: _Maps,
    options: AssociativeOptions,
    on_stage: Callable[[Stage], None] = _ignore_stage,
) -> list[Poses]:
    cells, values = _refine(people, maps, options)
    on_stage("refine")
    keypoints = _adjust(people, cells, values, maps, options)
    scores = people.values.mean(axis=1, dtype=np.float64).astype(np.float32)
    poses = [
        Poses(keypoints[rows, :, :2], keypoints[rows, :, 2], scores[rows])
        for rows in (people.images == image for image in range(len(maps.heatmaps)))
    ]
    on_stage("adjust")
    return poses


def _candidates(maps: _Maps, options: AssociativeOptions) -> list[Candidates]:
    count, threshold = options.grouping.max_candidates, options.grouping.detection_threshold
    peaks = find_peaks(maps.heatmaps, count, options.window, threshold, maps.block_maxima)
    if isinstance(maps.tags, LazyUpsampled):
        tags = maps.tags.sample(peaks.cells)
    else:
        tags = sample_cells(maps.tags, peaks.cells)
    # In one transfer: columns and rows are exact in float32 too.
    columns = (peaks.cells.float(), peaks.values[..., None], tags)
    table = torch.cat(columns, dim=-1).cpu().numpy()
    return [Candidates(t[..., :2].astype(np.int64), t[..., 2], t[..., 3:]) for t in table]


def _collect(candidates: list[Candidates], groups: list[Groups]) -> _People:
    keypoints = np.arange(len(candidates[0].values))
    images = np.repeat(np.arange(len(groups)), [len(g.members) for g in groups])
    members = np.concatenate([g.members for g in groups])
    cells = np.stack([c.cells for c in candidates])[images[:, None], keypoints, members]
    values = np.stack([c.values for c in candidates])[images[:, None], keypoints, members]
    references = np.concatenate([g.references for g in groups])
    return _People(images, cells, np.where(members >= 0, values, np.float32(0)), references)


def _refine(people: _People, maps: _Maps, options: AssociativeOptions) -> tuple[Tensor, Tensor]:
    """Return cells (N, K, 2) and values (N, K) with refined keypoints, on the maps' device."""
    device = maps.heatmaps.device
    cells = torch.from_numpy(people.cells).to(device)
    values = torch.from_numpy(people.values.copy()).to(device)
    rows, keypoints = np.nonzero(people.values == 0)
    if options.refine and len(rows):
        row, keypoint = (torch.from_numpy(index).to(device) for index in (rows, keypoints))
        references = torch.from_numpy(people.references[rows]).to(device)
        images = torch.from_numpy(people.images[rows]).to(device)
        cells[row, keypoint], values[row, keypoint] = find_missing(
            maps.heatmaps, maps.tags, references, images, keypoint, maps.block_maxima
        )
    return cells, values


def _adjust(
    people: _People, cells: Tensor, values: Tensor, maps: _Maps, options: AssociativeOptions
) -> NDArray[np.float32]:
    """Return (N, K, 3): px of the network input and scores; zeros where a keypoint is missing."""
    keypoints, height, width = maps.heatmaps.shape[1:]
    images = torch.from_numpy(people.images).to(cells.device)
    channels = images[:, None] * keypoints + torch.arange(keypoints, device=cells.device)
    heatmaps, flat = maps.heatmaps.flatten(0, 1), cells.flatten(0, 1)
    shift = peak_shift(heatmaps, channels.flatten(), flat, options.subpixel, options.kernel)
    places, size = cells + shift.view(cells.shape), (height, width)
    points = cell_to_px(places, maps.image_size, size, options.frame) + half_pixel(options.frame)
    keypoint = torch.cat([points, values[..., None]], dim=-1)
    return torch.where(values[..., None] > 0, keypoint, 0.0).cpu().numpy()

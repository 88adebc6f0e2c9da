"""Refinement of grouped people: the most likely cells of their missing keypoints."""

from __future__ import annotations

import torch
from torch import Tensor

from poselib.decoders.branch_and_bound import BranchAndBound
from poselib.ops.block_extrema import BlockExtrema
from poselib.ops.lazy_upsampling import LazyUpsampled
from poselib.ops.peaks import finite_maps

# Cells of the maps of several people that are scored at a time: bounds the memory.
_CELLS = 1 << 24


def find_missing(
    heatmaps: Tensor,
    tags: Tensor | LazyUpsampled,
    references: Tensor,
    images: Tensor,
    keypoints: Tensor,
    block_maxima: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Find the cell with the highest ``value - round(distance)`` for each missing keypoint.

    ``distance`` is that of the cell's tag to the person's reference embedding: within 0.5 only the
    heatmap value counts, and each further unit costs one. Of equal cells the first in row order is
    taken. Cells whose value or tag is not finite are never taken. On a GPU all cells are scored,
    on a CPU those that bounds do not exclude.

    Args:
        heatmaps: (B, K, h, w) float.
        tags: (B, K, L, h, w), or lazily upsampled maps (B * K, L, h, w).
        references: (n, L), embedding of the person that lacks the keypoint.
        images: (n,) int64, the person's image in the batch.
        keypoints: (n,) int64, the missing keypoint type.
        block_maxima: (B, K, block rows, block columns), if ``finite_maps`` returned it with
            ``heatmaps``.

    Returns:
        cells (n, 2) int64, (column, row), and their values (n,) float32; 0 if there is no cell.
    """
    if block_maxima is None:
        heatmaps, block_maxima = finite_maps(heatmaps)
    maps, references = images * heatmaps.shape[1] + keypoints, references.float()
    heatmaps, block_maxima = heatmaps.flatten(0, 1), block_maxima.flatten(0, 1)
    if isinstance(tags, Tensor):
        tags = tags.detach().flatten(0, 1).float()
    if isinstance(tags, Tensor) and not _use_bounds(heatmaps.device):
        cells, scores = _score_all(heatmaps, tags, maps, references)
    else:
        blocks = BlockExtrema(tags.numpy()) if isinstance(tags, Tensor) else tags
        search = BranchAndBound(
            heatmaps.numpy(), blocks, block_maxima.numpy(), maps.numpy(), references.numpy()
        )
        search.run()
        cells, scores = torch.from_numpy(search.cells), torch.from_numpy(search.scores)
    width = heatmaps.shape[-1]
    xy = torch.stack([cells % width, cells // width], dim=1)
    exists = scores > -torch.inf
    return xy * exists[:, None], torch.where(exists, heatmaps.flatten(1)[maps, cells], 0.0)


def _use_bounds(device: torch.device) -> bool:
    """Return whether branch and bound is faster than to score all cells."""
    return device.type == "cpu"


def _score_all(
    heatmaps: Tensor, tags: Tensor, maps: Tensor, references: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the flat index (n,) and the score of the best cell for n people, scoring all cells."""
    heatmaps, tags = heatmaps.flatten(1), tags.flatten(2)
    best = []
    for rows in torch.arange(len(maps), device=maps.device).split(
        max(1, _CELLS // heatmaps.shape[1])
    ):
        squares = torch.zeros((), device=heatmaps.device)
        for i in range(tags.shape[1]):
            squares = squares + (tags[maps[rows], i] - references[rows, i, None]).square_()
        score = heatmaps[maps[rows]] - squares.sqrt_().round_()
        best.append(score.nan_to_num_(nan=-torch.inf, neginf=-torch.inf).max(dim=1))
    if not best:
        return maps, references.new_zeros(0)
    return torch.cat([b.indices for b in best]), torch.cat([b.values for b in best])

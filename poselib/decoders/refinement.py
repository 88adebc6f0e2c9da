"""Refinement: where a person's missing keypoints are most likely to be."""

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
    highest: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Find the cell with the highest ``heat - round(distance)`` for each wanted keypoint.

    ``distance`` is that of the cell's tag to the person's reference embedding: within 0.5 the
    heat alone counts, and each further unit costs one. The first of equal cells in row order
    is taken. Cells whose heat or tag is not finite are never found. On a GPU all cells are
    scored, on a CPU those that bounds do not rule out.

    Args:
        heatmaps: (B, K, h, w).
        tags: (B, K, L, h, w), or maps (B * K, L, h, w) that are still to be enlarged.
        references: (n, L), embedding of the person that lacks the keypoint.
        images: (n,) int64, the person's image in the batch.
        keypoints: (n,) int64, the keypoint type that is missing.
        highest: (B, K, block rows, block columns), if it was returned with ``heatmaps`` by
            ``finite_maps``.

    Returns:
        cells (n, 2) int64, (column, row), and their heat (n,) float32; 0 where no cell is found.
    """
    if highest is None:
        heatmaps, highest = finite_maps(heatmaps)
    heat, highest = heatmaps.flatten(0, 1), highest.flatten(0, 1)
    maps, references = images * heatmaps.shape[1] + keypoints, references.float()
    if isinstance(tags, Tensor):
        tags = tags.detach().flatten(0, 1).float()
    if isinstance(tags, Tensor) and not _bounded(heat.device):
        places, scores = _score_all(heat, tags, maps, references)
    else:
        blocks = BlockExtrema(tags.numpy()) if isinstance(tags, Tensor) else tags
        search = BranchAndBound(
            heat.numpy(), blocks, highest.numpy(), maps.numpy(), references.numpy()
        )
        search.run()
        places, scores = torch.from_numpy(search.places), torch.from_numpy(search.scores)
    width = heat.shape[-1]
    cells = torch.stack([places % width, places // width], dim=1)
    found = scores > -torch.inf
    return cells * found[:, None], torch.where(found, heat.flatten(1)[maps, places], 0.0)


def _bounded(device: torch.device) -> bool:
    """Whether bounds are quicker than to score all cells."""
    return device.type == "cpu"


def _score_all(
    heat: Tensor, tags: Tensor, maps: Tensor, references: Tensor
) -> tuple[Tensor, Tensor]:
    """Score every cell for (n,) people; return the place and the score of the best one."""
    heat, tags = heat.flatten(1), tags.flatten(2)
    found = []
    for who in torch.arange(len(maps), device=maps.device).split(max(1, _CELLS // heat.shape[1])):
        squares = torch.zeros((), device=heat.device)
        for i in range(tags.shape[1]):
            squares = squares + (tags[maps[who], i] - references[who, i, None]).square_()
        score = heat[maps[who]] - squares.sqrt_().round_()
        found.append(score.nan_to_num_(nan=-torch.inf, neginf=-torch.inf).max(dim=1))
    if not found:
        return maps, references.new_zeros(0)
    return torch.cat([f.indices for f in found]), torch.cat([f.values for f in found])

"""Refinement: where a person's missing keypoints are most likely to be."""

from __future__ import annotations

import torch
from torch import Tensor

from poselib.ops.peaks import without_nonfinite

# Of each map, the part with the highest heat that is searched first, second and last.
_PARTS = (1 / 256, 1 / 16, 1.0)
# Pairs of a person and a cell that are compared at a time: bounds the memory.
_PAIRS = 1 << 22


def find_missing(
    heatmaps: Tensor, tags: Tensor, references: Tensor, images: Tensor, keypoints: Tensor
) -> tuple[Tensor, Tensor]:
    """Find the cell with the highest ``heat - round(distance)`` for each wanted keypoint.

    ``distance`` is that of the cell's tag to the person's reference embedding: within 0.5 the
    heat alone counts, and each further unit costs one. The first of equal cells in row order
    is taken. Cells whose heat or tag is not finite are never found.

    Args:
        heatmaps: (B, K, h, w).
        tags: (B, K, L, h, w).
        references: (n, L), embedding of the person that lacks the keypoint.
        images: (n,) int64, the person's image in the batch.
        keypoints: (n,) int64, the keypoint type that is missing.

    Returns:
        cells (n, 2) int64, (column, row), and their heat (n,) float32; 0 where no cell is found.
    """
    n, width = len(references), heatmaps.shape[-1]
    index = torch.zeros(n, dtype=torch.int64, device=heatmaps.device)
    values = torch.zeros(n, device=heatmaps.device)
    maps = images * heatmaps.shape[1] + keypoints
    for each in maps.unique().tolist():
        wanted = (maps == each).nonzero().squeeze(1)
        image, keypoint = divmod(each, heatmaps.shape[1])
        found, heat = _search(
            without_nonfinite(heatmaps[image, keypoint]).flatten(),
            tags[image, keypoint].flatten(1).float(),
            references[wanted].float(),
        )
        index[wanted], values[wanted] = found, heat
    cells = torch.stack([index % width, index.div(width, rounding_mode="floor")], dim=1)
    return cells, torch.where(values.isfinite(), values, 0.0)


def _search(heat: Tensor, tags: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Search one map, (S,) heat and (L, S) tags, for several people.

    No score exceeds its cell's heat. So whoever scores more among the hottest cells than the heat
    of all the others is done, and the rest of the map matters to few people.
    """
    index = torch.zeros(len(references), dtype=torch.int64, device=heat.device)
    left = torch.arange(len(references), device=heat.device)
    for part in _PARTS:
        level = _level(heat, part)
        hot = (heat > level).nonzero().squeeze(1)
        if len(hot) == 0:
            continue
        best, cell = _best(heat[hot], tags[:, hot], references[left])
        index[left] = hot[cell]
        left = left[best <= level]
        if len(left) == 0:
            break
    return index, heat[index]


def _level(heat: Tensor, part: float) -> Tensor:
    """Estimate, from a sample, the heat that about ``part`` of the cells exceed."""
    if part >= 1:
        return heat.new_tensor(-torch.inf)
    sample = heat[:: len(heat) // 8192 | 1]  # an odd step meets all columns
    return sample.topk(max(1, int(len(sample) * part))).values[-1]


def _best(heat: Tensor, tags: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Return each person's highest score, (n,), and the first cell that has it."""
    best, cells = [], []
    for people in references.split(max(1, _PAIRS // len(heat))):
        squares = sum((tags[i] - people[:, i, None]).square_() for i in range(tags.shape[0]))
        distance = torch.as_tensor(squares).sqrt_().nan_to_num_(nan=torch.inf)
        score, cell = (heat - distance.round_()).max(dim=1)
        best.append(score)
        cells.append(cell)
    return torch.cat(best), torch.cat(cells)

"""Dense supervision from labeled people."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from poselib.ops.gaussians import Overlap, gaussian_heatmaps
from poselib.structures import Batch, Size, Targets


def heatmap_targets(
    batch: Batch,
    strides: Sequence[int] = (4, 2),
    sigma: float | Sequence[float] = 2.0,
    subpixel: bool = True,
    overlap: Overlap = "max",
) -> Targets:
    """Encode a batch as heatmaps at each output stride (HAE, Eq. 4).

    Args:
        batch: images and people of one size.
        strides: px a cell of each output, coarse to fine.
        sigma: standard deviation of the Gaussians in cells, one for all outputs or one each.
        subpixel, overlap: see ``ops.gaussians.gaussian_heatmaps``.

    Returns:
        Targets on the batch's device, whose weights are 0 in ignored regions.

    Raises:
        ValueError: the image size is not a multiple of a stride, a sigma is not a positive number
            or ``overlap`` is unknown.
    """
    height, width = batch.size
    for stride in strides:
        if height % stride or width % stride:
            raise ValueError(f"image size {height}x{width} is not a multiple of stride {stride}")
    sigmas = [float(sigma)] * len(strides) if isinstance(sigma, int | float) else list(sigma)
    sizes: list[Size] = [(height // stride, width // stride) for stride in strides]
    heatmaps = [
        gaussian_heatmaps(batch.keypoints, batch.size, size, spread, subpixel, overlap)
        for size, spread in zip(sizes, sigmas, strict=True)
    ]
    return Targets(
        heatmaps=tuple(heatmaps),
        weights=tuple(counted_cells(batch.ignore, size) for size in sizes),
        keypoints=batch.keypoints,
        areas=batch.areas,
        image_size=batch.size,
    )


def counted_cells(ignore: Tensor, size: Size) -> Tensor:
    """Return (B, 1, h, w) float32: 1 for cells that are ignored in less than half their area."""
    # Adding the few rows and columns of a cell as bytes is many times faster than pooling floats.
    rows = ignore.view(torch.uint8).unflatten(1, (size[0], -1)).unbind(2)
    columns = reduce(torch.add, rows).int().unflatten(2, (size[1], -1)).unbind(3)
    ignored = reduce(torch.add, columns)
    return (2 * ignored < len(rows) * len(columns))[:, None].float()

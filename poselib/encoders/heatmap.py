"""Gaussian heatmap targets: one heatmap per keypoint type and output stride."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from poselib.ops.gaussians import Overlap, gaussian_heatmaps
from poselib.ops.map_coordinates import CropFrame
from poselib.structures import Batch, Size, Targets


def heatmap_targets(
    batch: Batch,
    strides: Sequence[int] = (4, 2),
    sigma: float | Sequence[float] = 2.0,
    subpixel: bool = True,
    overlap: Overlap = "max",
    frame: CropFrame = "center",
    labeled_only: bool = False,
) -> Targets:
    """Encode the keypoints of a batch as heatmaps at each output stride (HAE, Eq. 4).

    With the keypoints x_nk of type k of the people n, in cells, the value of heatmap k at cell x
    is::

        H_k(x) = max_n exp(-|x - x_nk|^2 / (2 sigma^2))

    Args:
        batch: images and people of one size.
        strides: px per cell of each output, coarse to fine.
        sigma: standard deviation of the Gaussians in cells, one for all outputs or one for each.
        subpixel, overlap, frame: see ``ops.gaussians.gaussian_heatmaps``.
        labeled_only: heatmaps of keypoints that no person in the image has do not count, for images
            of one person.

    Returns:
        Targets on the batch's device, with heatmaps (B, K, h, w) and masks (B, 1, h, w), which are
        0 in ignored regions and 1 elsewhere; with ``labeled_only`` (B, K, h, w), 0 also where a
        keypoint is not labeled.

    Raises:
        ValueError: the image size is not a multiple of a stride, a sigma is not a positive number
            or ``overlap`` is unknown.

    Example:
        >>> from poselib.structures import AffineTransform
        >>> batch = Batch(
        ...     torch.zeros(1, 3, 128, 128, dtype=torch.uint8), torch.full((1, 2, 17, 3), 40.0),
        ...     areas=torch.full((1, 2), 900.0),
        ...     ignore_mask=torch.zeros(1, 128, 128, dtype=torch.bool), image_ids=(0,),
        ...     to_original=(AffineTransform.identity(),),
        ... )
        >>> targets = heatmap_targets(batch, strides=(4, 2))
        >>> [tuple(maps.shape) for maps in targets.heatmaps]
        [(1, 17, 32, 32), (1, 17, 64, 64)]
    """
    height, width = batch.size
    for stride in strides:
        if height % stride or width % stride:
            raise ValueError(f"image size {height}x{width} is not a multiple of stride {stride}")
    sigmas = [float(sigma)] * len(strides) if isinstance(sigma, int | float) else list(sigma)
    sizes: list[Size] = [(height // stride, width // stride) for stride in strides]
    heatmaps = [
        gaussian_heatmaps(
            batch.keypoints, batch.size, size, deviation, subpixel, overlap, frame=frame
        )
        for size, deviation in zip(sizes, sigmas, strict=True)
    ]
    masks = [loss_mask(batch.ignore_mask, size) for size in sizes]
    if labeled_only:
        labeled = (batch.keypoints[..., 2] > 0).any(dim=1)[..., None, None]
        masks = [mask * labeled for mask in masks]
    return Targets(
        heatmaps=tuple(heatmaps),
        masks=tuple(masks),
        keypoints=batch.keypoints,
        areas=batch.areas,
        image_size=batch.size,
    )


def loss_mask(ignore_mask: Tensor, size: Size) -> Tensor:
    """Return the mask of the cells that count in the loss: less than half of each is ignored.

    Args:
        ignore_mask: (B, H, W) bool, px of the network input.
        size: (h, w) of the output, which divides (H, W).

    Returns:
        (B, 1, h, w) float32, 0 or 1.
    """
    # Adding the few rows and columns of a cell as bytes is many times faster than pooling floats.
    rows = ignore_mask.view(torch.uint8).unflatten(1, (size[0], -1)).unbind(2)
    columns = reduce(torch.add, rows).int().unflatten(2, (size[1], -1)).unbind(3)
    ignored = reduce(torch.add, columns)
    return (2 * ignored < len(rows) * len(columns))[:, None].float()

"""Subpixel peaks by a Taylor expansion of the logarithm of smoothed heatmaps.

Zhang et al., "Distribution-aware coordinate representation for human pose estimation" (CVPR 2020,
known as DARK).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.peaks import check_kernel

_LEAST = 1e-10  # below which values count as this, so that they have a logarithm


def taylor_shift(maps: Tensor, cells: Tensor, kernel: int = 11) -> Tensor:
    r"""Estimate the shift of peaks from the center of their cells (DARK, Eqs. 5-9).

    .. math::
        \delta = -\mathcal{D}''(m)^{-1} \mathcal{D}'(m), \qquad \mathcal{D} = \log (G * H)

    Args:
        maps: (n, h, w) heatmaps, finite.
        cells: (n, 2) int64, (column, row) of one cell of each map.
        kernel: odd side, in cells, of the Gaussian G that smooths the maps first; 1 leaves them.
            Its standard deviation grows with the side as in OpenCV: 2 cells for the 11 of the
            official code.

    Returns:
        (n, 2) float32 (x, y), in cells, at most one along each axis. 0 within two cells of the
        border, as in the official code, and where the cell is not at a maximum of the expansion.

    Raises:
        ValueError: ``kernel`` is even or not positive.

    Example:
        >>> y, x = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
        >>> maps = torch.exp(-((x - 11.3) ** 2 + (y - 12.2) ** 2) / 8)[None]
        >>> taylor_shift(maps, torch.tensor([[11, 12]])).round(decimals=2)
        tensor([[0.3000, 0.2000]])
    """
    check_kernel(kernel)
    height, width = maps.shape[-2:]
    x, y = cells.unbind(dim=1)
    log = _smoothed(maps.float(), kernel).clamp(min=_LEAST).log()
    step = torch.arange(-2, 3, device=maps.device)
    rows, columns = (
        (y[:, None] + step).clamp(0, height - 1),
        (x[:, None] + step).clamp(0, width - 1),
    )
    index = torch.arange(len(maps), device=maps.device)[:, None, None]
    patch = log[index, rows[:, :, None], columns[:, None, :]]  # (n, 5, 5)
    center = patch[:, 2, 2]
    dx, dy = (patch[:, 2, 3] - patch[:, 2, 1]) / 2, (patch[:, 3, 2] - patch[:, 1, 2]) / 2
    dxx = (patch[:, 2, 4] - 2 * center + patch[:, 2, 0]) / 4
    dyy = (patch[:, 4, 2] - 2 * center + patch[:, 0, 2]) / 4
    dxy = (patch[:, 3, 3] - patch[:, 1, 3] - patch[:, 3, 1] + patch[:, 1, 1]) / 4
    determinant = dxx * dyy - dxy**2
    shift = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=1) / determinant[:, None]
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    # the official code inverts any matrix and may shift by any number of cells
    valid = inside & (determinant > 0) & (dxx < 0) & shift.isfinite().all(dim=1)
    return torch.where(valid[:, None], shift, 0.0).clamp(-1, 1)


def _smoothed(maps: Tensor, kernel: int) -> Tensor:
    """Return maps (n, h, w) convolved with a Gaussian, with zeros outside."""
    if kernel == 1:
        return maps
    radius = kernel // 2
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    along = torch.arange(-radius, radius + 1, device=maps.device, dtype=maps.dtype)
    weights = torch.exp(along.square() / (-2 * sigma**2))
    weights = (weights / weights.sum())[None, None, None]
    blurred = F.conv2d(maps[:, None], weights, padding=(0, radius))
    return F.conv2d(blurred, weights.transpose(2, 3), padding=(radius, 0))[:, 0]

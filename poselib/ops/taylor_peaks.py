"""Subpixel peaks by a Taylor expansion of the logarithm of smoothed heatmaps.

Zhang et al., "Distribution-aware coordinate representation for human pose estimation" (CVPR 2020,
known as DARK).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.peaks import SUBPIXEL, Subpixel, check_kernel, subpixel_shift

PeakSubpixel = Subpixel | Literal["taylor", "newton"]
PEAK_SUBPIXEL: tuple[PeakSubpixel, ...] = (*SUBPIXEL, "taylor", "newton")
# Below which values count as this, so that they have a logarithm: of DARK's code and of UDP's.
_LEAST, _LEAST_NEAR = 1e-10, 1e-3


def peak_shift(
    maps: Tensor, channels: Tensor, cells: Tensor, method: PeakSubpixel, kernel: int
) -> Tensor:
    """Estimate the shift of each peak from the center of its cell, by any method.

    Args:
        maps: (C, h, w) heatmaps.
        channels: (n,) int64, index of the map of each peak.
        cells: (n, 2) int64, (column, row), inside the maps.
        method: one of ``ops.peaks.SUBPIXEL``; ``"taylor"`` for ``taylor_shift``, ``"newton"`` for
            the same with differences to the nearest neighbors, as in UDP's code.
        kernel: of the last two.

    Returns:
        (n, 2) float32 (x, y), in cells.
    """
    if method == "taylor" or method == "newton":
        finite = torch.where(maps.isfinite(), maps, 0.0)
        return taylor_shift(finite, cells, kernel, channels=channels, near=method == "newton")
    return subpixel_shift(maps, channels, cells, method)


def taylor_shift(
    maps: Tensor,
    cells: Tensor,
    kernel: int = 11,
    *,
    channels: Tensor | None = None,
    near: bool = False,
) -> Tensor:
    r"""Estimate the shift of peaks from the center of their cells (DARK, Eqs. 5-9).

    .. math::
        \delta = -\mathcal{D}''(m)^{-1} \mathcal{D}'(m), \qquad \mathcal{D} = \log (G * H)

    Args:
        maps: (C, h, w) heatmaps, finite.
        cells: (n, 2) int64, (column, row), inside the maps.
        kernel: odd side, in cells, of the Gaussian G that smooths the maps first; 1 leaves them.
            Its standard deviation grows with the side as in OpenCV: 2 cells for the 11 of the
            official code.
        channels: (n,) int64, index of the map of each cell; one cell of each map if not given.
        near: whether second differences are those of UDP's code, to the nearest neighbors, beyond
            the border to the outermost cells; otherwise those of DARK's, over two cells.

    Returns:
        (n, 2) float32 (x, y), in cells, at most one along each axis. 0 where the cell is not at a
        maximum of the expansion, and within two cells of the border unless ``near``, as in the
        official implementations.

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
    log = smoothed(maps.float(), kernel).clamp(min=_LEAST_NEAR if near else _LEAST).log()
    step = torch.arange(-2, 3, device=maps.device)
    rows, columns = (
        (y[:, None] + step).clamp(0, height - 1),
        (x[:, None] + step).clamp(0, width - 1),
    )
    if channels is None:
        channels = torch.arange(len(maps), device=maps.device)
    patch = log[channels[:, None, None], rows[:, :, None], columns[:, None, :]]  # (n, 5, 5)
    dx, dy = (patch[:, 2, 3] - patch[:, 2, 1]) / 2, (patch[:, 3, 2] - patch[:, 1, 2]) / 2
    dxx, dyy, dxy = _near_differences(patch) if near else _differences(patch)
    determinant = dxx * dyy - dxy**2
    shift = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=1) / determinant[:, None]
    # the official implementations invert any matrix and may shift by any number of cells
    valid = (determinant > 0) & (dxx < 0) & shift.isfinite().all(dim=1)
    if not near:
        valid &= (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    return torch.where(valid[:, None], shift, 0.0).clamp(-1, 1)


def _differences(patch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the second derivatives (n,) by x, y and both at the center of patches (n, 5, 5)."""
    twice = 2 * patch[:, 2, 2]
    dxx = (patch[:, 2, 4] - twice + patch[:, 2, 0]) / 4
    dyy = (patch[:, 4, 2] - twice + patch[:, 0, 2]) / 4
    dxy = (patch[:, 3, 3] - patch[:, 1, 3] - patch[:, 3, 1] + patch[:, 1, 1]) / 4
    return dxx, dyy, dxy


def _near_differences(patch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same from the nearest neighbors; of the diagonal ones two are enough."""
    twice = 2 * patch[:, 2, 2]
    beside, below = patch[:, 2, 3] + patch[:, 2, 1], patch[:, 3, 2] + patch[:, 1, 2]
    dxy = (patch[:, 3, 3] + patch[:, 1, 1] + twice - beside - below) / 2
    return beside - twice, below - twice, dxy


def smoothed(maps: Tensor, kernel: int, reflect: bool = False) -> Tensor:
    """Return maps (n, h, w) convolved with a Gaussian, with zeros or their reflection outside."""
    if kernel == 1:
        return maps
    radius = kernel // 2
    if reflect:
        rows, columns = (_reflected(n, radius, maps.device) for n in maps.shape[-2:])
        maps = maps[:, rows[:, None], columns]
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    along = torch.arange(-radius, radius + 1, device=maps.device, dtype=maps.dtype)
    weights = torch.exp(along.square() / (-2 * sigma**2))
    weights = (weights / weights.sum())[None, None, None]
    outside = 0 if reflect else radius
    blurred = F.conv2d(maps[:, None], weights, padding=(0, outside))
    return F.conv2d(blurred, weights.transpose(2, 3), padding=(outside, 0))[:, 0]


def _reflected(length: int, radius: int, device: torch.device) -> Tensor:
    """Return the cells of an axis and, on both sides, ``radius`` more, outermost ones once."""
    period = max(1, 2 * (length - 1))
    index = torch.arange(-radius, length + radius, device=device).remainder(period)
    return torch.minimum(index, period - index)

"""Adaptive convolutions: each cell chooses where the nine taps of its 3x3 convolution lie."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Start = Literal["grid", "center"]

GRID = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # A = 1, t = 0
_STARTS: dict[Start, tuple[float, ...]] = {
    "grid": GRID,
    "center": (0.0,) * 6,
}

_CACHED = 2**20  # samples, of four bytes


class AdaptiveBlock(nn.Module):
    """An adaptive 3x3 convolution and a residual, in G branches side by side (DEKR, Sec. 3.1).

    In each branch and for each cell, a 3x3 convolution gives an affine map: a matrix A and a
    translation t that move the taps of an ordinary 3x3 convolution, G_s = A G_t + t. Values
    between cells are interpolated, those outside the map are 0. Batch normalization, the input
    and a ReLU follow.

    Parameters of the affine map are A's first row and t's x, A's second row and t's y.

    Args:
        branches: G, which share nothing.
        width: channels of each branch, C.
        adaptive: false for taps that stay where they are: an ordinary convolution.
        start: where taps lie before training: on the ``"grid"`` of an ordinary convolution
            (A = 1), which learns sooner, or all at the ``"center"`` (A = 0), as in the official
            code.

    Raises:
        ValueError: the start is unknown.
    """

    def __init__(
        self, branches: int, width: int, *, adaptive: bool = True, start: Start = "grid"
    ) -> None:
        super().__init__()
        if start not in _STARTS:
            known = ", ".join(map(repr, get_args(Start)))
            raise ValueError(f"adaptive block: unknown start {start!r}; known: {known}")
        channels = branches * width
        self.branches = branches
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=branches, bias=False)
        nn.init.normal_(self.conv.weight, std=math.sqrt(2 / (9 * width)))
        self.affine = _affine_layer(branches, width, start) if adaptive else None
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, G * C, h, w) to the same."""
        x = x.contiguous()  # the maps of a branch lie together, to be sampled as one image
        y = self.conv(x) if self.affine is None else self._convolved(x)
        return self.relu(self.bn(y) + x)

    def taps(self, x: Tensor) -> Tensor:
        """Return where each branch samples from each cell: (B, G, 9, 2, h, w), (x, y).

        Row by row of the kernel, in cells of the map, whose cell i has its center at i + 0.5.

        Args:
            x: (B, G * C, h, w), the block's input.
        """
        size = _size(x)
        grid = self._grid(x).flatten(3, 4).transpose(2, 3)
        return (grid + 1) / 2 * size

    def _convolved(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        maps = x.view(batch * self.branches, -1, height, width)
        # x and y stay in planes of their own, as they were made: pairs would take a copy
        grid = self._grid(x).view(-1, 2, 9 * height, width).permute(0, 2, 3, 1)
        kernels = self.conv.weight.reshape(self.branches, channels // self.branches, -1)
        inputs = maps, grid, kernels.repeat(batch, 1, 1)
        if torch.compiler.is_exporting():  # to a graph of any number of maps, which has no parts
            return _sampled_convolution(*inputs).view(x.shape)
        parts = zip(*(t.split(_together(maps)) for t in inputs), strict=True)
        return torch.cat([_sampled_convolution(*part) for part in parts]).view(x.shape)

    def _grid(self, x: Tensor) -> Tensor:
        """Return the taps as (B, G, 2, 3, 3, h, w), where the map spans [-1, 1]."""
        matrices = self._matrices(x) * (2 / _size(x))[:, None]
        across, down, move = matrices[..., None, :, :].unbind(3)
        steps = torch.arange(-1, 2, dtype=matrices.dtype, device=x.device)[:, None, None]
        rows = _centers(matrices)[:, None] + move + down * steps
        return rows[..., None, :, :] + (across * steps)[:, :, :, None]

    def _matrices(self, x: Tensor) -> Tensor:
        """Return A and t side by side, (B, G, 2, 3, h, w) in cells."""
        batch, _, height, width = x.shape
        shape = (batch, self.branches, 2, 3, height, width)
        if self.affine is None:
            return torch.eye(2, 3, device=x.device)[..., None, None].expand(shape)
        return self.affine(x).contiguous().view(shape)


def _together(maps: Tensor) -> int:
    """Return how many maps (n, C, h, w) to sample at a time: on a CPU as many as fit its cache."""
    if not maps.is_cpu:
        return len(maps)
    return max(1, _CACHED // (9 * maps[0].numel()))


def _sampled_convolution(maps: Tensor, grid: Tensor, kernels: Tensor) -> Tensor:
    """Convolve (n, C, h, w) with kernels (n, C, 9C) where a grid (n, 9h, w, 2) has the taps."""
    samples = F.grid_sample(maps.to(grid.dtype), grid, align_corners=False).to(maps.dtype)
    return kernels @ samples.view(maps.shape[0], -1, maps[0, 0].numel())


def _affine_layer(branches: int, width: int, start: Start) -> nn.Conv2d:
    layer = nn.Conv2d(branches * width, branches * 6, 3, padding=1, groups=branches)
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(_STARTS[start] * branches))  # type: ignore[union-attr]
    return layer


def _size(x: Tensor) -> Tensor:
    """Return (2, 1, 1): the cells of a map in a row and in a column.

    In single precision at least, and so is what is computed with it: half precision has 8 or 11
    bits, too few for locations between the cells of a map. Made where the map is: a GPU would wait
    for numbers copied from the host, and cannot capture that in a graph.
    """
    height, width = x.shape[2:]
    full = partial(torch.full, (1, 1), dtype=torch.float32, device=x.device)
    return torch.stack([full(width), full(height)])


def _centers(like: Tensor) -> Tensor:
    """Return (2, h, w): where the cells of maps have their centers, if a map spans [-1, 1]."""
    height, width = like.shape[-2:]
    down, across = (
        (2 * torch.arange(n, dtype=like.dtype, device=like.device) + 1) / n - 1
        for n in (height, width)
    )
    return torch.stack(torch.meshgrid(across, down, indexing="xy"))

"""The regression network as published: enlarged maps are joined, branches are run one by one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import deform_conv2d

from poselib.models.regression import RegressionHRNet


def regress_plainly(model: RegressionHRNet, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return heatmaps with the center map (B, K + 1, h, w) and offsets (B, 2K, h, w).

    Args:
        model: in evaluation mode, with an adaptive branch for each keypoint.
        images: (B, 3, H, W).
    """
    head: Any = model.head_offset
    first, *others = model.features(images)
    enlarged = [F.interpolate(o, size=first.shape[2:], mode="bilinear") for o in others]
    maps = torch.cat([first, *enlarged], dim=1)
    features = _in_order(model.transition_offset, maps)
    heat = _in_order(model.head_heatmap, _in_order(model.transition_heatmap, maps))
    (group,) = head.groups
    offsets = []
    for k, branch in enumerate(features.chunk(model.keypoints, dim=1)):
        for block in group.blocks:
            branch = _adapted(block, k, branch)
        rows = slice(2 * k, 2 * k + 2)
        offsets.append(F.conv2d(branch, group.final.weight[rows], group.final.bias[rows]))
    return heat, torch.cat(offsets, dim=1)


def _in_order(layers: torch.nn.Module, x: Tensor) -> Tensor:
    for layer in layers.children():
        x = layer(x)
    return x


def _adapted(block: Any, k: int, x: Tensor) -> Tensor:
    """Apply one adaptive convolution (``AdaptiveBlock``) of one branch, as in DEKR, Sec. 3.1."""
    rows, width = slice(6 * k, 6 * k + 6), x.shape[1]
    own = slice(width * k, width * k + width)
    affine = F.conv2d(x, block.affine.weight[rows], block.affine.bias[rows], padding=1)
    matrix = affine.view(-1, 2, 3, *x.shape[2:])
    down, across = torch.meshgrid(*[torch.arange(-1.0, 2.0, device=x.device)] * 2, indexing="ij")
    grid = torch.stack([across.flatten(), down.flatten(), torch.ones(9, device=x.device)])
    moved = torch.einsum("bcdhw,dt->btchw", matrix, grid)  # (x, y) of each tap
    steps = moved.flip(2) - grid[:2].T.flip(1)[None, :, :, None, None]
    y = deform_conv2d(x, steps.flatten(1, 2), block.conv.weight[own], padding=1)
    bn = block.bn
    y = F.batch_norm(y, bn.running_mean[own], bn.running_var[own], bn.weight[own], bn.bias[own])
    return torch.relu(y + x)

"""Convolutions, residual blocks and initial weights that several networks share.

Parameters carry the names of the official code of residual and high-resolution networks.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn

BlockKind = Literal["basic", "bottleneck"]


def conv_norm(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, relu: bool = True
) -> nn.Sequential:
    """Convolution, batch normalization and, by default, a ReLU."""
    padding = kernel // 2
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added; (B, C, H, W) to (B, width, H, W)."""

    expansion = 1

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(inputs, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions; (B, C, H, W) to (B, 4 * width, H, W)."""

    expansion = 4

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + self.downsample(x))


BLOCKS: dict[BlockKind, type[BasicBlock] | type[Bottleneck]] = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
}


def shortcut(inputs: int, outputs: int) -> nn.Module:
    """Return a block's shortcut: the identity, or a 1x1 convolution where widths differ."""
    return nn.Identity() if inputs == outputs else conv_norm(inputs, outputs, kernel=1, relu=False)


def residual_blocks(kind: BlockKind, inputs: int, width: int, count: int) -> nn.Sequential:
    """Return ``count`` residual blocks in a row; the identity if there are none.

    The result maps (B, inputs, H, W) to (B, width * expansion, H, W).
    """
    block = BLOCKS[kind]
    entries = [inputs, *[width * block.expansion] * (count - 1)][:count]
    return nn.Sequential(*[block(entry, width) for entry in entries])


def initialize(module: nn.Module) -> None:
    """Initialize convolutions by He's normal rule and reset batch normalizations.

    The official code draws all weights with a standard deviation of 0.001 because it starts from
    ImageNet weights; from scratch that trains slowly.
    """
    for layer in module.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            taps = math.prod(layer.kernel_size) / math.prod(layer.stride)
            nn.init.normal_(layer.weight, std=math.sqrt(2 / (layer.in_channels * taps)))
        elif isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None:
            nn.init.zeros_(layer.bias)

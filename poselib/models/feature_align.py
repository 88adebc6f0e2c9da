"""Blocks that align fused features: branches of growing depth, densely connected and chained.

GRM/MFA, Sec. III-C. A 1x1 convolution mixes the channels, which then part into four branches; the
n-th has n 3x3 convolutions and starts from the output of the one before. So receptive fields grow
from branch to branch, and a last 1x1 convolution joins them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from poselib.models.residual import BasicBlock, conv_norm, shortcut

BRANCHES = 4

Which = Literal["every", "last"]
First = Literal["output", "input"]


@dataclass(frozen=True)
class AlignConfig:
    """Options of the multi-branch feature align module; the paper leaves each of them open.

    Attributes:
        blocks: which residual blocks of the stage it replaces: ``"every"`` one ("we replace the
            original Basic Block"), or the ``"last"`` of each branch in each module (Eq. 3 applies
            it to the input of the 4th block).
        residual: whether the block's input is added to its output, before the last ReLU. Eq. 10
            adds nothing; the basic block that it replaces and the network it is modeled on do,
            and measured here a network is more precise with it.
        first: which map is x_b^1 among the concatenated maps of Eq. 9: the first layer's
            ``"output"`` ("the feature-maps produced in layers 0, ..., l - 1"), or its ``"input"``
            x_0 + o_{b-1} of Eq. 8, which the first convolution then sees beside x_0.

    Raises:
        ValueError: a value is unknown.
    """

    blocks: Which = "every"
    residual: bool = True
    first: First = "output"

    def __post_init__(self) -> None:
        for name, known in (("blocks", get_args(Which)), ("first", get_args(First))):
            if getattr(self, name) not in known:
                value = getattr(self, name)
                raise ValueError(f"alignment: {name} must be one of {known}, not {value!r}")


EVERY_BLOCK = AlignConfig()


class AlignBlock(nn.Module):
    """The multi-branch feature align module; (B, inputs, H, W) to (B, width, H, W).

    The equations show bare convolutions. Here batch normalization and a ReLU follow each, as in
    the blocks of the network and in dense blocks; the one of the last comes after the addition
    where there is one.

    Args:
        inputs: channels that come in.
        width: channels that leave; a quarter of them goes through each branch.
        config: options; ``blocks`` is used by the stage.

    Raises:
        ValueError: ``width`` is not a multiple of 4: Eq. 8 adds one branch to another.
    """

    def __init__(self, inputs: int, width: int, config: AlignConfig = EVERY_BLOCK) -> None:
        super().__init__()
        check_width(width)
        self.first = config.first
        part, extra = width // BRANCHES, int(config.first == "input")
        self.entry = conv_norm(inputs, width, kernel=1)
        self.branches = nn.ModuleList(
            nn.ModuleList(conv_norm(part * (n + extra), part) for n in range(1, depth + 1))
            for depth in range(1, BRANCHES + 1)
        )
        self.join = conv_norm(width, width, kernel=1, relu=False)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = shortcut(inputs, width) if config.residual else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.join(torch.cat(self.branch_outputs(x), dim=1))
        return self.relu(y if self.shortcut is None else y + self.shortcut(x))

    def branch_outputs(self, x: Tensor) -> list[Tensor]:
        """Return o_1 to o_4, each (B, width / 4, H, W)."""
        outputs: list[Tensor] = []
        parts = self.entry(x).chunk(BRANCHES, dim=1)
        for part, layers in zip(parts, self.branches, strict=True):
            start = part + outputs[-1] if outputs else part
            outputs.append(self._dense(cast(nn.ModuleList, layers), part, start))
        return outputs

    def _dense(self, layers: nn.ModuleList, part: Tensor, start: Tensor) -> Tensor:
        """Run one branch on its own part of the channels, x_0, and on its start, x_0 + o_{b-1}."""
        first, *others = layers
        if self.first == "output":
            maps = [part, first(start)]
        else:
            maps, others = [part, start], [first, *others]
        for layer in others:
            maps.append(layer(torch.cat(maps, dim=1)))
        return maps[-1]


def aligned_blocks(inputs: int, width: int, count: int, config: AlignConfig) -> nn.Sequential:
    """Return ``count`` blocks in a row, all or the last of which align; the identity if none.

    The result maps (B, inputs, H, W) to (B, width, H, W).
    """
    blocks: list[nn.Module] = []
    for number in range(1, count + 1):
        entry = inputs if number == 1 else width
        aligns = config.blocks == "every" or number == count
        blocks.append(AlignBlock(entry, width, config) if aligns else BasicBlock(entry, width))
    return nn.Sequential(*blocks)


def check_width(width: int) -> None:
    """Raise ValueError unless the channels part evenly into the branches."""
    if width < BRANCHES or width % BRANCHES:
        raise ValueError(f"alignment needs a width that {BRANCHES} divides, not {width}")

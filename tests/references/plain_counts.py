"""Parameters and multiplications of high-resolution networks, convolution by convolution.

Written from the papers' figures: it walks through the network as drawn and builds no module.
"""

from __future__ import annotations

from dataclasses import dataclass

from poselib.models.hrnet import HRNetConfig, StageConfig


@dataclass
class Count:
    """What convolutions behind which batch normalization stands, and others, add up to."""

    parameters: int = 0
    macs: int = 0

    def convolution(
        self, inputs: int, outputs: int, kernel: int, cells: int, norm: bool = True
    ) -> None:
        taps = inputs * outputs * kernel**2
        self.parameters += taps + (2 * outputs if norm else 0)
        self.macs += taps * cells

    def basic(self, width: int, cells: int) -> None:
        self.convolution(width, width, 3, cells)
        self.convolution(width, width, 3, cells)

    def bottleneck(self, inputs: int, width: int, cells: int) -> None:
        self.convolution(inputs, width, 1, cells)
        self.convolution(width, width, 3, cells)
        self.convolution(width, 4 * width, 1, cells)
        if inputs != 4 * width:
            self.convolution(inputs, 4 * width, 1, cells)

    def align(self, width: int, cells: int) -> None:
        """Branch n: the first of its n convolutions sees a quarter, the m-th m quarters."""
        part = width // 4
        self.convolution(width, width, 1, cells)
        for quarters in (1, 1, 2, 1, 2, 3, 1, 2, 3, 4):
            self.convolution(quarters * part, part, 3, cells)
        self.convolution(width, width, 1, cells)


def count_hrnet(config: HRNetConfig, size: int, outputs: int | None = None) -> Count:
    """Count a network for an image of ``size`` by ``size`` px.

    The number of maps that its last exchange gives is ``outputs``, all if not given.
    """
    count, cells = Count(), (size // 4) ** 2
    count.convolution(3, config.stem[0], 3, 4 * cells)
    count.convolution(config.stem[0], config.stem[1], 3, cells)
    width, inputs = config.stage1.channels[0], config.stem[1]
    for _ in range(config.stage1.blocks[0]):
        if config.stage1.block == "bottleneck":
            count.bottleneck(inputs, width, cells)
            inputs = 4 * width
        else:
            assert inputs == width
            count.basic(width, cells)
    before = [inputs]
    for number, stage in enumerate(config.stages):
        _transition(count, before, list(stage.channels), cells)
        last = number + 1 == len(config.stages)
        for module in range(stage.modules):
            ends = last and module + 1 == stage.modules
            _module(count, stage, cells, outputs if ends else None)
        before = list(stage.channels)
    return count


def _transition(count: Count, before: list[int], after: list[int], cells: int) -> None:
    for branch, width in enumerate(after):
        if branch < len(before):
            if before[branch] != width:
                count.convolution(before[branch], width, 3, cells // 4**branch)
        else:
            assert branch == len(before)  # one new branch a stage
            count.convolution(before[-1], width, 3, cells // 4**branch)


def _module(count: Count, stage: StageConfig, cells: int, outputs: int | None) -> None:
    for branch, (blocks, width) in enumerate(zip(stage.blocks, stage.channels, strict=True)):
        for number in range(1, blocks + 1):
            aligns = stage.align and (stage.align.blocks == "every" or number == blocks)
            (count.align if aligns else count.basic)(width, cells // 4**branch)
    widths = stage.channels
    for target in range(len(widths) if outputs is None else outputs):
        for source, width in enumerate(widths):
            if source > target:
                count.convolution(width, widths[target], 1, cells // 4**source)
            for step in range(source + 1, target + 1):
                ends = widths[target] if step == target else width
                count.convolution(width, ends, 3, cells // 4**step)

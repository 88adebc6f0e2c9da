"""The high-resolution network: parallel branches of decreasing resolution that exchange features.

Parameters carry the names of the official code, so that ImageNet weights and official checkpoints
load without translation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from poselib.models.feature_align import EVERY_BLOCK, AlignConfig, aligned_blocks, check_width
from poselib.models.global_relation import GlobalRelation, RelationConfig
from poselib.models.residual import BLOCKS, BlockKind, conv_norm, initialize, residual_blocks


@dataclass(frozen=True)
class StageConfig:
    """One stage: ``modules`` repetitions of parallel branches followed by an exchange.

    Attributes:
        modules: how often the branches and their exchange are repeated.
        blocks: residual blocks of each branch, high resolution first; 0 leaves a branch as it is.
        channels: inner width of the blocks of each branch.
        block: ``"basic"`` (two 3x3 convolutions, output as wide as ``channels``) or
            ``"bottleneck"`` (1x1, 3x3, 1x1, output four times as wide).
        align: if given, blocks that align fused features replace basic ones, all or some.

    Raises:
        ValueError: the lengths differ, a number is out of range, the block is unknown, or one that
            aligns cannot replace it: it is no basic block, or 4 does not divide its width.
    """

    modules: int
    blocks: tuple[int, ...]
    channels: tuple[int, ...]
    block: BlockKind = "basic"
    align: AlignConfig | None = None

    def __post_init__(self) -> None:
        if self.block not in BLOCKS:
            raise ValueError(f"stage: block {self.block!r} is not one of {sorted(BLOCKS)}")
        if not self.blocks or len(self.blocks) != len(self.channels):
            raise ValueError(f"stage: blocks {self.blocks} and channels {self.channels} differ")
        if self.modules < 1 or min(self.blocks) < 0 or min(self.channels) < 1:
            raise ValueError(f"stage: modules, blocks or channels out of range in {self}")
        if self.align and self.block != "basic":
            raise ValueError(f"stage: alignment replaces basic blocks, not {self.block!r}")
        for count, width in zip(self.blocks, self.channels, strict=True):
            if self.align and count:
                check_width(width)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels that leave each branch."""
        return tuple(c * BLOCKS[self.block].expansion for c in self.channels)


@dataclass(frozen=True)
class HRNetConfig:
    """The shape of a high-resolution network.

    Attributes:
        stem: channels of the two convolutions at the entrance.
        stage1: the single-branch stage after the stem (its ``modules`` must be 1).
        stages: the multi-branch stages that follow; each has at least as many branches as the
            one before. Three of them make the official four-stage network.
        stem_stride: 4 (official: both stem convolutions halve the resolution) or 2 (only the
            first does).

    Raises:
        ValueError: a stage does not follow from the one before, or a number is out of range.
    """

    stem: tuple[int, int]
    stage1: StageConfig
    stages: tuple[StageConfig, ...]
    stem_stride: int = 4

    def __post_init__(self) -> None:
        if self.stem_stride not in (2, 4):
            raise ValueError(f"HRNet: stem_stride must be 2 or 4, not {self.stem_stride}")
        if len(self.stem) != 2 or min(self.stem) < 1:
            raise ValueError(f"HRNet: stem must be two positive widths, not {self.stem}")
        if len(self.stage1.channels) != 1 or self.stage1.modules != 1 or self.stage1.blocks[0] < 1:
            raise ValueError("HRNet: stage1 must be one module of one branch with blocks")
        if not self.stages:
            raise ValueError("HRNet: at least one stage must follow stage1")
        for before, after in pairwise((self.stage1, *self.stages)):
            if len(after.channels) < len(before.channels):
                raise ValueError("HRNet: a stage must not have fewer branches than the one before")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each branch at the exit, high resolution first."""
        return self.stages[-1].widths

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per cell of each branch at the exit: 4, 8, 16, 32 in the official networks."""
        return tuple(self.stem_stride * 2**i for i in range(len(self.widths)))


def with_alignment(config: HRNetConfig, align: AlignConfig = EVERY_BLOCK) -> HRNetConfig:
    """Return the network whose last stage aligns fused features (GRM/MFA, Eq. 3).

    In a light-weight network, where only the coarsest branch has blocks, those alone align.

    Args:
        config: the network; its last stage has basic blocks.
        align: above all, which of the blocks are replaced.

    Raises:
        ValueError: the stage has other blocks, or 4 does not divide the width of some.
    """
    *earlier, last = config.stages
    return replace(config, stages=(*earlier, replace(last, align=align)))


class HighResolutionModule(nn.Module):
    """Residual blocks in every branch, then each output branch sums all branches, resampled.

    Takes and returns one (B, C_i, H / 2^i, W / 2^i) map per branch; with ``fuse_all`` false it
    returns the first alone.
    """

    def __init__(self, stage: StageConfig, fuse_all: bool = True) -> None:
        super().__init__()
        widths = stage.widths
        self.branches = nn.ModuleList(_branch(stage, i, width) for i, width in enumerate(widths))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_resample(widths, j, i) for j in range(len(widths)))
            for i in range(len(widths) if fuse_all else 1)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        if len(maps) == 1:
            return maps
        return [self._fused(cast(nn.ModuleList, layers), maps) for layers in self.fuse_layers]

    def _fused(self, layers: nn.ModuleList, maps: Sequence[Tensor]) -> Tensor:
        first, *others = (layer(x) for layer, x in zip(layers, maps, strict=True))
        for other in others:  # never in place: the identity hands on a branch's own map
            first = first + other
        return self.relu(first)


def _branch(stage: StageConfig, index: int, inputs: int) -> nn.Sequential:
    """Return the blocks of one branch in a row."""
    width, count = stage.channels[index], stage.blocks[index]
    if stage.align:
        return aligned_blocks(inputs, width, count, stage.align)
    return residual_blocks(stage.block, inputs, width, count)


def _resample(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """Bring a branch to the resolution and width of another, as official checkpoints name it."""
    if source == target:
        return nn.Identity()
    inputs, outputs = widths[source], widths[target]
    if source > target:
        up = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(*conv_norm(inputs, outputs, kernel=1, relu=False), up)
    steps = target - source
    halvings = [conv_norm(inputs, inputs, stride=2) for _ in range(steps - 1)]
    return nn.Sequential(*halvings, conv_norm(inputs, outputs, stride=2, relu=False))


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """Adapt the branches' widths; start new branches from the lowest resolution there is."""
    layers: list[nn.Module] = []
    for branch, width in enumerate(after):
        if branch < len(before):
            same = before[branch] == width
            layers.append(nn.Identity() if same else conv_norm(before[branch], width))
            continue
        steps = branch + 1 - len(before)
        halvings = [conv_norm(before[-1], before[-1], stride=2) for _ in range(steps - 1)]
        layers.append(nn.Sequential(*halvings, conv_norm(before[-1], width, stride=2)))
    return nn.ModuleList(layers)


class HRNetTrunk(nn.Module):
    """The layers of a high-resolution network, without a ``forward``.

    A pose network derives from it and adds its head: official checkpoints name both flatly.

    Args:
        config: the network's shape.
        multi_scale_output: whether the last exchange gives every branch or the first alone.
        relation: if given, global relation modeling replaces the finest features, or with
            ``alone`` all of them. The paper feeds its output to the head and does not mention the
            coarser maps.

    Raises:
        ValueError: there is one multi-branch stage alone and it is to be related to others.
    """

    def __init__(
        self,
        config: HRNetConfig,
        *,
        multi_scale_output: bool = True,
        relation: RelationConfig | None = None,
    ) -> None:
        super().__init__()
        self.config, self.multiple = config, config.strides[-1]  # of px, of image sides
        self.multi_scale_output = multi_scale_output and not (relation and relation.alone)
        first, second = config.stem
        self.conv1 = nn.Conv2d(3, first, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(
            first, second, 3, stride=config.stem_stride // 2, padding=1, bias=False
        )
        self.bn2 = nn.BatchNorm2d(second)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _branch(config.stage1, 0, second)
        self._add_stages()
        initialize(self)
        finest = [stage.widths[0] for stage in config.stages]
        self.relation = GlobalRelation(finest, relation) if relation else None

    def _add_stages(self) -> None:
        for number, (before, stage) in enumerate(
            pairwise((self.config.stage1, *self.config.stages)), start=1
        ):
            self.add_module(f"transition{number}", _transition(before.widths, stage.widths))
            last = number == len(self.config.stages)
            fuse_all = [True] * (stage.modules - 1) + [self.multi_scale_output or not last]
            modules = [HighResolutionModule(stage, fuse) for fuse in fuse_all]
            self.add_module(f"stage{number + 1}", nn.Sequential(*modules))

    @property
    def feature_widths(self) -> tuple[int, ...]:
        """Channels of each map that ``features`` returns; a head reads them here."""
        widths = self.config.widths if self.multi_scale_output else self.config.widths[:1]
        return (self.relation.channels, *widths[1:]) if self.relation else widths

    def stage_features(self, images: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """Return the branches' maps after every multi-branch stage, in order.

        Args:
            images: (B, 3, H, W) normalized float; H and W multiples of the largest stride.

        Returns:
            For each entry of ``config.stages`` one (B, C, H / stride, W / stride) per branch, high
            resolution first; C is the stage's ``widths[i]``, the stride ``config.strides[i]``.

        Raises:
            ValueError: the images do not have three channels or such a size.
        """
        check_images(images, self.multiple)
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.relu(self.bn2(self.conv2(x)))
        maps: tuple[Tensor, ...] = (self.layer1(x),)
        stages = []
        for number in range(1, len(self.config.stages) + 1):
            transition = cast(nn.ModuleList, self.get_submodule(f"transition{number}"))
            # a branch that exists adapts its own map; a new one starts from the coarsest there is
            sources = maps + maps[-1:] * (len(transition) - len(maps))
            adapted = [layer(x) for layer, x in zip(transition, sources, strict=True)]
            maps = tuple(self.get_submodule(f"stage{number + 1}")(adapted))
            stages.append(maps)
        return tuple(stages)

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the branches' maps after the last stage, high resolution first.

        Args and errors are those of ``stage_features``. Each map is (B, ``feature_widths[i]``,
        H / ``config.strides[i]``, W / ``config.strides[i]``); there is the first alone unless
        ``multi_scale_output``. With ``relation`` the first is its output.
        """
        stages = self.stage_features(images)
        if self.relation is None:
            return stages[-1]
        return (self.relation([maps[0] for maps in stages]), *stages[-1][1:])


class HRNet(HRNetTrunk):
    """A high-resolution network that returns its features; see ``HRNetTrunk.features``."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.features(images)


def check_images(images: Tensor, multiple: int, channels: int = 3) -> None:
    """Raise ValueError unless images are (B, 3, H, W) with H and W multiples of ``multiple``."""
    if images.ndim != 4 or images.shape[1] != channels:
        raise ValueError(f"images must be (B, {channels}, H, W), not {tuple(images.shape)}")
    height, width = images.shape[2:]
    if height % multiple or width % multiple:
        raise ValueError(
            f"image height and width must be multiples of {multiple}, not {height}x{width}"
        )

"""The pose regression network: offsets from each cell to keypoints, and heatmaps (DEKR, Fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poselib.models.adaptive import AdaptiveBlock, Start
from poselib.models.global_relation import RelationConfig
from poselib.models.hrnet import HRNetConfig, HRNetTrunk
from poselib.models.pretrained import Parts
from poselib.models.regression_layouts import official_parts, toolbox_rules
from poselib.models.residual import BasicBlock, conv_norm, initialize
from poselib.models.toolbox_layouts import HasToolboxLayout, Rule, Version
from poselib.ops.map_coordinates import Frame
from poselib.outputs import RegressionOutputs

Branches = tuple[tuple[int, ...], ...]

_INIT_STD = 0.001  # of the last layers: outputs start near zero


class OffsetBranches(nn.Module):
    """G branches of n keypoints each: blocks, then a 1x1 convolution (DEKR, Fig. 3).

    Args:
        branches: G.
        keypoints: of one branch, n.
        width: channels of one branch.
        blocks: adaptive convolutions in a row.
        adaptive, start: see ``AdaptiveBlock``.
    """

    def __init__(
        self, branches: int, keypoints: int, width: int, blocks: int, adaptive: bool, start: Start
    ) -> None:
        super().__init__()
        self.channels = branches * width
        self.blocks = nn.Sequential(
            *[AdaptiveBlock(branches, width, adaptive=adaptive, start=start) for _ in range(blocks)]
        )
        self.final = nn.Conv2d(self.channels, branches * keypoints * 2, 1, groups=branches)
        nn.init.normal_(self.final.weight, std=_INIT_STD)
        nn.init.zeros_(self.final.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to (B, G * n, 2, h, w)."""
        offsets: Tensor = self.final(self.blocks(x))
        return offsets.unflatten(1, (-1, 2))

    def taps(self, x: Tensor) -> list[Tensor]:
        """Return ``AdaptiveBlock.taps`` of each block, (B, G * n, 9, 2, h, w) each."""
        shared = self.final.out_channels // (2 * self.final.groups)
        found = []
        for block in cast(list[AdaptiveBlock], self.blocks):
            found.append(block.taps(x).repeat_interleave(shared, dim=1))
            x = block(x)
        return found


class OffsetHead(nn.Module):
    """Offsets of K keypoints from features, in branches that share nothing (DEKR, Eqs. 2-4).

    Branches of one size are computed together. Their features are adjacent channels, in the order
    in which ``branches`` names sizes and, of one size, branches.

    Args:
        branches: the keypoints of each branch; every keypoint of 0 to K - 1 is in one.
        width: channels of a branch for each of its keypoints.
        shared_width: channels of a branch that is the only one.
        blocks, adaptive, start: see ``OffsetBranches``.

    Raises:
        ValueError: the branches are not a partition of the keypoints, there are no blocks or the
            start is unknown.
    """

    def __init__(
        self,
        branches: Branches,
        *,
        width: int = 15,
        shared_width: int = 256,
        blocks: int = 2,
        adaptive: bool = True,
        start: Start = "grid",
    ) -> None:
        super().__init__()
        alike = [
            [branch for branch in branches if len(branch) == size]
            for size in dict.fromkeys(map(len, branches))
        ]
        order = [k for same in alike for branch in same for k in branch]
        if sorted(order) != list(range(len(order))) or () in branches:
            raise ValueError(f"branches must name every keypoint from 0 on once, not {branches}")
        for name, value in {"blocks": blocks, "width": width, "shared_width": shared_width}.items():
            if value < 1:
                raise ValueError(f"offset head: {name} must be 1 or more, not {value}")
        self.branches, self.blocks, self.adaptive = branches, blocks, adaptive
        groups = []
        for same in alike:
            size = len(same[0])
            channels = shared_width if len(branches) == 1 else width * size
            groups.append(OffsetBranches(len(same), size, channels, blocks, adaptive, start))
        self.groups = nn.ModuleList(groups)
        self.channels = [group.channels for group in groups]
        self.register_buffer("places", torch.tensor(order).argsort(), persistent=False)
        self.places: Tensor

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, sum of ``channels``, h, w) to (B, K, 2, h, w), keypoints in their own order."""
        parts = features.split(self.channels, dim=1)
        offsets = [group(part) for group, part in zip(self.groups, parts, strict=True)]
        return torch.cat(offsets, dim=1)[:, self.places]

    def taps(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return where each block samples for each keypoint, (B, K, 9, 2, h, w) each, in cells."""
        parts = features.split(self.channels, dim=1)
        branches = cast(list[OffsetBranches], self.groups)
        groups = [group.taps(part) for group, part in zip(branches, parts, strict=True)]
        return tuple(torch.cat(same, dim=1)[:, self.places] for same in zip(*groups, strict=True))


class SplitConv1x1(nn.Sequential):
    """A 1x1 ``conv_norm`` of maps enlarged to the first one's size and concatenated.

    Each map goes through its part of the convolution at its own resolution and is enlarged
    afterwards. Both steps are linear, so the result is the same, with fewer operations and no
    concatenation kept for the gradient.
    """

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map (B, C_i, h_i, w_i), the largest first, to (B, outputs, h_0, w_0)."""
        convolution, *after = self
        weight = cast(Tensor, convolution.weight)
        weights = weight.split([m.shape[1] for m in maps], dim=1)
        # a folded one has a bias, which is added once
        biases = [cast(Tensor | None, convolution.bias), *[None] * (len(maps) - 1)]
        first, *others = map(F.conv2d, maps, weights, biases)
        for other in others:
            first += F.interpolate(other, size=first.shape[2:], mode="bilinear")
        for layer in after:
            first = layer(first)
        return first

    def saved_macs(self, maps: Sequence[Tensor]) -> int:
        """Return the multiply-accumulates saved: the official code enlarges the maps first."""
        cells = maps[0][:, 0].numel()
        outputs = cast(nn.Conv2d, self[0]).out_channels
        return outputs * sum(m.shape[1] * (cells - m[:, 0].numel()) for m in maps)


class RegressionHRNet(HRNetTrunk):
    """A high-resolution network that regresses poses from their centers (DEKR, Fig. 3).

    Both heads read the maps of all resolutions that ``features`` returns.

    Args:
        config: the backbone's shape.
        keypoints: K.
        adaptive: adaptive convolutions; false for ordinary ones (DEKR, Table 5: AA).
        branches: the keypoints of each branch of the offset head; one each if not given. A
            single branch of all is no separate regression (DEKR, Table 5: SR; others: Sec. 3.4).
        width, shared_width, blocks, start: see ``OffsetHead``.
        heatmap_width: channels of the heatmap head; 0 for those of the finest branch, as published.
        relation: see ``HRNetTrunk``.
        scoring: rates finished poses; it is attached to the outputs and takes no part in making
            them.
        frame: in which poses will be decoded, if known: official weights are made for
            ``"index"``, and ``load_official`` warns of another.

    Raises:
        ValueError: the branches are not a partition of the keypoints, a width is out of range or
            the start is unknown.
    """

    def __init__(
        self,
        config: HRNetConfig,
        keypoints: int,
        *,
        adaptive: bool = True,
        branches: Branches | None = None,
        width: int = 15,
        shared_width: int = 256,
        blocks: int = 2,
        heatmap_width: int = 0,
        start: Start = "grid",
        relation: RelationConfig | None = None,
        scoring: nn.Module | None = None,
        frame: Frame | None = None,
    ) -> None:
        super().__init__(config, relation=relation)
        self.keypoints, self.frame = keypoints, frame
        self.scoring = scoring
        branches = tuple((k,) for k in range(keypoints)) if branches is None else branches
        if sum(map(len, branches)) != keypoints:
            raise ValueError(f"branches must hold {keypoints} keypoints, not {branches}")
        if heatmap_width < 0:
            raise ValueError(f"heatmap_width must be channels, 0 or more, not {heatmap_width}")
        self.head_offset = OffsetHead(
            branches,
            width=width,
            shared_width=shared_width,
            blocks=blocks,
            adaptive=adaptive,
            start=start,
        )
        inputs = sum(self.feature_widths)
        outputs = sum(self.head_offset.channels)
        heatmap_width = heatmap_width or config.widths[0]
        self.transition_heatmap = SplitConv1x1(*conv_norm(inputs, heatmap_width, kernel=1))
        self.transition_offset = SplitConv1x1(*conv_norm(inputs, outputs, kernel=1))
        block = nn.Sequential(BasicBlock(heatmap_width, heatmap_width))
        heatmaps = nn.Conv2d(heatmap_width, keypoints + 1, 1)
        self.head_heatmap = nn.ModuleList([block, heatmaps])
        for module in (self.transition_heatmap, self.transition_offset, self.head_heatmap):
            initialize(module)
        nn.init.normal_(heatmaps.weight, std=_INIT_STD)

    def forward(self, images: Tensor) -> RegressionOutputs:
        """Return heatmaps, the center map and offsets at stride 4; see ``stage_features``."""
        maps = self.features(images)
        features = self.transition_heatmap(maps)
        heatmaps = self.head_heatmap[1](self.head_heatmap[0](features))
        offsets = self.head_offset(self.transition_offset(maps))
        size = (images.shape[2], images.shape[3])
        return RegressionOutputs(
            heatmaps[:, :-1], heatmaps[:, -1:], offsets, size, scorer=self.scoring
        )

    def taps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the locations that each cell's regression of each keypoint samples (DEKR, Fig. 4).

        Returns:
            For each block of the offset head (B, K, 9, 2, h, w), (x, y) in cells of its maps,
            whose cell i has its center at i + 0.5.
        """
        return self.head_offset.taps(self.transition_offset(self.features(images)))

    def official_parts(self) -> dict[str, Parts]:
        """Map parameters of the offset head to their names in official checkpoints.

        Official networks have one branch per keypoint and adaptive convolutions; for other networks
        the mapping is empty.
        """
        return official_parts(self.keypoints, self.head_offset.blocks) if self._official else {}

    def toolbox_rules(self, version: Version) -> tuple[Rule, ...]:
        """Return what parameters are called in mmpose, which has the official networks alone."""
        if not self._official:
            return ()
        scoring = self.scoring if isinstance(self.scoring, HasToolboxLayout) else None
        ranking = scoring.toolbox_rules(version) if scoring else ()
        return (*ranking, *toolbox_rules(self.keypoints, self.head_offset.blocks, version))

    @property
    def _official(self) -> bool:
        head = self.head_offset
        return head.adaptive and head.branches == tuple((k,) for k in range(self.keypoints))

"""The networks that can carry an associative head, by the names that systems' options give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from poselib.models import BACKBONES, get_backbone
from poselib.models.associative import AssociativeHRNet
from poselib.models.higher_hrnet import HigherHRNet
from poselib.models.hourglass import STRIDE, HourglassConfig, StackedHourglass

NetworkName = Literal["higher", "plain", "hourglass"]


@dataclass(frozen=True)
class AssociativeNetwork:
    """A network that predicts heatmaps and tags.

    Attributes:
        name: ``"higher"`` for HigherHRNet with heatmaps at strides 4 and 2, ``"plain"`` for the
            backbone with one head at stride 4, ``"hourglass"`` for stacked hourglasses with a
            head at stride 4 behind each, all of which are trained alike.
        backbone: of the first two, key in ``poselib.models.BACKBONES``.
        deconv_blocks, deconv_channels: of ``models.higher_hrnet.HigherHRNet``.
        hourglass: shape of the last.
        tag_init_std: deviation of the tag head's first weights.

    Raises:
        ValueError: the name or the backbone is unknown.
    """

    name: NetworkName
    backbone: str
    deconv_blocks: int
    deconv_channels: int | None
    hourglass: HourglassConfig
    tag_init_std: float

    def __post_init__(self) -> None:
        if self.name not in get_args(NetworkName):
            known = ", ".join(map(repr, get_args(NetworkName)))
            raise ValueError(f"unknown host {self.name!r}; known: {known}")
        get_backbone(self.backbone)

    @property
    def strides(self) -> tuple[int, ...]:
        """Px a cell of each heatmap scale, coarse to fine."""
        if self.name == "hourglass":
            return (STRIDE,)
        stride = BACKBONES[self.backbone].stem_stride
        return (stride, stride // 2) if self.name == "higher" else (stride,)

    def network(self, keypoints: int) -> nn.Module:
        """Build the network for K keypoints."""
        if self.name == "hourglass":
            return StackedHourglass(self.hourglass, keypoints, tag_init_std=self.tag_init_std)
        config = BACKBONES[self.backbone]
        if self.name == "plain":
            return AssociativeHRNet(config, keypoints, tag_init_std=self.tag_init_std)
        return HigherHRNet(
            config,
            keypoints,
            deconv_blocks=self.deconv_blocks,
            deconv_channels=self.deconv_channels,
            tag_init_std=self.tag_init_std,
        )

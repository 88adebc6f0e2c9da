"""HigherHRNet: heatmaps and tags at the backbone's resolution, heatmaps again at twice that."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from poselib.models.associative import AssociativeHRNet, associative_layer, split_maps
from poselib.models.global_relation import RelationConfig
from poselib.models.hrnet import HRNetConfig
from poselib.models.residual import BasicBlock, initialize
from poselib.models.toolbox_layouts import BACKBONE, HEADS, Rule, Version
from poselib.outputs import TagOutputs


def upsampling_stage(inputs: int, width: int, blocks: int) -> nn.Sequential:
    """Return a stage that doubles resolution: (B, inputs, h, w) to (B, width, 2h, 2w).

    A transposed convolution with kernel 4 and stride 2, then residual blocks.
    """
    deconvolution = nn.Sequential(
        nn.ConvTranspose2d(inputs, width, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )
    # each block sits in a container of its own, as official checkpoints name it
    refinement = [nn.Sequential(BasicBlock(width, width)) for _ in range(blocks)]
    return nn.Sequential(deconvolution, *refinement)


class HigherHRNet(AssociativeHRNet):
    """A high-resolution network with an associative head, and a finer heatmap head above it.

    Args:
        config, keypoints, tags, tag_init_std, relation: of ``AssociativeHRNet``.
        deconv_channels: width of the upsampled features; that of the finest branch if not given.
        deconv_blocks: residual blocks at the upsampled resolution (official: 4). They run on four
            times as many cells as the finest branch, so a small network wants fewer.

    Raises:
        ValueError: a width or a number of blocks is negative, or as ``AssociativeHRNet``.
    """

    def __init__(
        self,
        config: HRNetConfig,
        keypoints: int,
        *,
        tags: bool = True,
        deconv_channels: int | None = None,
        deconv_blocks: int = 4,
        tag_init_std: float = 0.1,
        relation: RelationConfig | None = None,
    ) -> None:
        super().__init__(config, keypoints, tags=tags, tag_init_std=tag_init_std, relation=relation)
        upsampled = deconv_channels or config.widths[0]
        if min(upsampled, deconv_blocks) < 0:
            raise ValueError(
                f"deconv_channels and deconv_blocks must not be negative: {deconv_channels}, "
                f"{deconv_blocks}"
            )
        self.final_layers.append(associative_layer(upsampled, keypoints, tags=False))
        inputs = self.feature_widths[0] + (2 if tags else 1) * keypoints
        stage = upsampling_stage(inputs, upsampled, deconv_blocks)
        self.deconv_layers = nn.ModuleList([stage])
        initialize(self.deconv_layers)

    def forward(self, images: Tensor) -> TagOutputs:
        """Return heatmaps at strides 4 and 2, and tags at the former; see ``stage_features``."""
        features = self.features(images)[0]
        maps = self.final_layers[0](features)
        finer = self.deconv_layers[0](torch.cat([features, maps], dim=1))
        heatmaps, tags = split_maps(maps, self.keypoints)
        size = (images.shape[2], images.shape[3])
        return TagOutputs((heatmaps, self.final_layers[1](finer)), tags, size)

    def toolbox_rules(self, version: Version) -> tuple[Rule, ...]:
        """Return what parameters are called in mmpose 0.x; 1.x has no such network."""
        if version == "1.x":
            return ()
        layers = ("final_layers.", "deconv_layers.")
        head = HEADS[version]
        return (*(Rule(name, f"{head}{name}") for name in layers), Rule("", BACKBONE))

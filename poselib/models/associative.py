"""The associative head: one heatmap and one tag map for each keypoint."""

from __future__ import annotations

import math

from torch import Tensor, nn

from poselib.models.global_relation import RelationConfig
from poselib.models.hrnet import HRNetConfig, HRNetTrunk
from poselib.models.toolbox_layouts import BACKBONE, HEADS, Rule, Version
from poselib.outputs import TagOutputs


def associative_layer(
    inputs: int,
    keypoints: int,
    *,
    tags: bool = True,
    tag_init_std: float = 0.1,
) -> nn.Conv2d:
    """Return the 1x1 convolution that predicts K heatmaps, then K tag maps.

    Heatmaps start near zero, as most of their target is. Tags start spread out: the pushing loss
    has no gradient where all tags are equal, so a narrow start first collapses.

    Args:
        inputs: channels of the features.
        tags: whether the layer gives tag maps.
        tag_init_std: standard deviation of the tag maps' initial weights.

    Raises:
        ValueError: it is negative or not finite.
    """
    if not 0 <= tag_init_std < math.inf:
        raise ValueError(f"tag_init_std must be a finite number, not negative: {tag_init_std}")
    layer = nn.Conv2d(inputs, 2 * keypoints if tags else keypoints, 1)
    nn.init.normal_(layer.weight[:keypoints], std=0.001)
    nn.init.normal_(layer.weight[keypoints:], std=tag_init_std)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def split_maps(maps: Tensor, keypoints: int) -> tuple[Tensor, Tensor]:
    """Split (B, K + K * L, h, w) into heatmaps (B, K, h, w) and tags (B, K, L, h, w), L >= 0."""
    heatmaps, tags = maps[:, :keypoints], maps[:, keypoints:]
    return heatmaps, tags.unflatten(1, (keypoints, tags.shape[1] // keypoints))


class AssociativeHRNet(HRNetTrunk):
    """A high-resolution network with an associative head on its finest branch alone.

    Args:
        config: the backbone's shape.
        keypoints, tags, tag_init_std: see ``associative_layer``; without tag maps
            ``TagOutputs.tags`` has L = 0.
        relation: of ``HRNetTrunk``.

    Raises:
        ValueError: the standard deviation is negative or not finite.
    """

    def __init__(
        self,
        config: HRNetConfig,
        keypoints: int,
        *,
        tags: bool = True,
        tag_init_std: float = 0.1,
        relation: RelationConfig | None = None,
    ) -> None:
        super().__init__(config, multi_scale_output=False, relation=relation)
        self.keypoints = keypoints
        width = self.feature_widths[0]
        layer = associative_layer(width, keypoints, tags=tags, tag_init_std=tag_init_std)
        self.final_layers = nn.ModuleList([layer])

    def forward(self, images: Tensor) -> TagOutputs:
        """Return one heatmap scale and tags at stride 4 of images (B, 3, H, W), normalized."""
        heatmaps, tags = split_maps(self.final_layers[0](self.features(images)[0]), self.keypoints)
        return TagOutputs((heatmaps,), tags, (images.shape[2], images.shape[3]))

    def toolbox_rules(self, version: Version) -> tuple[Rule, ...]:
        """Return what parameters are called in mmpose, see ``models.toolbox_layouts``."""
        return (Rule("final_layers.0.", f"{HEADS[version]}final_layer."), Rule("", BACKBONE))

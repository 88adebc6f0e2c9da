"""Networks of single images of one person: features, one heatmap a keypoint, relations of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poselib.models import BACKBONES
from poselib.models.deconvolution import RESNET_DEPTHS, DeconvolutionResNet
from poselib.models.hourglass import HourglassConfig, StackedHourglass
from poselib.models.hrnet import HRNetConfig, HRNetTrunk
from poselib.models.joint_relation import RelationKind, build_relation
from poselib.models.pretrained import Parts
from poselib.models.searched_mobilenet import SearchedMobileNet
from poselib.models.searched_resnet import SearchedResNet
from poselib.models.toolbox_layouts import BACKBONE, HEADS, Rule, Version
from poselib.outputs import HeatmapOutputs, RegressionOutputs

# Networks that give one map of features at stride 4, by name.
RESNETS = tuple(f"resnet{depth}" for depth in RESNET_DEPTHS)
SEARCHED: Mapping[str, type[SearchedResNet | SearchedMobileNet]] = {
    "vipnas_resnet50": SearchedResNet,
    "vipnas_mobilenetv3": SearchedMobileNet,
}
FEATURES = (*RESNETS, *SEARCHED, "hourglass", *BACKBONES)


class HRNetFeatures(HRNetTrunk):
    """The features of a high-resolution network's finest branch."""

    def __init__(self, config: HRNetConfig) -> None:
        super().__init__(config, multi_scale_output=False)
        self.width = config.widths[0]

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, ``width``, H / 4, W / 4)."""
        return self.features(images)[0]


class HourglassFeatures(StackedHourglass):
    """The features of the last of stacked hourglasses, whose head is left out."""

    def __init__(self, config: HourglassConfig, keypoints: int) -> None:
        super().__init__(config, keypoints, tags=False)
        self.width = config.features
        del self.outs[-1]

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]
        """Return (B, ``width``, H / 4, W / 4)."""
        return self.stacks(images)[-1][0]


Features = (
    DeconvolutionResNet | HRNetFeatures | HourglassFeatures | SearchedResNet | SearchedMobileNet
)


def build_features(name: str, keypoints: int) -> Features:
    """Return a network from images (B, 3, H, W) to features (B, ``width``, H / 4, W / 4).

    Args:
        name: one of ``FEATURES``; ``"hrnet_tiny"`` trains on a CPU.
        keypoints: of the heatmaps between stacked hourglasses.

    Raises:
        ValueError: there is none of this name.
    """
    if name in RESNETS:
        return DeconvolutionResNet(int(name.removeprefix("resnet")))
    if name in BACKBONES:
        return HRNetFeatures(BACKBONES[name])
    if name in SEARCHED:
        return SEARCHED[name]()
    if name == "hourglass":
        return HourglassFeatures(HourglassConfig(), keypoints)
    raise ValueError(f"unknown backbone {name!r}; known: {', '.join(FEATURES)}")


def heatmap_layer(inputs: int, keypoints: int) -> nn.Conv2d:
    """Return the 1x1 convolution that predicts K heatmaps, which start near zero."""
    layer = nn.Conv2d(inputs, keypoints, 1)
    nn.init.normal_(layer.weight, std=0.001)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class HeatmapNetwork(nn.Module):
    """Features, a heatmap for each keypoint and relations of these; all but the last one official.

    With ``"resnet50"`` it is SimpleBaseline, with ``"hrnet_w32"`` HRNet, with ``"vipnas_resnet50"``
    S-ViPNAS: the hosts of RPSTN/JRE, Table VIII. ``"vipnas_mobilenetv3"`` is the smaller S-ViPNAS.

    Args:
        backbone: name of the features, see ``build_features``.
        keypoints: K.
        relation: of the heatmaps, see ``models.joint_relation.build_relation``.
        limbs: of it.
        offset_radius: cells that are the unit of two maps of offsets behind each heatmap; 0 for
            heatmaps alone. Such a network has no relation.
        relation_options: of the relation.

    Raises:
        ValueError: a name is unknown or an option out of range.
    """

    def __init__(
        self,
        backbone: str,
        keypoints: int,
        *,
        relation: RelationKind = "none",
        limbs: Sequence[tuple[int, int]] = (),
        offset_radius: float = 0.0,
        **relation_options: Any,
    ) -> None:
        super().__init__()
        self.keypoints, self.offset_radius = keypoints, offset_radius
        self.features = build_features(backbone, keypoints)
        self.multiple = self.features.multiple
        maps = 3 * keypoints if offset_radius else keypoints
        self.final_layer = heatmap_layer(self.features.width, maps)
        self.relation = build_relation(relation, keypoints, limbs=limbs, **relation_options)

    def forward(self, images: Tensor) -> HeatmapOutputs | RegressionOutputs:
        """Return heatmaps at stride 4 of images (B, 3, H, W), normalized.

        With offsets, their cells are no centers of people: the map of these has no channel.

        Raises:
            ValueError: H or W is not a multiple of ``multiple``.
        """
        maps, size = self.final_layer(self.features(images)), (images.shape[2], images.shape[3])
        if self.offset_radius:  # in official weights they are from the cell to the keypoint
            parts = maps.unflatten(1, (-1, 3))
            offsets = parts[:, :, 1:] * -self.offset_radius
            return RegressionOutputs(parts[:, :, 0], maps[:, :0], offsets, size)
        heatmaps, relations = self.relation(maps)
        return HeatmapOutputs(heatmaps, size, relations)

    def official_parts(self) -> Mapping[str, Parts]:
        """Return the names in official checkpoints, which have no ``features.`` before a name."""
        return {
            name: Parts((name.removeprefix("features."),))
            for name in self.state_dict()
            if name.startswith("features.")
        }

    def toolbox_rules(self, version: Version) -> tuple[Rule, ...]:
        """Return what parameters are called in mmpose, whose hourglasses are other ones."""
        if isinstance(self.features, HourglassFeatures):
            return ()
        head = HEADS[version]
        return (
            Rule("final_layer.", f"{head}final_layer."),
            Rule("features.deconv_layers.", f"{head}deconv_layers."),
            Rule("features.", BACKBONE),
        )

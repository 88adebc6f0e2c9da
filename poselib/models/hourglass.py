"""Stacked hourglasses: networks that go down to coarse maps and up again, several times over.

Newell et al., "Stacked hourglass networks for human pose estimation" (ECCV 2016), in the shape
that associative embedding uses (Newell et al., NeurIPS 2017): plain 3x3 convolutions, widths that
grow towards coarse maps, heatmaps and tags after every stack. Parameters carry the names of the
latter's official code. Its published weights do not load: they expect images in [0, 1] and have 2K
unused maps more. Those of mmpose do, with ``norm_all``.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from torch import Tensor, nn

from poselib.models.associative import associative_layer, split_maps
from poselib.models.hrnet import check_images
from poselib.models.residual import initialize
from poselib.models.toolbox_layouts import BACKBONE, Rule, Version
from poselib.outputs import TagOutputs

STRIDE = 4


@dataclass(frozen=True)
class HourglassConfig:
    """The shape of stacked hourglasses; the defaults are those of associative embedding.

    At these, with K = 17, a network has 138.8 million parameters and takes 221.2 GMAC for an
    image of 512 x 512 px (convolutions, counted by ``torch.utils.flop_counter``).

    Attributes:
        stacks: hourglasses in a row, each with heatmaps and tags of its own.
        features: channels at stride 4; the stem has a quarter and half of them.
        depth: how often an hourglass halves the resolution.
        increase: channels that each halving adds.
        norm: batch normalization behind the convolutions, which the official code can do but
            its configuration does not.
        norm_all: also behind those after and between hourglasses, as in mmpose's network.

    Raises:
        ValueError: a number is out of range, or normalization is wanted everywhere but not at all.
    """

    stacks: int = 4
    features: int = 256
    depth: int = 4
    increase: int = 128
    norm: bool = False
    norm_all: bool = False

    def __post_init__(self) -> None:
        if self.norm_all and not self.norm:
            raise ValueError("hourglass: norm_all adds to norm, which must be true")
        for name, least in (("stacks", 1), ("features", 4), ("depth", 1), ("increase", 0)):
            if getattr(self, name) < least:
                value = getattr(self, name)
                raise ValueError(f"hourglass: {name} must be {least} or more, not {value}")

    @property
    def multiple(self) -> int:
        """Image sides are multiples of this many px."""
        return STRIDE * 2**self.depth


def convolution(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, norm: bool = False
) -> nn.Sequential:
    """Convolution, batch normalization if asked for, and a ReLU.

    The official code, where it normalizes, does so behind the ReLU.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not norm)
    if norm:
        layers["bn"] = nn.BatchNorm2d(outputs)
    layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


class Hourglass(nn.Module):
    """One hourglass: (B, features, h, w) to the same; h and w are multiples of 2^depth.

    Each level adds a branch at its own resolution to the output of a smaller hourglass, or at the
    bottom of a convolution, at half of it.
    """

    def __init__(self, depth: int, features: int, increase: int, norm: bool = False) -> None:
        super().__init__()
        wider = features + increase
        self.up1 = convolution(features, features, norm=norm)
        self.pool1 = nn.MaxPool2d(2)
        self.low1 = convolution(features, wider, norm=norm)
        self.low2: nn.Module = (
            Hourglass(depth - 1, wider, increase, norm)
            if depth > 1
            else convolution(wider, wider, norm=norm)
        )
        self.low3 = convolution(wider, features, norm=norm)
        self.up2 = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x: Tensor) -> Tensor:
        return self.up1(x) + self.up2(self.low3(self.low2(self.low1(self.pool1(x)))))


class StackedHourglass(nn.Module):
    """Stacked hourglasses with an associative head behind each; the last one's is the result.

    Args:
        config: the network's shape.
        keypoints, tags, tag_init_std: see ``AssociativeHRNet``.
    """

    def __init__(
        self,
        config: HourglassConfig,
        keypoints: int,
        *,
        tags: bool = True,
        tag_init_std: float = 0.1,
    ) -> None:
        super().__init__()
        self.config, self.keypoints, self.multiple = config, keypoints, config.multiple
        width, between = config.features, range(config.stacks - 1)
        heads = [
            associative_layer(width, keypoints, tags=tags, tag_init_std=tag_init_std)
            for _ in range(config.stacks)
        ]
        maps = heads[0].out_channels
        self.pre = _stem(config)
        self.features = nn.ModuleList(
            nn.Sequential(
                Hourglass(config.depth, width, config.increase, config.norm),
                convolution(width, width, norm=config.norm_all),
                convolution(width, width, norm=config.norm_all),
            )
            for _ in range(config.stacks)
        )
        norm = config.norm_all
        self.merge_features = nn.ModuleList(_merge(width, width, norm) for _ in between)
        self.merge_preds = nn.ModuleList(_merge(maps, width, norm) for _ in between)
        initialize(self)
        self.outs = nn.ModuleList(_named(head) for head in heads)

    def forward(self, images: Tensor) -> TagOutputs:
        """Return one heatmap scale and tags at stride 4 of images (B, 3, H, W), normalized.

        Those of earlier stacks are intermediate. H and W are multiples of ``config.multiple``.
        """
        size = (images.shape[2], images.shape[3])
        split = (split_maps(maps, self.keypoints) for _, maps in self.stacks(images))
        stages = [TagOutputs((heatmaps,), tags, size) for heatmaps, tags in split]
        return replace(stages[-1], intermediate=tuple(stages[:-1]))

    def stacks(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the features (B, ``features``, h, w) of every stack and the maps of its head.

        Without the last head, as where features alone are wanted, the last maps are features.
        """
        check_images(images, self.multiple)
        x, stacks = self.pre(images), []
        for stack, hourglass in enumerate(self.features):
            features = hourglass(x)
            maps = self.outs[stack](features) if stack < len(self.outs) else features
            stacks.append((features, maps))
            if stack < len(self.merge_preds):
                x = x + self.merge_preds[stack](maps) + self.merge_features[stack](features)
        return stacks

    def toolbox_rules(self, version: Version) -> tuple[Rule, ...]:
        """Return what parameters are called in mmpose, which normalizes all convolutions."""
        names = {
            "pre.": "stem.",
            "features.": "hourglass_modules.",
            "outs.": "out_convs.",
            **{
                f"merge_preds.{n}.conv.": f"remap_out_convs.{n}."
                for n in range(self.config.stacks - 1)
            },
            **{
                f"merge_features.{n}.conv.": f"remap_feature_convs.{n}."
                for n in range(self.config.stacks - 1)
            },
        }
        rules = (Rule(ours, BACKBONE + theirs) for ours, theirs in names.items())
        return tuple(rules) if self.config.norm_all else ()


def _stem(config: HourglassConfig) -> nn.Sequential:
    width = config.features
    return nn.Sequential(
        convolution(3, width // 4, kernel=7, stride=2, norm=config.norm),
        convolution(width // 4, width // 2, norm=config.norm),
        nn.MaxPool2d(2),
        convolution(width // 2, width // 2, norm=config.norm),
        convolution(width // 2, width, norm=config.norm),
    )


def _merge(inputs: int, outputs: int, norm: bool) -> nn.Sequential:
    merge = _named(nn.Conv2d(inputs, outputs, 1, bias=not norm))
    if norm:
        merge.add_module("bn", nn.BatchNorm2d(outputs))
    return _named(merge)


def _named(layer: nn.Module) -> nn.Sequential:
    """Put a layer where official checkpoints name it: under ``conv``."""
    return nn.Sequential(OrderedDict(conv=layer))

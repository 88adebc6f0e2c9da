"""A network of inverted residuals whose shape was searched for.

S-ViPNAS in the shape of MobileNetV3 (Xu et al., "ViPNAS: efficient video pose estimation via neural
architecture search", CVPR 2021). Parameters have the names of the public implementation in mmpose.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from poselib.models.deconvolution import deconvolutions
from poselib.models.hrnet import check_images
from poselib.models.residual import initialize
from poselib.models.searched_resnet import SearchedStage


@dataclass(frozen=True)
class InvertedStage(SearchedStage):
    """A stage of inverted residuals; attention is squeeze and excitation in each of its blocks.

    Attributes:
        expansion: channels of the middle convolution, as a multiple of ``width``.
        groups: of the middle convolution.
        stride: of the first block.
        activation: type of all activations.
    """

    expansion: int
    groups: int
    stride: int
    activation: type[nn.Module]


STEM_WIDTH = 16
STAGES = (
    InvertedStage(16, 1, 3, True, 1, 8, 1, nn.ReLU),
    InvertedStage(24, 4, 7, True, 5, 120, 2, nn.ReLU),
    InvertedStage(40, 4, 7, False, 4, 20, 2, nn.ReLU),
    InvertedStage(80, 4, 5, True, 5, 100, 2, nn.Hardswish),
    InvertedStage(112, 4, 7, True, 5, 280, 1, nn.Hardswish),
    InvertedStage(160, 4, 5, True, 6, 240, 2, nn.Hardswish),
)


def _unit(
    conv: nn.Conv2d, *, norm: bool = True, activation: type[nn.Module] | None = None
) -> nn.Sequential:
    """Return a convolution with the layers behind it, as mmpose names them."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv)
    if norm:
        layers["bn"] = nn.BatchNorm2d(conv.out_channels)
    if activation:
        layers["activate"] = activation(inplace=True)
    return nn.Sequential(layers)


class SqueezeExcitation(nn.Module):
    """Scale each channel by what two 1x1 convolutions make of the means of all of them.

    Hu et al., "Squeeze-and-excitation networks" (CVPR 2018); (B, C, h, w) both ways. The last
    activation is steeper than ``nn.Hardsigmoid``: (x + 1) / 2 between 0 and 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.conv1 = _unit(nn.Conv2d(channels, inner, 1), norm=False, activation=nn.ReLU)
        self.conv2 = _unit(nn.Conv2d(inner, channels, 1), norm=False)

    def forward(self, x: Tensor) -> Tensor:
        excitation = self.conv2(self.conv1(x.mean(dim=(2, 3), keepdim=True)))
        return x * ((excitation + 1) / 2).clamp(0, 1)


class InvertedBlock(nn.Module):
    """1x1, grouped and 1x1 convolutions, wide in the middle; (B, inputs, h, w) to (B, width, ...).

    The input is added where it has the shape of the output.
    """

    def __init__(self, inputs: int, stage: InvertedStage, stride: int) -> None:
        super().__init__()
        width, kernel, act = stage.width, stage.kernel, stage.activation
        inner = width * stage.expansion
        self.expand_conv: nn.Module = nn.Identity()
        if stage.expansion > 1:
            self.expand_conv = _unit(nn.Conv2d(inputs, inner, 1, bias=False), activation=act)
        middle = nn.Conv2d(
            inner, inner, kernel, stride, kernel // 2, groups=stage.groups, bias=False
        )
        self.depthwise_conv = _unit(middle, activation=act)
        self.se = SqueezeExcitation(inner) if stage.attention else nn.Identity()
        self.linear_conv = _unit(nn.Conv2d(inner, width, 1, bias=False))
        self.residual = stride == 1 and inputs == width

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear_conv(self.se(self.depthwise_conv(self.expand_conv(x))))
        return x + y if self.residual else y


class SearchedMobileNet(nn.Module):
    """The searched network with depthwise transposed convolutions: features at stride 4."""

    multiple, width = 32, STAGES[-1].width

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Conv2d(3, STEM_WIDTH, 3, stride=2, padding=1, bias=False)
        self.conv1 = _unit(stem, activation=nn.Hardswish)
        inputs, self.depth = STEM_WIDTH, 0
        for stage in STAGES:
            for block in range(stage.blocks):
                self.depth += 1
                stride = 1 if block else stage.stride
                self.add_module(f"layer{self.depth}", InvertedBlock(inputs, stage, stride))
                inputs = stage.width
        self.deconv_layers = deconvolutions(inputs, (self.width,) * 3, groups=self.width)
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, ``width``, H / 4, W / 4) of images (B, 3, H, W), normalized.

        Raises:
            ValueError: H or W is not a multiple of 32.
        """
        check_images(images, self.multiple)
        x = self.conv1(images)
        for number in range(1, self.depth + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return self.deconv_layers(x)

"""A residual network whose widths, depths, kernels, groups and attention were searched for.

S-ViPNAS in the shape of ResNet-50 (Xu et al., "ViPNAS: efficient video pose estimation via neural
architecture search", CVPR 2021): the network for single frames. Parameters have the names of the
public implementation in mmpose.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from poselib.models.deconvolution import deconvolutions
from poselib.models.hrnet import check_images
from poselib.models.residual import initialize


@dataclass(frozen=True)
class SearchedStage:
    """A stage of the searched network.

    Attributes:
        width: channels of its blocks.
        blocks: their number.
        kernel: side of their middle convolution, cells.
        attention: whether a global context block ends each.
    """

    width: int
    blocks: int
    kernel: int
    attention: bool


STEM_WIDTH, HEAD_WIDTH, GROUPS = 48, 144, 16
STAGES = (
    SearchedStage(80, 4, 3, True),
    SearchedStage(160, 6, 5, False),
    SearchedStage(304, 7, 5, True),
    SearchedStage(608, 3, 5, True),
)


class GlobalContext(nn.Module):
    """Add to all cells what two 1x1 convolutions make of a weighted mean of all of them.

    Cao et al., "GCNet" (ICCV 2019 workshops); (B, C, h, w) both ways. The last convolution begins
    at zero.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(16, channels // 16)
        self.conv_mask = nn.Conv2d(channels, 1, 1)
        self.channel_add_conv = nn.Sequential(
            nn.Conv2d(channels, inner, 1),
            nn.LayerNorm([inner, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = self.conv_mask(x).flatten(2).softmax(dim=2)  # (B, 1, hw)
        context = x.flatten(2) @ weights.transpose(1, 2)  # (B, C, 1)
        return x + self.channel_add_conv(context[..., None])


class SearchedBlock(nn.Module):
    """1x1, grouped and 1x1 convolutions of one width; (B, inputs, h, w) to (B, width, ...)."""

    def __init__(self, inputs: int, stage: SearchedStage, stride: int) -> None:
        super().__init__()
        width, kernel = stage.width, stage.kernel
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=GROUPS, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.attention = GlobalContext(width) if stage.attention else nn.Identity()
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            entry = nn.Conv2d(inputs, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(entry, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.attention(self.bn3(self.conv3(y))) + self.downsample(x))


class SearchedResNet(nn.Module):
    """The searched network with its grouped transposed convolutions: features at stride 4."""

    multiple, width = 32, HEAD_WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM_WIDTH, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_WIDTH)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = STEM_WIDTH
        for number, stage in enumerate(STAGES, start=1):
            strides = [1 if number == 1 else 2, *[1] * (stage.blocks - 1)]
            entries = [inputs, *[stage.width] * (stage.blocks - 1)]
            blocks = [SearchedBlock(i, stage, s) for i, s in zip(entries, strides, strict=True)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            inputs = stage.width
        self.deconv_layers = deconvolutions(inputs, (HEAD_WIDTH,) * 3, GROUPS)
        initialize(self)
        for module in self.modules():
            if isinstance(module, GlobalContext):
                nn.init.zeros_(module.channel_add_conv[3].weight)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, ``width``, H / 4, W / 4) of images (B, 3, H, W), normalized.

        Raises:
            ValueError: H or W is not a multiple of 32.
        """
        check_images(images, self.multiple)
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for number in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return self.deconv_layers(x)

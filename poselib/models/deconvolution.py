"""Residual networks with transposed convolutions above: features at a quarter of the resolution.

Xiao et al., "Simple baselines for human pose estimation and tracking" (ECCV 2018). Parameters carry
the names of its official code, which are torchvision's up to ``layer4``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from poselib.models.hrnet import check_images
from poselib.models.residual import initialize

RESNET_DEPTHS = (18, 34, 50, 101, 152)


def deconvolutions(inputs: int, widths: Sequence[int], groups: int = 1) -> nn.Sequential:
    """Return transposed convolutions that double the resolution each, normalized, with ReLUs."""
    layers: list[nn.Module] = []
    for width in widths:
        up = nn.ConvTranspose2d(inputs, width, 4, stride=2, padding=1, groups=groups, bias=False)
        layers += [up, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        inputs = width
    return nn.Sequential(*layers)


class DeconvolutionResNet(nn.Module):
    """torchvision's residual network, then three transposed convolutions.

    Args:
        depth: one of ``RESNET_DEPTHS``.
        inputs: channels of the images.
        width: channels of the transposed convolutions, and of the features.

    Raises:
        ValueError: there is no such depth.
    """

    multiple = 32  # of px, of image sides

    def __init__(self, depth: int, *, inputs: int = 3, width: int = 256) -> None:
        super().__init__()
        if depth not in RESNET_DEPTHS:
            raise ValueError(f"depth must be one of {RESNET_DEPTHS}, not {depth}")
        self.depth, self.width = depth, width
        # Imported here: torchvision takes as long to start as PyTorch itself.
        from torchvision import models

        network = getattr(models, f"resnet{depth}")(weights=None)
        self.conv1 = network.conv1
        if inputs != 3:
            self.conv1 = nn.Conv2d(inputs, 64, 7, stride=2, padding=3, bias=False)
            initialize(self.conv1)
        self.bn1, self.relu, self.maxpool = network.bn1, network.relu, network.maxpool
        self.layer1, self.layer2 = network.layer1, network.layer2
        self.layer3, self.layer4 = network.layer3, network.layer4
        self.deconv_layers = deconvolutions(network.fc.in_features, (width,) * 3)
        initialize(self.deconv_layers)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, ``width``, H / 4, W / 4) of images (B, ``inputs``, H, W).

        Raises:
            ValueError: H or W is not a multiple of 32.
        """
        check_images(images, self.multiple, self.conv1.in_channels)
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.deconv_layers(x)

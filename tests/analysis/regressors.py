"""Systems of a few weights that regress poses from centers, and their people."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from poselib.analysis.saliency import regular_taps
from poselib.decoders.regression import decode_regression
from poselib.engine.predict import PredictOptions
from poselib.outputs import RegressionOutputs
from poselib.structures import AffineTransform, Sample
from poselib.systems import System
from tests.toy_people import TOY, Annotated

OPTIONS = PredictOptions(size=64, multiple=32, flip=False)
STRIDE = 4


class LinearRegressor(nn.Module):
    """Offsets are one convolution over 3x3 cells of 4 px; its taps are ``shift`` cells off."""

    def __init__(self, shift: float = 0.0, blocks: int = 2) -> None:
        super().__init__()
        side = 3 * STRIDE
        self.conv = nn.Conv2d(3, 2 * len(TOY), side, stride=STRIDE, padding=STRIDE)
        nn.init.normal_(self.conv.weight, generator=torch.Generator().manual_seed(0))
        self.shift, self.blocks = shift, blocks

    def forward(self, images: Tensor) -> RegressionOutputs:
        offsets = self.conv(images).unflatten(1, (len(TOY), 2))
        heat = torch.zeros_like(offsets[:, :, 0])
        size = (images.shape[2], images.shape[3])
        return RegressionOutputs(heat, heat[:, :1], offsets, size)

    def taps(self, images: Tensor) -> tuple[Tensor, ...]:
        size = (images.shape[2] // STRIDE, images.shape[3] // STRIDE)
        taps = (regular_taps(size) + self.shift).expand(1, len(TOY), -1, -1, -1, -1)
        return (taps,) * self.blocks


def regressor(model: nn.Module | None = None, frame: str = "center") -> System:
    return System(
        name="toy",
        skeleton=TOY,
        model=LinearRegressor() if model is None else model,
        encode=lambda batch: batch,  # type: ignore[arg-type,return-value]
        losses=lambda outputs, targets: {},
        decode=partial(decode_regression),
        options={"frame": frame},
    )


def image_of(*people: Annotated, seed: int = 0) -> Sample:
    """A noisy image of 64 x 64 px with these people, of √area 10 px."""
    noise = np.random.default_rng(seed).integers(0, 256, (3, 64, 64), np.uint8)
    keypoints = np.array(people, np.float32).reshape(-1, len(TOY), 3)
    areas = np.full(len(keypoints), 100, np.float32)
    return Sample(noise, keypoints, areas, np.zeros((64, 64), bool), 1, AffineTransform.identity())


def around(x: float, y: float) -> Annotated:
    """A person whose center is (x, y)."""
    return [(x - 6, y - 2, 2), (x + 6, y - 2, 2), (x - 6, y + 2, 2), (x + 6, y + 2, 2)]

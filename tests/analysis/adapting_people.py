"""A network that is told where people are: poses regressed some px beside them, heat at them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from poselib.engine.predict import PredictOptions
from poselib.outputs import LocalGlobalOutputs
from poselib.skeletons import COCO
from poselib.structures import Sample
from poselib.systems import OptionValue, System, build
from tests.analysis.standing_people import STANDING, labeled, sample_of

OPTIONS = PredictOptions(size=128, multiple=64, flip=False)
TINY: dict[str, OptionValue] = {
    "backbone": "hrnet_tiny",
    "heatmap_width": 4,
    "offset_width": 4,
    "embedding": 2,
    "message_width": 4,
    "global_window": 25,
}
STRIDE = 4


class Told(nn.Module):
    """Says of every image of 128 px that the same people stand in it.

    Args:
        people: (N, 17, 2) px, where the heat is.
        off: px by which regressed keypoints lie right of it.
    """

    def __init__(self, people: np.ndarray, off: float) -> None:
        super().__init__()
        self.truth, self.off = torch.from_numpy(people.astype(np.float32)), off

    def forward(self, images: Tensor) -> LocalGlobalOutputs:
        cells = [side // STRIDE for side in images.shape[-2:]]
        y, x = ((torch.arange(n) + 0.5) * STRIDE for n in cells)
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"))  # (2, h, w) px
        heat = _heat(grid, self.truth).amax(dim=0)
        centers = self.truth.mean(dim=1)
        owner = (grid[None] - centers[..., None, None]).norm(dim=1).argmin(dim=0)
        regressed = self.truth + torch.tensor([self.off, 0.0])
        offsets = (grid[None] - regressed[owner].permute(2, 3, 0, 1)) / STRIDE
        batch = (len(images), 1, 1, 1)
        return LocalGlobalOutputs(
            heatmaps=heat.repeat(batch),
            centers=_heat(grid, centers[:, None]).amax(dim=0).repeat(batch),
            offsets=offsets.repeat((*batch, 1)),
            image_size=(images.shape[-2], images.shape[-1]),
            embedding=torch.zeros(len(images), 2, *cells),
            attract=_pointed,
        )


def _heat(grid: Tensor, points: Tensor) -> Tensor:
    """(N, K, h, w), a Gaussian of 4 px around each of (N, K, 2)."""
    apart = (grid - points[..., None, None]).square().sum(dim=2)
    return torch.exp(-apart / (2 * 4.0**2))


def _pointed(context: Tensor) -> Tensor:
    """Filters that leave heat where it is: bright in the middle, the more for later keypoints."""
    filters = context.new_zeros(len(context), len(COCO), *context.shape[2:])
    middle = context.shape[-1] // 2
    filters[:, :, middle, middle] = torch.linspace(0.5, 1.0, len(COCO))
    return filters


def told_system(*people: np.ndarray, off: float = 3.0, **options: OptionValue) -> System:
    """A system of that network; without people somebody stands in the middle."""
    system = build("logocap", COCO, **{**TINY, **options})
    truth = np.stack(people or (STANDING,))
    return replace(system, model=Told(truth, off))


def standing(*people: np.ndarray) -> Sample:
    """An image with these people, all labeled; with one in the middle without any."""
    return sample_of(np.stack([labeled(each) for each in people or (STANDING,)]))

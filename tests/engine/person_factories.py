"""Videos of spots, networks that see spots, and small networks of single people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from poselib.data.crops import CropRule
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig
from poselib.decoders.argmax import decode_argmax
from poselib.engine.seed import seed_everything
from poselib.outputs import HeatmapOutputs
from poselib.skeletons import POSETRACK18
from poselib.structures import Sample
from poselib.systems import System, build
from tests.engine.factories import MIDDLE, bare_sample, blob_image, pixels

TINY: dict[str, dict[str, Any]] = {
    "rpstn": {
        **{"backbone": "hrnet_tiny", "initializer_backbone": "hrnet_tiny", "channels": 8},
        **{"height": 64, "width": 64, "frames": 3, "sigma": 1.0},
    },
    "jre": {"backbone": "hrnet_tiny", "height": 64, "width": 32, "sigma": 1.0},
}


@dataclass(frozen=True)
class Ages:
    """How many frames each person has been seen before."""

    counts: Tensor

    @classmethod
    def join(cls, states: Sequence[Ages]) -> Ages:
        return cls(torch.cat([each.counts for each in states]))

    def split(self) -> list[Ages]:
        return [Ages(each[None]) for each in self.counts]


class SpotNetwork(nn.Module):
    """Red and green spots are the heatmaps of two keypoints."""

    def forward(self, images: Tensor) -> HeatmapOutputs:
        maps = F.avg_pool2d(pixels(images)[:, :2], 4)
        return HeatmapOutputs(maps, (images.shape[-2], images.shape[-1]))


class FadingNetwork(SpotNetwork):
    """The same for clips: in frame n of a person, from 0, heatmaps are halved n times."""

    def start(self, images: Tensor) -> tuple[HeatmapOutputs, Ages]:
        return self.step(images, Ages(torch.zeros(len(images))))

    def step(self, images: Tensor, state: Ages) -> tuple[HeatmapOutputs, Ages]:
        return self._seen(images, state.counts), Ages(state.counts + 1)

    def _seen(self, images: Tensor, ages: Tensor) -> HeatmapOutputs:
        outputs = super().forward(images)
        return replace(outputs, heatmaps=outputs.heatmaps / 2 ** ages[:, None, None, None])


def spot_system(clips: bool = False, rule: CropRule | None = None) -> System:
    """Return a system that finds spots, in crops of 64 x 96 px."""

    def nothing(*_: Any) -> Any:
        raise AssertionError("prediction needs neither targets nor losses")

    return System(
        "spots",
        MIDDLE,
        FadingNetwork() if clips else SpotNetwork(),
        encode=nothing,
        losses=nothing,
        decode=decode_argmax,
        options={},
        clips=clips,
        crop=(64, 96),
        crop_rule=rule or CropRule(margin=1.5),
    )


def ages(scores: NDArray[Any]) -> list[int]:
    """Return how many frames each person had been seen, from the scores of ``FadingNetwork``."""
    return np.round(-np.log2(scores) - 0.2).astype(int).tolist()


def spots(people: NDArray[np.float64], tracks: Sequence[int], image_id: int = 0) -> Sample:
    """Return an image of 190 x 200 px with people (N, 2, 2), px, and boxes around them."""
    blank = np.zeros((3, 190, 200), np.uint8)
    sample = bare_sample(blob_image((190, 200), people) if len(people) else blank, image_id)
    low, high = people.min(axis=1) - 12, people.max(axis=1) + 12
    keypoints = np.concatenate([people, np.full((len(people), 2, 1), 2.0)], axis=2)
    return replace(
        sample,
        keypoints=keypoints.astype(np.float32),
        areas=np.full(len(people), 900.0, np.float32),
        boxes=np.concatenate([low, high], axis=1).astype(np.float32),
        tracks=np.array(tracks, np.int64),
    )


class Frames:
    """A dataset of the frames of videos."""

    def __init__(self, videos: dict[str, list[Sample]]) -> None:
        self.samples = [frame for frames in videos.values() for frame in frames]
        self.videos = tuple(name for name, frames in videos.items() for _ in frames)
        self.times = tuple(t / 25 for frames in videos.values() for t in range(len(frames)))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


@cache
def tiny(name: str, **options: Any) -> System:
    """Return a small network whose relations, normalizations and kernels do something."""
    seed_everything(0)
    system = build(name, POSETRACK18, **{**TINY[name], **options})
    generator = torch.Generator().manual_seed(1)
    for value in system.model.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value += 0.2 * torch.rand(value.shape, generator=generator)
    system.model.eval()
    return system


@cache
def walkers(frames: int = 7, people: int = 2, count: int = 2) -> SyntheticClips:
    config = ClipConfig(size=96, frames=frames, people=(people, people))
    return SyntheticClips(config, count, 3, POSETRACK18).cached()

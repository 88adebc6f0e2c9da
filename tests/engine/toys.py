"""A system small enough to train in milliseconds, for tests of everything around the network."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poselib.data.synthetic.dataset import SceneConfig, SyntheticScenes
from poselib.data.transforms import Augment
from poselib.engine.seed import seed_everything
from poselib.engine.train import TrainResult, train
from poselib.engine.train_config import TrainConfig
from poselib.outputs import TagOutputs
from poselib.skeletons import COCO
from poselib.structures import Sample
from poselib.systems import System, build

RECIPE = TrainConfig(
    steps=24,
    batch_size=4,
    learning_rate=1e-2,
    average=0.9,
    log_every=1,
    checkpoint_every=10,
    seed=5,
)


class ToyNetwork(nn.Module):
    """Maps at stride 4; with normalization, whose buffers must be kept, and chance (dropout)."""

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 4, stride=4), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2)
        )
        self.head = nn.Conv2d(8, 2 * keypoints, 1)

    def forward(self, images: Tensor) -> TagOutputs:
        heatmaps, tags = self.head(self.body(images)).chunk(2, dim=1)
        return TagOutputs((heatmaps,), tags.unsqueeze(2), (images.shape[-2], images.shape[-1]))


@cache
def _system(**options: Any) -> System:
    return build("hae", COCO, backbone="hrnet_tiny", host="plain", **options)


def toy_system(seed: int = 0, **options: Any) -> System:
    system = _system(**options)
    seed_everything(seed)
    return replace(system, model=ToyNetwork(len(COCO)))


@cache
def scenes(count: int = 14, seed: int = 1, size: int = 64) -> SyntheticScenes:
    recipe = SceneConfig(size=size, people=(1, 2), distractors=(0, 0))
    return SyntheticScenes(recipe, count, seed, COCO).cached()


def train_toy(folder: Path, recipe: TrainConfig = RECIPE, **changes: Any) -> TrainResult:
    arguments: dict[str, Any] = {"augment": Augment(COCO, 64), "progress": False, **changes}
    system = arguments.pop("system", None) or toy_system()
    dataset = arguments.pop("dataset") if "dataset" in arguments else scenes()
    return train(system, dataset, recipe, folder, **arguments)


def _hang(folder: Path) -> None:
    (folder / "hanging").touch()
    while True:
        time.sleep(1)


class HangingAugment:
    """Waits for ever before the sample number ``after``."""

    def __init__(self, folder: Path, after: int) -> None:
        self.folder, self.left, self.augment = folder, after, Augment(COCO, 64)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if not self.left:
            _hang(self.folder)
        self.left -= 1
        return self.augment(sample, rng)


def _hang_in_second_save(folder: Path) -> None:
    save, calls = torch.save, []

    def half(state: Any, path: Path) -> None:
        calls.append(path)
        save(state, path)
        if len(calls) == 2:
            Path(path).write_bytes(Path(path).read_bytes()[:1000])
            _hang(folder)

    torch.save = half  # type: ignore[assignment]


def main() -> None:
    """Train twice, until moments to be killed at, in ``FOLDER/saving`` and ``FOLDER/loading``."""
    torch.set_num_threads(1)
    if os.fork():
        _hang_in_second_save(folder := Path(sys.argv[1], "saving"))
        train_toy(folder)
    else:
        folder = Path(sys.argv[1], "loading")
        train_toy(folder, augment=HangingAugment(folder, after=13 * RECIPE.batch_size))


if __name__ == "__main__":
    main()

"""Small systems, scenes and trainings for the tests of the engine."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from poselib.annotations import AnnotationTable
from poselib.data.augmentation import Augment
from poselib.data.collation import collate
from poselib.data.synthetic.dataset import SceneConfig, SyntheticScenes
from poselib.data.transforms import letterbox
from poselib.decoders.associative import AssociativeOptions, decode_associative
from poselib.encoders.heatmap import heatmap_targets
from poselib.engine.evaluate import LabeledImages
from poselib.engine.inference import PredictOptions
from poselib.engine.seed import seed_everything
from poselib.engine.train import TrainResult, train
from poselib.engine.train_config import TrainConfig
from poselib.ops.normalization import MEAN, STD
from poselib.outputs import TagOutputs
from poselib.skeletons import COCO, Skeleton
from poselib.structures import AffineTransform, Sample, Targets
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


def interrupted_at(step: int) -> Any:
    """Return losses that press Ctrl-C within the given step."""
    system = toy_system()
    calls = []

    def losses(outputs: Any, targets: Targets) -> dict[str, torch.Tensor]:
        calls.append(None)
        if len(calls) == step:
            signal.raise_signal(signal.SIGINT)
        return system.losses(outputs, targets)

    return replace(system, losses=losses)


# Two keypoints that do not change places in a mirror, two colors.
MIDDLE = Skeleton("middle", ("top", "bottom"), (0.1, 0.1), (), (("top", "bottom"),))
# Two that do.
SIDES = Skeleton("sides", ("left", "right"), (0.1, 0.1), (("left", "right"),), ())


def pixels(images: Tensor) -> Tensor:
    """Return RGB in [0, 1] from a network's input."""
    return images * torch.tensor(STD).view(1, 3, 1, 1) + torch.tensor(MEAN).view(1, 3, 1, 1)


class BlobNetwork(nn.Module):
    """Red is the heat of the first keypoint, green that of the second, blue the tag."""

    def forward(self, images: Tensor) -> TagOutputs:
        colors = pixels(images)
        fine, coarse = F.avg_pool2d(colors, 2), F.avg_pool2d(colors, 4)
        tags = 20 * coarse[:, 2:].expand(-1, 2, -1, -1).unsqueeze(2)
        size = images.shape[-2], images.shape[-1]
        return TagOutputs((coarse[:, :2], fine[:, :2]), tags, size)


class SidesNetwork(nn.Module):
    """Red spots: what lies right of the picture's middle is "left", as of one who faces us."""

    def forward(self, images: Tensor) -> TagOutputs:
        heat = F.avg_pool2d(pixels(images)[:, 0], 2)
        right = torch.arange(heat.shape[-1]) >= heat.shape[-1] // 2
        heatmaps = torch.stack([heat * right, heat * ~right], dim=1)
        size = images.shape[-2], images.shape[-1]
        return TagOutputs((heatmaps,), torch.zeros_like(heatmaps).unsqueeze(2), size)


def system_around(model: nn.Module, skeleton: Skeleton) -> System:
    options = AssociativeOptions(subpixel="parabola", refine=False)

    def nothing(*_: Any) -> Any:
        raise AssertionError("prediction needs neither targets nor losses")

    return System(
        "oracle",
        skeleton,
        model,
        encode=nothing,
        losses=nothing,
        decode=lambda outputs: decode_associative(outputs, options),
        options={},
    )


def blob_image(
    size: tuple[int, int], people: NDArray[np.float64], sigma: float = 6.0
) -> NDArray[np.uint8]:
    """Draw people (N, 2, 2), px, for ``BlobNetwork``; nearby pixels share a person's blue."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    d2 = (x - people[..., 0, None, None]) ** 2 + (y - people[..., 1, None, None]) ** 2
    heat = np.exp(-d2 / (2 * sigma**2)).max(axis=0)
    owner = d2.min(axis=1).argmin(axis=0)
    blue = (owner + 1) / (len(people) + 1)
    return np.rint(255 * np.stack([*heat, blue])).astype(np.uint8)


def bare_sample(image: NDArray[np.uint8], image_id: int = 0) -> Sample:
    return Sample(
        image=image,
        keypoints=np.zeros((0, 2, 3), np.float32),
        areas=np.zeros(0, np.float32),
        ignore_mask=np.zeros(image.shape[1:], bool),
        image_id=image_id,
        to_original=AffineTransform.identity(),
    )


class Marked:
    """A dataset whose pictures are replaced by marks: red says which, green where left is."""

    def __init__(self, dataset: LabeledImages) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        image = np.zeros_like(sample.image)
        image[0] = index + 1
        image[1, :, : sample.size[1] // 2] = 255
        return replace(sample, image=image)

    def annotations(self) -> AnnotationTable:
        return self.dataset.annotations()


class TruthNetwork(nn.Module):
    """Returns the targets of the marked pictures as outputs, with one tag a person."""

    def __init__(self, samples: Sequence[Sample], options: PredictOptions, skeleton: Skeleton):
        super().__init__()
        self.samples = [letterbox(s, options.size or 512, options.multiple or 64) for s in samples]
        self.skeleton = skeleton

    def forward(self, images: Tensor) -> TagOutputs:
        colors = pixels(images) * 255
        batch = collate([self._truth(colors[b]) for b in range(len(images))])
        targets = heatmap_targets(batch, strides=(4, 2), sigma=2.0)
        tags = torch.stack([_tag_maps(batch.keypoints[b], targets) for b in range(len(images))])
        return TagOutputs(targets.heatmaps, tags.unsqueeze(2), batch.size)

    def _truth(self, colors: Tensor) -> Sample:
        size = colors.shape[-2], colors.shape[-1]
        mirrored = colors[1, 2, 2] < 128
        number = round(float(colors[0, 2, -3 if mirrored else 2])) - 1
        sample = self.samples[number]
        scale = np.array([size[1] / sample.size[1], size[0] / sample.size[0], 1], np.float32)
        keypoints = sample.keypoints * scale
        if mirrored:
            seen = keypoints[..., 2] > 0
            keypoints[..., 0] = np.where(seen, size[1] - keypoints[..., 0], 0)
            keypoints = keypoints[:, self.skeleton.flip_indices]
        blank = np.zeros((3, *size), np.uint8)
        return replace(sample, image=blank, keypoints=keypoints, ignore_mask=np.zeros(size, bool))


def _tag_maps(people: Tensor, targets: Any) -> Tensor:
    """Return (K, h, w): ten times the number of the person whose keypoint is nearest."""
    height, width = targets.heatmaps[0].shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centers = torch.stack([x, y], dim=-1) * 4 + 2.0
    d2 = (people[:, :, None, None, :2] - centers).square().sum(-1)
    d2 = d2.masked_fill(people[..., 2, None, None] == 0, torch.inf)
    return 10.0 * d2.argmin(dim=0).float() if len(people) else torch.zeros(d2.shape[1:])


def truth_system(
    dataset: LabeledImages, options: PredictOptions, skeleton: Skeleton, **changes: Any
) -> System:
    system = build("hae", skeleton, backbone="hrnet_tiny", subpixel="parabola", **changes)
    samples = [dataset[i] for i in range(len(dataset))]
    return replace(system, model=TruthNetwork(samples, options, skeleton))

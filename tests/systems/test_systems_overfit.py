"""The whole way, from reader to COCO's own AP: every host learns a few pictures by heart."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from poselib.data.readers.coco import CocoKeypoints
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.data.transforms import letterbox, warp_sample
from poselib.engine.checkpoints import BUNDLED
from poselib.engine.evaluate import evaluate
from poselib.engine.predict import PredictOptions
from poselib.engine.seed import seed_everything
from poselib.engine.train import train
from poselib.engine.train_config import TrainConfig
from poselib.models.pretrained import load_backbone
from poselib.papers.catalog import PAPERS
from poselib.skeletons import COCO, CROWDPOSE, Skeleton
from poselib.structures import AffineTransform, Sample
from poselib.systems import System, build
from poselib.systems.associative_networks import NetworkName

torch.set_num_threads(1)

pytestmark = pytest.mark.overfit

RECIPE = TrainConfig(
    steps=300,
    batch_size=4,
    learning_rate=4e-3,
    precision="auto",
    average=0.95,
    log_every=0,
    checkpoint_every=0,
)
OPTIONS: dict[str, Any] = {
    "backbone": "hrnet_tiny",
    "deconv_blocks": 1,
    "background": 0.1,
    "push_weight": 1e-2,
    "pull_weight": 3e-3,
    "subpixel": "parabola",
    "detection_threshold": 0.3,
}
SMALL = {name: paper.options["small"] for name, paper in PAPERS.items()}
# Steps to learn COCO's and CrowdPose's photographs by heart.
REGRESSING = {"dekr": (160, 120), "grm": (160, 120), "logocap": (240, 200)}
HOURGLASS = {"stacks": 2, "features": 32, "depth": 3, "increase": 16, "stack_norm": True}
# Short side and canvas, px: networks that regress take longer, and see smaller pictures, except one
# whose places are a pixel apart, too far for faces in these.
LARGE, SMALLER = (192, 320), (144, 256)
SIZES = {"dekr": SMALLER, "grm": SMALLER, "logocap": LARGE}


def shifted(sample: Sample, rng: np.random.Generator) -> Sample:
    """Move the picture by up to two pixels: tags are taught at cells and read between them."""
    x, y = rng.uniform(-2, 2, size=2)
    return warp_sample(
        sample, AffineTransform(np.array([[1.0, 0.0, x], [0.0, 1.0, y]])), sample.size
    )


def learn_photographs(
    system: System, recipe: TrainConfig, samples: Path, folder: Path, size: tuple[int, int] = LARGE
) -> float:
    """Train on the photographs of a skeleton's dataset and return the AP on the same."""
    name = system.skeleton.name
    dataset = CocoKeypoints(samples / name / f"test_{name}.json", samples / name, system.skeleton)
    # One canvas for photographs of all shapes, so that they fit in a batch, and the same one in
    # prediction: a network that has learned four pictures by heart knows nothing else.
    present = partial(letterbox, size=size[0], multiple=size[1])
    trained = train(
        system, dataset, recipe, folder, prepare=present, augment=shifted, progress=False
    )
    options = PredictOptions(size=size[0], multiple=size[1], flip=False)
    return evaluate(trained.system, dataset, options).ap.AP


@pytest.mark.samples
@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda skeleton: skeleton.name)
def test_it_overfits_photographs(samples_dir: Path, tmp_path: Path, skeleton: Skeleton) -> None:
    seed_everything(0)
    system = build("hae", skeleton, **OPTIONS, deconv_channels=32)
    assert learn_photographs(system, RECIPE, samples_dir, tmp_path) >= 0.9


@pytest.mark.samples
@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda skeleton: skeleton.name)
@pytest.mark.parametrize("name", REGRESSING)
def test_regression_overfits_photographs(
    samples_dir: Path, tmp_path: Path, name: str, skeleton: Skeleton
) -> None:
    seed_everything(0)
    system = build(name, skeleton, **SMALL[name])
    # The papers' backbones come from ImageNet, this one knows drawn people.
    load_backbone(system.model, BUNDLED)
    steps = REGRESSING[name][skeleton is CROWDPOSE]
    recipe = replace(RECIPE, steps=steps, learning_rate=8e-3)
    assert learn_photographs(system, recipe, samples_dir, tmp_path, SIZES[name]) >= 0.9


@pytest.mark.parametrize("host", get_args(NetworkName))
def test_it_overfits_drawn_scenes(host: str, tmp_path: Path) -> None:
    scenes = SyntheticScenes(SceneConfig(size=128, people=(1, 3)), 4, 1, COCO).cached()
    recipe = replace(RECIPE, steps=200, learning_rate=8e-3)
    seed_everything(0)
    system_options = {**OPTIONS, **HOURGLASS, "deconv_channels": 16, "resolution": "map"}
    system = build("hae", COCO, host=host, **system_options)
    trained = train(system, scenes, recipe, tmp_path, progress=False)
    options = PredictOptions(size=128, multiple=32, flip=False)
    assert evaluate(trained.system, scenes, options).ap.AP >= 0.9


@pytest.mark.parametrize("name", ["dekr", "logocap"])
def test_regression_overfits_drawn_scenes(tmp_path: Path, name: str) -> None:
    scenes = SyntheticScenes(SceneConfig(size=128, people=(1, 3)), 4, 1, COCO).cached()
    seed_everything(0)
    system = build(name, COCO, **SMALL[name])
    recipe = replace(RECIPE, learning_rate=8e-3)
    trained = train(system, scenes, recipe, tmp_path, progress=False)
    options = PredictOptions(size=128, multiple=32, flip=False)
    assert evaluate(trained.system, scenes, options).ap.AP >= 0.9

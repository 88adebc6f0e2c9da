"""The whole path on real photographs: reader, transforms, training, prediction, COCO's own AP."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from poselib.data.coco import CocoKeypoints
from poselib.data.transforms import letterbox, warp_sample
from poselib.engine.evaluate import evaluate
from poselib.engine.predict import PredictOptions
from poselib.engine.recipe import Recipe
from poselib.engine.seed import seed_everything
from poselib.engine.train import train
from poselib.skeleton import Skeleton
from poselib.skeletons import COCO, CROWDPOSE
from poselib.structures import Sample, Warp
from poselib.systems import build

SHORT_SIDE, CANVAS = 192, 320
RECIPE = Recipe(
    steps=300,
    batch_size=4,
    learning_rate=4e-3,
    precision="bfloat16",
    average=0.95,
    log_every=0,
    checkpoint_every=0,
)
SWITCHES = {
    "backbone": "hrnet_tiny",
    "deconv_blocks": 1,
    "deconv_channels": 32,
    "background": 0.1,
    "push_weight": 1e-2,
    "pull_weight": 3e-3,
    "subpixel": "parabola",
    "detection_threshold": 0.3,
}


def shifted(sample: Sample, rng: np.random.Generator) -> Sample:
    """Move the picture by up to two pixels: tags are taught at cells and read between them."""
    x, y = rng.uniform(-2, 2, size=2)
    return warp_sample(sample, Warp(np.array([[1.0, 0.0, x], [0.0, 1.0, y]])), sample.size)


@pytest.mark.overfit
@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "file", "skeleton"),
    [("coco", "test_coco.json", COCO), ("crowdpose", "test_crowdpose.json", CROWDPOSE)],
    ids=["coco", "crowdpose"],
)
def test_it_overfits_photographs(
    samples_dir: Path, tmp_path: Path, name: str, file: str, skeleton: Skeleton
) -> None:
    torch.set_num_threads(1)
    dataset = CocoKeypoints(samples_dir / name / file, samples_dir / name, skeleton)
    seed_everything(0)
    system = build("hae", skeleton, **SWITCHES)
    # One canvas for photographs of all shapes, so that they fit in a batch, and the same one in
    # prediction: a network that has learnt four pictures by heart knows nothing else.
    present = partial(letterbox, size=SHORT_SIDE, multiple=CANVAS)
    trained = train(
        system, dataset, RECIPE, tmp_path, prepare=present, augment=shifted, progress=False
    )
    options = PredictOptions(size=SHORT_SIDE, multiple=CANVAS, flip=False)
    assert evaluate(trained.system, dataset, options).ap.AP >= 0.9

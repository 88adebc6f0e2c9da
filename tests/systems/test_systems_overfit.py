"""From reader to COCO's own AP: every system and every network overfits a few images."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from poselib.data.keypoint_dataset import KeypointImages
from poselib.data.readers.coco import CocoKeypoints
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.data.transforms import letterbox, warp_sample
from poselib.engine.checkpoints import BUNDLED
from poselib.engine.evaluate import LabeledImages, evaluate
from poselib.engine.inference import PredictOptions
from poselib.engine.seed import seed_everything
from poselib.engine.train import train
from poselib.engine.train_config import TrainConfig
from poselib.models.pretrained import load_backbone
from poselib.papers.catalog import PAPERS
from poselib.skeletons import COCO, CROWDPOSE, Skeleton
from poselib.structures import AffineTransform, Sample
from poselib.systems import System, build, known_options
from poselib.systems.associative_networks import NetworkName

torch.set_num_threads(1)

pytestmark = pytest.mark.overfit

RECIPE = TrainConfig(
    batch_size=4,
    learning_rate=8e-3,
    precision="auto",
    average=0.95,
    log_every=0,
    checkpoint_every=0,
    validate_every=10,
)
HAE: dict[str, Any] = {
    "backbone": "hrnet_tiny",
    "deconv_blocks": 1,
    "deconv_channels": 32,
    "background": 0.1,
    "push_weight": 1e-2,
    "pull_weight": 3e-3,
    "subpixel": "parabola",
    "detection_threshold": 0.3,
}
HOURGLASS = {"stacks": 2, "features": 32, "depth": 3, "increase": 16, "stack_norm": True}
OPTIONS = {**{name: paper.options["small"] for name, paper in PAPERS.items()}, "hae": HAE}
# Skeleton, most steps, short side in px, and what both sides are padded to a multiple of, so that
# images of all shapes fit in a batch. Faces of LOGO-CAP, which compares locations a pixel apart,
# need the largest images.
PHOTOGRAPHS: dict[str, tuple[Skeleton, int, int, int]] = {
    "hae": (COCO, 100, 176, 96),
    "dekr": (CROWDPOSE, 120, 127, 64),
    "grm": (COCO, 120, 96, 32),
    "logocap": (CROWDPOSE, 200, 184, 96),
}


class Overfitted(Exception):  # noqa: N818
    """Ends a training: the images have been learned."""


def shifted(sample: Sample, rng: np.random.Generator) -> Sample:
    """Move the image by up to two pixels: tags are taught at cells and read between them."""
    x, y = rng.uniform(-2, 2, size=2)
    return warp_sample(
        sample, AffineTransform(np.array([[1.0, 0.0, x], [0.0, 1.0, y]])), sample.size
    )


def assert_overfits(
    system: System,
    images: LabeledImages,
    steps: int,
    folder: Path,
    options: PredictOptions,
    **how: Any,
) -> None:
    """Train until the AP on the same images is above 0.9."""

    def measure(trained: System) -> dict[str, float]:
        found = evaluate(trained, images, options).ap.AP
        if found > 0.9:
            raise Overfitted
        return {"AP": found}

    try:
        trained = train(
            system,
            images,
            replace(RECIPE, steps=steps),
            folder,
            validate=measure,
            progress=False,
            **how,
        )
    except Overfitted:
        return
    pytest.fail(f"AP is {trained.history[-1]['AP']:.2f} after all steps")


def synthetic_scenes(skeleton: Skeleton) -> SyntheticScenes:
    return SyntheticScenes(SceneConfig(size=128, people=(1, 3)), 4, 1, skeleton).cached()


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_every_system_overfits_photographs(
    photographs: Path | None, tmp_path: Path, name: str
) -> None:
    """Two photographs where there are any, else synthetic scenes."""
    skeleton, steps, size, multiple = PHOTOGRAPHS[name]
    images: LabeledImages
    if photographs is None:
        if name == "grm":
            pytest.skip("POSELIB_SAMPLES is absent, and synthetic scenes need more steps")
        images, size, multiple = synthetic_scenes(skeleton), 128, 128
    else:
        folder = photographs / skeleton.name
        table = CocoKeypoints(folder / f"test_{skeleton.name}.json", folder, skeleton).table
        images = KeypointImages(table.at(np.arange(2)), folder, skeleton)
    seed_everything(0)
    system = build(name, skeleton, **OPTIONS[name])
    # The papers' backbones come from ImageNet, this one knows synthetic people.
    load_backbone(system.model, BUNDLED)
    # The same canvas in prediction: a network that overfits a few images knows nothing else.
    present = partial(letterbox, size=size, multiple=multiple)
    options = PredictOptions(size=size, multiple=multiple, flip=False)
    assert_overfits(system, images, steps, tmp_path, options, prepare=present, augment=shifted)


# The default one overfits photographs.
OTHER_NETWORKS = sorted({*get_args(NetworkName)} - {known_options("hae")["host"]})


@pytest.mark.parametrize("host", OTHER_NETWORKS)
def test_other_networks_of_tags_overfit_synthetic_scenes(host: str, tmp_path: Path) -> None:
    seed_everything(0)
    small = {**HAE, **HOURGLASS, "deconv_channels": 16, "resolution": "map"}
    system = build("hae", COCO, host=host, **small)
    options = PredictOptions(size=128, multiple=32, flip=False)
    assert_overfits(system, synthetic_scenes(COCO), 200, tmp_path, options)


@pytest.mark.samples
def test_relations_of_keypoints_overfit_photographs(samples_dir: Path, tmp_path: Path) -> None:
    """JRE: people one at a time, in the boxes of the annotations."""
    folder = samples_dir / "coco"
    images = CocoKeypoints(folder / "test_coco.json", folder, COCO)
    seed_everything(0)
    system = build("jre", COCO, backbone="hrnet_tiny", height=96, width=96, sigma=1.0)
    assert_overfits(system, images, 150, tmp_path, PredictOptions(flip=False))

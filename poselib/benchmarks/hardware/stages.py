"""Refinement of poses by the number of people, and the AP of one model under each setup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from poselib.benchmarks.adaptation_stages import time_adaptation
from poselib.benchmarks.hardware.bench import Bench, Row
from poselib.benchmarks.hardware.setups import EAGER, Setup
from poselib.data.synthetic.dataset import SceneConfig, SyntheticScenes
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.inference import PredictOptions
from poselib.skeletons import COCO

_SIDE = 128  # px, of the images that the bundled model was trained on
_BATCH = 8


def time_refinement(bench: Bench, people: Sequence[int]) -> Iterator[Row]:
    """Time the stages of LOGO-CAP's refinement of an image, for several numbers of people."""
    case = bench.case("logocap", 1)
    images = case.inputs()
    for count in people:
        with EAGER.in_use(), torch.no_grad():
            times = time_adaptation(
                case.outputs(count),
                case.system.decode_options,
                lambda: case.system.model(images),
                **bench.turns,
            )
        about = {"task": "adaptation", **case.about, "part": "decoding", "setup": EAGER.name}
        yield about | {
            "people": count,
            "ms": round(times.pop("decoding_ms"), 4),
            "stages": {name: round(value, 4) for name, value in times.items()},
        }


def measure_accuracy(bench: Bench, setup: Setup, images: int) -> Iterator[Row]:
    """Measure the AP of the bundled model on synthetic scenes: it is the one with trained weights.

    Raises:
        ModuleNotFoundError: pycocotools or faster-coco-eval is not installed.
    """
    from poselib.engine.evaluate import evaluate  # needs packages that a GPU machine may lack

    system = load_checkpoint(None).system
    system.model.to(bench.device).eval()
    scenes = SyntheticScenes(SceneConfig(size=_SIDE), images, bench.seed, COCO)
    options = PredictOptions(size=_SIDE, multiple=32, batch_size=_BATCH)
    with setup.in_use():
        found = evaluate(system, scenes, options, speed=setup.speed, explain=False)
    about = {"task": "accuracy", "system": "hae_tiny_synthetic", "batch": _BATCH, "part": "AP"}
    yield about | {"setup": setup.name, "images": images, "AP": found.ap.AP}

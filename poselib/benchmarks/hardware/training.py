"""Training: images a second of optimizer steps on a batch that lies on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from poselib.benchmarks.hardware.bench import CROPPED, Bench, Row
from poselib.benchmarks.hardware.setups import Setup
from poselib.benchmarks.workloads import target_inputs
from poselib.data.augmentation import Augment
from poselib.engine.train_config import TrainConfig
from poselib.engine.trainer import TrainingState
from poselib.skeletons import COCO

# So many steps of a schedule that the learning rate stays as it is.
_RECIPE = TrainConfig(steps=10**6, log_every=0, checkpoint_every=0)


def time_training(bench: Bench, name: str, batch: int, setup: Setup) -> Iterator[Row]:
    """Time steps of training: targets, network, losses, gradients, optimizer and moving average.

    Args:
        batch: images, or clips.
        setup: its precision, order of memory and compilation.
    """
    system = bench.build(name)
    system.model.requires_grad_(True)
    side, people = (bench.crop, 1) if name in CROPPED else (bench.size, bench.people)
    images = target_inputs(
        *(batch * system.frames, people, (side, side)),
        keypoints=len(system.skeleton),
        frames=system.frames,
        seed=bench.seed,
    ).to(bench.device)
    recipe = replace(_RECIPE, batch_size=batch, **_of_setup(setup))
    with setup.in_use(), TemporaryDirectory() as folder:
        state = TrainingState(system, recipe, Path(folder), bench.device)
        row = bench.time(lambda: state.advance(images))
    count = batch * system.frames
    yield {"task": "training", "system": name, "batch": batch, "setup": setup.name} | {
        "part": "step",
        "people": people,
        **row,
        "images_per_second": round(1000 * count / row["ms"], 2),
    }


def time_input(
    bench: Bench, name: str, batch: int, setup: Setup, workers: Sequence[int]
) -> Iterator[Row]:
    """Time the loader of JPEG files alone, steps of training alone, and both, by the clock.

    Args:
        batch: images.
        workers: numbers of processes that prepare images.

    Raises:
        ModuleNotFoundError: a package that reads datasets is not installed.
    """
    from poselib.benchmarks.input_pipeline import Photographs, time_pipeline

    system = bench.build(name)
    system.model.requires_grad_(True)
    recipe = replace(_RECIPE, batch_size=batch, **_of_setup(setup))
    about = {"task": "input", "system": name, "batch": batch, "setup": setup.name}
    with setup.in_use(), TemporaryDirectory() as folder:
        photographs, augment = Photographs(Path(folder)), Augment(COCO, bench.size)
        shared: dict[str, Any] = {"device": bench.device, "batches": bench.repeats, "turns": 1}
        table = time_pipeline(system, photographs, augment, recipe, workers, **shared)
    for line in table.to_dict("records"):
        for part in ("loader", "step", "both"):
            rate = float(line[part])
            yield about | {
                "part": part,
                "workers": int(line["workers"]),
                "people": bench.people,
                "ms": round(1000 * batch / rate, 4),
                "images_per_second": round(rate, 2),
            }


def _of_setup(setup: Setup) -> dict[str, Any]:
    """Return what a training takes of the options of a prediction."""
    names = ("precision", "channels_last", "compile")
    return {name: getattr(setup.speed, name) for name in names}

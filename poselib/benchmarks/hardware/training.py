"""Training: images a second of optimizer steps on a batch that lies on the device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from poselib.benchmarks.hardware.bench import CROPPED, Bench, Row
from poselib.benchmarks.hardware.setups import Setup
from poselib.benchmarks.workloads import target_inputs
from poselib.engine.train_config import TrainConfig
from poselib.engine.trainer import TrainingState

_STEPS = 10**6  # of the schedule: the learning rate stays as it is


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
    recipe = TrainConfig(
        steps=_STEPS,
        batch_size=batch,
        precision=setup.speed.precision,
        channels_last=setup.speed.channels_last,
        compile=setup.speed.compile,
        log_every=0,
        checkpoint_every=0,
    )
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

"""Settings of a training on a dataset of one's own: what follows from the data and the machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from poselib.engine.inference import PredictOptions
from poselib.engine.train_config import TrainConfig
from poselib.ops.processor import suitable_workers
from poselib.papers.catalog import get_paper
from poselib.papers.common_presets import DEMO
from poselib.papers.preset import Options, Preset

TINY = "hrnet_tiny"
_SMALLEST, _LARGEST = 64, 128  # px, of inputs of a small network
_SMALL_MULTIPLE, _LARGE_MULTIPLE = 32, 64  # px
_CPU_SIZE = 256  # px, of inputs of a large one
_EVALUATIONS = 10
_AUGMENT = {
    "rotation": 20.0,
    "scale": (0.75, 1.25),
    "translation": 0.08,
    "brightness": 0.1,
    "contrast": 0.2,
}


@dataclass(frozen=True)
class Wishes:
    """What a user sets; 0, None and empty stand for what is chosen here.

    Attributes:
        size: side of the crops that are trained on, px.
        batch: images a step.
        accumulate: micro-batches a step.
        steps, epochs: length of the training; not both.
        learning_rate: its peak.
        workers: processes that prepare images; None for as many as suit the machine.
        precision, compile: see ``TrainConfig``.
        seed: of all chance.
    """

    size: int = 0
    batch: int = 0
    accumulate: int = 0
    steps: int = 0
    epochs: float = 0.0
    learning_rate: float = 0.0
    workers: int | None = None
    precision: str = ""
    compile: bool = False
    seed: int = 0


def own_preset(
    system: str,
    options: Options,
    *,
    images: int,
    short_side: int,
    device: torch.device,
    trained_size: int | None = None,
    new_heads: bool = False,
    wishes: Wishes = Wishes(),
) -> Preset:
    """Return the settings of a training on images of one's own.

    A small network, which starts from the bundled model, trains for minutes on a CPU. A large one
    is trained for as many passes over the data as its start needs: 30 from weights that predict
    poses, 140 from a backbone.

    Args:
        system: key in ``poselib.systems.SYSTEMS``.
        options: of the system, with its backbone.
        images: to train on.
        short_side: of a usual image, px.
        device: of the training.
        trained_size: of the weights that it starts from, px, if they predict poses.
        new_heads: whether a small network starts from the backbone of another system.
        wishes: what replaces these choices.

    Raises:
        ValueError: both steps and epochs are given, or the size is no multiple of 32 or 64 px.
    """
    small = is_small(options)
    gpu = device.type == "cuda"
    recipe = _small_recipe(new_heads) if small else _large_recipe(gpu, trained_size is not None)
    batch = max(1, min(wishes.batch or recipe.batch_size, images))
    passes = wishes.epochs or (30.0 if trained_size else 140.0)
    counted = round(passes * images / batch)
    usual = counted if wishes.epochs else recipe.steps if small else min(max(counted, 500), 40_000)
    if wishes.steps and wishes.epochs:
        raise ValueError(f"give --steps or --epochs, not both: {wishes.steps}, {wishes.epochs:g}")
    steps = max(1, wishes.steps or usual)
    every = max(1, round(steps / _EVALUATIONS))
    changes: dict[str, Any] = {
        "steps": steps,
        "batch_size": batch,
        "accumulate": wishes.accumulate or recipe.accumulate,
        "learning_rate": wishes.learning_rate or recipe.learning_rate,
        "seed": wishes.seed,
        "workers": suitable_workers(gpu) if wishes.workers is None else wishes.workers,
        "precision": wishes.precision or recipe.precision,
        "compile": wishes.compile,
        "average": min(recipe.average, 1 - 1 / max(2.0, steps / 5)),
        "log_every": max(1, min(20, steps // 20)),
        "validate_every": every,
        "checkpoint_every": every,
    }
    preset = Preset(
        recipe=replace(recipe, **changes),
        input_size=trained_size or 512,
        augment=_AUGMENT,
        multiple=_SMALL_MULTIPLE if small else _LARGE_MULTIPLE,
        predict=PredictOptions(flip=True, batch_size=16 if small else 1 + 7 * gpu),
        options={**options},
        pretrained="" if trained_size else "bundled" if small else "imagenet",
    )
    usual = _small_size(trained_size, short_side) if small else _large_size(preset, gpu)
    return preset.at_size(wishes.size or usual)


def usual_options(system: str, small: bool) -> Options:
    """Return the options of a system with a small network, for a CPU, or a published one."""
    return get_paper(system).options["small" if small else "paper"]


def is_small(options: Options) -> bool:
    """Whether a system has a network that trains within minutes on a CPU."""
    return str(options.get("backbone", "")).startswith(TINY)


def _small_size(trained_size: int | None, short_side: int) -> int:
    near = trained_size or min(_LARGEST, short_side)
    return max(_SMALLEST, round(near / _SMALL_MULTIPLE) * _SMALL_MULTIPLE)


def _large_size(preset: Preset, gpu: bool) -> int:
    size = preset.input_size if gpu else min(preset.input_size, _CPU_SIZE)
    return max(preset.multiple, size // preset.multiple * preset.multiple)


def _small_recipe(new_heads: bool) -> TrainConfig:
    # Smaller images, with which a training from nothing begins, are not those the start is for.
    steps, rate = (1200, 2e-3) if new_heads else (600, 1e-3)
    return replace(
        DEMO.recipe, steps=steps, half_size=0.0, learning_rate=rate, expected_seconds=None
    )


def _large_recipe(gpu: bool, trained: bool) -> TrainConfig:
    return TrainConfig(
        batch_size=16 if gpu else 4,
        optimizer="adam",
        learning_rate=2e-4 if trained else 1e-3,
        weight_decay=0.0,
        precision="auto",
        average=0.999,
    )

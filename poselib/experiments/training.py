"""Train a system by a preset, and export it with its provenance."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from poselib.data.loaders import SampleSource
from poselib.engine.checkpoints import BUNDLED, save_system, stored_keypoints
from poselib.engine.device import get_device as get_device
from poselib.engine.evaluate import LabeledImages, evaluate
from poselib.engine.inference import PredictOptions
from poselib.engine.launch import call_in_processes, check_processes
from poselib.engine.seed import seed_everything
from poselib.engine.train import Report, TrainResult, Validate, train, training_items
from poselib.engine.train_config import TrainConfig
from poselib.experiments.parameters import fits
from poselib.experiments.provenance import provenance
from poselib.experiments.runs import plain
from poselib.models.hrnet import HRNetTrunk
from poselib.models.pretrained import load_backbone
from poselib.models.start_weights import (
    IMAGENET,
    backbones_of,
    has_classifiers,
    load_backbones,
)
from poselib.ops.io import write_json
from poselib.papers.own_data import is_small
from poselib.papers.preset import Preset
from poselib.skeletons import Skeleton
from poselib.systems import OptionValue, System, build, known_options

logger = logging.getLogger(__name__)

HEADLINES = ("AP", "AP50", "AP75", "AR")


def init_system(
    preset: Preset,
    skeleton: Skeleton,
    seed: int,
    name: str = "hae",
    *,
    pretrained: str | None = None,
    **options: OptionValue,
) -> System:
    """Build a system with initial weights that follow from the seed.

    Args:
        preset: gives the size of images, and the options that are not given here.
        name: key in ``poselib.systems.SYSTEMS``.
        pretrained: the backbone's first weights: ``"imagenet"`` or ``"bundled"``, see ``Preset``,
            the name of a classifier, or a file; empty for random weights; None for the preset's,
            for networks whose backbone it has weights for. See
            ``models.pretrained.load_backbone`` and, of networks of one person,
            ``models.start_weights.load_backbones``: those may have several, and are given several
            files with commas between, the last that fits winning.
        options: of the system; None is a value like others, for options that have it.

    Raises:
        FileNotFoundError: the pretrained weights are absent or cannot be downloaded.
        ValueError: the system or an option is unknown, an option has a value of another type, or
            the pretrained weights do not fit.
    """
    known = known_options(name, options.get("head", ""))
    for key, value in options.items():
        if key in known and not fits(value, known[key]):
            wanted = type(known[key]).__name__
            raise ValueError(f"option {key!r} must be a {wanted}, not {value!r}")
    # Another head than the preset's own has no use for some of what the preset says.
    usual = {key: value for key, value in preset.options.items() if key in known}
    seed_everything(seed)
    system = build(name, skeleton, **{**usual, **options})
    if system.crop is None:
        system = replace(system, input_size=preset.input_size, multiple=preset.multiple)
    if pretrained is None and _may_start(system, preset.pretrained):
        pretrained = preset.pretrained
    if pretrained:
        _start_from(system, pretrained, preset.pretrained_stages)
    return system


def train_preset(
    preset: Preset,
    system: System,
    dataset: SampleSource,
    folder: Path,
    *,
    seed: int,
    seconds: float = 0.0,
    steps: int = 0,
    device: torch.device | str = "cpu",
    validate: Validate | None = None,
    progress: bool = True,
    report: Report | None = None,
    processes: int = 1,
) -> TrainResult:
    """Train a system by a preset's recipe, or resume the training that a folder holds.

    Args:
        preset: gives the recipe and the augmentation.
        system: what to train; its model is changed.
        seconds: duration of the training; 0 for the recipe's.
        steps: of the training, however long they take; 0 for the recipe's.
        validate: evaluates the system as often as the recipe says.
        progress, report: see ``engine.train.train``.
        processes: that train together, new ones of this machine: one for each GPU, or on the CPU.
            They receive everything by pickle; ``report`` must be left out.

    Raises:
        ValueError: both steps and seconds are given; and as ``engine.train.train``,
            ``engine.launch.check_processes`` and ``call_in_processes``.
        RuntimeError: one of several processes failed.
    """
    if processes > 1:
        check_processes(processes, torch.device(device))
        again: Any = partial(train_preset, preset, system, dataset, Path(folder).resolve())
        again = partial(again, seed=seed, seconds=seconds, steps=steps, device=device)
        again = partial(again, validate=validate, progress=progress, report=report)
        call_in_processes(processes, again)  # what follows takes up the finished training
    items = training_items(system, dataset)
    recipe = _recipe(preset, len(items), seed, seconds, steps)
    return train(
        system,
        items,
        recipe,
        folder,
        augment=preset.augmentation(system.skeleton, system),
        validate=validate if recipe.validate_every else None,
        device=device,
        progress=progress,
        report=report,
    )


def validator(preset: Preset, dataset: LabeledImages, device: torch.device | str) -> Validate:
    """Return a function that measures AP and AR on a dataset."""

    return partial(_measure, dataset=dataset, options=preset.predict, device=device)


def _measure(
    system: System, dataset: LabeledImages, options: PredictOptions, device: torch.device | str
) -> dict[str, float]:
    # At the beginning of a training a low AP needs no diagnosis.
    figures = evaluate(system, dataset, options, device=device, explain=False).ap.as_dict()
    return {name: figures[name] for name in HEADLINES}


def export_system(
    path: Path, trained: TrainResult, preset: Preset, about: dict[str, Any]
) -> dict[str, Any]:
    """Write a trained system as safetensors with its provenance inside and, as JSON, beside it.

    Args:
        path: ends in ``.safetensors``.
        about: how it was trained and what it achieves.

    Returns:
        The provenance.

    Raises:
        ValueError: the path ends otherwise, or ``about`` is not JSON-compatible.
    """
    story: dict[str, Any] = {
        **plain(about, "about"),  # AP of a size that no annotated person has is NaN
        "options": dict(trained.system.options),
        "train_seconds": round(trained.seconds, 1),
        "steps": trained.steps,
        "precision": trained.precision,
        "batch_size": preset.recipe.batch_size,
        **provenance(),
    }
    save_system(path, trained.system, provenance=story)
    write_json(Path(path).with_suffix(".json"), story)
    return story


def _may_start(system: System, source: str) -> bool:
    """Whether a preset's source of weights has any for the backbone of a system."""
    if source == "bundled" and not is_small(system.options):
        return False
    return isinstance(system.model, HRNetTrunk) or has_classifiers(system.model)


def _start_from(system: System, source: str, stages: int) -> None:
    source = str(BUNDLED) if source == "bundled" else source
    if isinstance(system.model, HRNetTrunk):
        # A light network's layers are some of the full one's.
        full = str(system.options["backbone"]).removesuffix("_light")
        load_backbone(system.model, full if source == IMAGENET else source, stages)
        return
    missing = set(backbones_of(system.model)) or {""}
    for each in source.split(","):
        known = stored_keypoints(Path(each)) if Path(each).is_file() else ()
        missing -= load_backbones(system.model, each, system.skeleton.keypoints, known)
    if missing:
        logger.warning("%s: fits not %s: random weights stay", source, ", ".join(sorted(missing)))


def _recipe(preset: Preset, samples: int, seed: int, seconds: float, steps: int) -> TrainConfig:
    recipe = replace(preset.recipe_for(samples), seed=seed)
    if steps and seconds:
        raise ValueError(f"give steps or seconds of training, not both: {steps} and {seconds}")
    if steps:
        return replace(recipe, steps=steps, seconds=None)
    return replace(recipe, seconds=seconds) if seconds else recipe

"""Trainings of every system that take a second, and what two trainings differ in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from poselib.cli import main as command
from poselib.data.augmentation import Augment
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig
from poselib.data.synthetic.dataset import SceneConfig, SyntheticScenes
from poselib.engine.seed import seed_everything
from poselib.engine.train import CHECKPOINT, train
from poselib.engine.train_config import TrainConfig
from poselib.ops.io import read_lines
from poselib.ops.normalization import normalize
from poselib.skeletons import COCO, POSETRACK18
from poselib.systems import System, build

_TINY = {"backbone": "hrnet_tiny"}
_CROP = {**_TINY, "height": 64, "width": 64, "sigma": 1.0}
_OPTIONS: dict[str, dict[str, Any]] = {
    "hae": _TINY,
    "dekr": {**_TINY, "width": 4},
    "grm": {"backbone": "hrnet_tiny_light"},
    "logocap": {**_TINY, "embedding": 8, "message_width": 16, "global_window": 15},
    "rpstn": {**_CROP, "initializer_backbone": "hrnet_tiny", "channels": 8, "frames": 3},
    "jre": _CROP,
}
_RECIPE = TrainConfig(
    steps=8, batch_size=2, average=0.9, log_every=1, checkpoint_every=2, validate_every=3, seed=3
)


def tiny_system(name: str) -> System:
    """Return a small network of a system, of images or crops of 64 px, always the same."""
    seed_everything(0)
    options = _OPTIONS[name]
    return build(name, POSETRACK18 if "height" in options else COCO, **options)


def train_tiny(folder: Path, name: str, workers: int = 0, steps: int = 8) -> None:
    """Train a small network of a system for some steps, or resume the training of a folder."""
    system = tiny_system(name)
    data: Any
    augment = None
    if system.crop is None:
        scenes = SceneConfig(size=64, people=(1, 2), distractors=(0, 0))
        data, augment = SyntheticScenes(scenes, 5, 3, COCO).cached(), Augment(COCO, 64)
    else:
        clips = ClipConfig(size=96, frames=4, people=(1, 1))
        data = SyntheticClips(clips, 2, 3, POSETRACK18).cached()
    recipe = replace(_RECIPE, workers=workers, steps=steps)
    train(system, data, recipe, folder, augment=augment, validate=_activity, progress=False)


def train_by_command(folder: Path, data: Path) -> None:
    """Train by ``poselib train``, or resume by its ``--resume``."""
    told = ["--out", str(folder)]
    if (folder / CHECKPOINT).is_file():
        told += ["--resume"]
    else:
        told += ["--data", str(data), "--steps", "8", "--batch", "2", "--size", "64"]
    if command(["train", *told, "--device", "cpu"]):
        raise SystemExit(1)


def _activity(system: System) -> dict[str, float]:
    """Return figures that follow from all weights and, as those of some networks, from chance."""
    with torch.no_grad():
        images = torch.randint(256, (2 * system.frames, 3, 64, 64), dtype=torch.uint8)
        poses = system.decode(system.run(normalize(images), system.frames))
    weights = sum(float(p.double().abs().sum()) for p in system.model.parameters())
    return {"people": float(sum(map(len, poses))), "weights": weights}


def first_difference(folder: Path, expected: Path) -> str:
    """Say in what the files of two trainings differ first, times excepted; empty if in nothing."""
    names, files = [sorted(p.name for p in each.iterdir()) for each in (folder, expected)]
    if names != files:
        return f"files {names}, not {files}"
    readers: dict[str, Callable[[Path], Any]] = {
        ".pt": partial(torch.load, weights_only=True),
        ".safetensors": load_file,
        ".jsonl": read_lines,
    }
    for name in names:
        read = readers.get(Path(name).suffix)
        if read and (found := _difference(read(folder / name), read(expected / name), name)):
            return found
    return ""


def _difference(one: Any, other: Any, where: str) -> str:
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and torch.equal(one, other)
        return "" if same else where
    if isinstance(one, Mapping) and one.keys() == other.keys():
        pairs = [(one[k], other[k], f"{where}: {k}") for k in one if k != "seconds"]
    elif isinstance(one, list | tuple) and len(one) == len(other):
        pairs = [(a, b, f"{where}: {n}") for n, (a, b) in enumerate(zip(one, other, strict=True))]
    else:
        return "" if one == other else f"{where}: {one!r:.80}, not {other!r:.80}"
    return next((found for pair in pairs if (found := _difference(*pair))), "")

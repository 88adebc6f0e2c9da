"""What is measured: systems at a size, their inputs, and how one piece of work is timed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poselib.benchmarks.random_systems import random_system, synthetic_outputs
from poselib.engine.timing import Work, measure
from poselib.ops.normalization import normalize
from poselib.skeletons import COCO, PENN_ACTION
from poselib.structures import Size
from poselib.systems import OptionValue, System

Row = dict[str, Any]
# The systems, each with the network that is measured; those of whole images share their size.
NETWORKS: Mapping[str, str] = {
    "hae": "hrnet_w32",  # HigherHRNet-W32
    "grm": "hrnet_w32_light",
    "dekr": "hrnet_w32",
    "logocap": "hrnet_w32",
    "rpstn": "resnet18",
    "jre": "resnet50",
}
CROPPED = ("rpstn", "jre")


@dataclass(frozen=True)
class Bench:
    """Where and at what size everything is measured.

    Attributes:
        device: a GPU or the CPU.
        size, crop: sides of images and of the crops of one person, px.
        people: in the decoded images.
        repeats: calls that are timed at least, after ``warmup`` others.
        seconds: that each timing lasts at least.
        backbone: of all systems; empty for ``NETWORKS``.
        seed: of weights and inputs.
    """

    device: torch.device
    size: int = 512
    crop: int = 256
    people: int = 10
    repeats: int = 5
    warmup: int = 2
    seconds: float = 0.5
    backbone: str = ""
    seed: int = 0
    _cases: dict[Any, Case] = field(default_factory=dict, repr=False)

    def case(self, name: str, batch: int) -> Case:
        """Return a system and its inputs, built when first asked for."""
        if (name, batch) not in self._cases:
            self._cases[name, batch] = Case(self, name, batch, self._system(name))
        return self._cases[name, batch]

    def _system(self, name: str) -> System:
        known = (case.system for (other, _), case in self._cases.items() if other == name)
        return next(known, None) or self.build(name)

    def build(self, name: str) -> System:
        """Return a system with random weights on the device, in evaluation mode."""
        network = self.backbone or NETWORKS[name]
        options: dict[str, OptionValue] = {}
        if name in CROPPED:
            options = {"height": self.crop, "width": self.crop}
        if name == "rpstn" and self.backbone:
            options["initializer_backbone"] = self.backbone
        skeleton = PENN_ACTION if name in CROPPED else COCO
        return random_system((name, network), skeleton, self.seed, self.device, **options)

    def time(self, work: Work) -> Row:
        """Time work: ``ms``, the median, ``p95_ms``, ``first_s``, ``repeats`` and ``memory_mb``.

        ``first_s`` is the first call, which compiles, chooses algorithms and takes memory, and is
        left out of the others. On a GPU also ``gpu_ms``, between two events there, and
        ``memory_mb``, the most that PyTorch held beyond what it held before: not the weights.
        """
        on_gpu, held = self.device.type == "cuda", 0
        if on_gpu:
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            held = torch.cuda.memory_allocated(self.device)
        begin = time.perf_counter()
        work()
        if on_gpu:
            torch.cuda.synchronize(self.device)
        first = time.perf_counter() - begin
        taken = measure(work, **self.turns)
        row: Row = {"ms": taken.median, "p95_ms": float(np.quantile(taken.wall, 0.95))}
        row |= {"cpu_ms": taken.cpu_median, "first_s": first, "repeats": len(taken.wall)}
        if on_gpu:
            most = torch.cuda.max_memory_allocated(self.device)
            row |= {"gpu_ms": float(np.median(taken.gpu)), "memory_mb": (most - held) / 2**20}
        return {name: round(value, 4) for name, value in row.items()}

    @property
    def turns(self) -> dict[str, Any]:
        """How often work is timed, for ``engine.timing``."""
        names = ("repeats", "warmup", "seconds", "device")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Case:
    """A system and a batch of its inputs.

    Attributes:
        bench: where and at what size.
        name: of the system.
        batch: images, or clips.
        system: with random weights.
    """

    bench: Bench
    name: str
    batch: int
    system: System
    _maps: dict[int, Any] = field(default_factory=dict, repr=False)

    @property
    def about(self) -> Row:
        """What rows say of it."""
        return {"system": self.name, "batch": self.batch}

    @property
    def shape(self) -> Size:
        """(H, W) of its images, px."""
        side = self.bench.crop if self.name in CROPPED else self.bench.size
        return side, side

    @cached_property
    def images(self) -> Tensor:
        """Noise (B·T, 3, H, W) uint8 on the host, in page-locked memory where there is a GPU."""
        draw = torch.Generator().manual_seed(self.bench.seed)
        count = self.batch * self.system.frames
        images = torch.randint(256, (count, 3, *self.shape), generator=draw, dtype=torch.uint8)
        return images.pin_memory() if self.bench.device.type == "cuda" else images

    def inputs(self) -> Tensor:
        """Return the images on the device, normalized, clips as (B, T, 3, H, W)."""
        images = normalize(self.images.to(self.bench.device, non_blocking=True))
        return images.unflatten(0, (self.batch, -1)) if self.system.clips else images

    def outputs(self, people: int) -> Any:
        """Return maps of this many people in each image, see ``synthetic_outputs``."""
        if people not in self._maps:
            images = normalize(self.images.to(self.bench.device))
            made = synthetic_outputs(self.system, images, people, self.bench.seed)
            self._maps[people] = made
        return self._maps[people]

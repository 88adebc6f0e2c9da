"""The gradient of a step does not depend on the parts that it is computed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poselib.data.batch_parts import BatchParts
from poselib.data.crops import crop_person
from poselib.data.loaders import make_loader
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig
from poselib.engine.gradient import BatchGradient
from poselib.engine.seed import seed_everything
from poselib.engine.train import training_items
from poselib.ops.normalization import normalize
from poselib.ops.processes import shared_count
from poselib.skeletons import COCO, POSETRACK18
from poselib.structures import Batch
from poselib.systems import System, build
from tests.engine.factories import scenes
from tests.engine.person_factories import TINY

CASES: dict[str, dict[str, Any]] = {
    "hae": {"backbone": "hrnet_tiny", "host": "plain"},
    "dekr": {"backbone": "hrnet_tiny"},
    "logocap": {
        **{"backbone": "hrnet_tiny", "message_width": 8, "embedding": 4, "max_people": 4},
        **{"weighting": "similarity"},
    },
    "rpstn": TINY["rpstn"],
    "jre": {"backbone": "hrnet_tiny", "height": 64, "width": 32, "sigma": 1.0},
}


def small_system(name: str) -> System:
    """Return a system in evaluation mode whose normalizations know the statistics of a batch."""
    seed_everything(0)
    skeleton = POSETRACK18 if name == "rpstn" else COCO
    system = build(name, skeleton, **CASES[name])
    for norm in system.model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0
    (batch,) = batches(system, BatchParts())
    with torch.no_grad():
        system.run(normalize(batch.images), batch.frames)
    system.model.eval()
    return system


def batches(system: System, parts: BatchParts) -> list[Batch]:
    """Return a process's parts of the first batch; only some images' proposals are near people."""
    prepare = None
    if system.crop is not None:
        prepare = partial(crop_person, size=system.crop, rule=system.crop_rule)
    source: Any = scenes(8)
    if system.clips:
        source = SyntheticClips(ClipConfig(size=64, frames=3), 4, 1, system.skeleton)
    items = training_items(system, source)
    loader = make_loader(items, 4, prepare=prepare, drop_last=True, parts=parts)
    first = [batch for batch, _ in zip(loader, range(parts.micro_batches), strict=False)]
    if system.name != "logocap":
        return first
    return [replace(b, areas=b.areas * _enlarged(b.image_ids)[:, None]) for b in first]


def _enlarged(ids: tuple[int, ...]) -> Tensor:
    return torch.tensor([1e6 if number % 2 else 0.01 for number in ids])


def losses(system: System) -> Callable[[Batch], dict[str, Tensor]]:
    def compute(batch: Batch) -> dict[str, Tensor]:
        outputs = system.run(normalize(batch.images), batch.frames)
        return system.losses(outputs, system.encode(batch))

    return compute


def gradient(system: System, parts: list[Batch]) -> dict[str, Tensor]:
    """Return terms and gradients, where batch normalization does not depend on the batch."""
    system.model.zero_grad()
    found = BatchGradient(system.model, losses(system)).backward(parts)
    named = system.model.named_parameters()
    return {**found, **{name: p.grad.clone() for name, p in named if p.grad is not None}}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_micro_batches_give_loss_and_gradient_of_the_whole_batch(name: str) -> None:
    system = small_system(name)
    whole = gradient(system, batches(system, BatchParts()))
    parts = gradient(system, batches(system, BatchParts(micro_batches=4)))
    assert whole.keys() == parts.keys()
    terms = [key for key, value in whole.items() if not value.dim()]
    assert torch.allclose(*(torch.stack([of[k] for k in terms]) for of in (whole, parts)))
    one, two = (torch.cat([value.flatten() for value in of.values()]) for of in (whole, parts))
    assert float((one - two).norm()) < 2e-3 * float(one.norm())
    if name == "logocap":  # poses were assigned, and not in all parts
        assert whole["oks"] > 0 and "joints_mlp.0.weight" in whole


def test_counting_leaves_no_trace_and_is_left_out_where_nothing_counts() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.5))
    passes: list[float] = []

    def terms(batch: Batch) -> dict[str, Tensor]:
        passes.append(float(torch.rand(())))
        total = model(normalize(batch.images)).square().sum()
        return {"a": total / shared_count(5) if counted else total}

    system = small_system("hae")
    parts = batches(system, BatchParts(micro_batches=2))
    for counted in (True, False):
        passes.clear()
        torch.manual_seed(1)
        norm = model[1]
        norm.reset_running_stats()
        gradient = BatchGradient(model, terms)
        for _ in range(2):
            gradient.backward(parts)
        assert norm.num_batches_tracked == 4  # of two steps with two parts
        assert passes[:2] == passes[2:4]  # counting draws the same numbers once more
        assert len(passes) == (8 if counted else 6)


def test_a_loss_that_counts_in_some_batches_only_is_refused() -> None:
    model, steps = nn.Conv2d(3, 1, 1), iter((False, False, False, False, True))

    def terms(batch: Batch) -> dict[str, Tensor]:
        total = model(normalize(batch.images)).sum()
        return {"a": total / shared_count(5) if next(steps) else total}

    gradient = BatchGradient(model, terms)
    parts = batches(small_system("hae"), BatchParts(micro_batches=2))
    gradient.backward(parts)
    with pytest.raises(RuntimeError, match="shared_count"):
        gradient.backward(parts)

"""What of a training's state no whole training shows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poselib.data.collation import collate
from poselib.engine.trainer import CHECKPOINT, TrainingState
from poselib.skeletons import COCO
from poselib.structures import AffineTransform, Batch
from poselib.systems import build
from tests.engine.factories import RECIPE, scenes, toy_system, train_toy

CPU = torch.device("cpu")


def batch() -> Batch:
    dataset = scenes(4)
    return collate([dataset[i] for i in range(4)])


def test_the_average_equals_a_slow_mean_with_a_warm_up(tmp_path: Path) -> None:
    state = TrainingState(toy_system(), replace(RECIPE, average=0.3), tmp_path, CPU)
    assert state.average is not None and not state.average.module.training
    assert not any(p.requires_grad for p in state.average.parameters())
    expected: dict[str, torch.Tensor] = {}
    for step in range(1, 12):
        state.advance(batch())
        decay = min(0.3, (1 + step) / (10 + step)) if expected else 0.0
        for key, value in state.model.state_dict().items():
            expected[key] = decay * expected.get(key, 0) + (1 - decay) * value.double()
    for key, value in state.average.module.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value.double(), expected[key], atol=1e-6), key
        else:  # counters are taken over, not averaged
            assert torch.equal(value, state.model.state_dict()[key])
    assert not torch.equal(state.average.module.head.weight, state.model.head.weight)


def test_a_step_that_float16_leaves_out_changes_neither_weights_nor_average(tmp_path: Path) -> None:
    recipe = replace(RECIPE, precision="float16")
    state = TrainingState(toy_system(), recipe, tmp_path, CPU)
    assert state.average is not None
    head = state.model.head.weight.clone()
    state.scaler.load_state_dict({**state.scaler.state_dict(), "scale": 2.0**20})
    state.advance(batch())
    assert state.step == 1 and state.scaler.left_out == 1
    assert torch.equal(state.model.head.weight, head) and state.average.n_averaged == 0
    assert torch.equal(state.average.module.head.weight, head)
    while state.scaler.left_out:
        state.advance(batch())
    assert not torch.equal(state.model.head.weight, head) and state.average.n_averaged == 1
    assert torch.equal(state.average.module.head.weight, state.model.head.weight)


def test_a_loss_that_is_not_finite_is_left_out_in_float16(tmp_path: Path) -> None:
    system, factors = toy_system(), iter([float("inf"), 1.0])

    def losses(outputs: object, targets: object) -> dict[str, torch.Tensor]:
        factor = next(factors)
        return {k: v * factor for k, v in system.losses(outputs, targets).items()}

    recipe = replace(RECIPE, precision="float16")
    state = TrainingState(replace(system, losses=losses), recipe, tmp_path, CPU)
    state.advance(batch())
    state.save()
    state.advance(batch())
    first, second = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert first.keys() == {"step", "seconds", "lr"} and second["loss"] > 0


def test_a_checkpoint_written_before_an_option_existed_is_resumed(tmp_path: Path) -> None:
    train_toy(tmp_path, replace(RECIPE, steps=3))
    written = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    written["updates"] = 3  # the number of averages, as it was stored then
    del written["recipe"]["half_size"], written["recipe"]["expected_seconds"], written["scaler"]
    torch.save(written, tmp_path / CHECKPOINT)
    state = TrainingState(toy_system(seed=1), replace(RECIPE, steps=3), tmp_path, CPU)
    state.resume()
    assert state.step == 3 and state.average is not None and state.average.n_averaged == 3
    for key, value in state.average.module.state_dict().items():
        assert torch.equal(value, written["average"][key])


@pytest.mark.parametrize(
    ("name", "px", "frames", "count"),
    [("hae", 32, 1, "1 image"), ("jre", 32, 1, "1 image"), ("rpstn", 64, 2, "1 clip")],
)
def test_a_batch_too_small_to_be_normalized_is_named(
    name: str, px: int, frames: int, count: str, tmp_path: Path
) -> None:
    """Where a network's coarsest maps have one cell, torch knows of no image and no batch."""
    options: dict[str, object] = {"backbone": "hrnet_tiny"}
    if name != "hae":
        options.update(height=px, width=px)
    if name == "rpstn":
        options.update(initializer_backbone="hrnet_tiny", channels=4, frames=frames)
    state = TrainingState(build(name, COCO, **options), RECIPE, tmp_path, CPU)
    images = torch.zeros(frames, 3, px, px, dtype=torch.uint8)
    people = torch.zeros(frames, 1, 17, 3)
    masks = torch.zeros(frames, px, px, dtype=torch.bool)
    warps = (AffineTransform.identity(),) * frames
    small = Batch(
        images, people, torch.ones(frames, 1), masks, tuple(range(frames)), warps, frames=frames
    )
    with pytest.raises(ValueError, match=f"a batch of {count} of {px}x{px} px is too small to tr"):
        state.advance(small)
    assert state.step == 0


def test_progress_counts_steps_at_half_size_as_a_third() -> None:
    recipe = replace(RECIPE, steps=8, half_size=0.75)
    state = TrainingState(toy_system(), recipe, Path(), CPU)
    seen = []
    for state.step in (0, 3, 6, 7, 8):
        seen.append(state.progress)
    assert seen == pytest.approx([0, 1 / 4, 2 / 4, 3 / 4, 1])


def test_the_first_images_are_halved(tmp_path: Path) -> None:
    system, sizes = toy_system(), []

    def encode(batch: Batch) -> object:
        sizes.append(batch.size)
        return system.encode(batch)

    watched = replace(system, encode=encode)
    train_toy(tmp_path, replace(RECIPE, steps=8, half_size=0.3), system=watched)
    assert sizes == [(32, 32)] * 3 + [(64, 64)] * 5

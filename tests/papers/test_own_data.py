"""Settings of trainings of one's own: what follows from the data, the start and the machine."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from poselib.papers.own_data import Wishes, own_preset, usual_options
from poselib.papers.preset import Preset

CPU, GPU = torch.device("cpu"), torch.device("cuda")
LARGE = {"backbone": "hrnet_w32"}


def preset(small: bool = True, device: torch.device = CPU, **given: Any) -> Preset:
    options = usual_options("hae", True) if small else LARGE
    known = {"images": 300, "short_side": 480, "device": device}
    return own_preset("hae", options, **{**known, **given})


@pytest.mark.parametrize(("side", "size"), [(40, 64), (100, 96), (128, 128), (1080, 128)])
def test_a_small_network_is_shown_images_about_as_large_as_they_are(side: int, size: int) -> None:
    assert preset(short_side=side).input_size == size
    assert preset(short_side=side, trained_size=192).input_size == 192


def test_a_large_network_keeps_its_size_on_a_gpu_alone() -> None:
    assert preset(False, GPU, trained_size=640).input_size == 640
    assert preset(False, CPU, trained_size=640).input_size == 256
    assert preset(False, GPU).input_size == 512
    assert preset(False, GPU, wishes=Wishes(size=384)).input_size == 384
    with pytest.raises(ValueError, match="multiple of 64"):
        preset(False, GPU, wishes=Wishes(size=100))


def test_length_follows_from_the_images_and_the_start() -> None:
    def steps(**given: Any) -> int:
        return preset(False, GPU, **given).recipe.steps

    assert steps(images=1600) == 14_000  # 140 passes in batches of 16
    assert steps(images=1600, trained_size=512) == 3000
    assert (steps(images=10), steps(images=10**6)) == (500, 40_000)
    assert steps(images=1600, wishes=Wishes(epochs=2)) == 200
    assert steps(wishes=Wishes(steps=7)) == 7
    assert preset(wishes=Wishes(accumulate=4)).recipe.accumulate == 4
    assert preset(new_heads=True).recipe.steps > preset().recipe.steps
    with pytest.raises(ValueError, match="--steps or --epochs"):
        steps(wishes=Wishes(steps=7, epochs=2))


def test_a_training_is_validated_ten_times_and_its_checkpoints_are_those_validated() -> None:
    for steps in (1, 5, 600, 14_000):
        recipe = preset(wishes=Wishes(steps=steps)).recipe
        assert recipe.validate_every == recipe.checkpoint_every
        assert steps // recipe.validate_every <= max(10, steps) and recipe.log_every <= steps
        assert 0 <= recipe.average < 1


def test_precision_and_compilation_are_those_wished_for() -> None:
    assert (preset().recipe.precision, preset().recipe.compile) == ("auto", False)
    recipe = preset(False, GPU, wishes=Wishes(precision="float16", compile=True, workers=3)).recipe
    assert (recipe.precision, recipe.compile, recipe.workers) == ("float16", True, 3)


def test_a_batch_is_no_larger_than_the_dataset() -> None:
    assert preset(images=3).recipe.batch_size == 3
    assert preset(images=3, wishes=Wishes(batch=2)).recipe.batch_size == 2


def test_weights_of_poses_leave_no_backbone_to_load() -> None:
    assert preset(False, GPU).pretrained == "imagenet" and preset().pretrained == "bundled"
    assert preset(False, GPU, trained_size=512).pretrained == ""

"""Checkpoints, and untrained systems in their place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poselib.engine.checkpoints import save_system
from poselib.experiments.loading import load_or_init
from poselib.experiments.training import init_system
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO


def test_a_file_is_loaded_whatever_the_preset(tmp_path: Path) -> None:
    system = init_system(get_preset("smoke", "", "dekr"), COCO, 3, "dekr", separate=False)
    save_system(tmp_path / "trained.safetensors", replace(system, input_size=96))
    found = load_or_init(str(tmp_path / "trained.safetensors"), "small", "crowd", name="dekr")
    assert (found.system.name, found.system.input_size) == ("dekr", 96)
    assert found.system.options["separate"] is False and found.system.skeleton is COCO


def test_without_a_file_smoke_begins_with_untrained_weights() -> None:
    found = load_or_init("", "smoke", "crowd", name="dekr", options="adaptive=false", seed=2)
    expected = init_system(
        get_preset("smoke", "crowd", "dekr"), found.system.skeleton, 2, "dekr", adaptive=False
    )
    assert found.system.skeleton.name == "crowdpose" and found.system.options == expected.options
    for mine, theirs in zip(
        found.system.model.parameters(), expected.model.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_the_command_that_makes_a_missing_file_is_told() -> None:
    with pytest.raises(ValueError) as caught:
        load_or_init("", "small", "crowd", name="dekr", options="width=8", parameter="ours")
    message = str(caught.value)
    assert message.startswith("parameter 'ours' needs")
    command = "notebooks/03_train.ipynb --preset small -p system dekr -p dataset crowd"
    assert f"python -m poselib.experiments.notebooks {command} -p options 'width=8'\n" in message
    with pytest.raises(ValueError, match="-p system dekr -p dataset coco\n"):
        load_or_init("", "paper", "ochuman", "folder", name="dekr")

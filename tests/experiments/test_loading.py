"""Checkpoints, and untrained systems in their place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poselib.engine.checkpoints import BUNDLED, save_system
from poselib.experiments.loading import load_or_bundled, load_or_init
from poselib.experiments.training import init_system
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO
from poselib.systems.published import PUBLISHED
from tests.engine.weights.factories import published_file, random_system, small


def test_a_file_is_loaded_whatever_the_preset(tmp_path: Path) -> None:
    system = init_system(get_preset("smoke", "", "dekr"), COCO, 3, "dekr", separate=False)
    save_system(tmp_path / "trained.safetensors", replace(system, input_size=96))
    found = load_or_init(str(tmp_path / "trained.safetensors"), "small", "crowd", name="dekr")
    assert (found.system.name, found.system.input_size) == ("dekr", 96)
    assert found.system.options["separate"] is False and found.system.skeleton is COCO


def test_names_of_published_weights_are_models_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = replace(small(PUBLISHED["dekr_w32_coco"]), name="tiny", sha256="")
    monkeypatch.setitem(PUBLISHED, "tiny", row)
    monkeypatch.setenv("POSELIB_CACHE", str(tmp_path))
    expected = random_system(row)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / row.file).write_bytes(published_file(row, expected.model))
    weights = load_or_bundled("tiny").system.model.state_dict()
    for name, value in expected.model.state_dict().items():
        assert torch.equal(weights[name], value), name
    bundled = load_or_bundled("").system.model.state_dict()
    for name, value in load_or_bundled(str(BUNDLED)).system.model.state_dict().items():
        assert torch.equal(bundled[name], value), name
    with pytest.raises(ValueError, match="unknown model 'dekr_w32_cocoo'"):
        load_or_bundled("dekr_w32_cocoo")


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

"""Checkpoints of one system trained with several seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poselib.engine.checkpoints import save_system
from poselib.experiments.loading import load_methods, load_seeds
from poselib.experiments.training import init_system
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO, CROWDPOSE

SMOKE = get_preset("smoke", "", "dekr")


def saved(folder: Path, seed: int, size: int = 96, skeleton=COCO, **options) -> str:
    path = folder / f"{seed}.safetensors"
    save_system(
        path, replace(init_system(SMOKE, skeleton, seed, "dekr", **options), input_size=size)
    )
    return str(path)


def test_every_file_is_loaded_in_its_order(tmp_path: Path) -> None:
    files = [saved(tmp_path, seed) for seed in (2, 0)]
    found = load_seeds("  ".join(files), "small", "crowd", name="dekr")
    assert [each.system.input_size for each in found] == [96, 96]
    for seed, each in zip((2, 0), found, strict=True):
        expected = init_system(SMOKE, COCO, seed, "dekr").model.state_dict()
        assert all(torch.equal(w, expected[k]) for k, w in each.system.model.state_dict().items())


def test_without_files_there_is_one_untrained_system_at_smoke_alone() -> None:
    (found,) = load_seeds("", "smoke", "crowd", name="dekr", seed=3)
    assert found.system.skeleton is CROWDPOSE and found.system.input_size == SMOKE.input_size
    with pytest.raises(ValueError, match="parameter 'checkpoints' needs the file"):
        load_seeds(" ", "small", "crowd", name="dekr")


def test_systems_that_differ_are_refused(tmp_path: Path) -> None:
    first = saved(tmp_path, 0)
    others = {
        "options": saved(tmp_path, 1, separate=False),
        "size": saved(tmp_path, 2, size=128),
        "keypoints, options": saved(tmp_path, 3, skeleton=CROWDPOSE, width=4),
    }
    for what, other in others.items():
        with pytest.raises(ValueError, match=f"safetensors are not .* they differ in {what}$"):
            load_seeds(f"{first} {other}", "small", "crowd", name="dekr")
    with pytest.raises(ValueError, match="more than once"):
        load_seeds(f"{first} {first}", "small", "crowd", name="dekr")


def test_options_that_are_wanted_are_those_of_every_system(tmp_path: Path) -> None:
    given = {"name": "dekr", "options": "separate=false", "parameter": "shared"}
    (found,) = load_seeds("", "smoke", "crowd", **given)
    assert found.system.options["separate"] is False
    path = saved(tmp_path, 0)
    with pytest.raises(ValueError, match=f"'shared': {path} has separate=true, not separate=false"):
        load_seeds(path, "small", "crowd", **given)
    assert len(load_seeds(saved(tmp_path, 1, separate=False), "small", "crowd", **given)) == 1


def test_methods_without_files_are_left_out_unless_none_has_any(tmp_path: Path) -> None:
    files = " ".join(saved(tmp_path, seed) for seed in (0, 1))

    def load(first: str, second: str, preset: str = "smoke", needed: tuple[str, ...] = ()):
        given = {"A": ("dekr", first, "", "a"), "B": ("dekr", second, "separate=false", "b")}
        return load_methods(given, preset, "crowd", needed=needed)

    assert {name: len(several) for name, several in load(files, "").items()} == {"A": 2}
    untrained = load("", "")
    assert list(untrained) == ["A", "B"] and not untrained["B"][0].options["separate"]
    assert list(load(files, "", needed=("B",))) == ["A", "B"]
    with pytest.raises(ValueError, match="parameter 'b' needs the file"):
        load(files, "", "small", needed=("B",))

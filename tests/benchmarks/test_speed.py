from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from poselib.benchmarks.speed import (
    growth,
    parse_named_checkpoints,
    speed_accuracy,
    time_stages,
    time_systems,
)
from poselib.engine.checkpoints import BUNDLED
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO

SIZE = (64, 96)
TINY = "hrnet_tiny"


def test_an_image_takes_as_long_as_network_and_decoding() -> None:
    networks = {"ours": ("logocap", TINY), "other": ("hae", TINY)}
    lines = time_systems(networks, COCO, SIZE, 2, [1, 2], repeats=1, warmup=0)
    assert list(zip(lines["row"], lines["setting"], strict=True)) == [
        (row, setting) for setting in ("1 thread", "2 threads") for row in networks
    ]
    torch.testing.assert_close(
        torch.tensor(lines["time_ms"]), torch.tensor(lines["network_ms"] + lines["decoding_ms"])
    )
    torch.testing.assert_close(torch.tensor(lines["fps"]), torch.tensor(1000 / lines["time_ms"]))


def test_stages_are_timed_for_each_number_of_people() -> None:
    lines = time_stages({"W": ("logocap", TINY)}, COCO, SIZE, [1, 3], [1], repeats=1, warmup=0)
    assert lines["people"].tolist() == [1, 3] and set(lines["row"]) == {"W"}
    assert (lines[["network_ms", "local_kems_ms", "global_kams_ms", "decoding_ms"]] > 0).all(
        axis=None
    )
    with pytest.raises(ValueError, match="'D' does not refine poses"):
        time_stages({"D": ("dekr", TINY)}, COCO, SIZE, [1], [1], repeats=1)


def test_growth_is_from_fewest_to_most_people() -> None:
    lines = pd.DataFrame(
        {
            "row": ["a"] * 3 + ["b"],
            "setting": "1 thread",
            "people": [30, 1, 10, 1],
            "network_ms": [100.0, 90.0, 95.0, 10.0],
            "decoding_ms": [50.0, 10.0, 20.0, 1.0],
            "overhead": [0.2, 0.5, 0.3, 0.5],
        }
    )
    first, second = growth(lines).to_dict("records")
    assert first == {
        "row": "a", "setting": "1 thread", "fewest": 1, "most": 30, "decoding": 5.0,
        "image": 1.5, "overhead": 0.2,
    }  # fmt: skip
    assert second["decoding"] == second["image"] == 1.0


def test_systems_are_given_by_name() -> None:
    assert list(parse_named_checkpoints("", "smoke", "synthetic", seed=0)) == [
        "LOGO-CAP",
        "DEKR",
        "AE",
    ]
    assert parse_named_checkpoints(" ", "small", "crowd", seed=0) == {}
    given = parse_named_checkpoints(
        f"AE,_seed_0={BUNDLED} AE={BUNDLED}", "small", "synthetic", seed=0
    )
    assert list(given) == ["AE, seed 0", "AE"] and given["AE"].system.name == "hae"


@pytest.mark.parametrize("text", ["file.pt", "=file.pt", "name="])
def test_pairs_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be name=file"):
        parse_named_checkpoints(text, "small", "crowd", seed=0)


def test_absent_files_and_names_given_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors"):
        parse_named_checkpoints(f"a={tmp_path / 'absent.safetensors'}", "small", "crowd", seed=0)
    with pytest.raises(ValueError, match="each name once"):
        parse_named_checkpoints(f"a={BUNDLED} a={BUNDLED}", "small", "crowd", seed=0)


@pytest.mark.slow
def test_accuracy_and_time_are_of_the_same_systems() -> None:
    preset = get_preset("smoke", "synthetic", "logocap")
    scenes = preset.open_dataset("synthetic", "test")
    given = parse_named_checkpoints("", "smoke", "synthetic", seed=0)
    renamed = {f"{name}, seed 0": system for name, system in given.items()}
    found = speed_accuracy(renamed, scenes, preset.predict, 2, repeats=1, warmup=0)
    assert list(found.index) == list(renamed) and list(found["method"]) == list(given)
    assert (found["ms"] > 0).all() and found["AP"].between(0, 100).all()
    one = {"LOGO-CAP, seed 0": given["LOGO-CAP"]}
    turns = {"repeats": 1, "warmup": 0}
    sized = speed_accuracy(one, scenes, preset.predict, 2, sizes=[64, 128], **turns)
    assert list(sized.index) == ["LOGO-CAP, seed 0, 64 px", "LOGO-CAP, seed 0, 128 px"]
    assert list(sized["method"]) == ["LOGO-CAP"] * 2
    assert sized["AP"].iloc[1] == found.loc["LOGO-CAP, seed 0", "AP"]

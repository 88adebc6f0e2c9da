"""Systems that find the annotated people, wherever they look."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import poselib
from poselib.analysis import compare as comparing
from poselib.data.catalog import KeypointDataset
from poselib.engine.inference import PredictOptions
from poselib.structures import Poses
from poselib.systems import System
from tests.experiments.found_truth import Look, distance, moved, weights_of


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Look]:
    """Let every system find the truth, moved by a distance that tells how it looked for it."""
    seen: list[Look] = []

    def found(
        systems: Sequence[System], dataset: KeypointDataset, options: PredictOptions, **_: Any
    ) -> list[list[Poses]]:
        look = Look(
            options.scales, options.size_for(systems[0]), weights_of(systems[0]), len(dataset)
        )
        seen.append(look)
        several = len(options.scales) > 1
        return [moved(dataset, distance(system, several)) for system in systems]

    monkeypatch.setattr(comparing, "predict_variants", found)
    return seen


@pytest.fixture(scope="session")
def changed_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the package: one changed loss, a new function and a new sentence."""
    source, copied = Path(poselib.__file__).parent, tmp_path_factory.mktemp("changed") / "poselib"
    shutil.copytree(source, copied, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in (
        ("offset", "return weighted_smooth_l1(", "return 2 * weighted_smooth_l1("),
        ("heatmap", "def heatmap_mse(", "def beside() -> int:\n    return 1\n\n\ndef heatmap_mse("),
        ("associative", '"""Associative', '"""A new sentence. Associative'),
    ):
        path = copied / "losses" / f"{name}.py"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
    return copied

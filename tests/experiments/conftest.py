"""Systems that find the annotated people, wherever they look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

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

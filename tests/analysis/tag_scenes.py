"""Outputs of associative networks for three people of four keypoints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from poselib.decoders.associative import AssociativeOptions
from poselib.decoders.grouping import GroupingOptions
from poselib.outputs import TagOutputs

MAP = AssociativeOptions(resolution="map", subpixel="none")
CELLS = (4, 12, 20)  # of three people, by column
ANN, BOB, EVE = range(3)


def outputs_of(tags: np.ndarray, values: np.ndarray, length: int = 1) -> TagOutputs:
    """Outputs with peaks of (N, 4) values and tags: a row of cells for each type; 0 is no peak."""
    heat, maps = torch.zeros(1, 4, 24, 24), torch.zeros(1, 4, length, 24, 24)
    for (n, k), value in np.ndenumerate(values):
        heat[0, k, 5 * k + 3, CELLS[n]] = value
        maps[0, k, :, 5 * k + 2 : 5 * k + 5, CELLS[n] - 2 : CELLS[n] + 3] = float(tags[n, k])
    return TagOutputs((heat,), maps, (96, 96))


def random_outputs(seed: int) -> TagOutputs:
    rng = np.random.default_rng(seed)
    tags = np.array([[0.0], [0.9], [4.0]]) + rng.normal(0, 0.5, (3, 4))
    return outputs_of(tags, rng.uniform(0.2, 1, (3, 4)) * (rng.random((3, 4)) > 0.2), length=2)


def options_of(**changes: object) -> AssociativeOptions:
    return replace(MAP, grouping=GroupingOptions(**changes))  # type: ignore[arg-type]

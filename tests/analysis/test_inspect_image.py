"""Inspection of a network with known peaks and tags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from poselib.analysis.inspect_image import (
    cell_size,
    decode_options,
    inspect_grouping,
    inspect_image,
    number_alike,
)
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.decoders.keypoint_order import keypoint_order
from poselib.engine.inference import PredictOptions
from poselib.engine.predict import predict
from poselib.engine.variants import with_options
from poselib.experiments.training import init_system
from poselib.outputs import TagOutputs
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO
from poselib.systems import System
from tests.plots.factories import step

OPTIONS = PredictOptions(size=128, multiple=32, flip=False)


class Blobs(nn.Module):
    """Two people: each keypoint type has a strong peak with tag 0 and a weak one with tag 5."""

    def forward(self, images: torch.Tensor) -> TagOutputs:
        cells = torch.arange(64.0)
        row = torch.exp(-((cells - (3 * torch.arange(17.0)[:, None] + 5.2)) ** 2) / 4)
        left, right = (torch.exp(-((cells - center) ** 2) / 4) for center in (15.3, 45.3))
        heat = row[:, :, None] * (0.9 * left + 0.3 * right)
        tags = torch.zeros(17, 64, 64)
        tags[:, :, 32:] = 5.0 + torch.arange(17.0)[:, None, None] / 100
        return TagOutputs((heat[None],), tags[None, :, None], (images.shape[-2], images.shape[-1]))


@pytest.fixture(scope="module")
def system() -> System:
    made = init_system(get_preset("smoke"), COCO, 0, detection_threshold=0.1)
    return replace(made, model=Blobs())


@pytest.fixture(scope="module")
def sample():
    return SyntheticScenes(SceneConfig(people=(2, 2)), 1, 0, COCO)[0]


def test_inspection_equals_prediction(system: System, sample) -> None:
    seen = inspect_image(system, sample, OPTIONS)
    assert seen.heatmaps.shape == seen.tags.shape == (17, 64, 64)
    assert len(seen.poses) == 2
    predicted = predict(system, [sample], OPTIONS)[0]
    assert np.allclose(seen.poses.keypoints, predicted.keypoints)
    assert np.array_equal(seen.sample.keypoints, sample.keypoints)


def test_inspected_grouping_equals_the_decoder(system: System, sample) -> None:
    outputs = inspect_image(system, sample, OPTIONS).outputs
    steps = inspect_grouping(system, outputs)
    assert len(steps) == 17 and max(step.people.max() for step in steps) == 1
    fixed = inspect_grouping(system, outputs, "bottom_up")
    assert tuple(step.keypoint for step in fixed) == keypoint_order(COCO, "bottom_up")


def test_min_score_leaves_out_weak_peaks(system: System, sample) -> None:
    outputs = inspect_image(system, sample, OPTIONS).outputs
    assert all(len(step.people) == 1 for step in inspect_grouping(system, outputs, min_score=0.5))
    assert inspect_grouping(system, outputs, min_score=0.95) == ()
    strict = with_options(init_system(get_preset("smoke"), COCO, 0), detection_threshold=0.5)
    assert all(len(step.people) == 1 for step in inspect_grouping(strict, outputs, min_score=0.05))


def test_the_cells_of_the_decoded_maps(system: System, sample) -> None:
    outputs = inspect_image(system, sample, OPTIONS).outputs
    assert cell_size(system, outputs) == (1, 1)
    coarse = replace(init_system(get_preset("smoke"), COCO, 0, resolution="map"), model=Blobs())
    assert cell_size(coarse, outputs) == (2, 2)


def test_a_system_without_tags_is_refused(system: System) -> None:
    with pytest.raises(ValueError, match="does not group keypoints by tags"):
        decode_options(replace(system, decode_options=None))


def test_fixed_orders_are_among_the_decoding_options() -> None:
    made = init_system(get_preset("smoke"), COCO, 0, detection_threshold=0.1)
    fixed = with_options(made, progressive=False, order="top_down")
    assert decode_options(fixed).order == keypoint_order(COCO, "top_down")
    assert decode_options(made).order == "progressive"


def test_people_have_one_number_in_every_order() -> None:
    steps = [
        step(0, [[10, 5], [25, 8]], [0.0, 2.0], [0, 1], [True, True]),
        step(11, [[26, 20], [10, 18]], [2.2, 0.2], [1, 0], [False, False]),
    ]
    other = [
        step(11, [[1, 1]], [9.0], [0], [True]),
        step(0, [[25, 8], [10, 5]], [2.0, 0.0], [1, 2], [True, True]),
    ]
    numbers = number_alike({"first": steps, "other": other, "none": []})
    assert {name: people.tolist() for name, people in numbers.items()} == {
        "first": [0, 1],
        "other": [2, 1, 0],
        "none": [],
    }

"""The detections of LOGO-CAP decoding before adaptation, and their attraction maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from poselib.decoders.local_global import (
    LocalGlobalOptions,
    attraction_maps,
    attraction_maps_of_detections,
    decode_local_global,
    decode_without_adaptation,
    propose_poses,
    read_local_context,
)
from poselib.ops.keypoint_expansion import KeypointExpansion
from poselib.outputs import LocalGlobalOutputs

KEYPOINTS, CELLS = 3, 12
OPTIONS = LocalGlobalOptions(
    KeypointExpansion(torch.ones(KEYPOINTS), 5, 13), center_threshold=0.2, max_people=20
)


def outputs(batch: int = 2, seed: int = 0) -> LocalGlobalOutputs:
    draw = torch.Generator().manual_seed(seed)
    weights = torch.randn(KEYPOINTS, 4 * KEYPOINTS, generator=draw)
    return LocalGlobalOutputs(
        heatmaps=torch.rand(batch, KEYPOINTS, CELLS, CELLS, generator=draw),
        centers=torch.rand(batch, 1, CELLS, CELLS, generator=draw),
        offsets=2 * torch.randn(batch, KEYPOINTS, 2, CELLS, CELLS, generator=draw),
        image_size=(4 * CELLS, 4 * CELLS),
        embedding=torch.randn(batch, 4, CELLS, CELLS, generator=draw),
        attraction_network=lambda context: torch.einsum(
            "kd,ndxy->nkxy", weights, context
        ).sigmoid(),
    )


@pytest.mark.parametrize("frame", ["center", "index"])
def test_same_people_and_scores_with_keypoints_before_adaptation(frame: str) -> None:
    options = replace(OPTIONS, expansion=replace(OPTIONS.expansion, frame=frame))
    regressed = propose_poses(outputs(), options)
    shift = 0.5 if frame == "index" else 0.0
    adapted, unmoved = (
        decode_local_global(outputs(), options),
        decode_without_adaptation(outputs(), options),
    )
    for image, (after, before) in enumerate(zip(adapted, unmoved, strict=True)):
        assert len(before) == len(after) > 3
        np.testing.assert_array_equal(before.scores, after.scores)
        np.testing.assert_array_equal(before.person_scores, after.person_scores)
        known = regressed.points[regressed.images == image].numpy() + shift
        apart = np.abs(before.keypoints[:, None] - known[None]).max(axis=(2, 3))
        assert (apart.min(axis=1) < 1e-4).all()
        moved = np.abs(after.keypoints - before.keypoints)
        assert 0.1 < moved.max() <= 6 + 1e-4  # half a global window


def test_keypoints_that_are_not_moved_are_equal() -> None:
    options = replace(OPTIONS, adapt=False)
    pairs = zip(
        decode_local_global(outputs(), options),
        decode_without_adaptation(outputs(), options),
        strict=True,
    )
    for after, before in pairs:
        np.testing.assert_array_equal(after.keypoints, before.keypoints)


def test_attraction_maps_of_detections_row_by_row() -> None:
    one = outputs(batch=1)
    (before,) = decode_without_adaptation(one, OPTIONS)
    maps = attraction_maps_of_detections(one, OPTIONS)
    assert maps.shape == (len(before), KEYPOINTS, 5, 5)
    people = propose_poses(one, OPTIONS)
    everyone = attraction_maps(one, read_local_context(one, people, OPTIONS.expansion))
    for row, pose in enumerate(before.keypoints):
        place = np.abs(people.points.numpy() - pose).max(axis=(1, 2)).argmin()
        torch.testing.assert_close(maps[row], everyone[place])

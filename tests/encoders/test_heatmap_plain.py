"""Encoded heatmaps against patches that are pasted keypoint by keypoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poselib.benchmarks.references.plain_targets import PlainTargets
from poselib.losses.associative import tags_at_keypoints
from poselib.ops.gaussians import gaussian_heatmaps


def keypoints_of(people: int, seed: int) -> np.ndarray:
    """(people, 17, 3) px of a 128 x 96 image, visibility; some lie outside."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((-10, -10), (106, 138), (people, 17, 2))
    return np.concatenate([points, rng.integers(0, 3, (people, 17, 1))], -1).astype(np.float32)


@pytest.mark.parametrize(("stride", "sigma"), [(4, 2), (2, 2), (4, 1), (1, 3)])
@pytest.mark.parametrize("people", [0, 1, 12])
def test_heatmaps_equal_plain_reference(people: int, stride: int, sigma: int) -> None:
    keypoints = keypoints_of(people, seed=stride)
    size = (128 // stride, 96 // stride)
    fast = gaussian_heatmaps(torch.tensor(keypoints)[None], (128, 96), size, sigma, subpixel=False)
    slow = PlainTargets(size, stride, sigma).heatmaps(keypoints)
    np.testing.assert_allclose(fast[0].numpy(), slow, atol=1e-6)
    assert (slow.max() == 1) == (people > 0)


def test_tag_locations_equal_plain_reference() -> None:
    keypoints, size = keypoints_of(9, seed=3), (32, 24)
    tags = torch.rand(1, 17, 1, *size)
    values, visible = tags_at_keypoints(tags, torch.tensor(keypoints)[None], (128, 96))
    joints = PlainTargets(size, 4, 2, people=9).joints(keypoints)
    np.testing.assert_array_equal(joints[..., 1] > 0, visible[0].numpy())
    read = tags.flatten().numpy()[joints[..., 0]]
    np.testing.assert_array_equal(read[joints[..., 1] > 0], values[0, ..., 0][visible[0]].numpy())

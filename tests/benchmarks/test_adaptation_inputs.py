from __future__ import annotations

import numpy as np
import pytest
import torch

from poselib.benchmarks.adaptation_inputs import adapt_inputs
from poselib.benchmarks.workloads import random_people
from poselib.decoders.local_global import LocalGlobalOptions, decode_local_global, propose_poses
from poselib.ops.keypoint_expansion import KeypointExpansion, expansion_rates
from poselib.skeletons import COCO

OPTIONS = LocalGlobalOptions(KeypointExpansion(expansion_rates(COCO.sigmas), global_window=33))


@pytest.mark.parametrize(("people", "images"), [(0, 1), (1, 2), (4, 2), (30, 1)])
def test_each_person_is_proposed_once(people: int, images: int) -> None:
    outputs = adapt_inputs(people, (256, 320), images=images)
    found = propose_poses(outputs, OPTIONS)
    assert found.images.bincount(minlength=images).tolist() == [people] * images
    assert [len(poses) for poses in decode_local_global(outputs, OPTIONS)] == [people] * images


def test_regressed_keypoints_are_off_by_as_much_as_asked_for() -> None:
    truth = random_people(np.random.default_rng(3), 1, 5, 17, (256, 320), missing=0.0)[0, ..., :2]
    for error in (0.0, 4.0):
        points = propose_poses(
            adapt_inputs(5, (256, 320), error=error, seed=3), OPTIONS
        ).points.numpy()
        apart = np.abs(points[:, None] - truth).max(axis=(2, 3)).min(axis=1)
        assert (apart <= error + 1e-3).all() and (apart >= 0.8 * error).all()


def test_shapes_are_those_of_a_network() -> None:
    outputs = adapt_inputs(2, (64, 96), keypoints=14, images=3, embedding=8, stride=2)
    assert outputs.image_size == (64, 96)
    assert outputs.heatmaps.shape == (3, 14, 32, 48) and outputs.centers.shape == (3, 1, 32, 48)
    assert outputs.offsets.shape == (3, 14, 2, 32, 48)
    assert outputs.embedding.shape == (3, 8, 32, 48)
    assert outputs.attraction_network(torch.zeros(2, 14 * 8, 11, 11)).shape == (2, 14, 11, 11)


def test_what_is_made_depends_on_the_seed_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, same, other = (adapt_inputs(2, (64, 96), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    context = torch.randn(1, 17 * 64, 11, 11)
    for name in ("heatmaps", "centers", "offsets", "embedding"):
        assert torch.equal(getattr(one, name), getattr(same, name))
        assert not torch.equal(getattr(one, name), getattr(other, name))
    assert torch.equal(one.attraction_network(context), same.attraction_network(context))
    assert not torch.equal(one.attraction_network(context), other.attraction_network(context))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"multiples of 4 px, not \(62, 96\)"):
        adapt_inputs(1, (62, 96))
    with pytest.raises(ValueError, match="9 centers do not fit"):
        adapt_inputs(9, (64, 96))

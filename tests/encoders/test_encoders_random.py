"""Targets of people that hypothesis draws: finite, symmetric, whatever the order of the people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from poselib.encoders.heatmap import heatmap_targets
from poselib.encoders.regression import regression_targets
from poselib.skeletons import Skeleton
from poselib.structures import Batch, RegressionTargets, Targets
from tests.strategies import batch_of, generators, people_apart, quick, skeletons, wild

Encoder = Callable[[Batch], Targets]
ENCODERS: dict[str, Encoder] = {"heatmap": heatmap_targets, "regression": regression_targets}
encoders = pytest.mark.parametrize("encode", ENCODERS.values(), ids=list(ENCODERS))


@encoders
@quick
@given(generators, st.integers(0, 3), st.integers(0, 4), st.sampled_from([16, 48]))
def test_targets_of_any_keypoints_are_finite(
    encode: Encoder, rng: np.random.Generator, images: int, people: int, side: int
) -> None:
    batch = batch_of(torch.zeros(images, people, 3, 2), (side, 64))
    keypoints, areas = wild(rng, images, people, 3, 3), wild(rng, images, people)
    targets = encode(replace(batch, keypoints=keypoints, areas=areas))
    for maps in (*targets.heatmaps, *targets.masks):
        assert maps.isfinite().all()
        assert maps.numel() == 0 or (maps.min() >= 0 and maps.max() <= 1)
    if isinstance(targets, RegressionTargets):
        assert targets.center_assignment.numel() == 0 or targets.center_assignment.max() < people


def maps_of(targets: Targets) -> list[torch.Tensor]:
    """Maps, and the centers that cells belong to."""
    found = [*targets.heatmaps, *targets.masks]
    if isinstance(targets, RegressionTargets):
        assigned = targets.center_assignment
        centers = targets.centers[0, assigned[0].clamp(min=0), :2].permute(2, 0, 1)
        found.append(torch.where(assigned >= 0, centers, -1.0)[None])
    return found


@encoders
@quick
@given(skeletons(), st.data(), generators)
def test_the_order_of_people_and_mirroring_change_nothing(
    encode: Encoder, skeleton: Skeleton, data: st.DataObject, rng: np.random.Generator
) -> None:
    points, size = data.draw(people_apart(len(skeleton)))
    # Off the borders of cells, and no center at equal distances from two cells or people.
    points = points.floor() + torch.from_numpy(rng.uniform(0.1, 0.9, points.shape)).float()
    there = encode(batch_of(points, size))
    order = torch.from_numpy(rng.permutation(points.shape[1]))
    for one, other in zip(
        maps_of(there), maps_of(encode(batch_of(points[:, order], size))), strict=True
    ):
        torch.testing.assert_close(one, other)
    mirror = points[:, :, skeleton.flip_indices] * torch.tensor([-1.0, 1.0])
    mirror = mirror + torch.tensor([float(size[1]), 0.0])
    kinds = [*skeleton.flip_indices, *range(len(skeleton), there.heatmaps[0].shape[1])]
    for one, other in zip(there.heatmaps, encode(batch_of(mirror, size)).heatmaps, strict=True):
        torch.testing.assert_close(one.flip(-1)[:, kinds], other, atol=1e-4, rtol=1e-4)

"""What systems encode they decode again: people, skeletons and sizes that hypothesis draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poselib.outputs import LocalGlobalOutputs, RegressionOutputs, TagOutputs
from poselib.skeletons import Skeleton
from poselib.structures import Poses, RegressionTargets, Targets
from poselib.systems import build
from tests.ops.factories import offset_maps
from tests.strategies import batch_of, generators, people_apart, quick, skeletons

TAGS: dict[str, dict[str, Any]] = {
    "hae": {"backbone": "hrnet_tiny", "mining": "iqr"},
    "grm": {"backbone": "hrnet_tiny_light", "head": "associative", "relation": False},
}
OFFSETS: dict[str, dict[str, Any]] = {
    "dekr": {"backbone": "hrnet_tiny", "width": 1, "shared_width": 4, "blocks": 1},
    "grm": {"backbone": "hrnet_tiny_light", "width": 1, "shared_width": 4, "blocks": 1},
}
few = settings(quick, max_examples=15)  # each builds a network


def outputs_with_tags(targets: Targets, rng: np.random.Generator) -> TagOutputs:
    """Return the targets as outputs; each cell has the tag of the keypoint nearest to it."""
    height, width = targets.heatmaps[0].shape[-2:]
    step = torch.tensor([targets.image_size[1] / width, targets.image_size[0] / height])
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    cells = torch.stack([x, y], dim=-1) * step
    points = targets.keypoints[..., None, None, :2]  # (B, N, K, 1, 1, 2)
    nearest = (cells - points).norm(dim=-1).argmin(dim=1)
    tags = 3 * torch.from_numpy(rng.permutation(points.shape[1])).float()
    return TagOutputs(targets.heatmaps, tags[nearest][:, :, None], targets.image_size)


def assert_found(poses: Poses, people: torch.Tensor, most: float) -> None:
    """Check that each of the people (N, K, 2) is found once, within ``most`` px."""
    apart = np.linalg.norm(poses.keypoints[:, None] - people.numpy(), axis=-1).max(axis=-1)
    assert len(poses) == len(people)
    assert sorted(apart.argmin(axis=0)) == list(range(len(people)))
    assert apart.min(axis=0).max() < most
    assert poses.found.all()


@pytest.mark.slow
@pytest.mark.parametrize("name", TAGS)
@few
@given(skeletons(), st.data(), generators)
def test_people_with_tags_are_recovered(
    name: str, skeleton: Skeleton, data: st.DataObject, rng: np.random.Generator
) -> None:
    """Also people that reach through each other."""
    changed = data.draw(
        st.fixed_dictionaries(
            {
                "progressive": st.booleans(),
                "resolution": st.sampled_from(["image", "map"]),
                "subpixel": st.sampled_from(["quarter", "parabola"]),
            }
        )
    )
    whole = {"hierarchical": False, "focal": False, "sigma": 1.0}
    system = build(name, skeleton, **{**TAGS[name], **whole, **changed})
    points, size = data.draw(people_apart(len(skeleton)))
    (poses,) = system.decode(outputs_with_tags(system.encode(batch_of(points, size)), rng))
    assert_found(poses, points[0], most=2.9)  # half the diagonal of a cell of 4 px


def outputs_with_offsets(targets: RegressionTargets) -> RegressionOutputs:
    maps, (offsets, _) = targets.heatmaps[0], offset_maps(targets)
    return RegressionOutputs(maps[:, :-1], maps[:, -1:], offsets, targets.image_size)


@pytest.mark.parametrize("name", OFFSETS)
@few
@given(skeletons(), st.data(), st.booleans())
def test_people_with_offsets_are_recovered(
    name: str, skeleton: Skeleton, data: st.DataObject, match: bool
) -> None:
    system = build(name, skeleton, **OFFSETS[name], match=match)
    points, size = data.draw(people_apart(len(skeleton), side=48, together=True))
    targets = system.encode(batch_of(points, size))
    assert isinstance(targets, RegressionTargets)
    (poses,) = system.decode(outputs_with_offsets(targets))
    assert_found(poses, points[0], most=0.1 if match else 1e-3)


@few
@given(skeletons(), st.data(), generators)
def test_poses_off_by_three_px_are_refined(
    skeleton: Skeleton, data: st.DataObject, rng: np.random.Generator
) -> None:
    options: dict[str, Any] = {"backbone": "hrnet_tiny_light", "offset_width": 4, "embedding": 2}
    options |= {"message_width": 4, "local_window": 3, "global_window": 19, "top_weight": 1.0}
    system = build("logocap", skeleton, **options, prior="expansion", reweigh=False)
    points, size = data.draw(people_apart(len(skeleton), side=48, together=True))
    targets = system.encode(batch_of(points, size))
    assert isinstance(targets, RegressionTargets)
    right = outputs_with_offsets(targets)
    errors = torch.from_numpy(rng.uniform(-3, 3, right.offsets.shape[1:3])).float()
    outputs = LocalGlobalOutputs(
        right.heatmaps,
        right.centers,
        right.offsets + errors[:, :, None, None] / 4,
        size,
        embedding=torch.zeros(1, 2, *right.heatmaps.shape[-2:]),
        attraction_network=lambda context: context,
    )
    (poses,) = system.decode(outputs)
    assert_found(poses, points[0], most=2.9)  # bilinear maps are highest at the centers of cells

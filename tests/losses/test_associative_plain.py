"""Associative losses and gradients of tag maps against the plain reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from poselib.benchmarks.references.plain_losses import associative_losses_plainly
from poselib.losses.associative import (
    hierarchical_pull,
    masked_mean,
    push_loss,
    tags_at_keypoints,
)
from poselib.losses.associative_options import PullOptions, PushOptions
from poselib.skeletons import COCO

SIZE = (32, 24)


def inputs(seed: int, people: int, length: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tags = torch.randn(3, 17, length, 8, 6, generator=generator, dtype=torch.float64) ** 3
    keypoints = torch.rand(3, people, 17, 3, generator=generator, dtype=torch.float64)
    keypoints[..., :2] *= torch.tensor([SIZE[1], SIZE[0]])
    keypoints[..., 2] = (keypoints[..., 2] > 0.25).double()
    keypoints[0, 1:, :, 2] = 0  # one person in the first image
    keypoints[1, :, :, 2] = 0  # no people in the second image
    return tags, keypoints


@pytest.mark.parametrize("alpha", [1.0, 2.0])
@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("people", [1, 5])
def test_losses_and_gradients_equal_plain_reference(people: int, length: int, alpha: float) -> None:
    tags, keypoints = inputs(people, people, length)
    groups = torch.as_tensor(COCO.group_indices("anatomy"))
    tags.requires_grad_()

    values, visible = tags_at_keypoints(tags, keypoints, SIZE)
    low, high = hierarchical_pull(values, visible, groups, PullOptions(alpha, per_keypoint=True))
    push = push_loss(masked_mean(values, visible, dim=2), visible.any(dim=-1), PushOptions())
    fast = (push, low, high)
    (fast_gradient,) = torch.autograd.grad(sum(t.sum() for t in fast), tags)

    column, row = (keypoints[..., :2] / 4).long().unbind(dim=-1)
    places = (torch.arange(17) * 8 + row) * 6 + column
    joints = torch.stack([places, keypoints[..., 2].long()], dim=-1)
    flat = tags.permute(0, 1, 3, 4, 2).flatten(1, 3)
    lists = [(groups == g).nonzero().flatten().tolist() for g in groups.unique()]
    slow = associative_losses_plainly(flat, joints, lists, alpha)
    (slow_gradient,) = torch.autograd.grad(sum(t.sum() for t in slow), tags)

    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(fast_gradient, slow_gradient)
    assert fast[1][2] > 0 and fast[0][1] == 0

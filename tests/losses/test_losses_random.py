"""Losses of outputs and people that hypothesis draws: finite, and blind to the people's order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from poselib.encoders.regression import regression_targets
from poselib.losses.associative import (
    hierarchical_pull,
    masked_mean,
    push_loss,
    tags_at_keypoints,
)
from poselib.losses.associative_options import PullOptions, PushOptions
from poselib.losses.heatmap import heatmap_mse
from poselib.losses.local_global import AdaptationLossOptions, adaptation_losses
from poselib.losses.offset import offset_loss
from poselib.ops.keypoint_expansion import KeypointExpansion
from poselib.ops.map_coordinates import FRAMES
from poselib.outputs import LocalGlobalOutputs
from poselib.structures import Batch
from tests.strategies import batch_of, generators, people_apart, quick, wild

KINDS = 5
GROUPS = torch.tensor([0, 1, 1, 0, 2])
flags = st.booleans()


@st.composite
def loss_options(draw: st.DrawFn) -> tuple[PullOptions, PushOptions, AdaptationLossOptions]:
    pull = PullOptions(
        alpha=draw(st.sampled_from([0.0, 1.0, 2.0])),
        outlier_scope=draw(st.sampled_from(["person", "group"])),
        missing_keypoints=draw(st.sampled_from(["skip", "rescale"])),
        per_keypoint=draw(flags),
        focal_levels=draw(st.sampled_from(["both", "low"])),
        mining=draw(st.sampled_from(["iqr", "ohkm"])),
        hardest=draw(st.integers(1, KINDS - 1)),
        ohkm_rest=draw(st.sampled_from(["drop", "keep"])),
    )
    adaptation = AdaptationLossOptions(
        KeypointExpansion(torch.ones(KINDS), 3, 9, frame=draw(st.sampled_from(FRAMES))),
        torch.full((KINDS,), 0.1),
        assignment=draw(st.sampled_from(["mean", "max"])),
        weighting=draw(st.sampled_from(["similarity", "improvement"])),
        min_oks=draw(st.sampled_from([0.0, 0.5])),
        refined_sigma=draw(st.sampled_from([None, 4.0])),
    )
    return pull, PushOptions(draw(st.sampled_from(["gaussian", "hinge"]))), adaptation


def outputs_of(batch: Batch, rng: np.random.Generator, ordinary: bool) -> LocalGlobalOutputs:
    """Outputs at a stride of 4 that ask for a gradient."""
    count, size = len(batch.images), (batch.size[0] // 4, batch.size[1] // 4)

    def values(*shape: int) -> torch.Tensor:
        made = torch.from_numpy(rng.normal(size=shape)).float()
        return (made if ordinary else wild(rng, *shape)).requires_grad_()

    return LocalGlobalOutputs(
        values(count, KINDS, *size),
        values(count, 1, *size),
        values(count, KINDS, 2, *size),
        batch.size,
        embedding=values(count, 1, *size),
        attraction_network=lambda context: context.sigmoid(),
    )


def losses_of(
    batch: Batch,
    outputs: LocalGlobalOutputs,
    tags: torch.Tensor,
    options: tuple[PullOptions, PushOptions, AdaptationLossOptions],
) -> dict[str, torch.Tensor]:
    pull, push, adaptation = options
    targets = regression_targets(batch, radius=2.0)
    values, visible = tags_at_keypoints(tags, batch.keypoints, batch.size)
    low, high = hierarchical_pull(values, visible, GROUPS, pull)
    maps = torch.cat([outputs.heatmaps, outputs.centers], dim=1)
    attraction, refined = adaptation_losses(outputs, targets, adaptation)
    return {
        "low": low.sum(),
        "high": high.sum(),
        "push": push_loss(masked_mean(values, visible, 2), visible.any(-1), push).sum(),
        "heatmap": heatmap_mse(maps, targets.heatmaps[0], targets.masks[0], 0.1).sum(),
        "offset": offset_loss(outputs.offsets, targets),
        "attraction": attraction,
        "refined": refined,
    }


@quick
@given(generators, st.integers(1, 3), st.integers(0, 4), loss_options(), flags)
def test_losses_of_any_people_are_finite_and_of_any_outputs_are_returned(
    rng: np.random.Generator, images: int, people: int, options: tuple, ordinary: bool
) -> None:
    batch = batch_of(torch.zeros(images, people, KINDS, 2), (32, 48))
    points = wild(rng, images, people, KINDS, 3, finite=True)
    points[..., :2] = torch.where(points[..., :2].abs() < 9, points[..., :2] * 12, points[..., :2])
    areas = wild(rng, images, people, finite=True).abs()
    batch = replace(batch, keypoints=points, areas=areas)
    outputs = outputs_of(batch, rng, ordinary)
    tags = torch.from_numpy(rng.normal(size=(images, KINDS, 2, 8, 12))).float().requires_grad_()
    losses = losses_of(batch, outputs, tags, options)
    torch.stack(list(losses.values())).sum().backward()
    if ordinary:
        assert all(loss.isfinite() for loss in losses.values()), losses
        for each in (outputs.heatmaps, outputs.offsets, outputs.embedding, tags):
            assert each.grad is None or each.grad.isfinite().all()


@quick
@given(people_apart(KINDS), generators, loss_options())
def test_losses_do_not_depend_on_the_order_of_people(
    drawn: tuple, rng: np.random.Generator, options: tuple
) -> None:
    points, size = drawn
    batch = batch_of(points, size)
    # Of people who are all far from a pose, the first is as near as any.
    options = (*options[:2], replace(options[2], min_oks=0.5))
    seen = torch.from_numpy(rng.integers(0, 3, points.shape[:3])).float()
    areas = torch.from_numpy(rng.uniform(10, 2000, points.shape[:2])).float()
    batch = replace(batch, keypoints=torch.cat([points, seen[..., None]], dim=-1), areas=areas)
    order = torch.from_numpy(rng.permutation(points.shape[1]))
    other = replace(batch, keypoints=batch.keypoints[:, order], areas=areas[:, order])
    outputs = outputs_of(batch, rng, ordinary=True)
    tags = torch.from_numpy(rng.normal(size=(1, KINDS, 2, size[0] // 4, size[1] // 4))).float()
    one, two = (losses_of(each, outputs, tags, options) for each in (batch, other))
    for name in one:
        torch.testing.assert_close(
            one[name], two[name], msg=lambda text, name=name: f"{name}: {text}"
        )

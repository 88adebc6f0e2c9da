"""Adaptation losses: assignment and weights by hand, and gradients."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.losses.local_global import (
    AdaptationLossOptions,
    Assignment,
    adaptation_losses,
    assign_targets,
    keypoint_weights,
    match_ground_truth,
    refined_targets,
    weighted_mse,
)
from poselib.ops.center_poses import CenterPoses
from poselib.ops.keypoint_expansion import KeypointExpansion, local_expansion_maps
from poselib.ops.map_coordinates import FRAMES, Frame, half_pixel
from poselib.outputs import LocalGlobalOutputs
from poselib.skeletons import COCO
from poselib.structures import Targets
from tests.decoders.factories import RATES, attracting_outputs, scattered
from tests.losses.factories import SIZE, labeled, losses_of, poses_of, targets_of

torch.set_num_threads(1)

# By hand


def pair() -> tuple[Targets, CenterPoses]:
    """A pose of two keypoints between two people, of which the second has one labeled."""
    keypoints = torch.tensor([[[[10.0, 10, 2], [30, 10, 1]], [[40.0, 10, 2], [0, 0, 0]]]])
    targets = targets_of(keypoints, torch.tensor([[100.0, 400.0]]))
    return targets, poses_of([0], torch.tensor([[[12.0, 10.0], [30.0, 13.0]]]))


def two(**options: object) -> AdaptationLossOptions:
    sigmas = torch.tensor([0.1, 0.2])
    return AdaptationLossOptions(KeypointExpansion(torch.ones(2), 1, 5), sigmas, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("assignment", "floor"), [("mean", 0.0), ("mean", 0.5), ("max", 0.5)])
def test_match_ground_truth_by_hand(assignment: str, floor: float) -> None:
    """exp(-d² / (2 (2σ)² A)), in the mean over labeled keypoints."""
    targets, people = pair()
    found, pose_oks = match_ground_truth(
        people, targets, two(assignment=assignment, min_similarity=floor)
    )
    first = math.exp(-4 / (2 * 0.2**2 * 100))
    second = math.exp(-9 / (2 * 0.4**2 * 100))
    assert found.tolist() == [0]
    floor = floor if assignment == "mean" else 0.0
    assert float(pose_oks) == pytest.approx((max(first, floor) + max(second, floor)) / 2, rel=1e-5)


def test_min_similarity_in_the_mean() -> None:
    targets, people = pair()
    far = replace(people, points=people.points + torch.tensor([[0.0], [1e3]]))
    first = math.exp(-4 / (2 * 0.2**2 * 100))
    for assignment, least in (("mean", 0.3), ("max", 0.0)):
        found, pose_oks = match_ground_truth(
            far, targets, two(assignment=assignment, min_similarity=0.3)
        )
        assert found.tolist() == [0]
        assert float(pose_oks) == pytest.approx((first + least) / 2, rel=1e-5)


def test_assignment_rules_differ() -> None:
    """One person is at a place at the border exactly, the other near the middle of all."""
    keypoints = torch.tensor([[[[120.0, 100, 1]], [[100.0, 103, 1]]]])
    people = poses_of([0], torch.full((1, 1, 2), 100.0))
    targets = targets_of(keypoints, torch.tensor([[1250.0, 1250.0]]))
    chosen = {}
    for assignment in ("mean", "max"):
        options = AdaptationLossOptions(
            KeypointExpansion(torch.ones(1), 5, step=10.0),
            torch.tensor([0.1]),
            assignment,
            min_similarity=0.0,  # type: ignore[arg-type]
        )
        chosen[assignment] = match_ground_truth(people, targets, options)
    assert chosen["mean"][0].tolist() == [1] and chosen["max"][0].tolist() == [0]
    assert float(chosen["max"][1]) == 1
    steps = (-20, -10, 0, 10, 20)
    each = [math.exp(-(x**2 + (y - 3) ** 2) / 100) for x in steps for y in steps]
    assert float(chosen["mean"][1]) == pytest.approx(sum(each) / 25, rel=1e-5)


@pytest.mark.parametrize("assignment", ["mean", "max"])
def test_match_ground_truth_equals_loops_over_cells(assignment: str) -> None:
    rng = torch.Generator().manual_seed(0)
    points = 100 * torch.rand(6, 17, 2, generator=rng)
    truth = torch.cat([points[None, :4], torch.ones(1, 4, 17, 1)], dim=-1)
    truth[..., :2] += 12 * torch.randn(truth[..., :2].shape, generator=rng)
    truth[..., 2] *= torch.rand(1, 4, 17, generator=rng) > 0.3
    areas = torch.tensor([[900.0, 2000.0, 4000.0, 1500.0]])
    options = losses_of(assignment=assignment)
    people = poses_of([0] * 6, points)
    places = local_expansion_maps(people, options.expansion)
    found = match_ground_truth(people, targets_of(truth, areas), options)
    away = (places[:, None] - truth[0, :, None, None, :, :2]).square().sum(dim=-1)
    spread = 2 * (2 * torch.tensor(COCO.sigmas)) ** 2 * areas[0, :, None, None, None]
    near, labeled = torch.exp(-away / spread).flatten(2, 3), truth[0, ..., 2] > 0  # (6, 4, 25, 17)
    each = near.clamp(min=0.5).mean(dim=2) if assignment == "mean" else near.amax(dim=2)
    total = (each * labeled).sum(dim=-1) / labeled.sum(dim=-1)
    assert torch.equal(found[0], total.argmax(dim=1)) and len(found[0].unique()) > 2
    torch.testing.assert_close(found[1], total.amax(dim=1))


def test_people_without_labels_are_never_matched() -> None:
    targets, people = pair()
    no_people = replace(targets, keypoints=targets.keypoints * torch.tensor([1.0, 1, 0]))
    for assignment in ("mean", "max"):
        _, pose_oks = match_ground_truth(people, no_people, two(assignment=assignment))
        assert pose_oks.tolist() == [-1]


def test_people_of_other_images_are_never_matched() -> None:
    targets, people = pair()
    far = targets.keypoints + torch.tensor([500.0, 0, 0])
    both = replace(
        targets,
        keypoints=torch.cat([targets.keypoints, far]),
        areas=targets.areas.expand(2, -1),
    )
    moved = replace(people, images=torch.tensor([1]))
    _, pose_oks = match_ground_truth(moved, both, two(assignment="max"))
    assert float(pose_oks) < 1e-6


def by_hand() -> Assignment:
    """Two keypoints, 3 x 3 places; the second is not labeled."""
    similarity = torch.zeros(1, 2, 3, 3)
    similarity[0, 0, 1, 1], similarity[0, 0, 0, 2] = 0.5, 0.9
    truth = torch.tensor([[[13.0, 9.0, 2.0], [0.0, 0.0, 0.0]]])
    people = poses_of([0], torch.tensor([[[10.0, 10.0], [20.0, 20.0]]]))
    return Assignment(people, similarity, torch.tensor([0.8]), truth)


def test_keypoint_weights_by_hand() -> None:
    attraction, refined = keypoint_weights(by_hand(), "similarity")
    torch.testing.assert_close(attraction, torch.tensor([[0.4, 0.0]]))  # Eq. (7)
    assert refined.tolist() == [[1, 0]]
    for weights in keypoint_weights(by_hand(), "improvement"):
        torch.testing.assert_close(weights, torch.tensor([[0.4, 0.0]]))


def test_weighted_mse_by_hand() -> None:
    found, wanted = torch.zeros(2, 2, 1, 2), torch.zeros(2, 2, 1, 2)
    found[0, 0, 0], wanted[1, 1, 0] = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.0])
    weights = torch.tensor([[0.5, 1.0], [1.0, 3.0]])
    assert float(weighted_mse(found, wanted, weights)) == (0.5 * 5 + 3 * 2) / 4
    # Eq. (7): a sum over the keypoints and cells of each of the two poses.
    assert float(weighted_mse(found, wanted, weights, "sum")) == (0.5 * 10 + 3 * 4) / 2


@pytest.mark.parametrize(("sigma", "step"), [(None, 1.0), (4.0, 1.0), (3.0, 0.5)])
def test_refined_targets_peak_at_the_ground_truth(sigma: float | None, step: float) -> None:
    expansion = KeypointExpansion(torch.ones(2), 3, 25, step)
    options = AdaptationLossOptions(expansion, torch.ones(2), refined_sigma=sigma)
    heat = refined_targets(by_hand(), options)[0, 0]
    assert heat.shape == (25, 25)
    row, column = divmod(int(heat.argmax()), 25)
    assert ((column - 12) * step, (row - 12) * step) == (3, -1) and float(heat.max()) == 1
    spread = expansion.sigma if sigma is None else sigma
    expected = math.exp(-((2 * step) ** 2) / (2 * spread**2))
    assert float(heat[row + 2, column]) == pytest.approx(expected, rel=1e-5)
    assert float(heat[row, column - 2]) == pytest.approx(expected, rel=1e-5)


# Assignment


def scene(frame: Frame, px: float, seed: int = 1) -> tuple[LocalGlobalOutputs, Targets]:
    truth = scattered(3, 2, image_size=SIZE, seed=seed)
    errors = np.random.default_rng(seed).uniform(-px, px, truth.shape)
    outputs = attracting_outputs(truth, errors, SIZE, frame=frame)
    return outputs, targets_of(labeled(truth), torch.full((3, 2), 4000.0))


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("assignment", ["mean", "max"])
def test_poses_are_assigned_to_their_person(frame: Frame, assignment: str) -> None:
    outputs, targets = scene(frame, 1.0)
    assigned = assign_targets(outputs, targets, losses_of(frame, assignment=assignment))
    assert len(assigned.people) >= 6
    assert (assigned.pose_oks > 0.5).all() and assigned.similarity.shape[1:] == (17, 5, 5)
    apart = (assigned.people.points - assigned.ground_truth[..., :2]).abs().amax(dim=(1, 2))
    assert (apart < 1.01 + 4 * (frame == "index")).all()
    # The truth is in px of the frame.
    there = assigned.ground_truth[..., :2] + half_pixel(frame)
    for image, people in zip(assigned.people.images, there, strict=True):
        same = (targets.keypoints[image, :, :, :2] - people).abs().amax(dim=(1, 2))
        assert float(same.min()) < 1e-4


def test_similarity_cell_by_cell() -> None:
    outputs, targets = scene("center", 2.0)
    assigned = assign_targets(outputs, targets, losses_of())
    for n, k, row, column in [(0, 0, 0, 0), (1, 5, 4, 1), (2, 16, 2, 2), (3, 11, 0, 3)]:
        step = torch.tensor([column - 2.0, row - 2.0]) * RATES[k]
        away = assigned.people.points[n, k] + step - assigned.ground_truth[n, k, :2]
        expected = math.exp(-float(away.square().sum()) / (8 * COCO.sigmas[k] ** 2 * 4000))
        assert float(assigned.similarity[n, k, row, column]) == pytest.approx(expected, rel=1e-4)


def test_poses_far_from_all_people_are_left_out() -> None:
    outputs, targets = scene("center", 1.0)
    far = replace(targets, keypoints=targets.keypoints + torch.tensor([300.0, 0, 0]))
    assert len(assign_targets(outputs, far, losses_of()).people) == 0
    assert len(assign_targets(outputs, far, losses_of(min_oks=0.0)).people) > 0
    none = targets_of(torch.zeros(3, 0, 17, 3), torch.zeros(3, 0))
    hidden = replace(targets, keypoints=targets.keypoints * torch.tensor([1.0, 1, 0]))
    for lonely in (far, none, hidden):
        outputs.embedding.requires_grad_()
        outputs.heatmaps.requires_grad_()
        losses = adaptation_losses(outputs, lonely, losses_of())
        assert [float(loss.detach()) for loss in losses] == [0, 0]
        gradients = torch.autograd.grad(sum(losses), [outputs.embedding, outputs.heatmaps])  # type: ignore[arg-type]
        assert not any(gradient.any() for gradient in gradients)


def test_unlabeled_keypoints_do_not_matter() -> None:
    outputs, targets = scene("center", 1.0)
    targets.keypoints[:, :, 3:, 2] = 0.0
    found = adaptation_losses(outputs, targets, losses_of())
    wild = replace(targets, keypoints=targets.keypoints.clone())
    wild.keypoints[:, :, 3:, :2] += 1e3
    for one, other in zip(found, adaptation_losses(outputs, wild, losses_of()), strict=True):
        assert torch.equal(one, other) and float(one) > 0


# Gradients


@pytest.mark.parametrize("weighting", ["similarity", "improvement"])
@pytest.mark.parametrize("frame", FRAMES)
def test_gradients_reach_heatmaps_and_embedding_only(frame: Frame, weighting: str) -> None:
    outputs, targets = scene(frame, 2.0)
    kernel = torch.full((17, 51, 1, 1), 1e-4).requires_grad_()
    attraction_network = lambda c: torch.nn.functional.conv2d(c, kernel)  # noqa: E731
    maps = {
        name: getattr(outputs, name).clone().requires_grad_()
        for name in ("heatmaps", "centers", "offsets", "embedding")
    }
    outputs = replace(outputs, attraction_network=attraction_network, **maps)
    attraction, refined = adaptation_losses(outputs, targets, losses_of(frame, weighting=weighting))
    for loss, reached in (
        (attraction, {"embedding"}),
        (refined, {"embedding", "heatmaps"}),
    ):
        found = torch.autograd.grad(
            loss, [*maps.values(), kernel], allow_unused=True, retain_graph=True
        )
        assert found[-1] is not None and found[-1].any()
        named = dict(zip(maps, found, strict=False))
        assert {name for name, g in named.items() if g is not None and g.any()} == reached
        assert all(g is None or g.isfinite().all() for g in found)


def test_gradient_equals_finite_difference() -> None:
    outputs, targets = scene("center", 2.0)
    heat = outputs.heatmaps.clone().requires_grad_()
    outputs = replace(outputs, attraction_network=lambda c: torch.ones(len(c), 17, *c.shape[2:]))

    def refined(maps: Tensor) -> Tensor:
        return adaptation_losses(replace(outputs, heatmaps=maps), targets, losses_of())[1]

    (gradient,) = torch.autograd.grad(refined(heat), heat)
    step = gradient / gradient.norm()
    with torch.no_grad():
        slope = (refined(heat + 0.5 * step) - refined(heat - 0.5 * step)).item()
    # The loss is a parabola in the heat: central differences are exact at any length.
    assert slope == pytest.approx(float(gradient.norm()), rel=1e-3)


def test_perfect_attraction_has_no_loss() -> None:
    outputs, targets = scene("center", 2.0)
    options = losses_of(assignment="mean", weighting="similarity")
    assigned = assign_targets(outputs, targets, options)
    right = replace(outputs, attraction_network=lambda _: assigned.similarity)
    assert float(adaptation_losses(right, targets, options)[0]) == 0
    wrong = replace(outputs, attraction_network=lambda _: assigned.similarity + 0.5)
    weights, _ = keypoint_weights(assigned, "similarity")
    expected = 0.25 * float(weights.mean())
    found, refined = adaptation_losses(wrong, targets, options)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    summed, same = adaptation_losses(wrong, targets, replace(options, reduction="sum"))
    assert float(summed) == pytest.approx(17 * 25 * expected, rel=1e-5) and same == refined


def test_losses_under_autocast_are_float32() -> None:
    outputs, targets = scene("center", 2.0)
    with torch.autocast("cpu", torch.bfloat16):
        losses = adaptation_losses(outputs, targets, losses_of())
    for found, expected in zip(
        losses, adaptation_losses(outputs, targets, losses_of()), strict=True
    ):
        assert found.dtype == torch.float32
        # The embedding, here coordinates, is read in bfloat16 as the network wrote it.
        torch.testing.assert_close(found, expected, rtol=5e-2, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"assignment": "nearest"}, "assignment must be one of"),
        ({"weighting": "even"}, "weighting must be one of"),
        ({"reduction": "max"}, "reduction must be one of"),
        ({"refined_sigma": 0.0}, "refined_sigma must be positive px"),
        ({"refined_sigma": math.nan}, "refined_sigma must be positive px"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        losses_of(**options)

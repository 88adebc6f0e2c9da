"""Offset loss, by hand, against loops and the official loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.losses.heatmap import heatmap_mse
from poselib.losses.offset import BETA, offset_loss, weighted_smooth_l1
from poselib.ops.offsets import PersonSize
from poselib.structures import RegressionTargets
from tests.ops.factories import offset_maps
from tests.references.plain_regression import plain_offset_loss

torch.set_num_threads(1)

CASES = pytest.mark.parametrize("case", range(3))


def close(value: Tensor, expected: np.ndarray) -> None:
    scale = max(float(np.abs(expected).max()), 1e-12)
    np.testing.assert_allclose(value.numpy(), expected, rtol=0, atol=1e-6 * scale)


@pytest.mark.golden
@CASES
def test_official_offset_loss_and_gradient(golden_dir: Path, case: int) -> None:
    data = np.load(golden_dir / "dekr_loss.npz")
    predicted, truth, weight = (torch.tensor(data[f"c{case}_off_{n}"]) for n in ("pred", "gt", "w"))
    assert bool(weight.any()) == (case < 2), "in the last case nothing counts"
    predicted.requires_grad_()
    loss = weighted_smooth_l1(predicted - truth, weight)
    (gradient,) = torch.autograd.grad(loss, predicted)
    close(loss.detach(), data[f"c{case}_off_loss"])
    close(gradient, data[f"c{case}_off_grad"])


@pytest.mark.golden
@CASES
def test_official_heatmap_loss_and_gradient(golden_dir: Path, case: int) -> None:
    data = np.load(golden_dir / "dekr_loss.npz")
    predicted = torch.tensor(data[f"c{case}_hm_pred"]).requires_grad_()
    target, weight = (torch.tensor(data[f"c{case}_{name}"]) for name in ("hm_gt", "mask"))
    loss = heatmap_mse(predicted, target, weight).mean()
    (gradient,) = torch.autograd.grad(loss, predicted)
    close(loss.detach(), data[f"c{case}_hm_loss"])
    close(gradient, data[f"c{case}_hm_grad"])


def random_targets(
    seed: int, people: int = 3, dtype: torch.dtype = torch.float32
) -> RegressionTargets:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-4, (44, 36), (2, people, 4, 2))
    seen = rng.integers(0, 3, (2, people, 4, 1))
    return RegressionTargets(
        heatmaps=(),
        masks=(),
        keypoints=torch.tensor(np.concatenate([points, seen], -1), dtype=dtype),
        areas=torch.tensor(rng.uniform(0, 2000, (2, people)), dtype=dtype),
        image_size=(32, 40),
        centers=torch.zeros(2, people, 3, dtype=dtype),
        center_assignment=torch.tensor(rng.integers(-1, people, (2, 8, 10))),
    )


@pytest.mark.parametrize("beta", [1 / 9, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_equals_loops_over_dense_maps(seed: int, beta: float) -> None:
    targets = random_targets(seed)
    truth, weight = offset_maps(targets)
    generator = torch.Generator().manual_seed(seed)
    predicted = truth + torch.randn(truth.shape, generator=generator) * 0.5
    expected = plain_offset_loss(predicted.numpy(), truth.numpy(), weight.numpy(), beta)
    assert float(offset_loss(predicted, targets, beta)) == pytest.approx(expected, rel=1e-5)
    assert expected > 0


def one_person(**changes: object) -> RegressionTargets:
    """Keypoints 30 px and 40 px apart, so a size of 50 px; one cell of 4 px is owned."""
    owners = torch.full((1, 16, 16), -1)
    owners[0, 5, 7] = 0
    targets = RegressionTargets(
        heatmaps=(),
        masks=(),
        keypoints=torch.tensor([[[[10.0, 10.0, 2], [40.0, 50.0, 1], [60.0, 60.0, 0]]]]),
        areas=torch.tensor([[100.0]]),
        image_size=(64, 64),
        centers=torch.tensor([[[30.0, 22.0, 1.0]]]),
        center_assignment=owners,
    )
    return replace(targets, **changes)


def test_by_hand() -> None:
    targets = one_person()
    predicted = offset_maps(targets)[0]
    predicted[0, 0, 0, 5, 7] += 2.0  # linear: 2 - 1/18
    predicted[0, 1, 1, 5, 7] -= 0.1  # quadratic: 0.5 * 0.01 * 9
    predicted[0, 2, :, 5, 7] = 99.0  # not labeled
    predicted[0, :, :, 5, 8] = 99.0  # no person's cell
    # Two keypoints have four coordinates.
    expected = ((2 - 1 / 18) + 0.045) / 50 / 4
    assert float(offset_loss(predicted, targets)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("person_size", ["diagonal", "times_area"])
def test_sum_over_coordinates_in_the_mean_over_cells(person_size: PersonSize) -> None:
    """LOGO-CAP, Eqs. (5) and (6), whose sum is over the foreground cells alone."""
    targets = random_targets(3)
    truth, weight = offset_maps(targets, person_size)
    predicted = truth + torch.randn(truth.shape, generator=torch.Generator().manual_seed(3))
    error = (predicted - truth).abs()
    each = torch.where(error < BETA, error.square() / (2 * BETA), error - BETA / 2)
    cells = (targets.center_assignment >= 0).sum()
    expected = (each * weight[:, :, None]).sum() / cells
    found = offset_loss(predicted, targets, person_size=person_size, reduction="sum")
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match="reduction must be one of"):
        offset_loss(predicted, targets, reduction="none")  # type: ignore[arg-type]


def test_loss_is_divided_by_person_size() -> None:
    targets = one_person()
    predicted = offset_maps(targets)[0] + 3.0
    larger = replace(
        targets, areas=torch.tensor([[1e4]])
    )  # of a person of 100 px a keypoint is cut
    once, half = (float(offset_loss(predicted, each)) for each in (targets, larger))
    assert once == pytest.approx(2 * half)


def test_perfect_offsets_and_no_people_have_no_loss() -> None:
    targets = random_targets(4)
    truth, _ = offset_maps(targets)
    assert float(offset_loss(truth, targets)) == 0
    predicted = torch.randn(truth.shape, requires_grad=True)
    empty = replace(targets, center_assignment=torch.full_like(targets.center_assignment, -1))
    loss = offset_loss(predicted, empty) + offset_loss(predicted, empty, reduction="sum")
    loss.backward()
    assert float(loss.detach()) == 0 and not predicted.grad.any()
    no_people = replace(random_targets(4, people=0), center_assignment=empty.center_assignment)
    assert float(offset_loss(predicted.detach(), no_people)) == 0


def test_only_positive_cells_of_labeled_keypoints_count() -> None:
    targets = random_targets(5)
    predicted = torch.randn(2, 4, 2, 8, 10, requires_grad=True)
    offset_loss(predicted, targets).backward()
    _, weight = offset_maps(targets)
    assert torch.equal(predicted.grad != 0, (weight > 0)[:, :, None].expand_as(predicted))
    wild = predicted.detach().clone()
    wild[(weight == 0)[:, :, None].expand_as(wild)] = 1e6
    assert torch.equal(offset_loss(wild, targets), offset_loss(predicted.detach(), targets))


@pytest.mark.slow
def test_gradient() -> None:
    targets = random_targets(6, dtype=torch.float64)
    predicted = torch.randn(2, 4, 2, 8, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: offset_loss(p, targets), predicted)


def test_half_precision_predictions() -> None:
    targets = random_targets(7)
    predicted = torch.randn(2, 4, 2, 8, 10).bfloat16()
    assert offset_loss(predicted, targets).dtype == torch.float32
    torch.testing.assert_close(
        offset_loss(predicted, targets), offset_loss(predicted.float(), targets)
    )


def test_flipped_offsets_have_the_same_loss() -> None:
    targets = random_targets(8)
    predicted = torch.randn(2, 4, 2, 8, 10)
    points = targets.keypoints.clone()
    points[..., 0] = 40 - points[..., 0]
    mirrored = replace(
        targets, keypoints=points, center_assignment=targets.center_assignment.flip(-1)
    )
    flipped = predicted.flip(-1) * torch.tensor([-1.0, 1.0]).view(2, 1, 1)
    torch.testing.assert_close(offset_loss(flipped, mirrored), offset_loss(predicted, targets))


@pytest.mark.parametrize(
    "shape", [(2, 4, 8, 10), (2, 5, 2, 8, 10), (1, 4, 2, 8, 10), (2, 8, 8, 10)]
)
def test_shapes_must_agree(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"differ from \(2, 4, 2, 8, 10\)"):
        offset_loss(torch.zeros(shape), random_targets(0))


@pytest.mark.parametrize("beta", [0.0, -1.0, float("nan")])
def test_beta_must_be_positive(beta: float) -> None:
    with pytest.raises(ValueError, match="beta must be positive"):
        offset_loss(torch.zeros(2, 4, 2, 8, 10), random_targets(0), beta)

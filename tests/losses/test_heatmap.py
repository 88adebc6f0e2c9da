"""Heatmap MSE, by hand and against the official loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poselib.losses.heatmap import heatmap_mse

torch.set_num_threads(1)


@pytest.mark.golden
def test_official_loss_and_gradient(golden_dir: Path) -> None:
    data = np.load(golden_dir / "ae_loss.npz")
    predicted = torch.tensor(data["hm_pred"]).requires_grad_()
    weight = torch.tensor(data["hm_mask"])[:, None]
    assert 0 < float(weight.mean()) < 1, "the case masks something"
    loss = heatmap_mse(predicted, torch.tensor(data["hm_gt"]), weight)
    (gradient,) = torch.autograd.grad(loss.sum(), predicted)
    np.testing.assert_allclose(loss.detach(), data["hm_loss"], rtol=1e-6)
    np.testing.assert_allclose(gradient, data["hm_grad"], atol=1e-6 * np.abs(data["hm_grad"]).max())


def test_mean_over_all_cells_by_hand() -> None:
    predicted = torch.tensor([[[[1.0, 0], [0, 0]], [[0, 0], [0, 3.0]]]])
    target = torch.zeros(1, 2, 2, 2)
    weight = torch.ones(1, 1, 2, 2)
    assert heatmap_mse(predicted, target, weight).tolist() == pytest.approx([10 / 8])
    weight[0, 0, 1, 1] = 0  # ignored cells count as solved: still eight cells
    assert heatmap_mse(predicted, target, weight).tolist() == pytest.approx([1 / 8])


def test_images_of_a_batch_are_independent() -> None:
    predicted, target = torch.randn(3, 2, 4, 5), torch.rand(3, 2, 4, 5)
    weight = (torch.rand(3, 1, 4, 5) > 0.3).float()
    together = heatmap_mse(predicted, target, weight)
    alone = [
        heatmap_mse(predicted[i : i + 1], target[i : i + 1], weight[i : i + 1]) for i in range(3)
    ]
    assert together.shape == (3,)
    torch.testing.assert_close(together, torch.cat(alone))


def test_weight_of_each_keypoint_type() -> None:
    predicted, target = torch.ones(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    weight = torch.tensor([1.0, 0.5]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    assert heatmap_mse(predicted, target, weight).tolist() == pytest.approx([0.75])


def test_background_by_hand() -> None:
    """Cells above a hundredth of a peak are foreground; the rest counts a tenth."""
    target = torch.tensor([1.0, 0.5, 0.011, 0.01, 0.009, 0.0]).view(1, 1, 2, 3)
    predicted = target + torch.tensor([1.0, 2, 3, 4, 5, 6]).view(1, 1, 2, 3)
    loss = heatmap_mse(predicted, target, torch.ones(1, 1, 2, 3), background=0.1)
    expected = (1 + 4 + 9 + 0.1 * (16 + 25 + 36)) / 6
    assert loss.tolist() == pytest.approx([expected], rel=1e-5)


def test_background_near_a_keypoint_of_any_type() -> None:
    """Heat for the left ankle on the right one must cost as much as heat that is missing."""
    target = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).view(1, 2, 1, 2)  # the first type, first cell
    predicted = target + 1
    loss = heatmap_mse(predicted, target, torch.ones(1, 1, 1, 2), background=0.1)
    assert loss.tolist() == pytest.approx([(1 + 1 + 0.1 + 0.1) / 4])


def test_background_and_ignore_mask_multiply() -> None:
    target = torch.tensor([1.0, 0.0, 0.0]).view(1, 1, 1, 3)
    weight = torch.tensor([1.0, 1.0, 0.0]).view(1, 1, 1, 3)
    loss = heatmap_mse(target + 1, target, weight, background=0.25)
    assert loss.tolist() == pytest.approx([1.25 / 3])


def test_gradient_by_equation() -> None:
    predicted = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 3, 4, 4, dtype=torch.float64) * (torch.rand(2, 3, 4, 4) > 0.7)
    weight = (torch.rand(2, 1, 4, 4) > 0.5).double()
    heatmap_mse(predicted, target, weight, background=0.1).sum().backward()
    background = torch.where(target.amax(dim=1, keepdim=True) > 0.01, 1.0, 0.1)
    expected = 2 * (predicted.detach() - target) * weight * background / (3 * 4 * 4)
    torch.testing.assert_close(predicted.grad, expected)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 4, 4\) differ from targets \(1, 1, 4, 4\)"):
        heatmap_mse(torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))


@pytest.mark.golden
def test_official_loss_of_a_sequence(golden_dir: Path) -> None:
    """RPSTN/JRE, Eq. 5: the mean over frames, joints and cells; the arrays' every other cell."""
    with np.load(golden_dir / "rpstn_funcs.npz") as data:
        predicted, target = (
            torch.tensor(data[name].astype(np.float32))[..., ::2, ::2]
            for name in ("pred_heat_f16", "gt_heat_f16")
        )
        predicted.requires_grad_()
        loss = heatmap_mse(predicted, target, torch.ones(len(target), 1, 1, 1)).mean()
        (gradient,) = torch.autograd.grad(loss, predicted)
        expected = data["mse_seq_grad_frame0"]
        assert loss.item() == pytest.approx(float(data["mse_seq_loss"]), rel=1e-6)
        np.testing.assert_allclose(gradient[0], expected, atol=1e-6 * np.abs(expected).max())

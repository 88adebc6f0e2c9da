"""Attentive normalization against the official one, its own parts and plain batch normalization."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from poselib.models.attentive_norm import AttentiveNorm2d, ComponentWeights
from tests.models.official import relative, weights_rule
from tests.models.random_weights import randomised

torch.set_num_threads(1)


@pytest.mark.golden
@pytest.mark.parametrize("variant", ["nobn", "bn"])
def test_equals_the_official_one(golden_dir: Path, variant: str) -> None:
    keys = json.loads((golden_dir / "attentive_norm.keys.json").read_text())[variant]
    norm = AttentiveNorm2d(32, 20, batch_norm=variant == "bn")
    assert [name for name, *_ in keys] == list(norm.state_dict())
    weights = weights_rule(golden_dir).fill(keys)
    norm.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()}, strict=False)
    with np.load(golden_dir / "attentive_norm.npz") as golden, torch.no_grad():
        arrays = {name.removeprefix(f"{variant}_"): golden[name] for name in golden}
        x = torch.from_numpy(arrays["x"])
        assert relative(norm.eval().attn_weights(x), arrays["attention"]) < 1e-5
        assert relative(norm(x), arrays["y_eval"]) < 1e-5
        assert relative(norm.train()(x), arrays["y_train"]) < 1e-5
        assert relative(norm.running_mean, arrays["running_mean_after"]) < 1e-6
        assert relative(norm.running_var, arrays["running_var_after"]) < 1e-6


def test_the_mixture_by_hand() -> None:
    """Two components; a constant channel gives its mean over the root of eps."""
    norm = AttentiveNorm2d(1, 2).eval()
    with torch.no_grad():
        norm.weight_.copy_(torch.tensor([[1.0], [3.0]]))
        norm.bias_.copy_(torch.tensor([[0.5], [-1.0]]))
        norm.attn_weights.attention[0].weight.copy_(torch.tensor([1.0, -2.0]).view(2, 1, 1, 1))
        x = torch.full((1, 1, 2, 2), 0.03)
        level = 0.03 / 1e-3**0.5
        assert norm.attn_weights(x).tolist() == [
            pytest.approx([(level + 3) / 6, (3 - 2 * level) / 6], rel=1e-5)
        ]
        first, second = (level + 3) / 6, (3 - 2 * level) / 6
        expected = (first + 3 * second) * 0.03 / (1 + 1e-5) ** 0.5 + 0.5 * first - second
        torch.testing.assert_close(norm(x), torch.full_like(x, expected))


def test_each_input_has_a_mixture_of_its_own() -> None:
    norm = randomised(AttentiveNorm2d(4, 3))
    x = torch.randn(5, 4, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        alone = torch.cat([norm(each[None]) for each in x])
        torch.testing.assert_close(norm(x), alone)


def test_weights_lie_between_0_and_1_and_start_near_a_plain_norm() -> None:
    torch.manual_seed(0)
    norm = AttentiveNorm2d(64).requires_grad_(False)
    x = 100 * torch.randn(8, 64, 5, 5)
    weights = norm.attn_weights(x)
    assert weights.shape == (8, 20) and weights.min() >= 0 and weights.max() <= 1
    assert abs(float(norm.weight_.mean()) - 1) < 0.02 and abs(float(norm.bias_.mean())) < 0.02
    assert float(norm.weight_.std()) == pytest.approx(0.1, abs=0.01)
    plain = nn.BatchNorm2d(64, affine=False)
    close = weights.sum(dim=1).view(-1, 1, 1, 1) * plain(x)
    assert np.corrcoef(norm(x).flatten(), close.flatten())[0, 1] > 0.98


@pytest.mark.parametrize("batch_norm", [True, False])
def test_gradients(batch_norm: bool) -> None:
    torch.manual_seed(0)
    norm = AttentiveNorm2d(3, 4, batch_norm).double()
    x = torch.randn(3, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: norm.eval()(y), x)
    assert isinstance(norm.attn_weights, ComponentWeights)
    norm.train()(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in norm.parameters())


def test_a_single_place_has_a_mean_and_no_deviation() -> None:
    norm = AttentiveNorm2d(1, 2).eval()
    x = torch.full((3, 1, 1, 1), 0.03)
    wide = norm(torch.full((3, 1, 4, 4), 0.03))
    torch.testing.assert_close(norm(x), wide[:, :, :1, :1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prediction_is_the_plain_norm_mixed(dtype: torch.dtype) -> None:
    norm = randomised(AttentiveNorm2d(4, 3)).to(dtype).requires_grad_(False).eval()
    x = torch.randn(5, 4, 6, 6).to(dtype)
    plain = nn.BatchNorm2d(4, affine=False).to(dtype).eval()
    plain.load_state_dict(dict(norm.named_buffers(recurse=False)))
    mixture = norm.attn_weights(x)
    scale, shift = ((mixture @ mixed)[..., None, None] for mixed in (norm.weight_, norm.bias_))
    found = norm(x)
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(found, plain(x) * scale + shift, rtol=tolerance, atol=tolerance)

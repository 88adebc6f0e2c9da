from __future__ import annotations

import copy
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from poselib.engine.optimizer import make_optimizer, orthogonalize, parameter_groups
from poselib.models.attentive_norm import AttentiveNorm2d
from poselib.systems import System
from tests.engine.factories import RECIPE, toy_system, train_toy


def small_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ConvTranspose2d(4, 6, 2, bias=False),
        nn.BatchNorm2d(6),
        nn.Conv2d(6, 3, 1),
    )


def test_normalizations_and_biases_do_not_decay() -> None:
    """Those of attentive normalization have two dimensions; its convolution does decay."""
    norm, conv = AttentiveNorm2d(4, 3), nn.Conv2d(2, 4, 1)
    model = nn.Sequential(conv, norm, nn.BatchNorm2d(4))
    decayed, kept = parameter_groups(model, 0.1)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    mixing = norm.attn_weights.attention[0].weight
    assert {id(p) for p in decayed["params"]} == {id(conv.weight), id(mixing)}
    assert len(decayed["params"]) + len(kept["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("shape", [(3, 5, 9), (2, 12, 4), (1, 1, 7)])
def test_singular_values_become_about_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalize(matrices)
    values = torch.linalg.svdvals(found)
    assert found.shape == matrices.shape
    assert values.min() > 0.6 and values.max() < 1.3
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    # The singular vectors are those of the matrices.
    inside = left.mT @ found @ right.mT
    assert torch.allclose(inside, torch.diag_embed(inside.diagonal(dim1=1, dim2=2)), atol=1e-4)


def test_muon_updates_convolutions_and_adamw_the_rest() -> None:
    model = small_model()
    before = copy.deepcopy(model)
    muon = make_optimizer("muon", model, 0.01, 0.1)
    adamw = make_optimizer("adamw", before, 0.01, 0.1)
    assert [len(group["params"]) for group in muon.param_groups] == [2, 1, 5]
    images = torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    start = before[0].weight.detach().clone()
    for each, optimizer in ((model, muon), (before, adamw)):
        each(images).square().mean().backward()
        optimizer.step()
    assert torch.equal(model[4].weight, before[4].weight)
    assert torch.equal(model[1].weight, before[1].weight)
    update = (start * (1 - 0.01 * 0.1) - model[0].weight).flatten(1) / (0.6 * 0.01 * 18**0.5)
    values = torch.linalg.svdvals(update)
    assert values.min() > 0.6 and values.max() < 1.3


def without_bias(seed: int = 0) -> System:
    system = toy_system(seed)
    system.model.body[0].bias = None
    return system


def test_a_training_with_muon_is_resumed_exactly(tmp_path: Path) -> None:
    recipe = replace(RECIPE, optimizer="muon", steps=6)
    whole = train_toy(tmp_path / "whole", recipe, system=without_bias())
    system, calls = without_bias(), []

    def losses(outputs: Any, targets: Any) -> dict[str, torch.Tensor]:
        calls.append(None)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return system.losses(outputs, targets)

    with pytest.raises(KeyboardInterrupt):
        train_toy(tmp_path / "parts", recipe, system=replace(system, losses=losses))
    parts = train_toy(tmp_path / "parts", recipe, system=without_bias(seed=1))
    expected, found = (each.system.model.state_dict() for each in (whole, parts))
    assert len(calls) == 3 and all(torch.equal(found[key], expected[key]) for key in expected)

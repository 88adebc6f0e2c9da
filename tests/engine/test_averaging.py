from __future__ import annotations

import pytest
import torch
from torch import nn

from poselib.engine.averaging import AveragedModel


def normalized() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def changed(model: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator))
            else:
                value.add_(1)


def test_it_equals_a_slow_mean_with_a_warm_up() -> None:
    model, generator = normalized(), torch.Generator().manual_seed(0)
    average = AveragedModel(model, decay=0.3)
    expected = {k: v.double().clone() for k, v in model.state_dict().items()}
    for update in range(1, 12):
        changed(model, generator)
        average.update(model)
        decay = min(0.3, (1 + update) / (10 + update))
        for key, value in model.state_dict().items():
            expected[key] = decay * expected[key] + (1 - decay) * value.double()
    for key, value in average.model.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value.double(), expected[key], atol=1e-6), key
    # Counters are taken over, not averaged.
    assert average.model[1].num_batches_tracked == model[1].num_batches_tracked == 11


def test_it_is_a_copy_for_evaluation() -> None:
    model = normalized().train()
    average = AveragedModel(model, decay=0.9)
    assert not average.model.training and model.training
    assert not any(p.requires_grad for p in average.model.parameters())
    assert all(p.requires_grad for p in model.parameters())
    changed(model, torch.Generator().manual_seed(0))
    assert not torch.equal(average.model[0].weight, model[0].weight)


def test_without_decay_it_follows_the_model() -> None:
    model = normalized()
    average = AveragedModel(model, decay=0.0)
    changed(model, torch.Generator().manual_seed(0))
    average.update(model)
    mine, theirs = average.model.state_dict(), model.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        AveragedModel(normalized(), decay)

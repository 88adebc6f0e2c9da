"""Compilation changes no result, and its failure is one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poselib.engine.compiled import CompiledNetwork
from poselib.engine.trainer import TrainingState
from tests.engine.factories import RECIPE, toy_system, train_toy
from tests.engine.test_train import assert_equal_states, read_state

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Explosive(torch.autograd.Function):
    """The identity, whose gradient cannot be computed."""

    @staticmethod
    def forward(_: Any, images: Tensor) -> Tensor:
        return images.clone()

    @staticmethod
    def backward(_: Any, __: Tensor) -> Tensor:
        raise RuntimeError("backward: no compiler\nand much advice")


def compiler(
    monkeypatch: pytest.MonkeyPatch, fails: str = "", allowed: int = 0
) -> list[torch.Size]:
    """Let a stand-in compile; return what shapes its networks are called with.

    Args:
        fails: ``"forward"``, ``"backward"``, or never.
        allowed: calls that go well before.
    """
    shapes: list[torch.Size] = []

    def compile_network(network: nn.Module, dynamic: bool | None) -> Callable[[Tensor], Any]:
        def call(images: Tensor) -> Any:
            shapes.append(images.shape)
            if fails == "forward" and len(shapes) > allowed:
                raise RuntimeError("forward: no compiler\nand much advice")
            if fails == "backward" and len(shapes) > allowed:
                return network(Explosive.apply(images.requires_grad_()))
            return network(images)

        return call

    monkeypatch.setattr(torch, "compile", compile_network)
    return shapes


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())


def test_weights_and_attributes_are_those_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler(monkeypatch)
    inside = network()
    inside.multiple = 32  # type: ignore[assignment]
    compiled = CompiledNetwork(inside.eval())
    assert compiled.state_dict().keys() == inside.state_dict().keys()
    assert compiled.multiple == 32 and not compiled.training
    with pytest.raises(AttributeError, match="start"):
        _ = compiled.start
    compiled.load_state_dict({k: v + 1 for k, v in inside.state_dict().items()})
    assert inside[1].running_mean.mean() == 1
    assert compiled.train() is compiled and inside.training


def test_a_failure_is_one_sentence_and_the_network_runs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = compiler(monkeypatch, "forward", allowed=1)
    compiled, eager = CompiledNetwork(network()), network()
    compiled(IMAGES), eager(IMAGES)
    with pytest.warns(UserWarning) as heard:
        first = compiled(IMAGES)
    assert [str(each.message) for each in heard] == [
        "the network runs uncompiled, as torch.compile failed (RuntimeError: forward: no compiler)"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = compiled(IMAGES)
    assert len(shapes) == 2
    assert torch.equal(first, eager(IMAGES)) and torch.equal(again, eager(IMAGES))
    assert_equal_states(compiled.state_dict(), eager.state_dict())


def test_an_error_of_the_network_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler(monkeypatch, "forward")
    compiled = CompiledNetwork(network())
    with warnings.catch_warnings(), pytest.raises(RuntimeError, match="expected input"):
        warnings.simplefilter("error")
        compiled(IMAGES[:, :2])


@pytest.mark.parametrize(("fails", "calls"), [("", 6), ("forward", 1), ("backward", 1)])
@pytest.mark.filterwarnings("ignore:the network runs uncompiled")
def test_a_compiled_training_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str, calls: int
) -> None:
    def trained(folder: Path, compiled: bool) -> dict[str, Any]:
        system = toy_system()
        system.model.body[3].p = 0.0  # a second attempt would draw other random numbers
        system.model.body[1].momentum = 0.0  # and count statistics twice
        recipe = replace(RECIPE, half_size=0.5, steps=6, compile=compiled)
        assert type(train_toy(folder, recipe, system=system).system.model) is type(system.model)
        state = read_state(folder)
        state["model"].pop("body.1.num_batches_tracked")
        state["average"].pop("body.1.num_batches_tracked")
        return {name: state[name] for name in ("model", "average", "optimizer", "step")}

    eager = trained(tmp_path / "eager", False)
    shapes = compiler(monkeypatch, fails)
    assert_equal_states(trained(tmp_path / "compiled", True), eager)
    assert len(shapes) == calls and shapes[0][-1] == 32


@pytest.mark.slow
def test_without_a_compiler_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    recipe = replace(RECIPE, compile=True)
    state = TrainingState(toy_system(), recipe, tmp_path, torch.device("cpu"))
    with pytest.warns(UserWarning, match="the network runs uncompiled, as torch.compile failed"):
        state.network(IMAGES)

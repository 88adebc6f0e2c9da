from __future__ import annotations

import pytest
import torch

from poselib.engine.precision import (
    GradientScaler,
    autocast,
    has_fast_bfloat16,
    resolve_precision,
)

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)


def processor(monkeypatch: pytest.MonkeyPatch, **capabilities: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)


def test_fast_bfloat16_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, avx2=True, avx512_bf16=True, amx_bf16=True)
    assert has_fast_bfloat16(CPU)
    assert resolve_precision("auto", CPU) == "bfloat16"


@pytest.mark.parametrize("others", [{"avx2": True}, {"avx512_bf16": True, "amx_bf16": False}, {}])
def test_slow_bfloat16_is_not(monkeypatch: pytest.MonkeyPatch, others: dict[str, bool]) -> None:
    processor(monkeypatch, **others)
    assert resolve_precision("auto", CPU) == "float32"


@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
@pytest.mark.parametrize(
    ("limit", "native"),
    [("AVX2", False), ("avx512_core_bf16", False), ("AVX512_CORE_AMX", True), ("DEFAULT", True)],
)
def test_limits_of_onednn_are_respected(
    monkeypatch: pytest.MonkeyPatch, name: str, limit: str, native: bool
) -> None:
    processor(monkeypatch, avx512_bf16=True, amx_bf16=True)
    monkeypatch.setenv(name, limit)
    assert has_fast_bfloat16(CPU) == native


def test_a_gpu_is_asked_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: asked.append(1) or True
    )
    assert has_fast_bfloat16(torch.device("cuda")) and asked
    assert not has_fast_bfloat16(torch.device("meta"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_given_precision_stays(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    processor(monkeypatch)
    assert resolve_precision(precision, CPU) == precision


def weight(scale: float | None, precision: str = "float16") -> tuple[torch.Tensor, GradientScaler]:
    """Return a weight of 1, and a scaler with a scale of its own."""
    scaler = GradientScaler(precision, CPU)
    if scale is not None:
        scaler.load_state_dict({**scaler.state_dict(), "scale": scale})
    return torch.ones(1, requires_grad=True), scaler


def step(w: torch.Tensor, scaler: GradientScaler, factor: float, clip: float | None = None) -> bool:
    """Take a step of gradient descent on ``factor * w`` with a rate of 0.5."""
    optimizer = torch.optim.SGD([w], lr=0.5)
    optimizer.zero_grad()
    scaler.scale((factor * w).sum()).backward()
    return scaler.step(optimizer, [w], clip)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(("clip", "expected"), [(None, 0.0), (0.5, 0.75)])
def test_the_scale_does_not_change_a_step(precision: str, clip: float, expected: float) -> None:
    w, scaler = weight(None, precision)
    assert step(w, scaler, 2.0, clip) and scaler.left_out == 0
    assert w.item() == pytest.approx(expected, abs=1e-6)
    assert bool(scaler.state_dict()) == (precision == "float16")


def test_gradients_that_overflow_change_no_weight_and_halve_the_scale() -> None:
    w, scaler = weight(2.0**127)
    assert [step(w, scaler, 4.0) for _ in range(4)] == [False, False, True, True]
    assert w.item() == 1 - 2 * 2 and scaler.left_out == 0
    assert scaler.state_dict()["scale"] == 2.0**125


def test_what_is_left_out_is_resumed() -> None:
    w, scaler = weight(2.0**127)
    step(w, scaler, 8.0)
    again = GradientScaler("float16", CPU)
    again.load_state_dict(scaler.state_dict())
    assert again.state_dict() == scaler.state_dict() and again.left_out == 1
    again.load_state_dict({})  # of a checkpoint without
    GradientScaler("float32", CPU).load_state_dict(scaler.state_dict())


def test_gradients_that_are_never_finite_end_the_training() -> None:
    w, scaler = weight(None)
    with pytest.raises(ValueError, match="gradients of 26 steps in a row are not finite"):
        for _ in range(100):
            step(w, scaler, float("nan"))
    assert w.item() == 1


@pytest.mark.parametrize(
    ("precision", "kind"),
    [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)],
)
def test_the_network_computes_in_the_precision(precision: str, kind: torch.dtype) -> None:
    with autocast(precision, CPU):
        assert (
            torch.nn.functional.conv2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 1)).dtype == kind
        )

from __future__ import annotations

import pytest
import torch

from poselib.engine.precision import has_fast_bfloat16, resolve_precision

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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_given_precision_stays(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    processor(monkeypatch)
    assert resolve_precision(precision, CPU) == precision

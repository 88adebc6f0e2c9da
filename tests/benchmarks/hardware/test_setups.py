from __future__ import annotations

from functools import partial

import pytest
import torch

from poselib.benchmarks.hardware.bench import Bench
from poselib.benchmarks.hardware.setups import ALONE, COMPILED, EAGER, FOLDED, HALF, STRICT


def test_setups_compute_the_same_but_for_rounding(bench: Bench) -> None:
    case = bench.case("hae", 1)
    expected = case.system.model(case.inputs())
    before = {name: value.clone() for name, value in case.system.model.state_dict().items()}
    for setup in (EAGER, STRICT, HALF, FOLDED, *ALONE):
        if setup.speed.compile or setup.speed.cuda_graph:
            continue
        found = setup.prepare(case.system.model)(case.inputs())
        allowed = 0.05 if setup.speed.precision == "bfloat16" else 1e-4
        for mine, theirs in zip(
            (*found.heatmaps, found.tags), (*expected.heatmaps, expected.tags), strict=True
        ):
            assert mine.dtype == torch.float32
            assert (mine - theirs).abs().max() <= allowed * theirs.abs().max()
        different = not torch.equal(found.tags, expected.tags)
        assert different == (setup not in (EAGER, STRICT)), setup.name
    after = case.system.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(value.is_inference() for value in after.values())


def test_compiled_setups_compute_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # A machine may lack a compiler, and one that has it takes long.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    case = bench.case("hae", 1)
    with torch.no_grad():
        expected = case.system.model(case.inputs()).tags
    compiled = next(setup for setup in ALONE if setup.speed.compile)
    found = compiled.prepare(case.system.model)(case.inputs()).tags
    torch.compiler.reset()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_names_are_of_one_setup_alone() -> None:
    setups = (EAGER, STRICT, HALF, FOLDED, *ALONE)
    assert len({setup.name for setup in setups}) == len(setups)
    assert len({(setup.speed, setup.tf32) for setup in setups}) == len(setups)


def test_a_compilation_that_fails_is_no_measurement(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: broken)
    network = COMPILED.prepare(bench.case("jre", 1).system.model)
    images = bench.case("jre", 1).inputs()
    with COMPILED.in_use(), pytest.raises(UserWarning, match=r"runs uncompiled.*no compiler"):
        network(images)

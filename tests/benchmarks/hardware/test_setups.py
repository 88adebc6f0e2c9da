from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from poselib.benchmarks.hardware.bench import Bench
from poselib.benchmarks.hardware.setups import ALONE, EAGER, FOLDED, HALF, STRICT, in_float32
from poselib.outputs import TagOutputs


def test_setups_compute_the_same_but_for_rounding(bench: Bench) -> None:
    case = bench.case("hae", 1)
    expected = case.system.model(case.inputs())
    before = {name: value.clone() for name, value in case.system.model.state_dict().items()}
    for setup in (EAGER, STRICT, HALF, FOLDED, *ALONE):
        if setup.compiled:
            continue
        found = setup.prepare(case.system.model)(case.inputs())
        allowed = 0.05 if setup.bfloat16 else 1e-4
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


@pytest.mark.slow
def test_compiled_setups_compute_the_same(bench: Bench) -> None:
    case = bench.case("hae", 1)
    with torch.no_grad():
        expected = case.system.model(case.inputs()).tags
    compiled = next(setup for setup in ALONE if setup.compiled)
    found = compiled.prepare(case.system.model)(case.inputs()).tags
    torch.compiler.reset()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_names_say_which_setup_it_is() -> None:
    setups = (EAGER, STRICT, HALF, FOLDED, *ALONE)
    assert len({setup.name for setup in setups}) == len(setups)
    bare = replace(EAGER, name="")
    for setup in setups:
        changed = [f.name for f in fields(setup) if getattr(setup, f.name) != getattr(bare, f.name)]
        assert (changed == ["name"]) == (setup == EAGER)


def test_outputs_are_turned_into_float32_wherever_they_are() -> None:
    maps = torch.ones(1, 2, 3, 3, dtype=torch.bfloat16)
    inner = TagOutputs((maps,), maps[:, :, None], (12, 12))
    found = in_float32((TagOutputs((maps, maps), maps[:, :, None], (12, 12), (inner,)), 3))
    outputs, number = found
    assert number == 3 and outputs.image_size == (12, 12)
    for each in outputs.stages:
        assert {tensor.dtype for tensor in (*each.heatmaps, each.tags)} == {torch.float32}
    assert in_float32(torch.arange(3)).dtype == torch.int64

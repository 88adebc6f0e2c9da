"""The parts of batches, put together, are the batches."""

from __future__ import annotations

import pytest

from poselib.data.batch_parts import BatchParts


@pytest.mark.parametrize(("processes", "micro_batches"), [(1, 1), (2, 1), (1, 3), (2, 3), (4, 3)])
def test_micro_batches_of_all_processes_are_the_batch_in_its_order(
    processes: int, micro_batches: int
) -> None:
    batch = list(range(24))
    own = [BatchParts(processes, n, micro_batches).of(batch) for n in range(processes)]
    assert [key for same in zip(*own, strict=True) for part in same for key in part] == batch
    assert {len(part) for parts in own for part in parts} == {24 // processes // micro_batches}


def test_an_uneven_division_is_refused() -> None:
    BatchParts(3, 0, 2).check(18)
    with pytest.raises(ValueError, match=r"a step of 16 samples .* 3 processes .* multiple of 6"):
        BatchParts(3, 0, 2).check(16)

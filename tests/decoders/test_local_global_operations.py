"""Adaptation takes the same number of torch operations for any number of people."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from poselib.benchmarks.adaptation_inputs import adapt_inputs
from poselib.decoders.local_global import LocalGlobalOptions, Prior, decode_local_global
from poselib.ops import window_sampling as context
from tests.decoders.factories import expansion_of


class Counted(TorchDispatchMode):
    """Counts the operations that are carried out within."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.number += 1
        return func(*args, **(kwargs or {}))


def operations(people: int, images: int, prior: Prior) -> int:
    outputs = adapt_inputs(people, (256, 256), images=images)
    with torch.no_grad(), Counted() as counted:
        found = decode_local_global(outputs, LocalGlobalOptions(expansion_of(), prior=prior))
    assert [len(poses) for poses in found] == [people] * images
    return counted.number


@pytest.mark.slow
@pytest.mark.parametrize("prior", get_args(Prior))
def test_number_of_operations_does_not_grow_with_people(
    prior: Prior, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a GPU; a CPU looks at a few at once, to keep what it reads in its caches.
    monkeypatch.setattr(context, "_CPU_CHUNK", context._GPU_CHUNK)
    one = operations(1, 1, prior)
    assert operations(12, 1, prior) == operations(12, 3, prior) == one

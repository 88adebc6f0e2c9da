"""A batch that several processes and micro-batches compute apart: what is counted over all of it.

Without ``torch.distributed`` there is one process, and a batch is counted by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch import distributed as dist

Count = Tensor | int
Share = Callable[[Tensor], Tensor]


def process_count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if process_count() > 1 else 0


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, without gradient; all must ask for it."""
    if process_count() == 1:
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total


def in_any_process(own: bool) -> bool:
    """Return whether something holds in any process; all must ask for it, and no GPU waits."""
    return bool(sum_over_processes(torch.tensor(int(own)))) if process_count() > 1 else own


_share: ContextVar[Share | None] = ContextVar("_share", default=None)


def shared_count(count: Count, device: torch.device | None = None) -> Count:
    """Return what the sum of a loss over ``count`` cells or poses is divided by for their mean.

    That is their number, at least 1. Where a batch is computed in parts, it is the number in the
    whole batch divided by the number of parts, so that the mean of the parts' losses is the loss of
    the whole batch. A loss must ask for the same counts in the same order for every part.

    Example:
        >>> shared_count(12), shared_count(0)
        (12, 1)
    """
    if (share := _share.get()) is not None:
        return share(torch.as_tensor(count, device=device))
    return max(count, 1) if isinstance(count, int) else count.clamp(min=1)


@contextmanager
def counting(share: Share | None) -> Iterator[None]:
    """Let ``shared_count`` return what ``share``, if not None, makes of a part's count."""
    token = _share.set(share)
    try:
        yield
    finally:
        _share.reset(token)


def noise_like(values: Tensor) -> Tensor:
    """Draw standard normal numbers for the images (B, ...) of this process.

    All processes draw those of all images and take their part, so that images get the same numbers
    however many processes share them.
    """
    count = process_count()
    if count == 1:
        return torch.randn_like(values)
    drawn = torch.randn(count * len(values), *values.shape[1:], device=values.device)
    return drawn.to(values.dtype).unflatten(0, (count, -1))[process_rank()]

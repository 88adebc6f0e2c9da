"""The gradient of a step, computed in micro-batches and by several processes.

It is that of the whole batch: losses that are means over images are averaged over the parts, and
those that are means over what a batch holds of something divide by its number in the whole batch.
Batch normalization uses the statistics of a micro-batch of all processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from poselib.models.synchronized_norm import synchronized_norms
from poselib.ops.processes import Share, counting, process_count, sum_over_processes
from poselib.structures import Batch
from poselib.systems.system import LossTerms


class Objective(nn.Module):
    """The loss terms of a batch as a module, so that processes find all that they share.

    Losses may call parts of the model once more, as LOGO-CAP's do: they belong to the pass.

    Args:
        model: whose parameters are trained.
        losses: returns the terms of a batch by it.
    """

    def __init__(self, model: nn.Module, losses: Callable[[Batch], LossTerms]) -> None:
        super().__init__()
        self.model, self.losses = model, losses

    def forward(self, batch: Batch) -> LossTerms:
        with synchronized_norms(self.model):
            return self.losses(batch)


class BatchGradient:
    """Adds up the gradient of a step; see ``Objective`` for the arguments."""

    def __init__(self, model: nn.Module, losses: Callable[[Batch], LossTerms]) -> None:
        self._objective = Objective(model, losses)
        self._shared: DistributedDataParallel | None = None
        if process_count() > 1:
            # Some are unused: in a batch without people, or trained later.
            self._shared = DistributedDataParallel(self._objective, find_unused_parameters=True)
            self._shared.broadcast_buffers = False  # they are the same
        self._counts = True  # whether the losses count over a batch, as far as is known

    def backward(
        self, batches: Sequence[Batch], scaled: Callable[[Tensor], Tensor] = lambda loss: loss
    ) -> LossTerms:
        """Add the gradient of a step's micro-batches to the parameters.

        Args:
            batches: of this process, of one size.
            scaled: returns the loss that the gradient is of, as for float16.

        Returns:
            The terms of the loss of the whole batch, detached.
        """
        share, parts = self._share(batches), len(batches)
        sums: dict[str, Tensor] = {}
        for number, batch in enumerate(batches, 1):
            with self._apart(number < parts), counting(share):
                terms = (self._shared or self._objective)(batch)
                scaled(torch.stack(list(terms.values())).sum() / parts).backward()
            for name, term in terms.items():
                sums[name] = sums[name] + term.detach() if name in sums else term.detach()
        if (whole := parts * process_count()) == 1:
            return sums
        means = sum_over_processes(torch.stack(list(sums.values()))) / whole
        return dict(zip(sums, means.unbind(), strict=True))

    def _apart(self, apart: bool) -> AbstractContextManager[None]:
        """Let the processes exchange no gradient where another micro-batch follows."""
        return self._shared.no_sync() if apart and self._shared is not None else nullcontext()

    def _share(self, batches: Sequence[Batch]) -> Share | None:
        """Return how the count of a part becomes its share of the whole batch's."""
        processes, parts = process_count(), len(batches) * process_count()
        if parts == 1:
            return None
        if len(batches) == 1:
            return lambda own: sum_over_processes(own).clamp(min=1) / processes
        if not self._counts:
            return _unexpected
        totals = self._count(batches)
        self._counts = bool(totals)
        asked = count()
        return lambda _: totals[next(asked) % len(totals)].clamp(min=1) / parts

    @torch.no_grad()
    def _count(self, batches: Sequence[Batch]) -> list[Tensor]:
        """Return what the losses count, over all parts, by a forward pass that leaves no trace."""
        model = self._objective.model
        kept = [buffer.clone() for buffer in model.buffers()]
        device = batches[0].images.device
        counts: list[list[Tensor]] = []

        def note(own: Tensor) -> Tensor:
            counts[-1].append(own)
            return own.clamp(min=1)

        with torch.random.fork_rng([device] if device.type == "cuda" else []), counting(note):
            for batch in batches:
                counts.append([])
                self._objective(batch)
        for buffer, value in zip(model.buffers(), kept, strict=True):
            buffer.copy_(value)
        return [sum_over_processes(torch.stack(same).sum()) for same in zip(*counts, strict=True)]


def _unexpected(_: Tensor) -> Tensor:
    raise RuntimeError("a loss counts in some batches only; see ops.processes.shared_count")

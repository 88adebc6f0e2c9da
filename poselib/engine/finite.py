"""The check of every step that loss and weights are finite, which makes no GPU wait."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_SHOWN = 64  # image ids in a message


class NotFiniteError(ValueError):
    """The loss or the weights of a training are NaN or infinite."""


@dataclass(frozen=True)
class _Step:
    number: int
    images: Sequence[int]
    terms: Sequence[str]
    values: Tensor  # (terms + 1,) on the CPU once ``copied``: the terms, the norm of the weights
    copied: torch.cuda.Event | None


class FiniteCheck:
    """Finds the step, and so the batch, that made a training's numbers NaN or infinite.

    The terms of the loss and one norm over all weights and buffers are computed where they are. A
    gradient that is not finite shows in the weights. On a CPU they are read at once. A GPU
    computes a step while the next is prepared, and would have to be waited for: its numbers are
    copied when it comes to them, and read when the next step is under way, with the batch they
    belong to.

    Args:
        model: the network in training; its tensors stay the same objects.
        delayed: whether to read a step's numbers when the next is under way, as of a GPU.
    """

    def __init__(self, model: nn.Module, delayed: bool) -> None:
        self._model, self._delayed = model, delayed
        tensors = (*model.parameters(), *model.buffers())
        self._weights = [t.detach() for t in tensors if t.is_floating_point() and t.numel()]
        self._waiting: _Step | None = None

    def note(self, step: int, images: Sequence[int], terms: Mapping[str, Tensor]) -> None:
        """Take the numbers of a step that was just computed; read those of the one before.

        Args:
            step: its number, the first being 1.
            images: ids of those that its gradient is of.
            terms: of its loss, scalars.

        Raises:
            NotFiniteError: the numbers that are read are not finite.
        """
        # Of all norms this one overflows last: a sum of absolute values.
        norm = nn.utils.get_total_norm(self._weights, 1.0)
        values = torch.stack([*(term.detach().to(norm) for term in terms.values()), norm])
        before, self._waiting = self._waiting, None
        copied = None
        if values.is_cuda:
            values = values.to("cpu", non_blocking=True)
            copied = torch.cuda.Event()
            copied.record()
        self._waiting = _Step(step, images, tuple(terms), values, copied)
        if before is not None:
            self._read(before)
        if not self._delayed:
            self.flush()

    def flush(self) -> None:
        """Read what is waiting, before a state is recorded, measured or saved.

        Raises:
            NotFiniteError: it is not finite.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._read(waiting)

    def _read(self, step: _Step) -> None:
        if step.copied is not None:
            step.copied.synchronize()
        values = step.values.tolist()
        if all(map(math.isfinite, values)):
            return
        wrong = {
            name: value
            for name, value in zip(step.terms, values, strict=False)
            if not math.isfinite(value)
        }
        found = f"the loss is not finite ({wrong})" if wrong else self._broken_weight()
        raise NotFiniteError(
            f"step {step.number}: {found}; its batch holds the images {_ids(step.images)}; lower "
            "learning_rate or set clip"
        )

    def _broken_weight(self) -> str:
        for name, value in self._model.state_dict().items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                return f"{name} is no longer finite"
        return "the weights are too large for their sum to be finite"


def _ids(images: Sequence[int]) -> str:
    ids = list(dict.fromkeys(images))
    return ", ".join(map(str, ids[:_SHOWN])) + (", ..." if len(ids) > _SHOWN else "")

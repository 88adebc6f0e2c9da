"""Batch normalization over the batch of all processes, on GPUs and on CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from poselib.ops.processes import process_count


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes, each of which gets the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SynchronizedNorm2d(nn.SyncBatchNorm, nn.BatchNorm2d):
    """``torch.nn.SyncBatchNorm``, which needs a GPU, and the same in plain arithmetic on a CPU."""

    process_group = None

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or input.device.type != "cpu":
            return super().forward(input)
        axes, shape = (0, 2, 3), (1, -1, 1, 1)
        values = input.float()
        count = values.new_tensor([values.numel() // values.shape[1]])
        total: Tensor = _SumOverProcesses.apply(torch.cat([values.sum(axes), count]))
        number = total[-1].detach()
        mean = total[:-1] / number
        centered = values - mean.view(shape)
        squares: Tensor = _SumOverProcesses.apply(centered.square().sum(axes))
        self._follow(mean.detach(), squares.detach() / (number - 1))
        scale = (squares / number + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        output = centered * scale.view(shape)
        output = output if self.bias is None else output + self.bias.view(shape)
        return output.to(input.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, if there are any, as batch normalization does."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / int(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean), momentum)
        self.running_var.lerp_(variance.to(self.running_var), momentum)


_synchronized: dict[type[nn.BatchNorm2d], type[nn.BatchNorm2d]] = {
    nn.BatchNorm2d: SynchronizedNorm2d
}


@contextmanager
def synchronized_norms(model: nn.Module) -> Iterator[None]:
    """Let the batch normalizations of a model count the batch of all processes meanwhile.

    They keep their parameters, buffers and names: their class changes, for the time of a forward
    pass.
    """
    norms = [each for each in model.modules() if isinstance(each, nn.BatchNorm2d)]
    kinds = [type(each) for each in norms]
    if process_count() == 1:
        yield
        return
    for norm, kind in zip(norms, kinds, strict=True):
        if kind not in _synchronized:  # its normalization is that of the class after it
            name, bases = f"Synchronized{kind.__name__}", (kind, SynchronizedNorm2d)
            _synchronized[kind] = type(name, bases, {})
        norm.__class__ = _synchronized[kind]
    try:
        yield
    finally:
        for norm, kind in zip(norms, kinds, strict=True):
            norm.__class__ = kind

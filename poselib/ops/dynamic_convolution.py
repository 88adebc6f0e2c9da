"""Windows of heat convolved with kernels of their own, and the place that comes out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# Side of windows whose rows are looked at first. torch takes others of equally high places where
# it has fewer than 128 to choose from.
_LARGE = 32
# Zeros around windows that a convolution adds itself: with more of them one of many groups takes
# fifteen times as long on a CPU.
_PADDED = 6


def convolve_each(windows: Tensor, kernels: Tensor) -> Tensor:
    """Convolve each window with its own kernel (LOGO-CAP, Eq. 2).

    It is a convolution, not a correlation: a kernel whose highest value lies right of its middle
    moves heat to the right. As in the official code it is divided by the size of the kernel, so
    that a kernel of ones takes the mean; beyond the window there is no heat.

    Args:
        windows: (n, K, a, a) float.
        kernels: (n, K, r, r) float, r odd.

    Returns:
        (n, K, a, a).
    """
    if not len(windows):
        return windows
    return _ConvolveEach.apply(windows, kernels / kernels.shape[-1] ** 2)


class _ConvolveEach(torch.autograd.Function):
    """One group for each window; both gradients are such convolutions themselves.

    torch's own gradient of the kernels takes ten times as long on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, windows: Tensor, kernels: Tensor) -> Tensor:
        ctx.save_for_backward(windows, kernels)
        return _correlated(windows, kernels.flip(-2, -1), kernels.shape[-1] // 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        windows, kernels = ctx.saved_tensors
        gradient, reach = gradients[0].contiguous(), kernels.shape[-1] // 2
        of_windows = _correlated(gradient, kernels, reach) if ctx.needs_input_grad[0] else None
        # How the gradient lies over the windows, moved by each place of the kernel.
        of_kernels = (
            _correlated(windows, gradient, reach).flip(-2, -1) if ctx.needs_input_grad[1] else None
        )
        return of_windows, of_kernels


def _correlated(windows: Tensor, kernels: Tensor, padding: int) -> Tensor:
    """Correlate each of (n, K, a, a) with its own of (n, K, r, r); around them lie zeros."""
    people, kinds = windows.shape[:2]
    groups = people * kinds
    flat = windows.reshape(1, groups, *windows.shape[2:])
    if padding > _PADDED:
        flat, padding = F.pad(flat, (padding,) * 4), 0
    found = F.conv2d(
        flat, kernels.reshape(groups, 1, *kernels.shape[2:]), padding=padding, groups=groups
    )
    return found.unflatten(1, (people, kinds))[0]


def soft_argmax_top2(windows: Tensor, share: float = 0.75) -> tuple[Tensor, Tensor]:
    """Return where each window is highest: a mean of the two highest places (LOGO-CAP, Eq. 3).

    Args:
        windows: (n, K, a, a) float, finite.
        share: weight of the highest place, and of its value; the second one has the rest.

    Returns:
        (n, K, 2) float32 (x, y), in places from the middle, and the value (n, K).
    """
    side = windows.shape[-1]
    value, place = _two_highest(windows)
    xy = torch.stack([place % side, place.div(side, rounding_mode="floor")], dim=-1)
    weights = value.new_tensor([share, 1 - share])[: value.shape[-1]]
    weights = weights / weights.sum()  # a window of one place has no second one
    found = (xy * weights[:, None]).sum(dim=-2) - side // 2
    return found, (value * weights).sum(dim=-1)


def _two_highest(windows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values and places of the ``topk`` of flattened windows, of equal ones the same.

    They lie in the rows that reach highest, and to look for these takes a third of the time. Which
    of equally high places torch takes on a CPU depends on the first two of all and on up to two
    more than it takes: hence the first row and the three best of the others.
    """
    side = windows.shape[-1]
    if side < _LARGE:
        return windows.flatten(2).topk(min(2, side**2))
    reach = windows[..., 1:, :].amax(dim=-1)
    chosen = [reach.new_zeros((*reach.shape[:-1], 1), dtype=torch.int64)]
    for _ in range(3):
        best = reach.argmax(dim=-1, keepdim=True)  # of equal ones the first
        chosen.append(best + 1)
        reach = reach.scatter(-1, best, -torch.inf)
    rows = torch.cat(chosen, dim=-1).sort(dim=-1).values
    highest = windows.gather(2, rows[..., None].expand(*rows.shape, side))
    value, place = highest.flatten(2).topk(2)
    row = rows.gather(2, place.div(side, rounding_mode="floor"))
    return value, row * side + place % side

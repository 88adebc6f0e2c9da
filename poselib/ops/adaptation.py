"""Windows of heat convolved with kernels of their own, and the place that comes out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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
    people, kinds, side = kernels.shape[:3]
    # One image whose channels are all windows, and a group for each.
    flat = windows.reshape(1, people * kinds, *windows.shape[2:])
    weight = kernels.flip(-2, -1).reshape(people * kinds, 1, side, side) / side**2
    if not people:
        return windows
    return F.conv2d(flat, weight, padding=side // 2, groups=people * kinds).view_as(windows)


def highest_places(windows: Tensor, share: float = 0.75) -> tuple[Tensor, Tensor]:
    """Return where each window is highest: a mean of the two highest places (LOGO-CAP, Eq. 3).

    Args:
        windows: (n, K, a, a) float, finite.
        share: weight of the highest place, and of its value; the second one has the rest.

    Returns:
        (n, K, 2) float32 (x, y), in places from the middle, and the value (n, K).
    """
    side = windows.shape[-1]
    value, place = windows.flatten(2).topk(min(2, side**2))
    xy = torch.stack([place % side, place.div(side, rounding_mode="floor")], dim=-1)
    weights = value.new_tensor([share, 1 - share])[: value.shape[-1]]
    weights = weights / weights.sum()  # a window of one place has no second one
    found = (xy * weights[:, None]).sum(dim=-2) - side // 2
    return found, (value * weights).sum(dim=-1)

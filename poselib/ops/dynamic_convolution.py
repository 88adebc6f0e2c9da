"""Dynamic convolution of windows, each with its own kernel, and the highest cells of windows."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.processor import onednn_allows
from poselib.ops.window_sampling import window_steps

Ties = Literal["first", "mean"]

# Cells of maps that are correlated by one call on a CPU: 2560 maps of 64 x 64 cells take twice as
# long at once as 512 and 512.
_AT_ONCE = 512 * 64 * 64
# Side from which on the maxima of rows are compared first. Below 128 candidates, torch's topk
# selects others of equal cells.
_LARGE = 32


def convolve_each(windows: Tensor, kernels: Tensor) -> Tensor:
    """Convolve each window with its own kernel (LOGO-CAP, Eq. 2).

    It is a convolution, not a correlation: a kernel with its maximum right of its center shifts
    peaks to the right. As in the official code it is divided by the size of the kernel, so that a
    kernel of ones takes the mean; windows are padded with zeros.

    Args:
        windows: (n, K, a, a) float.
        kernels: (n, K, r, r) float, r odd.

    Returns:
        (n, K, a, a) float.
    """
    if not len(windows):
        return windows
    return correlate_each(windows, (kernels / kernels.shape[-1] ** 2).flip(-2, -1))


def correlate_each(maps: Tensor, kernels: Tensor) -> Tensor:
    """Correlate each map of a batch with its own kernel (RPSTN/JRE, Eq. 3).

    Args:
        maps: (n, C, h, w) float, padded with zeros.
        kernels: (n, C, kh, kw) float, kh and kw odd.

    Returns:
        (n, C, h, w) float.
    """
    if torch.compiler.is_exporting():
        return _one_by_one(maps, kernels)
    return _CorrelateEach.apply(maps, kernels)


def _one_by_one(maps: Tensor, kernels: Tensor) -> Tensor:
    """Correlate the maps of a batch one after another, in a loop that a graph can hold.

    A graph that is exported states how many groups a convolution has: one a channel, since the
    number of maps may be any. The sides of the kernels may be any too.
    """
    from torch._higher_order_ops import scan  # torch has no public name of it

    rows, columns = kernels.shape[-2:]
    above, left = _half(kernels)
    # written so that the result has the size of the maps whatever the sides are
    padded = F.pad(maps, (left, columns - 1 - left, above, rows - 1 - above))

    def correlate(nothing: Tensor, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        image, kernel = pair
        found = F.conv2d(image[None], kernel[:, None], groups=maps.shape[1])
        return nothing.clone(), found[0]

    correlated: Tensor = scan(correlate, maps.new_zeros(1), (padded, kernels))[1]
    return correlated


class _CorrelateEach(torch.autograd.Function):
    """A grouped convolution whose gradients are grouped convolutions too.

    torch's own gradient of the kernels takes ten times as long on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, kernels: Tensor) -> Tensor:
        ctx.save_for_backward(maps, kernels)
        return _correlate(maps, kernels, _half(kernels))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        maps, kernels = ctx.saved_tensors
        gradient, padding = gradients[0].contiguous(), _half(kernels)
        of_maps = of_kernels = None
        if ctx.needs_input_grad[0]:
            of_maps = _correlate(gradient, kernels.flip(-2, -1), padding)
        if ctx.needs_input_grad[1]:
            # the correlation of maps and gradient at the shift of each cell of the kernel
            of_kernels = _correlate(maps, gradient, padding)
        return of_maps, of_kernels


def _half(kernels: Tensor) -> tuple[int, int]:
    return kernels.shape[-2] // 2, kernels.shape[-1] // 2


def _correlate(maps: Tensor, kernels: Tensor, padding: tuple[int, int]) -> Tensor:
    """Correlate maps (n, K, h, w), padded with zeros, with their own kernels (n, K, kh, kw)."""
    people, kinds = maps.shape[:2]
    groups, some = people * kinds, max(1, _AT_ONCE // max(1, maps[:1].numel()))
    if maps.is_cpu and people > some:
        parts = zip(maps.split(some), kernels.split(some), strict=True)
        return torch.cat([_correlate(*part, padding) for part in parts])
    # with channels last, a single sample's would take three times as long on a CPU
    flat, rows, columns = maps.contiguous().view(1, groups, *maps.shape[2:]), *padding
    # small ones need not ask for the processor, which a compiler of graphs cannot
    if flat.is_cpu and max(padding) > 4 and max(padding) > _max_padding():
        flat, padding = F.pad(flat, (columns, columns, rows, rows)), (0, 0)
    correlated = F.conv2d(
        flat, kernels.reshape(groups, 1, *kernels.shape[2:]), padding=padding, groups=groups
    )
    return correlated.unflatten(1, (people, kinds))[0]


def _max_padding() -> int:
    """Return the padding up to which a CPU takes its fast path of a grouped convolution.

    oneDNN computes 6 neighboring cells at once with AVX-512 and 4 with AVX2; where the padding is
    larger it takes a general path, about ten times slower. To pad the windows beforehand gives the
    same values, in 1.2 to 1.7 times what the fast path takes for kernels of 7 to 13 cells.
    """
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512" and onednn_allows("512")
    return 6 if wide else 4


def soft_argmax_top2(windows: Tensor, top_weight: float = 0.75) -> tuple[Tensor, Tensor]:
    """Return the weighted mean of the two highest cells of each window (LOGO-CAP, Eq. 3).

    Args:
        windows: (n, K, a, a) float, finite.
        top_weight: weight of the highest cell and its value; the second one has the remainder.

    Returns:
        (n, K, 2) float32 (x, y), in cells from the center, and the weighted mean value (n, K).

    Example:
        >>> windows = torch.zeros(1, 1, 5, 5)
        >>> windows[0, 0, 2, 3], windows[0, 0, 2, 4] = 0.8, 0.4
        >>> soft_argmax_top2(windows)
        (tensor([[[1.2500, 0.0000]]]), tensor([[0.7000]]))
    """
    side = windows.shape[-1]
    value, cell = _top2(windows)
    xy = torch.stack([cell % side, cell.div(side, rounding_mode="floor")], dim=-1)
    weights = value.new_tensor([top_weight, 1 - top_weight])[: value.shape[-1]]
    weights = weights / weights.sum()  # a window of one cell has no second one
    mean = (xy * weights[:, None]).sum(dim=-2) - side // 2
    return mean, (value * weights).sum(dim=-1)


def highest_cell(windows: Tensor, ties: Ties = "first") -> tuple[Tensor, Tensor]:
    """Return the highest cell of each window.

    Args:
        windows: (n, K, r, r) float, finite.
        ties: of equal highest cells, the ``"first"`` in the order of rows, or their ``"mean"``.

    Returns:
        (n, K, 2) float (x, y), in cells from the center, and the value (n, K).

    Example:
        >>> windows = torch.zeros(1, 1, 3, 3)
        >>> windows[0, 0, 1] = 1.0  # the middle row
        >>> highest_cell(windows)[0], highest_cell(windows, "mean")[0]
        (tensor([[[-1.,  0.]]]), tensor([[[0., 0.]]]))
    """
    side, flat = windows.shape[-1], windows.flatten(2)
    value, cell = flat.max(dim=-1)
    if ties == "first":
        xy = torch.stack([cell % side, cell.div(side, rounding_mode="floor")], dim=-1)
        return (xy - side // 2).to(windows), value
    along = window_steps(side, windows.device).to(windows)
    equal = flat == value[..., None]
    total = equal.to(windows) @ torch.cartesian_prod(along, along).flip(-1)
    return total / equal.sum(dim=-1, keepdim=True), value


def _top2(windows: Tensor) -> tuple[Tensor, Tensor]:
    """Return values and flat indices of the two highest cells, the same of equals as ``topk``.

    They are in the rows with the highest maxima, and to select these first takes a third of the
    time. Which of equal cells torch's topk selects on a CPU depends on the first two of all and on
    up to two more than it selects: hence the first row and the three best of the others.
    """
    side = windows.shape[-1]
    if side < _LARGE:
        return windows.flatten(2).topk(min(2, side**2))
    maxima = windows[..., 1:, :].amax(dim=-1)
    selected = [maxima.new_zeros((*maxima.shape[:-1], 1), dtype=torch.int64)]
    for _ in range(3):
        best = maxima.argmax(dim=-1, keepdim=True)  # the first of equals
        selected.append(best + 1)
        maxima = maxima.scatter(-1, best, -torch.inf)
    rows = torch.cat(selected, dim=-1).sort(dim=-1).values
    highest = windows.gather(2, rows[..., None].expand(*rows.shape, side))
    value, cell = highest.flatten(2).topk(2)
    row = rows.gather(2, cell.div(side, rounding_mode="floor"))
    return value, row * side + cell % side

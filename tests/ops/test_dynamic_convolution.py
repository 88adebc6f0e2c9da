"""Dynamic convolution and soft argmax, against loops and official code."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.benchmarks.references.plain_adaptation import convolved_each, two_highest
from poselib.ops import dynamic_convolution
from poselib.ops.dynamic_convolution import convolve_each, correlate_each, soft_argmax_top2


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(("side", "kernel"), [(7, 3), (6, 5), (3, 5), (1, 3), (5, 1), (4, 15)])
def test_convolution_equals_loops_over_cells(side: int, kernel: int) -> None:
    """Eq. (2): the sum of heat at x - s times the kernel at s, with no heat beyond the window."""
    windows, kernels = random(2, 3, side, side), random(2, 3, kernel, kernel, seed=1)
    reach = kernel // 2
    expected = torch.zeros_like(windows)
    for n, k, y, x, i, j in np.ndindex(2, 3, side, side, kernel, kernel):
        row, column = y - (i - reach), x - (j - reach)
        if 0 <= row < side and 0 <= column < side:
            expected[n, k, y, x] += windows[n, k, row, column] * kernels[n, k, i, j]
    found = convolve_each(windows, kernels)
    torch.testing.assert_close(found, expected / kernel**2)
    torch.testing.assert_close(found, convolved_each(windows, kernels))


def test_convolution_shifts_peaks_towards_the_kernel_maximum() -> None:
    windows, kernels = torch.zeros(1, 1, 9, 9), torch.zeros(1, 1, 5, 5)
    windows[0, 0, 4, 4], kernels[0, 0, 1, 4] = 1, 25  # one up, two to the right
    assert convolve_each(windows, kernels)[0, 0].nonzero().tolist() == [[3, 6]]


def test_convolution_with_ones_is_the_mean() -> None:
    windows = torch.full((1, 2, 9, 9), 0.5)
    found = convolve_each(windows, torch.ones(1, 2, 3, 3))
    torch.testing.assert_close(found[..., 1:-1, 1:-1], windows[..., 1:-1, 1:-1])


@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True)])
def test_convolution_gradcheck(wanted: tuple[bool, bool]) -> None:
    windows = random(2, 2, 6, 6).requires_grad_(wanted[0])
    kernels = random(2, 2, 3, 3, seed=1).requires_grad_(wanted[1])
    assert torch.autograd.gradcheck(convolve_each, (windows, kernels))
    assert torch.autograd.gradgradcheck(convolve_each, (windows, kernels))


@pytest.mark.parametrize("side", [11, 15])
def test_convolution_gradients_equal_torch(side: int) -> None:
    windows, kernels = random(3, 2, 21, 21).float(), random(3, 2, side, side, seed=1).float()
    weights, found = random(3, 2, 21, 21, seed=2).float(), []
    for function in (convolve_each, convolved_each):
        given = [windows.clone().requires_grad_(), kernels.clone().requires_grad_()]
        found.append(torch.autograd.grad((function(*given) * weights).sum(), given))
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [9, 11, 13, 15])
def test_convolution_is_the_same_on_every_processor(
    monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    windows, kernels = random(2, 3, 21, 21).float(), random(2, 3, side, side, seed=1).float()
    found = []
    for name in ("AVX512", "AVX2"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda name=name: name)
        given = [windows.clone().requires_grad_(), kernels.clone().requires_grad_()]
        result = convolve_each(*given)
        found.append([result, *torch.autograd.grad(result.square().sum(), given)])
    for wide, narrow in zip(*found, strict=True):
        torch.testing.assert_close(wide, narrow, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["AVX2", "ALL"])
def test_no_kernel_takes_the_slow_path(limit: str) -> None:
    """A kernel of 11x11 cells has 1.5 times the work of 9x9, and took 13 times as long."""
    code = """
import time
import torch
from poselib.ops.dynamic_convolution import convolve_each
torch.set_num_threads(1)
windows = torch.rand(8, 14, 49, 49)
times = {9: [], 11: [], 15: []}
for _ in range(7):
    for side, taken in times.items():
        begin = time.process_time()
        convolve_each(windows, torch.rand(8, 14, side, side))
        taken.append(time.process_time() - begin)
best = {side: min(taken) for side, taken in times.items()}
assert max(best[11], best[15]) < 6 * best[9], best
"""
    limited = {**os.environ, "ONEDNN_MAX_CPU_ISA": limit}
    done = subprocess.run([sys.executable, "-c", code], env=limited, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_convolution_of_no_windows() -> None:
    assert convolve_each(torch.zeros(0, 3, 9, 9), torch.zeros(0, 3, 5, 5)).shape == (0, 3, 9, 9)
    places, values = soft_argmax_top2(torch.zeros(0, 3, 9, 9))
    assert places.shape == (0, 3, 2) and values.shape == (0, 3)


def test_soft_argmax_by_hand() -> None:
    windows = torch.zeros(1, 2, 5, 5)
    windows[0, 0, 2, 2], windows[0, 0, 2, 4] = 0.8, 0.4  # the middle, and two to the right
    windows[0, 1, 0, 1], windows[0, 1, 4, 1] = 0.5, 1.0
    places, values = soft_argmax_top2(windows)
    assert places.tolist() == [[[0.5, 0.0], [-1.0, 1.0]]]
    torch.testing.assert_close(values, torch.tensor([[0.7, 0.875]]))
    places, values = soft_argmax_top2(windows, top_weight=1.0)
    assert places.tolist() == [[[0.0, 0.0], [-1.0, 2.0]]]
    torch.testing.assert_close(values, torch.tensor([[0.8, 1.0]]))


@pytest.mark.parametrize("side", [3, 11, 97])
def test_soft_argmax_equals_official_code(side: int) -> None:
    windows = random(4, 5, side, side, dtype=torch.float32)
    for ours, plain in zip(soft_argmax_top2(windows), two_highest(windows, 0.75), strict=True):
        torch.testing.assert_close(ours, plain)


def test_soft_argmax_of_one_cell() -> None:
    places, values = soft_argmax_top2(torch.full((1, 2, 1, 1), 0.6))
    assert places.tolist() == [[[0, 0], [0, 0]]]
    torch.testing.assert_close(values, torch.full((1, 2), 0.6))


@pytest.mark.parametrize("side", [1, 2, 31, 32, 33, 61])
@pytest.mark.parametrize("levels", [1, 2, 5, 400, 100000])
def test_soft_argmax_breaks_ties_like_topk(side: int, levels: int) -> None:
    make = torch.Generator().manual_seed(side + levels)
    windows = (torch.rand(40, 5, side, side, generator=make).square() * levels).floor()
    windows[-5:, :, : side // 2] = 0
    if side > 1:
        for found, plain in zip(soft_argmax_top2(windows), two_highest(windows, 0.75), strict=True):
            torch.testing.assert_close(found, plain)
    value, place = (each[..., 0] for each in windows.flatten(2).topk(min(2, side**2)))
    found, heat = soft_argmax_top2(windows, 1.0)
    xy = torch.stack([place % side, place // side], dim=-1) - side // 2
    assert torch.equal(found, xy.float()) and torch.equal(heat, value)


def test_many_maps_are_correlated_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = torch.Generator().manual_seed(0)
    maps, kernels = torch.randn(5, 3, 8, 6, generator=rng), torch.randn(5, 3, 3, 5, generator=rng)
    together = correlate_each(maps, kernels)
    for some in (1, 3, 7):
        monkeypatch.setattr(dynamic_convolution, "_AT_ONCE", some)
        torch.testing.assert_close(correlate_each(maps, kernels), together)
        last = maps.to(memory_format=torch.channels_last)
        torch.testing.assert_close(correlate_each(last, kernels), together)

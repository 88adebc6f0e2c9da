"""The pose semantics propagator: its figure, receptive fields, kernels and what it saves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.models.propagator import (
    LAYERS,
    Propagator,
    check_kernel_size,
    distinct_size,
    kernel_size,
    receptive_field,
)
from tests.models.random_weights import randomised
from tests.references import plain_propagation as plain

torch.set_num_threads(1)


def maps(channels: int, *size: int, batch: int = 2, seed: int = 0) -> Tensor:
    make = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, *size, generator=make, dtype=torch.float64)


@pytest.mark.parametrize("layers", LAYERS)
def test_equals_the_figure_cell_by_cell(layers: int) -> None:
    module = randomised(Propagator(3, 2, layers))
    features, heatmaps = maps(3, 32, 16), maps(2, 32, 16, seed=1)
    with torch.no_grad():
        got = module(module.prepare(features), heatmaps)
        in_order = module.in_order(features, heatmaps, lambda x: x)
    assert got.shape == (2, 3, 3, 1)
    for image in range(2):
        arrays = plain.numbers(features[image]), plain.numbers(heatmaps[image])
        expected = plain.kernels(*arrays, module)
        np.testing.assert_allclose(got[image], expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(got, in_order)


@pytest.mark.parametrize(("layers", "cells"), [(3, 22), (4, 38), (5, 54)])
def test_receptive_fields(layers: int, cells: int) -> None:
    """That of a cell in the middle of the kernel, by the gradients that reach the heatmaps."""
    assert receptive_field(layers) == cells
    module = Propagator(2, 2, layers).double().eval()
    for value in module.parameters():
        value.data.abs_()  # so that no ReLU is silent
    rising = torch.arange(1.0, 129, dtype=torch.float64)  # pools take the cells at the right
    seen = set()
    for x in (rising, rising.flip(0)):
        heatmaps = x.expand(1, 2, 128, 128).clone().requires_grad_()
        kernels = module(module.prepare(maps(2, 128, 128, batch=1).abs() * 0), heatmaps)
        (reached,) = torch.autograd.grad(kernels[0, :, 7, 7].sum(), heatmaps)
        seen |= set(reached.abs().sum(dim=(0, 1, 2)).nonzero()[:, 0].tolist())
    assert max(seen) - min(seen) + 1 == cells


@pytest.mark.parametrize(
    ("size", "kernel"), [((64, 64), (7, 7)), ((64, 48), (7, 5)), ((32, 32), (3, 3))]
)
def test_kernels_follow_the_map(size: tuple[int, int], kernel: tuple[int, int]) -> None:
    assert kernel_size(size) == kernel
    check_kernel_size((4 * size[0], 4 * size[1]), size, 32)
    with torch.device("meta"):
        module = Propagator(4, 3)
        got = module(module.prepare(torch.zeros(1, 4, *size)), torch.zeros(1, 3, *size))
    assert tuple(got.shape) == (1, 4, *kernel)


@pytest.mark.parametrize("multiple", [4, 8, 16, 32, 64, 128])
def test_sizes_to_trace_a_graph_with_have_no_side_of_one_cell(multiple: int) -> None:
    image = distinct_size(4, multiple)
    check_kernel_size(image, (image[0] // 4, image[1] // 4), multiple)
    height, width = kernel_size((image[0] // 4, image[1] // 4))
    assert 1 < height < width
    assert not image[0] % multiple and not image[1] % multiple


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ((256, 160), r"kernels of 7x4 cells, .* images of 256x128, 256x192 px fit"),
        ((96, 128), r"kernels of 2x3 cells, .* images of 64x128, 128x128 px fit"),
        ((32, 32), r"kernels of 0x0 cells, .* images of 64x64 px fit"),
        ((224, 224), r"of 6x6 .* 192x192, 192x256, 256x192, 256x256 px fit"),
    ],
)
def test_even_kernels_are_refused_with_sizes_that_fit(image: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_kernel_size(image, (image[0] // 4, image[1] // 4), 32)


def test_gradients() -> None:
    module = randomised(Propagator(2, 1))
    inputs = (maps(2, 16, 16, batch=1), maps(1, 16, 16, batch=1, seed=1))
    inputs = tuple(x.requires_grad_() for x in inputs)

    def function(features: Tensor, heatmaps: Tensor, *_: Tensor) -> Tensor:
        return module(module.prepare(features), heatmaps)

    given = (*inputs, *module.parameters())
    assert torch.autograd.gradcheck(function, given, fast_mode=True)


@pytest.mark.parametrize("layers", [-1, 1, 2, 6])
def test_other_depths_are_refused(layers: int) -> None:
    with pytest.raises(ValueError, match=f"must be 0, 3, 4 or 5, not {layers}"):
        Propagator(4, 3, layers)

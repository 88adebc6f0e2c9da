from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import deform_conv2d

from poselib.models import adaptive
from poselib.models.adaptive import AdaptiveBlock
from tests.models.official import official_weights, relative

torch.set_num_threads(1)

# of DEKR's paper: the nine taps of an ordinary convolution, x above y
REGULAR = torch.tensor([[-1.0, 0, 1] * 3, [-1.0] * 3 + [0.0] * 3 + [1.0] * 3])


def block(branches: int, width: int, *, adaptive: bool = True, seed: int = 0) -> AdaptiveBlock:
    """A block in which nothing is zero or one, and whose taps lie anywhere on a small map."""
    generator = torch.Generator().manual_seed(seed)
    made = AdaptiveBlock(branches, width, adaptive=adaptive).eval()
    for name, value in made.state_dict().items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator)
            value.copy_(noise.abs() + 0.5 if name == "bn.running_var" else noise)
    return made


def features(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def surrounded(made: AdaptiveBlock, x: Tensor, y: Tensor) -> Tensor:
    """What the block makes of its convolution's result y."""
    return (made.bn(y) + x).relu()


def moved(made: AdaptiveBlock, matrix: list[list[float]], translation: list[float]) -> None:
    """Give every cell of every branch one affine map."""
    rows = torch.cat([torch.tensor(matrix), torch.tensor(translation)[:, None]], dim=1)
    with torch.no_grad():
        made.affine.weight.zero_()
        made.affine.bias.copy_(rows.flatten().repeat(made.branches))


@pytest.mark.parametrize(("batch", "branches", "width"), [(2, 3, 5), (1, 1, 8), (2, 4, 1)])
def test_equals_the_deformable_convolution_of_torchvision(
    batch: int, branches: int, width: int
) -> None:
    made, x = block(branches, width), features(batch, branches * width, 7, 9)
    with torch.no_grad():
        affine = made.affine(x).view(batch, branches, 2, 3, 7, 9)
        taps = torch.einsum("bgcdhw,dn->bgnchw", affine[:, :, :, :2], REGULAR)
        offsets = taps + affine[:, :, None, :, 2] - REGULAR.T[:, :, None, None]
        offsets = offsets.flip(3).reshape(batch, -1, 7, 9)  # torchvision's come as (y, x)
        assert float(offsets.abs().max()) > 9  # far out of the map
        expected = deform_conv2d(x, offsets, made.conv.weight, padding=1)
        got = made(x)
    scale = float(expected.abs().max())
    torch.testing.assert_close(got, surrounded(made, x, expected), rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.golden
def test_equals_the_official_block(golden_dir: Path) -> None:
    weights = official_weights(golden_dir, "dekr_adaptblock")
    del weights["regular_matrix"]
    for leaf in ("weight", "bias"):
        # officially A in reading order of (y, x), and t
        yy, yx, xy, xx = weights.pop(f"transform_matrix_conv.{leaf}")
        y, x = weights.pop(f"translation_conv.{leaf}")
        weights[f"affine.{leaf}"] = torch.stack([xx, xy, x, yx, yy, y])
    weights["conv.weight"] = weights.pop("adapt_conv.weight")
    made = AdaptiveBlock(1, 15).eval()
    made.load_state_dict(weights)
    with np.load(golden_dir / "dekr_adaptblock.npz") as arrays, torch.no_grad():
        assert relative(made(torch.from_numpy(arrays["x"])), arrays["y"]) < 1e-5


def test_a_whole_translation_is_an_ordinary_convolution_of_a_moved_map() -> None:
    made, x = block(2, 3), features(1, 6, 8, 10)
    moved(made, [[1, 0], [0, 1]], [2, -1])
    with torch.no_grad():
        padded = F.pad(x, (-1, 3, 2, 0))  # two columns further right, one row further up
        expected = F.conv2d(padded, made.conv.weight, groups=2)
        torch.testing.assert_close(made(x), surrounded(made, x, expected), rtol=1e-5, atol=1e-5)


def test_a_matrix_turns_and_stretches_the_kernel() -> None:
    made, x = block(2, 3), features(1, 6, 9, 11)
    # A step to the right leads two cells down, a step down leads two cells to the left.
    moved(made, [[0, -2], [2, 0]], [0, 0])
    kernel = made.conv.weight.detach().rot90(-1, dims=(2, 3))
    with torch.no_grad():
        expected = F.conv2d(x, kernel, padding=2, dilation=2, groups=2)
        torch.testing.assert_close(made(x), surrounded(made, x, expected), rtol=1e-5, atol=1e-5)


def test_starts_as_an_ordinary_convolution_or_with_all_taps_at_the_center() -> None:
    x = features(2, 6, 5, 7)
    for start in ("grid", "center"):
        torch.manual_seed(0)
        made = AdaptiveBlock(2, 3, start=start).eval()
        kernel = made.conv.weight.detach()
        if start == "center":
            kernel = F.pad(kernel.sum(dim=(2, 3), keepdim=True), (1, 1, 1, 1))
        with torch.no_grad():
            expected = F.conv2d(x, kernel, padding=1, groups=2)
            torch.testing.assert_close(made(x), surrounded(made, x, expected), rtol=1e-5, atol=1e-5)


def test_without_adaptation_it_is_a_grouped_convolution() -> None:
    made, x = block(2, 3, adaptive=False), features(2, 6, 5, 7)
    assert set(made.state_dict()) < set(block(2, 3).state_dict())
    assert sum(p.numel() for p in made.parameters()) == 2 * 3 * 3 * 9 + 2 * 6
    with torch.no_grad():
        expected = F.conv2d(x, made.conv.weight, padding=1, groups=2)
        assert torch.equal(made(x), surrounded(made, x, expected))
        lattice = torch.tensor([[2.5, 1.5]]) + REGULAR.T
        assert torch.allclose(made.taps(x)[0, 1, :, :, 1, 2], lattice, atol=1e-5)


@pytest.mark.parametrize("adaptive", [True, False])
def test_a_branch_sees_nothing_of_the_others(adaptive: bool) -> None:
    made, x = block(3, 4, adaptive=adaptive), features(2, 12, 6, 6)
    other = x.clone()
    other[:, 4:8] = features(2, 4, 6, 6, seed=2)
    with torch.no_grad():
        same = (made(x) == made(other)).unflatten(1, (3, 4)).flatten(2).all(dim=2)
        alone = AdaptiveBlock(1, 4, adaptive=adaptive).eval()
        state = {k: v if v.ndim == 0 else v.chunk(3)[1] for k, v in made.state_dict().items()}
        alone.load_state_dict(state)
        torch.testing.assert_close(made(x)[:, 4:8], alone(x[:, 4:8]), rtol=1e-5, atol=1e-5)
    assert same.tolist() == [[True, False, True]] * 2


def test_taps_lie_row_by_row_around_the_center_of_a_cell() -> None:
    made, x = AdaptiveBlock(2, 3), features(1, 6, 5, 8)
    taps = made.taps(x)
    assert taps.shape == (1, 2, 9, 2, 5, 8)
    expected = torch.tensor([[6.5, 3.5]]) + REGULAR.T
    torch.testing.assert_close(taps[0, 1, :, :, 3, 6], expected, rtol=0, atol=1e-5)
    moved(made, [[1, 0.5], [0, 2]], [0.25, -3])
    expected = torch.tensor([[6.75, 0.5]]) + REGULAR.T @ torch.tensor([[1, 0.5], [0, 2]]).T
    torch.testing.assert_close(made.taps(x)[0, 0, :, :, 3, 6], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tap", range(9))
def test_taps_are_the_places_whose_values_the_block_reads(tap: int) -> None:
    made = AdaptiveBlock(1, 1).eval()
    moved(made, [[1.3, -0.4], [0.2, 0.9]], [0.3, 0.6])
    with torch.no_grad():
        made.conv.weight.zero_()
        made.conv.weight.view(9)[tap] = 1
    x = torch.full((1, 1, 8, 9), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(made(x)[0, 0, 4, 5], x)
    gradient = gradient[0, 0] * (1 + made.bn.eps) ** 0.5
    gradient[4, 5] -= float((1 + made.bn.eps) ** 0.5)  # of the residual
    y, x_ = torch.meshgrid(torch.arange(8) + 0.5, torch.arange(9) + 0.5, indexing="ij")
    # bilinear weights sum to one, and the mean of their places is where the value is read
    place = torch.stack([(gradient * x_).sum(), (gradient * y).sum()])
    assert float(gradient.sum()) == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(place, made.taps(x)[0, 0, tap, :, 4, 5], rtol=0, atol=1e-4)


@pytest.mark.parametrize("adaptive", [True, False])
def test_gradients_are_those_of_the_function(adaptive: bool) -> None:
    made = block(2, 2, adaptive=adaptive).double()
    parameters = dict(made.named_parameters())
    if adaptive:
        with torch.no_grad():
            made.affine.weight.mul_(0.2)

    def run(x: Tensor, *values: Tensor) -> Tensor:
        named = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(made, named, (x,))

    x = features(1, 4, 3, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(run, (x, *parameters.values()))


@pytest.mark.parametrize("start", ["grid", "center"])
def test_gradients_reach_every_parameter_from_the_start(start: str) -> None:
    torch.manual_seed(0)
    made = AdaptiveBlock(2, 3, start=start)
    made(features(2, 6, 7, 8)).square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).any(), name


def test_memory_formats_do_not_matter() -> None:
    made, x = block(2, 3), features(2, 6, 7, 8)
    with torch.no_grad():
        expected = made(x)
        last = x.to(memory_format=torch.channels_last)
        torch.testing.assert_close(made(last), expected)
        got = made.to(memory_format=torch.channels_last)(last)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_places_are_as_precise_in_half_as_in_single_precision() -> None:
    made, x = AdaptiveBlock(1, 2).eval(), features(1, 2, 4, 300)
    expected = torch.arange(300) + 0.5
    with torch.no_grad():
        single = made(x)
        with torch.autocast("cpu", torch.bfloat16):
            results = [(made.taps(x), made(x))]
        made.bfloat16()
        results.append((made.taps(x.bfloat16()), made(x.bfloat16())))
    assert results[1][1].dtype == torch.bfloat16
    for taps, got in results:
        assert float((taps[0, 0, 4, 0] - expected).abs().max()) < 1e-3
        assert float((got - single).abs().max()) < 0.05 * float(single.max())


@pytest.mark.slow
def test_compiles_to_one_graph_and_returns_the_same() -> None:
    made, x = block(2, 3), features(1, 6, 7, 8)
    compiled = torch.compile(made, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert torch.equal(compiled(x), made(x))


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown start 'zero'; known: 'grid', 'center'"):
        AdaptiveBlock(1, 4, start="zero")


@pytest.mark.parametrize("together", [1, 2, 5])
def test_it_does_not_matter_how_many_maps_are_sampled_at_a_time(
    monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    torch.manual_seed(0)
    block = AdaptiveBlock(3, 4)
    with torch.no_grad():
        block.affine.weight.normal_(std=0.1)
    x = torch.randn(2, 12, 5, 6, requires_grad=True)
    results = []
    for samples in (2**20, together * 9 * 4 * 5 * 6):
        monkeypatch.setattr(adaptive, "_CACHED", samples)
        y = block(x)
        results.append((y, torch.autograd.grad(y.square().sum(), x)[0]))
    for whole, parts in zip(*results, strict=True):
        torch.testing.assert_close(whole, parts)

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.engine.complexity import complexity
from poselib.models.hourglass import Hourglass, HourglassConfig, StackedHourglass, convolution

torch.set_num_threads(1)

SMALL = HourglassConfig(stacks=3, features=8, depth=2, increase=4)


def network(config: HourglassConfig = SMALL, keypoints: int = 5, seed: int = 0) -> StackedHourglass:
    torch.manual_seed(seed)
    return StackedHourglass(config, keypoints)


def images(*size: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def by_official_names(
    weights: dict[str, Tensor], x: Tensor, config: HourglassConfig
) -> list[Tensor]:
    """The maps of every stack, layer by layer from weights with the official code's names."""

    def layer(name: str, x: Tensor, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.conv.weight"]
        return F.conv2d(x, kernel, weights[f"{name}.conv.bias"], stride, kernel.shape[-1] // 2)

    def hourglass(name: str, x: Tensor, depth: int) -> Tensor:
        low = layer(f"{name}.low1", F.max_pool2d(x, 2)).relu()
        inner = f"{name}.low2"
        low = hourglass(inner, low, depth - 1) if depth > 1 else layer(inner, low).relu()
        low = layer(f"{name}.low3", low).relu()
        return layer(f"{name}.up1", x).relu() + low.repeat_interleave(2, 2).repeat_interleave(2, 3)

    x = layer("pre.1", layer("pre.0", x, stride=2).relu()).relu()
    x = layer("pre.4", layer("pre.3", F.max_pool2d(x, 2)).relu()).relu()
    maps = []
    for stack in range(config.stacks):
        y = hourglass(f"features.{stack}.0", x, config.depth)
        y = layer(f"features.{stack}.2", layer(f"features.{stack}.1", y).relu()).relu()
        maps.append(layer(f"outs.{stack}", y))
        if stack + 1 < config.stacks:
            merged = layer(f"merge_features.{stack}.conv", y)
            x = x + merged + layer(f"merge_preds.{stack}.conv", maps[-1])
    return maps


def test_equals_the_network_that_the_official_names_tell() -> None:
    model = network().eval()
    weights = {name: value + 0.1 for name, value in model.state_dict().items()}
    model.load_state_dict(weights)
    with torch.no_grad():
        outputs = model(images(32, 48))
        expected = by_official_names(weights, images(32, 48), SMALL)
    assert len(outputs.stages) == len(expected) == 3
    for stage, maps in zip(outputs.stages, expected, strict=True):
        joined = torch.cat([stage.heatmaps[0], stage.tags[:, :, 0]], dim=1)
        torch.testing.assert_close(joined, maps, rtol=1e-5, atol=1e-5 * float(maps.abs().max()))


def test_official_names_at_the_official_shape() -> None:
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in network(HourglassConfig(), 17).state_dict().items()}
    # 8 of the stem, 4 * (26 + 4 + 2) of hourglasses, their ends and heads, 3 * 4 between them
    assert len(shapes) == 148
    expected = {
        "pre.0.conv.weight": (64, 3, 7, 7),
        "pre.4.conv.bias": (256,),
        "features.0.0.up1.conv.weight": (256, 256, 3, 3),
        "features.3.0.low2.low2.low2.low2.conv.weight": (768, 768, 3, 3),
        "features.1.0.low2.low2.low3.conv.weight": (512, 640, 3, 3),
        "features.2.2.conv.weight": (256, 256, 3, 3),
        "outs.3.conv.weight": (34, 256, 1, 1),
        "merge_features.2.conv.conv.weight": (256, 256, 1, 1),
        "merge_preds.0.conv.conv.weight": (256, 34, 1, 1),
    }
    assert shapes.items() >= expected.items()
    assert "merge_preds.3.conv.conv.weight" not in shapes


def test_parameters_and_operations() -> None:
    with torch.device("meta"):
        model = network(HourglassConfig(), 17)
    found = complexity(model, 512)
    assert found.params == 138_832_776
    assert found.macs / 1e9 == pytest.approx(221.2, abs=0.05)


def test_published_numbers_are_of_twice_the_maps_and_in_other_units() -> None:
    """HigherHRNet's 277.8 million and 206.9 GMAC: all parameters doubled, and 2^30 at a time.

    The official code has 4 maps a keypoint, of which half mean nothing; see the module.
    """
    with torch.device("meta"):
        found = complexity(network(HourglassConfig(), 2 * 17), 512)
    assert round(2 * found.params / 1e6, 1) == 277.8
    assert round(found.macs / 2**30, 1) == 206.9


@pytest.mark.parametrize("norm", [False, True])
def test_every_stack_has_maps_at_a_quarter_of_the_resolution(norm: bool) -> None:
    outputs = network(replace(SMALL, norm=norm))(images(32, 64, batch=2))
    assert len(outputs.intermediate) == 2
    for stage in outputs.stages:
        assert [tuple(h.shape) for h in stage.heatmaps] == [(2, 5, 8, 16)]
        assert tuple(stage.tags.shape) == (2, 5, 1, 8, 16)
        assert stage.image_size == (32, 64)
    assert all(not stage.intermediate for stage in outputs.intermediate)


def test_one_stack_has_nothing_intermediate() -> None:
    model = network(replace(SMALL, stacks=1))
    assert model(images(16, 16)).intermediate == ()
    assert not any(name.startswith("merge") for name in model.state_dict())


def test_without_tags_there_are_no_embeddings() -> None:
    outputs = StackedHourglass(SMALL, 5, tags=False)(images(16, 16))
    assert [tuple(stage.tags.shape) for stage in outputs.stages] == [(1, 5, 0, 4, 4)] * 3


def test_each_stack_sees_what_the_ones_before_it_said() -> None:
    model = network().eval()
    with torch.no_grad():
        before = model(images(16, 16)).stages
        model.outs[1].conv.bias += 1
        after = model(images(16, 16)).stages
    changed = [not torch.equal(a.tags, b.tags) for a, b in zip(before, after, strict=True)]
    assert changed == [False, True, True]


@pytest.mark.parametrize(("depth", "reach"), [(1, 8), (2, 18), (3, 38)])
def test_depth_is_how_far_an_hourglass_sees(depth: int, reach: int) -> None:
    """From a corner three convolutions see 4 cells, of 2 px each; one more level doubles that."""
    # values rise to the right, so that pools take the cells there
    x = torch.arange(1.0, 65).expand(1, 4, 64, 64).requires_grad_()
    model = Hourglass(depth, 4, 2)
    for value in model.state_dict().values():
        value.abs_()  # so that no ReLU is silent
    (heard,) = torch.autograd.grad(model(x)[..., 0, 0].sum(), x)
    columns = heard.abs().sum(dim=(0, 1, 2)).nonzero()
    assert int(columns.max()) + 1 == reach


def test_maps_follow_the_image_when_it_moves_by_a_multiple() -> None:
    model = network().eval()
    canvas = torch.zeros(1, 3, 768, 768)
    canvas[..., 368:384, 368:384] = images(16, 16)
    step, inner = SMALL.multiple, slice(96, 112)
    moved = canvas.roll((step, 2 * step), dims=(2, 3))
    with torch.no_grad():
        for a, b in zip(model(canvas).stages, model(moved).stages, strict=True):
            for before, after in (
                (a.heatmaps[0], b.heatmaps[0]),
                (a.tags[:, :, 0], b.tags[:, :, 0]),
            ):
                expected = before.roll((step // 4, step // 2), dims=(2, 3))[..., inner, inner]
                assert not torch.allclose(after[..., inner, inner], before[..., inner, inner])
                scale = float(expected.abs().max())
                torch.testing.assert_close(
                    after[..., inner, inner], expected, rtol=1e-4, atol=1e-5 * scale
                )


@pytest.mark.parametrize("size", [(24, 32), (32, 40)])
def test_images_that_cannot_be_halved_so_often_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 16, not"):
        network()(images(*size))


@pytest.mark.parametrize("norm", [False, True])
def test_gradients_reach_every_parameter_in_bfloat16_and_channels_last(norm: bool) -> None:
    model = network(replace(SMALL, norm=norm)).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(images(32, 32, batch=2).to(memory_format=torch.channels_last))
    terms = [
        (stage.heatmaps[0].float() - 1).square().sum() + stage.tags.float().square().sum()
        for stage in outputs.stages
    ]
    torch.stack(terms).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    model = network(replace(SMALL, stacks=2, depth=1, norm=True), 2).double()
    x = images(16, 16).double().requires_grad_()

    def everything(x: Tensor) -> Tensor:
        stages = model(x).stages
        return torch.stack([t.sum() for s in stages for t in (s.heatmaps[0] ** 2, s.tags.sin())])

    assert torch.autograd.gradcheck(everything, x, fast_mode=True)


def test_compiles_to_one_graph_and_returns_the_same() -> None:
    model = network(replace(SMALL, stacks=2)).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        got, expected = compiled(images(16, 16)), model(images(16, 16))
    for a, b in zip(got.stages, expected.stages, strict=True):
        assert torch.equal(a.heatmaps[0], b.heatmaps[0]) and torch.equal(a.tags, b.tags)


def test_fresh_heatmaps_are_near_zero_and_fresh_tags_spread_out() -> None:
    config = HourglassConfig(stacks=2, features=32, depth=3, increase=16, norm=True)
    with torch.no_grad():
        outputs = network(config, 17)(images(128, 128, batch=2))
    for stage in outputs.stages:
        assert float(stage.heatmaps[0].abs().max()) < 0.1
        assert 0.2 < float(stage.tags.std(dim=(0, 2, 3, 4)).mean()) < 1.0


def test_normalization_stands_before_the_relu_and_takes_the_bias() -> None:
    plain, normalized = convolution(3, 4), convolution(3, 4, norm=True)
    assert list(dict(plain.named_children())) == ["conv", "relu"]
    assert list(dict(normalized.named_children())) == ["conv", "bn", "relu"]
    assert plain.conv.bias is not None and normalized.conv.bias is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stacks": 0}, "stacks must be 1 or more, not 0"),
        ({"features": 3}, "features must be 4 or more, not 3"),
        ({"depth": 0}, "depth must be 1 or more, not 0"),
        ({"increase": -1}, "increase must be 0 or more, not -1"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"hourglass: {message}"):
        replace(SMALL, **change)

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from poselib.engine.complexity import complexity
from poselib.models import BACKBONES
from poselib.models.higher_hrnet import HigherHRNet
from poselib.models.hrnet import HRNet, HRNetConfig, StageConfig
from poselib.models.residual import conv_norm, initialize
from tests.references.plain_counts import count_hrnet

torch.set_num_threads(1)

SMALL = HRNetConfig(
    stem=(8, 8),
    stage1=StageConfig(1, (1,), (4,), "bottleneck"),
    stages=(StageConfig(1, (1, 1), (8, 12)), StageConfig(2, (1, 0, 1), (8, 12, 16))),
)


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every weight and statistic a value of its own, so that nothing cancels or is one."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if value.ndim == 4:
            value.copy_(noise * (0.5 / value[0].numel()) ** 0.5)
        elif name.endswith("running_var"):
            value.copy_(1 + 0.1 * noise.abs())
        elif value.is_floating_point():
            value.copy_(0.1 * noise + float(name.endswith("weight")))
    return model.eval()


def images(*size: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def sizes_of(config: HRNetConfig, height: int, width: int) -> list[tuple[int, ...]]:
    """(C, h, w) of the map of each branch."""
    branches = zip(config.widths, config.strides, strict=True)
    return [(channels, height // stride, width // stride) for channels, stride in branches]


IN_TIMM = ("hrnet_w18", "hrnet_w32")


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_TIMM)
def test_equals_the_network_of_timm(name: str) -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model(name, pretrained=False, features_only=True, feature_location="")
    theirs = randomised(theirs)
    ours = HRNet(BACKBONES[name]).eval()
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        expected, got = theirs(images(64, 96))[1:], ours(images(64, 96))
    assert [tuple(m.shape[1:]) for m in got] == sizes_of(BACKBONES[name], 64, 96)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * float(b.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(BACKBONES) - set(IN_TIMM)))
def test_maps_have_the_widths_and_strides_of_the_configuration(name: str) -> None:
    config = BACKBONES[name]
    with torch.device("meta"):
        maps = HRNet(config)(torch.zeros(2, 3, 64, 128))
    assert config.strides[0] == 4
    assert [tuple(m.shape) for m in maps] == [(2, *size) for size in sizes_of(config, 64, 128)]


def test_stem_of_stride_two_doubles_every_map() -> None:
    config = dataclasses.replace(SMALL, stem_stride=2)
    maps = HRNet(config)(images(32, 32))
    assert config.strides == (2, 4, 8)
    assert [tuple(m.shape[2:]) for m in maps] == [(16, 16), (8, 8), (4, 4)]


def test_one_output_is_the_first_of_all_outputs_and_saves_the_other_exchanges() -> None:
    every = randomised(HRNet(SMALL))
    first = HRNet(SMALL, multi_scale_output=False).eval()
    names = set(first.state_dict())
    dropped = set(every.state_dict()) - names
    assert names < set(every.state_dict())
    assert all(
        name.startswith(("stage3.1.fuse_layers.1.", "stage3.1.fuse_layers.2.")) for name in dropped
    )
    first.load_state_dict({k: v for k, v in every.state_dict().items() if k in names})
    with torch.no_grad():
        assert torch.equal(first(images(32, 32))[0], every(images(32, 32))[0])
        assert len(first(images(32, 32))) == 1


def test_stage_features_end_with_the_features() -> None:
    model = randomised(HRNet(SMALL))
    with torch.no_grad():
        stages = model.stage_features(images(32, 32))
        last = model(images(32, 32))
    assert [len(maps) for maps in stages] == [2, 3]
    assert all(torch.equal(a, b) for a, b in zip(stages[-1], last, strict=True))


def test_a_branch_without_blocks_has_no_parameters() -> None:
    bare = tuple(
        dataclasses.replace(stage, blocks=(0,) * (len(stage.blocks) - 1) + (4,))
        for stage in BACKBONES["hrnet_w32"].stages
    )
    with torch.device("meta"):
        model = HRNet(dataclasses.replace(BACKBONES["hrnet_w32"], stages=bare))
        full = HRNet(BACKBONES["hrnet_w32"])
    names = set(model.state_dict())
    assert names < set(full.state_dict())
    assert not any(".branches.0." in name for name in names)
    assert any(name.startswith("stage4.2.branches.3.3.") for name in names)


def test_exchange_sums_every_branch_and_keeps_its_inputs() -> None:
    model = randomised(HRNet(SMALL))
    module = model.get_submodule("stage2.0")
    maps = [torch.randn(1, 8, 8, 8), torch.randn(1, 12, 4, 4)]
    kept = [m.clone() for m in maps]
    with torch.no_grad():
        got = module(maps)
        a, b = (branch(m) for branch, m in zip(module.branches, maps, strict=True))
        up = module.fuse_layers[0][1][:2](b).repeat_interleave(2, 2).repeat_interleave(2, 3)
        down = module.fuse_layers[1][0](a)
    torch.testing.assert_close(got[0], (a + up).relu())
    torch.testing.assert_close(got[1], (down + b).relu())
    assert all(torch.equal(m, k) for m, k in zip(maps, kept, strict=True))


def test_features_follow_the_image_when_it_moves_by_a_stride() -> None:
    model = randomised(HRNet(SMALL))
    canvas = torch.zeros(1, 3, 512, 512)
    canvas[..., 240:256, 240:256] = images(16, 16)
    moved = canvas.roll((16, 32), dims=(2, 3))
    with torch.no_grad():
        for a, b, stride in zip(model(canvas), model(moved), SMALL.strides, strict=True):
            inner = slice(208 // stride, 304 // stride)  # out of the padding's reach
            expected = a.roll((16 // stride, 32 // stride), dims=(2, 3))
            assert not torch.allclose(b[..., inner, inner], a[..., inner, inner], atol=1e-3)
            torch.testing.assert_close(
                b[..., inner, inner], expected[..., inner, inner], rtol=1e-4, atol=1e-5
            )


def test_gradients_reach_every_parameter_in_bfloat16_and_channels_last() -> None:
    model = HRNet(SMALL).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        maps = model(images(32, 32, batch=2).to(memory_format=torch.channels_last))
    assert maps[0].dtype == torch.bfloat16
    assert maps[0].is_contiguous(memory_format=torch.channels_last)
    sum(m.float().square().sum() for m in maps).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_signal_keeps_its_size_through_a_fresh_network() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        maps = HRNet(BACKBONES["hrnet_w18"])(images(64, 64, batch=2))
    for m in maps:
        assert 0.1 < float(m.std()) < 10


def test_initialize_resets_what_is_inside() -> None:
    layers = nn.Sequential(conv_norm(16, 64), nn.ConvTranspose2d(64, 128, 4, 2, 1))
    for parameter in layers.parameters():
        nn.init.constant_(parameter, 7.0)
    initialize(layers)
    convolution, normalization = layers[0][0], layers[0][1]
    assert float(convolution.weight.detach().std()) == pytest.approx(
        (2 / (64 * 9)) ** 0.5, rel=0.05
    )
    assert torch.all(normalization.weight == 1) and torch.all(normalization.bias == 0)
    # each output of a transposed convolution with kernel 4 and stride 2 sums 64 * 4 terms
    assert float(layers[1].weight.detach().std()) == pytest.approx((2 / (64 * 4)) ** 0.5, rel=0.05)
    assert torch.all(layers[1].bias == 0)


@pytest.mark.parametrize("size", [(33, 32), (32, 40), (8, 8)])
def test_size_that_the_branches_cannot_halve_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        HRNet(SMALL)(images(*size))


def test_images_must_have_three_channels() -> None:
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), not \(1, 1, 32, 32\)"):
        HRNet(SMALL)(images(32, 32)[:, :1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem_stride": 3}, "stem_stride"),
        ({"stem": (8,)}, "stem"),
        ({"stages": ()}, "at least one stage"),
        ({"stages": SMALL.stages[::-1]}, "fewer branches"),
        ({"stage1": StageConfig(2, (1,), (8,))}, "stage1"),
        ({"stage1": StageConfig(1, (0,), (8,))}, "stage1"),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, (1, 1), (8,)), "differ"),
        ((1, (), ()), "differ"),
        ((0, (1,), (8,)), "out of range"),
        ((1, (-1,), (8,)), "out of range"),
        ((1, (1,), (0,)), "out of range"),
        ((1, (1,), (8,), "conv"), "'conv' is not one of"),
    ],
)
def test_a_stage_that_cannot_be_built_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StageConfig(*arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "millions", "gmac", "published"),
    [("hrnet_w32", 512, 28.6, 46.20, 47.9), ("hrnet_w48", 640, 63.8, 149.47, 154.3)],
)
def test_parameters_and_operations(
    name: str, size: int, millions: float, gmac: float, published: float
) -> None:
    with torch.device("meta"):
        found = complexity(HigherHRNet(BACKBONES[name], keypoints=17), size)
    assert round(found.params / 1e6, 1) == millions
    assert round(found.macs / 1e9, 2) == gmac
    # HigherHRNet's paper counts the transposed convolution as if each of the four times as many
    # cells that come out met the whole kernel: it is those that come in
    width = BACKBONES[name].widths[0]
    transposed = 4 * 4 * (width + 2 * 17) * width * (size // 4) ** 2
    assert round((found.macs + 3 * transposed) / 1e9, 1) == published


@pytest.mark.parametrize("name", ["hrnet_w32", "hrnet_w48", "hrnet_tiny"])
def test_light_network_keeps_the_blocks_of_the_last_branch_alone(name: str) -> None:
    full, light = BACKBONES[name], BACKBONES[f"{name}_light"]
    for before, after in zip(full.stages, light.stages, strict=True):
        bare = (0,) * (len(before.blocks) - 1)
        assert after == dataclasses.replace(before, blocks=(*bare, before.blocks[-1]))
    assert dataclasses.replace(light, stages=full.stages) == full
    if name != "hrnet_tiny":  # as GRM/MFA, Eq. 1 prints it
        blocks = [list(stage.blocks) for stage in (light.stage1, *light.stages)]
        assert blocks == [[4], [0, 4], [0, 0, 4], [0, 0, 0, 4]]


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("config", [SMALL, BACKBONES["hrnet_tiny_light"]], ids=["small", "light"])
def test_counts_convolution_by_convolution(config: HRNetConfig, every: bool) -> None:
    with torch.device("meta"):
        found = complexity(HRNet(config, multi_scale_output=every), 64)
    count = count_hrnet(config, 64, None if every else 1)
    assert (found.params, found.macs) == (count.parameters, count.macs)


@pytest.mark.parametrize(
    ("name", "size", "parameters", "macs"),
    [
        ("hrnet_w32", 512, 29_305_536, 41_228_959_744),
        ("hrnet_w32_light", 512, 23_094_976, 19_485_687_808),
        ("hrnet_w48", 640, 65_325_120, 132_377_395_200),
        ("hrnet_w48_light", 640, 51_364_416, 55_936_204_800),
        ("hrnet_tiny", 128, 1_337_616, 110_690_304),
        ("hrnet_tiny_light", 128, 1_133_968, 72_941_568),
    ],
)
def test_what_a_light_network_saves(name: str, size: int, parameters: int, macs: int) -> None:
    config = BACKBONES[name]
    count = count_hrnet(config, size)
    assert (count.parameters, count.macs) == (parameters, macs)
    with torch.device("meta"):
        model = HRNet(config)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_small_light_network_by_hand() -> None:
    """Stages of widths 4, then 4 and 6, on 8 x 8 and 4 x 4 cells; one block in the coarser one."""
    config = HRNetConfig((3, 4), StageConfig(1, (1,), (4,)), (StageConfig(1, (0, 1), (4, 6)),))
    stem, first = 9 * (3 * 3 * 4 + 3 * 4), 2 * 9 * 4 * 4  # the first halving has 4 x as many cells
    start, block, up, down = 9 * 4 * 6, 2 * 9 * 6 * 6, 6 * 4, 9 * 4 * 6
    norms = 2 * (3 + 4 + 2 * 4 + 6 + 2 * 6 + 4 + 6)
    count = count_hrnet(config, 32)
    assert count.macs == 64 * (stem + first) + 16 * (start + block + up + down)
    with torch.device("meta"):
        model = HRNet(config)
    weights = 9 * (3 * 3 + 3 * 4) + first + start + block + up + down
    assert sum(p.numel() for p in model.parameters()) == count.parameters == weights + norms


def test_light_network_takes_what_it_has_from_the_weights_of_the_full_one() -> None:
    with torch.device("meta"):
        full = HRNet(BACKBONES["hrnet_w32"]).state_dict()
        light = HRNet(BACKBONES["hrnet_w32_light"]).state_dict()
    assert {k: v.shape for k, v in light.items()}.items() <= {
        k: v.shape for k, v in full.items()
    }.items()


def test_light_network_gives_maps_of_every_stage() -> None:
    model = HRNet(BACKBONES["hrnet_w32_light"]).eval()
    with torch.no_grad():
        stages = model.stage_features(images(64, 96))
    assert [[tuple(m.shape[1:]) for m in maps] for maps in stages] == [
        sizes_of(BACKBONES["hrnet_w32_light"], 64, 96)[:branches] for branches in (2, 3, 4)
    ]
    assert all(m.isfinite().all() and float(m.std()) > 0.01 for maps in stages for m in maps)

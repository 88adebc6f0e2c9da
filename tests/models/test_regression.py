from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from poselib.engine.complexity import complexity
from poselib.models import BACKBONES
from poselib.models.global_relation import RelationConfig
from poselib.models.hrnet import HRNetConfig, StageConfig
from poselib.models.pretrained import load_official
from poselib.models.regression import Branches, OffsetHead, RegressionHRNet, SplitConv1x1
from poselib.models.residual import conv_norm
from poselib.skeletons import COCO, CROWDPOSE
from tests.models.official import official_weights, relative

torch.set_num_threads(1)

TINY = BACKBONES["hrnet_tiny"]
HEAD = (0, 1, 2, 3, 4)
UNEQUAL: Branches = ((1,), (0, 4), (3,), (5, 2))


def network(config: HRNetConfig = TINY, keypoints: int = 6, **options: object) -> RegressionHRNet:
    torch.manual_seed(0)
    return RegressionHRNet(config, keypoints, width=4, heatmap_width=8, **options)


def images(*size: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data.copy_(noise * 0.3)
    return module.eval()


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=["coco", "crowdpose"])
def test_equals_the_official_network(skeleton, golden_dir: Path, tmp_path: Path) -> None:
    name = f"dekr_w32_k{len(skeleton)}"
    torch.save(official_weights(golden_dir, name), tmp_path / "official.pth")
    model = RegressionHRNet(BACKBONES["hrnet_w32"], len(skeleton)).eval()
    load_official(model, tmp_path / "official.pth")
    with np.load(golden_dir / f"{name}.npz") as arrays, torch.no_grad():
        x = torch.from_numpy(arrays["input"])
        outputs = model(x)
        both = torch.cat([outputs.heatmaps, outputs.centers], dim=1)
        assert relative(both, arrays["heatmap"]) < 1e-5
        assert relative(outputs.offsets.flatten(1, 2), arrays["offset"]) < 1e-5
        features = model.transition_offset(model.features(x))
        first = model.head_offset.groups[0].blocks(features)[:, :15]
        assert relative(first, arrays["offset_feature_layers_0_out"]) < 1e-5

        mirrored = x.flip(-1)
        mirrored[..., :-3] = mirrored[..., 3:].clone()  # as the official test does
        outputs = outputs.merge_flipped(model(mirrored).flip(skeleton))
        both = torch.cat([outputs.heatmaps, outputs.centers], dim=1)
        assert relative(both, arrays["flip_heatmap"]) < 1e-5
        y, x = torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing="ij")
        poses = torch.stack([x, y]) - outputs.offsets
        assert relative(poses.flatten(1, 2), arrays["flip_posemap"]) < 1e-5


# DEKR, Table 1: millions of parameters and GMAC of the regression head and of all
COMPLEXITY = {
    "baseline": (False, False, 1.31, 21.48, 30.65, 63.28),
    "+ AA": (True, False, 1.34, 21.94, 30.68, 63.73),
    "+ SR": (False, True, 0.19, 3.14, 29.53, 44.93),
    "DEKR": (True, True, 0.22, 3.59, 29.56, 45.39),
}


@pytest.mark.slow
@pytest.mark.parametrize("row", COMPLEXITY)
def test_parameters_and_operations_are_the_published_ones(row: str) -> None:
    adaptive, separate, *published = COMPLEXITY[row]
    branches = None if separate else (tuple(range(17)),)
    with torch.device("meta"):
        model = RegressionHRNet(BACKBONES["hrnet_w32"], 17, adaptive=adaptive, branches=branches)
    whole = complexity(model, 512)
    head = whole.of("transition_offset", "head_offset")
    got = [(cost.params / 1e6, cost.macs_as_published / 1e9) for cost in (head, whole)]
    assert [round(number, 2) for pair in got for number in pair] == published
    # 1x1 convolutions of 480 channels, of which 32 alone are at the finest resolution
    apart = sum(w * (128 // 2**i) ** 2 for i, w in enumerate((32, 64, 128, 256)))
    outputs = 32 + (17 * 15 if separate else 256)
    assert whole.macs_as_published - whole.macs == outputs * (480 * 128 * 128 - apart)


@pytest.mark.slow
def test_the_larger_network_is_the_published_one() -> None:
    """DEKR, Table 3; the official configuration widens the heatmap head with the backbone."""
    with torch.device("meta"):
        found = complexity(RegressionHRNet(BACKBONES["hrnet_w48"], 17), 640)
    assert round(found.params / 1e6, 1) == 65.7
    assert round(found.macs_as_published / 1e9, 1) == 141.5


SMALL = HRNetConfig(
    stem=(8, 8),
    stage1=StageConfig(1, (1,), (4,)),
    stages=(StageConfig(1, (1, 1), (8, 12)),),
    stem_stride=2,
)


@pytest.mark.parametrize(("config", "stride"), [(TINY, 4), (SMALL, 2)], ids=["tiny", "small"])
@pytest.mark.parametrize("branches", [None, UNEQUAL, (tuple(range(6)),)])
@pytest.mark.parametrize("adaptive", [True, False])
def test_maps_cover_the_image_whatever_the_backbone_and_the_branches(
    config: HRNetConfig, stride: int, branches: Branches | None, adaptive: bool
) -> None:
    model = network(config, branches=branches, adaptive=adaptive, shared_width=12)
    outputs = model(images(64, 96, batch=2))
    height, width = 64 // stride, 96 // stride
    assert tuple(outputs.heatmaps.shape) == (2, 6, height, width)
    assert tuple(outputs.centers.shape) == (2, 1, height, width)
    assert tuple(outputs.offsets.shape) == (2, 6, 2, height, width)
    assert outputs.image_size == (64, 96) and outputs.other_scales == ()
    channels = {None: 24, UNEQUAL: 24}.get(branches, 12)
    assert model.transition_offset[0].out_channels == channels


def test_both_heads_read_what_relates_the_stages() -> None:
    model = network(relation=RelationConfig())
    assert model.transition_offset[0].in_channels == sum(TINY.widths) + TINY.widths[0]
    outputs = model(images(64, 64))
    (outputs.offsets.square().sum() + outputs.heatmaps.sum()).backward()
    assert all((p.grad != 0).any() for p in model.relation.parameters())


def test_the_center_map_is_the_last() -> None:
    model = network().eval()
    with torch.no_grad():
        model.head_heatmap[1].weight.zero_()
        model.head_heatmap[1].bias.copy_(torch.arange(7))
        outputs = model(images(32, 32))
    assert outputs.heatmaps[0, :, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert outputs.centers[0, :, 0, 0].tolist() == [6]


@pytest.mark.parametrize("branches", [UNEQUAL, ((2, 0), (1, 3)), ((1,), (2,), (0,))])
def test_offsets_come_in_the_order_of_the_keypoints(branches: Branches) -> None:
    head = OffsetHead(branches, width=2)
    with torch.no_grad():
        for group in head.groups:
            group.final.weight.zero_()
        # groups hold the branches by size, and each branch its keypoints as they are named
        sizes = dict.fromkeys(map(len, branches))
        for size, group in zip(sizes, head.groups, strict=True):
            names = [float(k) for b in branches if len(b) == size for k in b]
            group.final.bias.copy_(torch.tensor([[k, k + 0.5] for k in names]).flatten())
        offsets = head(torch.randn(1, sum(head.channels), 3, 4))
    expected = [[k, k + 0.5] for k in range(offsets.shape[1])]
    assert offsets[0, :, :, 2, 3].tolist() == expected


@pytest.mark.parametrize("adaptive", [True, False])
def test_branches_of_one_size_at_once_equal_each_alone(adaptive: bool) -> None:
    head = randomised(OffsetHead(UNEQUAL, width=3, adaptive=adaptive))
    features = torch.randn(2, sum(head.channels), 6, 7)
    by_size = sorted(UNEQUAL, key=len)  # as the channels are divided
    counts = [2, 2]
    starts = np.cumsum([0, *(3 * len(b) for b in by_size)])
    with torch.no_grad():
        got = head(features)
        for number, branch in enumerate(by_size):
            group = head.groups[len(branch) - 1]
            alone = OffsetHead(
                (tuple(range(len(branch))),), shared_width=3 * len(branch), adaptive=adaptive
            ).eval()
            place, of = number % 2, counts[len(branch) - 1]
            state = {
                f"groups.0.{name}": value.chunk(of)[place] if value.ndim else value
                for name, value in group.state_dict().items()
            }
            alone.load_state_dict(state)
            expected = alone(features[:, starts[number] : starts[number + 1]])
            torch.testing.assert_close(got[:, list(branch)], expected, rtol=1e-4, atol=1e-5)


def concatenated(transition: nn.Sequential, maps: list[Tensor]) -> Tensor:
    size = tuple(maps[0].shape[2:])
    return transition(torch.cat([F.interpolate(m, size, mode="bilinear") for m in maps], dim=1))


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("shapes", [[(4, 8, 12), (6, 4, 6), (3, 2, 3)], [(4, 8, 12)]])
def test_mixing_before_enlarging_equals_mixing_after(
    train: bool, shapes: list[tuple[int, int, int]]
) -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, *shape, requires_grad=True) for shape in shapes]
    layers = conv_norm(sum(shape[0] for shape in shapes), 5, kernel=1).train(train)
    values = []
    for call in (lambda: SplitConv1x1(*layers)(maps), lambda: concatenated(layers, maps)):
        result = call()
        weights = torch.linspace(-1, 2, result.numel()).view_as(result)
        inputs = [*maps, *layers.parameters()]
        values.append([result, *torch.autograd.grad((result * weights).sum(), inputs)])
    for got, expected in zip(*values, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_mixing_says_what_it_spares() -> None:
    layers = SplitConv1x1(*conv_norm(13, 5, kernel=1)).eval()
    maps = [torch.zeros(2, *shape) for shape in [(4, 8, 12), (6, 4, 6), (3, 2, 3)]]
    counts = []
    for call in (lambda: concatenated(nn.Sequential(*layers), maps), lambda: layers(maps)):
        with FlopCounterMode(display=False) as counter:
            call()
        counts.append(counter.get_total_flops() // 2)
    assert counts[0] == 2 * 13 * 5 * 96
    assert layers.saved_macs(maps) == counts[0] - counts[1] > 0


def test_taps_are_those_of_the_branch_that_a_keypoint_is_in() -> None:
    model = randomised(network(branches=UNEQUAL))
    model.double()  # so far from the map, places in single precision would differ by rounding
    x = images(32, 64).double()
    with torch.no_grad():
        first, second = model.taps(x)
        assert first.shape == second.shape == (1, 6, 9, 2, 8, 16)
        features = model.transition_offset(model.features(x))
        single, double = model.head_offset.groups
        parts = features.split([single.channels, double.channels], dim=1)
        inner = double.blocks[0](parts[1])
        ones, twos = single.blocks[0].taps(parts[0]), double.blocks[1].taps(inner)
    assert torch.equal(first[:, [1, 3]], ones)
    for each in (0, 1):
        assert torch.equal(second[:, [0, 5]][:, each], twos[:, each])
        assert torch.equal(second[:, [4, 2]][:, each], twos[:, each])


def test_gradients_reach_every_parameter_in_bfloat16_and_channels_last() -> None:
    model = network(branches=UNEQUAL, start="center").to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(images(64, 64, batch=2).to(memory_format=torch.channels_last))
    maps = (outputs.heatmaps, outputs.centers, outputs.offsets)
    sum((m.float() - 1).square().sum() for m in maps).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_fresh_outputs_are_near_zero() -> None:
    outputs = network(keypoints=17)(images(64, 64, batch=4))
    for maps in (outputs.heatmaps, outputs.centers, outputs.offsets):
        assert 0 < float(maps.detach().abs().max()) < 0.2


@pytest.mark.slow
def test_compiles_to_one_graph_and_returns_the_same() -> None:
    model = network(SMALL, branches=UNEQUAL).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        got, expected = compiled(images(32, 32)), model(images(32, 32))
    assert torch.equal(got.offsets, expected.offsets)
    assert torch.equal(got.heatmaps, expected.heatmaps)


def test_the_branches_of_section_3_4_have_the_width_of_their_keypoints() -> None:
    with torch.device("meta"):
        model = RegressionHRNet(
            BACKBONES["hrnet_w32"], 17, branches=(HEAD, *((k,) for k in range(5, 17)))
        )
    assert model.head_offset.channels == [75, 180]
    assert [group.final.groups for group in model.head_offset.groups] == [1, 12]


@pytest.mark.parametrize(
    ("branches", "message"),
    [
        (((0, 1), (2, 3)), "must hold 6 keypoints"),
        (((0, 1, 2), (2, 3, 4)), "must name every keypoint from 0 on once"),
        (((1, 2, 3), (4, 5, 6)), "must name every keypoint from 0 on once"),
        (((0, 1, 2), (), (3, 4, 5)), "must name every keypoint from 0 on once"),
    ],
)
def test_branches_that_are_no_partition_are_refused(branches: Branches, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(branches=branches)


def test_a_head_without_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="blocks must be 1 or more, not 0"):
        network(blocks=0)

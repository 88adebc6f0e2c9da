from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from poselib.models import BACKBONES
from poselib.models.associative import AssociativeHRNet
from poselib.models.global_relation import (
    ChannelAttention,
    GlobalRelation,
    RelationConfig,
    SEGate,
    SpatialAttention,
)
from poselib.models.higher_hrnet import HigherHRNet
from poselib.models.hrnet import HRNet, HRNetConfig, StageConfig
from poselib.models.pretrained import load_backbone
from tests.models.random_weights import randomised
from tests.references import plain_attention as plain

torch.set_num_threads(1)

PUBLISHED = RelationConfig()
READINGS = [
    PUBLISHED,
    RelationConfig(gate="multiply"),
    RelationConfig(gate="residual"),
    RelationConfig(batch_norm=True),
    RelationConfig(reduction=4),
    RelationConfig(layer_norm=True),
]
TRUNK = HRNetConfig(
    stem=(4, 4),
    stage1=StageConfig(1, (1,), (4,)),
    stages=(
        StageConfig(1, (0, 1), (4, 6)),
        StageConfig(1, (0, 0, 1), (5, 6, 7)),
        StageConfig(1, (0, 0, 1), (4, 6, 7)),
    ),
)


def maps_of(*widths: int, batch: int = 1, size: tuple[int, int] = (4, 5)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(len(widths))
    shapes = [(batch, width, *size) for width in widths]
    return [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]


def arrays_of(maps: list[Tensor], image: int = 0) -> list[plain.Floats]:
    return [plain.numbers(m[image]) for m in maps]


@pytest.mark.parametrize("config", READINGS, ids=str)
def test_equals_the_equations_number_by_number(config: RelationConfig) -> None:
    module = randomised(GlobalRelation((3, 5, 4), config))
    maps = maps_of(3, 5, 4, batch=2)
    with torch.no_grad():
        got, x = module(maps), module.gather(maps)
        channels, cells = module.channel_attention(x), module.spatial_attention(x)
    assert got.shape == (2, 8, 4, 5) and module.channels == 8
    for image in range(2):
        arrays = arrays_of(maps, image)
        gathered = plain.gathered(arrays, module)
        np.testing.assert_allclose(x[image], gathered, rtol=1e-9)
        np.testing.assert_allclose(
            channels[image, :, 0, 0], plain.channel_gates(gathered, module), rtol=1e-9
        )
        np.testing.assert_allclose(cells[image, 0], plain.spatial_gates(gathered, module))
        np.testing.assert_allclose(got[image], plain.related(arrays, module), rtol=1e-9)


def test_readings_differ() -> None:
    results = []
    for config in READINGS:
        torch.manual_seed(0)
        module = GlobalRelation((4, 4, 4), config).double()
        results.append(module(maps_of(4, 4, 4)).detach())
    for number, result in enumerate(results):
        assert not any(torch.allclose(result, other) for other in results[:number])


def test_gates_by_hand() -> None:
    maps = torch.tensor([[[[1.0, 3.0]], [[-4.0, 2.0]]]])  # means 2 and -1
    # sigmoid(2) = 0.8808, and the ReLU makes of -1 a sigmoid of 0
    for gate, expected in (
        ("add", [[1.8808, 3.8808], [-3.5, 2.5]]),
        ("multiply", [[0.8808, 2.6424], [-2.0, 1.0]]),
        ("residual", [[1.8808, 5.6424], [-6.0, 3.0]]),
    ):
        module = SEGate(2, RelationConfig(gate=gate))
        with torch.no_grad():
            module.fc.weight.copy_(torch.eye(2))
            module.fc.bias.zero_()
            module.mix.weight.copy_(torch.eye(2)[:, :, None, None])
            module.mix.bias.zero_()
            np.testing.assert_allclose(module(maps)[0, :, 0], expected, atol=2e-4)


@pytest.mark.parametrize("gate", ["add", "multiply", "residual"])
def test_gradients(gate: str) -> None:
    module = randomised(GlobalRelation((2, 3, 2), RelationConfig(gate=gate)))
    maps = [m.requires_grad_() for m in maps_of(2, 3, 2, size=(3, 2))]
    weights = list(module.parameters())

    def function(*inputs: Tensor) -> Tensor:
        return module(inputs[:3])

    assert torch.autograd.gradcheck(function, (*maps, *weights))


def test_gates_lie_between_zero_and_one_and_bound_the_result() -> None:
    module = randomised(GlobalRelation((4, 4, 4)))
    maps = maps_of(4, 4, 4, batch=2)
    with torch.no_grad():
        x, related = module.gather(maps), module(maps)
        channels, cells = module.channel_attention(x), module.spatial_attention(x)
    assert channels.shape == (2, 8, 1, 1) and cells.shape == (2, 1, 4, 5)
    for gates in (channels, cells):
        assert float(gates.min()) > 0 and float(gates.max()) < 1
        assert float(gates.std()) > 0.01
    assert torch.all(related.abs() <= 2 * x.abs())


def test_channel_gates_do_not_ask_where_and_spatial_gates_move_along() -> None:
    x = maps_of(6)[0]
    order = torch.randperm(20, generator=torch.Generator().manual_seed(3))
    moved = x.flatten(2)[:, :, order].unflatten(2, (4, 5))
    channel = randomised(ChannelAttention(6))
    spatial = randomised(SpatialAttention(6))
    torch.testing.assert_close(channel(moved), channel(x))
    torch.testing.assert_close(
        spatial(moved).flatten(2), spatial(x).flatten(2)[:, :, order], rtol=1e-9, atol=0
    )


def test_channel_gates_look_where_the_query_is_high() -> None:
    attention = ChannelAttention(2).double()
    with torch.no_grad():
        attention.query.weight.copy_(torch.tensor([50.0, 0.0])[None, :, None, None])
    x = torch.zeros(1, 2, 3, 3, dtype=torch.float64)
    x[0, :, 1, 2] = torch.tensor([1.0, 0.7])
    everywhere = x[:, :, 1:2, 2:3].expand(1, 2, 3, 3)
    torch.testing.assert_close(attention(x), attention(everywhere))


def test_every_map_counts_and_each_at_its_place() -> None:
    module = randomised(GlobalRelation((4, 4, 4)))
    maps = maps_of(4, 4, 4)
    before = module.gather(maps)
    for number in range(3):
        changed = [m + (i == number) for i, m in enumerate(maps)]
        same = torch.isclose(module.gather(changed), before).all(dim=(2, 3))[0]
        assert same.tolist() == [number == 2] * 4 + [number != 2] * 4


def test_more_stages_add_up() -> None:
    module = randomised(GlobalRelation((4, 4, 4, 4)))
    maps = maps_of(4, 4, 4, 4)
    with torch.no_grad():
        np.testing.assert_allclose(
            module(maps)[0], plain.related(arrays_of(maps), module), rtol=1e-9
        )


def test_fresh_weights_keep_the_size_of_a_signal() -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, 32, 24, 24).relu() for _ in range(3)]
    with torch.no_grad():
        related = GlobalRelation((32, 32, 32))(maps)
    for half in related.chunk(2, dim=1):
        assert 0.3 < float(half.std()) < 3


def test_parameters_and_operations_by_hand() -> None:
    """C = 32 on 16 x 16 cells: two FCs and 1x1 and 3x3 convolutions, then 64 channels inside."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        module = GlobalRelation((32, 32, 32))
        module([torch.zeros(1, 32, 16, 16)] * 3)
    fc, mix, merge = 32 * 33, 32 * 33, 9 * 32 * 32 + 32
    attention = 64 + 3 * 64 * 32 + 32 * 64  # one query; W_d and W_e; W_c
    assert sum(p.numel() for p in module.parameters()) == 2 * (fc + mix + merge) + attention
    gather = 2 * (32 * 32 + 256 * (32 * 32 + 9 * 32 * 32))
    channel = 256 * (64 + 64) + 2 * 64 * 32
    spatial = 64 * 32 + 256 * (64 * 32 + 32)
    assert counter.get_total_flops() / 2 == gather + channel + spatial


def channel_gates_as_printed(module: ChannelAttention, x: Tensor) -> Tensor:
    weights = module.query(x).flatten(2).softmax(dim=-1)
    values = module.expand(module.value(x)).flatten(2)
    return (values @ weights.transpose(1, 2)).sigmoid()[..., None]


def spatial_gates_as_printed(module: SpatialAttention, x: Tensor) -> Tensor:
    weights = module.query(x).mean(dim=(2, 3)).softmax(dim=-1)
    return (weights[:, None] @ module.value(x).flatten(2)).sigmoid().unflatten(2, x.shape[2:])


@pytest.mark.parametrize(
    ("kind", "as_printed"),
    [
        (ChannelAttention, channel_gates_as_printed),
        (SpatialAttention, spatial_gates_as_printed),
    ],
)
def test_attention_says_what_its_order_spares(kind: type, as_printed: Callable) -> None:
    module = randomised(kind(6, RelationConfig(reduction=3)))
    x = maps_of(6, batch=2)[0]
    found, counts = [], []
    for call in (lambda: as_printed(module, x), lambda: module(x)):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            found.append(call())
        counts.append(counter.get_total_flops() // 2)
    torch.testing.assert_close(*found)
    assert module.saved_macs(x) == counts[0] - counts[1] > 0


@pytest.mark.parametrize("every", [True, False])
def test_trunk_puts_the_relation_in_place_of_its_finest_features(every: bool) -> None:
    torch.manual_seed(0)
    bare = HRNet(TRUNK, multi_scale_output=every)
    torch.manual_seed(0)
    model = HRNet(TRUNK, multi_scale_output=every, relation=PUBLISHED)
    state = model.state_dict()
    assert all(torch.equal(state[k], v) for k, v in bare.state_dict().items())
    assert {k for k in state if k not in bare.state_dict()} == {
        f"relation.{k}" for k in GlobalRelation((4, 5, 4)).state_dict()
    }
    images = torch.randn(2, 3, 32, 48)
    model.eval(), bare.eval()
    with torch.no_grad():
        finest = [maps[0] for maps in bare.stage_features(images)]
        expected = (model.relation(finest), *bare(images)[1:])
        got = model(images)
    assert model.feature_widths == ((8, 6, 7) if every else (8,))
    assert bare.feature_widths == ((4, 6, 7) if every else (4,))
    assert [m.shape[1] for m in got] == list(model.feature_widths)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("host", [AssociativeHRNet, HigherHRNet])
def test_heads_read_the_wider_features(host: type[AssociativeHRNet | HigherHRNet]) -> None:
    model = host(BACKBONES["hrnet_tiny_light"], 5, relation=PUBLISHED)
    assert model.final_layers[0].in_channels == 64
    outputs = model(torch.randn(1, 3, 32, 64))
    assert outputs.heatmaps[0].shape == (1, 5, 8, 16) and outputs.tags.shape == (1, 5, 1, 8, 16)


def test_gradients_reach_every_parameter_in_bfloat16_and_channels_last() -> None:
    model = AssociativeHRNet(TRUNK, 3, relation=PUBLISHED).to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 32, 32).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(images)
    (outputs.heatmaps[0].float() - 1).square().sum().backward(retain_graph=True)
    outputs.tags.float().square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.slow
def test_compiles_to_one_graph_and_returns_the_same() -> None:
    model = HRNet(TRUNK, relation=PUBLISHED).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(compiled(images)[0], model(images)[0])


def test_alone_it_is_all_that_a_head_gets() -> None:
    model = HRNet(TRUNK, relation=RelationConfig(alone=True)).eval()
    beside = HRNet(TRUNK, relation=PUBLISHED).eval()
    model.load_state_dict(beside.state_dict(), strict=False)
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        (alone,), (first, *coarser) = model(images), beside(images)
    torch.testing.assert_close(alone, first, rtol=1e-5, atol=1e-6)
    assert model.feature_widths == (8,) and len(coarser) == 2
    # Nothing is computed for maps that nobody reads.
    assert set(model.state_dict()) < set(beside.state_dict())


def test_imagenet_weights_leave_the_relation_as_it_is(tmp_path: Path) -> None:
    source = HRNet(TRUNK)
    torch.save(source.state_dict(), tmp_path / "imagenet.pth")
    model = HRNet(TRUNK, relation=PUBLISHED)
    drawn = {k: v.clone() for k, v in model.relation.state_dict().items()}
    load_backbone(model, tmp_path / "imagenet.pth")
    state = model.state_dict()
    assert all(torch.equal(state[k], v) for k, v in source.state_dict().items())
    assert all(torch.equal(state[f"relation.{k}"], v) for k, v in drawn.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [({"gate": "subtract"}, "gate must be one of"), ({"reduction": 0}, "reduction must be 1")],
)
def test_an_unknown_reading_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PUBLISHED, **change)


def test_what_cannot_be_related_is_refused() -> None:
    with pytest.raises(ValueError, match="two stages or more, not 1"):
        GlobalRelation((4,))
    with pytest.raises(ValueError, match="reduction 9 leaves none of 8"):
        GlobalRelation((4, 4), RelationConfig(reduction=9))
    with pytest.raises(ValueError, match="two stages or more"):
        HRNet(replace(TRUNK, stages=TRUNK.stages[:1]), relation=PUBLISHED)

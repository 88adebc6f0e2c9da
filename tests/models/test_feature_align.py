from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from poselib.engine.complexity import complexity
from poselib.models import BACKBONES
from poselib.models.feature_align import AlignBlock, AlignConfig, aligned_blocks
from poselib.models.hrnet import HRNet, HRNetConfig, StageConfig, with_alignment
from poselib.models.pretrained import load_backbone
from poselib.models.residual import BasicBlock
from tests.models.random_weights import randomised
from tests.references import plain_attention as plain
from tests.references.plain_counts import count_hrnet

torch.set_num_threads(1)

LAST = AlignConfig(blocks="last")
READINGS = [
    AlignConfig(residual=r, first=f) for r, f in product((False, True), ("output", "input"))
]
SMALL = HRNetConfig(
    stem=(8, 8),
    stage1=StageConfig(1, (1,), (8,)),
    stages=(StageConfig(1, (1, 1), (8, 12)), StageConfig(2, (2, 0, 1), (8, 10, 16))),
)


def features(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("inputs", [8, 5])
@pytest.mark.parametrize("config", READINGS, ids=str)
def test_equals_the_equations_number_by_number(config: AlignConfig, inputs: int) -> None:
    block = randomised(AlignBlock(inputs, 8, config))
    x = features(2, inputs, 3, 4)
    with torch.no_grad():
        got = block(x)
    assert got.shape == (2, 8, 3, 4)
    for image in range(2):
        expected = plain.aligned(plain.numbers(x[image]), block)
        np.testing.assert_allclose(got[image], expected, rtol=1e-9, atol=1e-12)


def test_readings_differ() -> None:
    results = []
    for config in READINGS:
        torch.manual_seed(0)
        results.append(AlignBlock(8, 8, config).double()(features(1, 8, 3, 4)).detach())
    assert not any(torch.allclose(a, b) for a, b in combinations(results, 2))


@pytest.mark.parametrize("config", READINGS, ids=str)
def test_branch_n_has_n_convolutions_that_see_all_before(config: AlignConfig) -> None:
    block = AlignBlock(16, 16, config)
    quarters = [
        [layer[0].in_channels // 4 for layer in cast(nn.ModuleList, layers)]
        for layers in block.branches
    ]
    if config.first == "output":
        assert quarters == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]
    else:
        assert quarters == [[2], [2, 3], [2, 3, 4], [2, 3, 4, 5]]
    kernels = [m.kernel_size[0] for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [1] + [3] * 10 + [1]


@pytest.mark.parametrize("config", READINGS, ids=str)
def test_gradients(config: AlignConfig) -> None:
    block = randomised(AlignBlock(4, 4, config))
    x = features(1, 4, 2, 3).requires_grad_()
    for layer in block.modules():  # smooth, so that no difference straddles a kink
        for name, child in layer.named_children():
            if isinstance(child, nn.ReLU):
                setattr(layer, name, nn.Softplus())
    weights = list(block.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: block(x), (x, *weights))


def test_a_branch_sees_its_own_channels_and_those_before() -> None:
    block = randomised(AlignBlock(8, 8))
    block.entry = nn.Identity()
    x = features(1, 8, 3, 4)
    before = block.branch_outputs(x)
    for branch in range(4):
        changed = x.clone()
        changed[:, 2 * branch : 2 * branch + 2] += 1
        after = block.branch_outputs(changed)
        same = [torch.equal(a, b) for a, b in zip(after, before, strict=True)]
        assert same == [number < branch for number in range(4)]


def test_branches_see_ever_larger_surroundings() -> None:
    """1, then 2, 3 and 4 cells more, as each begins with what the one before it found."""
    block = AlignBlock(4, 4).double().eval()
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 0.1)  # nothing cancels, no ReLU closes
    x = torch.ones(1, 4, 25, 25, dtype=torch.float64)
    changed = x.clone()
    changed[..., 12, 12] += 1
    pairs = zip(block.branch_outputs(x), block.branch_outputs(changed), strict=True)
    for (before, after), reach in zip(pairs, (1, 3, 6, 10), strict=True):
        rows, columns = torch.nonzero((after - before)[0, 0].abs() > 1e-12).T
        for cells in (rows, columns):
            assert (int(cells.min()), int(cells.max())) == (12 - reach, 12 + reach)


def test_residual_block_with_nothing_to_add_is_its_input() -> None:
    x = features(1, 8, 3, 4).abs()
    for residual in (True, False):
        block = AlignBlock(8, 8, AlignConfig(residual=residual)).double().eval()
        nn.init.zeros_(block.join[1].weight)
        assert torch.equal(block(x), x if residual else torch.zeros_like(x))


def kinds(module: nn.Module) -> list[list[str]]:
    """What the blocks of each branch of a module are."""
    return [[type(b).__name__ for b in branch] for branch in module.get_submodule("branches")]


def test_last_stage_alone_aligns_in_all_its_modules() -> None:
    basic, align = "BasicBlock", "AlignBlock"
    for config, expected in (
        (with_alignment(SMALL), [[align, align], [], [align]]),
        (with_alignment(SMALL, LAST), [[basic, align], [], [align]]),
        (SMALL, [[basic, basic], [], [basic]]),
    ):
        model = HRNet(config)
        assert [kinds(m) for m in model.get_submodule("stage3")] == [expected] * 2
        assert kinds(model.get_submodule("stage2.0")) == [[basic], [basic]]


def test_blocks_in_a_row() -> None:
    assert len(aligned_blocks(8, 8, 0, LAST)) == 0
    three = aligned_blocks(6, 8, 3, LAST)
    assert [type(b) for b in three] == [BasicBlock, BasicBlock, AlignBlock]
    assert three(torch.randn(2, 6, 4, 4)).shape == (2, 8, 4, 4)
    assert aligned_blocks(6, 8, 2, AlignConfig())(torch.randn(2, 6, 4, 4)).shape == (2, 8, 4, 4)


def test_first_stage_can_align() -> None:
    config = replace(SMALL, stage1=StageConfig(1, (2,), (8,), align=LAST))
    assert [type(b) for b in HRNet(config).layer1] == [BasicBlock, AlignBlock]


def test_parameters_and_operations_by_hand() -> None:
    """Width 8: parts of 2 channels; 20 parts go into the ten 3x3 convolutions."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        block = AlignBlock(8, 8)
        block(torch.zeros(1, 8, 5, 6))
    weights = 2 * 8 * 8 + 20 * 2 * 2 * 9
    normalization = 2 * (8 + 10 * 2 + 8)
    assert sum(p.numel() for p in block.parameters()) == weights + normalization == 920
    assert counter.get_total_flops() / 2 == weights * 30
    basic = sum(p.numel() for p in BasicBlock(8, 8).parameters())
    assert basic == 2 * (9 * 8 * 8 + 16) > 920


@pytest.mark.slow
@pytest.mark.parametrize("align", [AlignConfig(), LAST], ids=["every", "last"])
@pytest.mark.parametrize("name", ["hrnet_tiny", "hrnet_tiny_light"])
def test_network_counts(name: str, align: AlignConfig) -> None:
    config = with_alignment(BACKBONES[name], align)
    with torch.device("meta"):
        model = HRNet(config)
        maps = model(torch.zeros(1, 3, 64, 64))
    assert [m.shape[1] for m in maps] == list(config.widths)
    count, found = count_hrnet(config, 64), complexity(model, 64)
    assert (found.params, found.macs) == (count.parameters, count.macs)


def test_gradients_reach_every_parameter_in_bfloat16_and_channels_last() -> None:
    model = HRNet(with_alignment(SMALL)).to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 32, 32).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        maps = model(images)
    sum(m.float().square().sum() for m in maps).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.slow
def test_compiles_to_one_graph_and_returns_the_same() -> None:
    block = AlignBlock(8, 8).eval()
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    x = torch.randn(1, 8, 4, 4)
    with torch.no_grad():
        assert torch.equal(compiled(x), block(x))


@pytest.mark.parametrize("align", [AlignConfig(), LAST], ids=["every", "last"])
def test_imagenet_weights_leave_aligning_blocks_as_they_are(
    align: AlignConfig, tmp_path: Path
) -> None:
    source = HRNet(SMALL)
    weights = source.state_dict()
    torch.save(weights, tmp_path / "imagenet.pth")
    model = HRNet(with_alignment(SMALL, align))
    own = [f"{k}." for k, v in model.named_modules() if isinstance(v, AlignBlock)]
    drawn = {k: v.clone() for k, v in model.state_dict().items() if k.startswith(tuple(own))}
    assert len(own) == (6 if align.blocks == "every" else 4)
    load_backbone(model, tmp_path / "imagenet.pth")
    for name, value in model.state_dict().items():
        assert torch.equal(value, drawn[name] if name in drawn else weights[name]), name


@pytest.mark.parametrize(
    ("change", "message"),
    [({"blocks": "first"}, "blocks must be one of"), ({"first": "none"}, "first must be one of")],
)
def test_an_unknown_reading_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AlignConfig(**change)


def test_what_cannot_align_is_refused() -> None:
    with pytest.raises(ValueError, match="width that 4 divides, not 18"):
        with_alignment(BACKBONES["hrnet_w18"])
    with pytest.raises(ValueError, match="width that 4 divides, not 6"):
        AlignBlock(8, 6)
    with pytest.raises(ValueError, match="basic blocks, not 'bottleneck'"):
        StageConfig(1, (1,), (8,), "bottleneck", AlignConfig())
    bare = StageConfig(1, (0, 0, 1), (10, 10, 8))  # no width matters where there are no blocks
    assert with_alignment(replace(SMALL, stages=(*SMALL.stages[:1], bare))).stages[1].align

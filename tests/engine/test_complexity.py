from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.utils import flop_counter
from torchvision.ops import DeformConv2d

from poselib.engine.complexity import Cost, complexity
from poselib.skeletons import COCO
from poselib.systems import build

torch.set_num_threads(1)

TINY = {
    "dekr": {"backbone": "hrnet_tiny", "scoring": True},
    "grm": {"backbone": "hrnet_tiny_light"},
    "hae": {"backbone": "hrnet_tiny"},
}


class Network(nn.Module):
    """Of every kind of layer one, in parts that are modules, lists and neither."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4))
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False),
                nn.ModuleList([nn.Conv2d(6, 6, 1)]),
            ]
        )
        self.up = nn.ConvTranspose2d(6, 5, 4, stride=2, padding=1, bias=False)
        self.fc = nn.Linear(5, 7)
        self.unused = nn.Linear(2, 2)
        self.matrix = nn.Parameter(torch.ones(7, 11))

    def forward(self, images: Tensor) -> Tensor:
        first, (second,) = self.layers
        x = self.up(second(first(self.stem(images))))
        return self.fc(x.mean(dim=(2, 3))) @ self.matrix


# of a 6 x 10 px image: maps of 3 x 5 cells, enlarged to 6 x 10
COSTS = {
    "stem": (9 * 3 * 4 + 4 + 2 * 4, 9 * 3 * 4 * 15),
    "layers": (9 * 4 * 6 // 2 + 6 * 6 + 6, (9 * 4 * 6 // 2 + 6 * 6) * 15),
    "up": (16 * 6 * 5, 16 * 6 * 5 * 15),  # each cell that comes in meets the whole kernel
    "fc": (5 * 7 + 7, 5 * 7),
    "unused": (2 * 2 + 2, 0),
    "": (7 * 11, 7 * 11),
}


def test_every_kind_of_layer_by_hand() -> None:
    found = complexity(Network(), (6, 10))
    assert found.by_part == {name: Cost(p, m, m) for name, (p, m) in COSTS.items()}
    params, macs = (sum(numbers) for numbers in zip(*COSTS.values(), strict=True))
    assert (found.params, found.macs, found.macs_as_published) == (params, macs, macs)


def test_a_size_is_a_side_or_a_height_and_a_width() -> None:
    square, same, wide, high = (
        complexity(Network(), size).by_part["stem"].macs for size in (8, (8, 8), (8, 16), (16, 8))
    )
    assert square == same and wide == high == 2 * square


class Thrifty(nn.Module):
    """Convolves before it enlarges: published, it does so after."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return nn.functional.interpolate(self.conv(maps[0]), scale_factor=2.0)

    def saved_macs(self, maps: Sequence[Tensor]) -> int:
        return 3 * maps[0][:, 0].numel() * 3 * 2


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleDict({"thrifty": Thrifty()})
        self.plain = nn.Conv2d(2, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.plain(self.inner["thrifty"]([images]) + self.inner["thrifty"]([images]))


def test_what_modules_spare_is_added_for_each_call() -> None:
    found = complexity(Pair(), 4)
    assert found.by_part == {
        "inner": Cost(8, 2 * 6 * 16, 2 * 6 * 64),
        "plain": Cost(6, 4 * 64, 4 * 64),
    }
    assert found.macs_as_published - found.macs == 2 * 6 * 48


def test_what_the_network_itself_spares_belongs_to_no_part() -> None:
    class Whole(Thrifty):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward([images])

        def saved_macs(self, images: Tensor) -> int:
            return 10 * len(images)

    by_part = complexity(Whole(), 4).by_part
    assert by_part == {"conv": Cost(8, 6 * 16, 6 * 16), "": Cost(0, 0, 10)}


def test_deformable_convolutions_count_as_ordinary_ones() -> None:
    class Deformable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.offsets = nn.Conv2d(3, 2 * 9, 3, padding=1, bias=False)
            self.conv = DeformConv2d(3, 6, 3, padding=1, groups=3, bias=False)

        def forward(self, images: Tensor) -> Tensor:
            return self.conv(images, self.offsets(images))

    known = dict(flop_counter.flop_registry)
    by_part = complexity(Deformable(), (4, 5)).by_part
    assert by_part["offsets"].macs == 9 * 3 * 18 * 20
    assert by_part["conv"] == Cost(9 * 6, 9 * 6 * 20, 9 * 6 * 20)
    assert flop_counter.flop_registry == known  # nobody else counts otherwise from now on


def test_the_model_stays_as_it_is() -> None:
    model = Network().train()
    model.stem[1].eval()
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    complexity(model, 8)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.device.type == "cpu" and p.grad is None for p in model.parameters())


def test_parts_add_up() -> None:
    found = complexity(Network(), 8)
    assert found.of() == Cost(0, 0, 0)
    assert found.of(*found.by_part) == Cost(found.params, found.macs, found.macs_as_published)
    two = found.of("stem", "up")
    assert two.params == COSTS["stem"][0] + COSTS["up"][0]
    with pytest.raises(ValueError, match="no part 'head'; the network has stem, layers, up"):
        found.of("head")


def test_numbers_as_papers_print_them() -> None:
    cost = Cost(29_560_000, 43_000_000_000, 45_390_000_000)
    assert cost.as_dict() == {"params_m": 29.56, "gmac": 45.39, "gmac_run": 43.0}


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_systems_on_any_device_count_alike(name: str) -> None:
    system = build(name, COCO, **TINY[name])
    with torch.device("meta"):
        shapes = build(name, COCO, **TINY[name])
    found = complexity(system, 64)
    assert found == complexity(shapes, 64) == complexity(system.model, 64)
    assert found.params == sum(p.numel() for p in system.model.parameters())
    assert "" not in found.by_part and set(found.by_part) == {
        name for name, _ in system.model.named_children()
    }
    double = complexity(system, (64, 128))
    for part, cost in found.by_part.items():
        if part != "relation":  # whose gates see the mean of all cells
            assert double.by_part[part].macs == 2 * cost.macs
    if name == "dekr":
        assert found.by_part["scoring"].params > 0 and found.by_part["scoring"].macs == 0
    assert (found.macs_as_published > found.macs) == (name != "hae")


@pytest.mark.parametrize("size", [0, (64, 0), -4])
def test_a_size_that_is_none_is_refused(size: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="size must be positive"):
        complexity(Network(), size)


def test_a_size_that_the_network_does_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of"):
        complexity(build("dekr", COCO, **TINY["dekr"]), 50)

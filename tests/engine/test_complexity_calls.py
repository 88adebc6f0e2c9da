"""Counts by calls, as RPSTN/JRE prints them, beside the true ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poselib.engine.complexity import complexity, count_by_calls
from poselib.models.pose_propagation import PropagationConfig, PropagationNetwork
from poselib.papers.published import published_table

torch.set_num_threads(1)


class Network(nn.Module):
    """A shared convolution, a transposed one, and two operations that no module makes."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.up = nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1, groups=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.shared(self.shared(x)))
        x = F.conv2d(x, torch.ones(4, 1, 3, 3, device=x.device), padding=1, groups=4)
        return self.up(x @ x.transpose(2, 3) @ x)


def test_every_kind_of_layer_by_hand() -> None:
    x = torch.zeros(1, 4, 6, 10, device="meta")
    found = count_by_calls(Network(), lambda network: network(x))
    assert found.params == 2 * (4 * 4 * 9 + 4) + 2 * 4 + 4 * 3 * 16
    assert found.macs == 2 * 4 * 4 * 9 * 60 + 6 * 2 * 16 * (12 * 20)
    expected = {"params_mi": found.params / 2**20, "gmac_gi": found.macs / 2**30}
    assert found.as_dict() == expected


def network(backbone: str, **options: object) -> PropagationNetwork:
    with torch.device("meta"):
        return PropagationNetwork(13, PropagationConfig(backbone=backbone, **options)).eval()


def by_calls(model: PropagationNetwork, frames: int) -> dict[str, float]:
    """Count a clip that is read frame by frame."""

    def run(model: nn.Module) -> None:
        image = torch.zeros(1, 3, 256, 256, device="meta")
        _, state = model.start(image)
        for _ in range(frames - 1):
            _, state = model.step(image, state)

    return count_by_calls(model, run).as_dict()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "row", "backbone", "frames", "options"),
    [
        ("V person", "RPSTN, ResNet-18", "resnet18", 5, {}),
        ("V person", "RPSTN, ResNet-50", "resnet50", 5, {}),
        ("V torso", "DKD, ResNet-18", "resnet18", 5, {"propagator_layers": 3, "relation": "none"}),
        ("V torso", "DKD, ResNet-50", "resnet50", 5, {"propagator_layers": 3, "relation": "none"}),
        ("IV", "RPSTN, 5 frames", "resnet50", 5, {}),
        ("IV", "RPSTN, 7 frames", "resnet50", 7, {}),
        ("IV", "RPSTN, 10 frames", "resnet50", 10, {}),
    ],
)
def test_the_published_costs_are_reached(
    table: str, row: str, backbone: str, frames: int, options: dict
) -> None:
    """All rows have an initializer with ResNet-101, which the paper does not mention."""
    found = by_calls(network(backbone, official=True, **options), frames)
    numbers = published_table("rpstn", table).loc[row]
    for metric in ("params_mi", "gmac_gi"):
        if metric in numbers:
            assert found[metric] == pytest.approx(numbers[metric], abs=0.02)


@pytest.mark.slow
def test_rows_without_relations_cost_less_than_printed() -> None:
    """Table IV prints more operations without the JRE than with it, which cannot be."""
    numbers = published_table("rpstn", "IV")["gmac_gi"]
    for frames, expected in ((7, 120.19), (10, 166.06)):
        found = by_calls(network("resnet50", official=True, relation="none"), frames)["gmac_gi"]
        assert found == pytest.approx(expected, abs=0.01)
        assert numbers[f"RPSTN-w/o-JRE, {frames} frames"] > numbers[f"RPSTN, {frames} frames"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "params", "gmac"), [("resnet18", 70.865, 45.76), ("resnet50", 89.488, 62.62)]
)
def test_true_costs_of_a_clip(backbone: str, params: float, gmac: float) -> None:
    official = complexity(network(backbone, official=True), 256, frames=5)
    assert official.params / 1e6 == pytest.approx(params, abs=6e-4)
    assert official.macs / 1e9 == pytest.approx(gmac, abs=6e-3)
    ours = complexity(network(backbone), 256, frames=5)
    # one projection more, that of the first frame's features
    assert ours.macs_as_published - official.macs == 256 * 256 * 64 * 64
    assert ours.macs < official.macs
    assert official.params - ours.params == 2 * (13 * 13 + 13)  # unused in the official code


@pytest.mark.slow
def test_a_further_frame_costs_a_sixth_of_a_clip_of_five() -> None:
    model = network("resnet18")
    clip = complexity(model, 256, frames=5)
    more = complexity(model, 256, frames=6)
    assert (more.macs_as_published - clip.macs_as_published) / 1e9 == pytest.approx(7.46, abs=0.01)


def test_frames_must_be_positive() -> None:
    with pytest.raises(ValueError, match="frames must be positive, not 0"):
        complexity(network("resnet18"), 256, frames=0)

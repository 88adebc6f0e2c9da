"""Plug and play: every host takes the same losses and the same decoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.engine.inference import infer
from poselib.engine.seed import seed_everything
from poselib.models.associative import AssociativeHRNet
from poselib.models.higher_hrnet import HigherHRNet
from poselib.models.hourglass import HourglassConfig, StackedHourglass
from poselib.outputs import TagOutputs
from poselib.skeletons import COCO
from poselib.structures import Targets
from poselib.systems import System, build
from poselib.systems.associative_networks import AssociativeNetwork

torch.set_num_threads(1)

TINY: dict[str, Any] = {"backbone": "hrnet_tiny", "deconv_blocks": 1, "deconv_channels": 16}
TINY |= {"stacks": 2, "features": 32, "depth": 3, "increase": 16, "stack_norm": True}
HOSTS = {"plain": AssociativeHRNet, "higher": HigherHRNet, "hourglass": StackedHourglass}
STRIDES = {"plain": (4,), "higher": (4, 2), "hourglass": (4,)}
each_host = pytest.mark.parametrize("host", HOSTS)


def host_named(host: Any, **changes: Any) -> AssociativeNetwork:
    made = AssociativeNetwork(host, "hrnet_tiny", 1, 16, HourglassConfig(2, 8, 2, 4), 0.1)
    return replace(made, **changes)


@each_host
def test_a_host_gives_maps_at_its_strides(host: str) -> None:
    made = host_named(host)
    network = made.network(5)
    outputs = network(torch.randn(1, 3, 64, 96))
    assert type(network) is HOSTS[host] and made.strides == STRIDES[host]
    assert [tuple(h.shape) for h in outputs.heatmaps] == [
        (1, 5, 64 // stride, 96 // stride) for stride in made.strides
    ]
    assert tuple(outputs.tags.shape) == (1, 5, 1, 16, 24)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "highest"}, "unknown host 'highest'; known: 'higher', 'plain', 'hourglass'"),
        ({"backbone": "resnet"}, r"unknown backbone 'resnet'; known: \['hrnet_tiny'"),
    ],
)
def test_unknown_names_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        host_named("plain", **changes)


@each_host
def test_the_spread_of_fresh_tags_is_an_option(host: str) -> None:
    spread = []
    for std in (0.1, 1.0):
        torch.manual_seed(0)
        outputs = host_named(host, tag_init_std=std).network(5)(torch.randn(1, 3, 64, 64))
        spread.append(float(outputs.tags.detach().std(dim=(3, 4)).mean()))
    assert spread[1] > 3 * spread[0]


# Losses


def system_of(host: str, **options: Any) -> System:
    return build("hae", COCO, **{**TINY, "host": host, **options})


def judged(stages: int) -> tuple[TagOutputs, Targets]:
    """Random outputs of so many stages and targets with two people."""
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.full((1, 2, 17, 3), 2.0)
    keypoints[..., :2] = 60 * torch.rand(1, 2, 17, 2, generator=generator)
    weights, areas = torch.ones(1, 1, 16, 16), torch.full((1, 2), 900.0)
    heatmaps = torch.rand(1, 17, 16, 16, generator=generator)
    targets = Targets((heatmaps,), (weights,), keypoints, areas, (64, 64))
    random = [torch.randn(1, 17, 16, 16, generator=generator) for _ in range(2 * stages)]
    said = [
        TagOutputs((random[2 * i],), random[2 * i + 1][:, :, None], (64, 64)) for i in range(stages)
    ]
    return replace(said[-1], intermediate=tuple(said[:-1])), targets


def test_every_stack_is_judged_alike_and_counts_alike() -> None:
    outputs, targets = judged(3)
    losses = system_of("hourglass").losses
    alone = [losses(replace(stage, intermediate=()), targets) for stage in outputs.stages]
    together = losses(outputs, targets)
    for name, term in together.items():
        each = torch.stack([terms[name] for terms in alone])
        assert len({round(float(value), 9) for value in each}) == 3
        torch.testing.assert_close(term, each.mean())


@each_host
def test_the_loss_does_not_know_its_host(host: str) -> None:
    outputs, targets = judged(1)
    of_plain = system_of("plain").losses(outputs, targets)
    for name, term in system_of(host).losses(outputs, targets).items():
        assert torch.equal(term, of_plain[name])


# Prediction


def test_only_the_last_stack_predicts() -> None:
    system = system_of("hourglass", detection_threshold=0.0)
    outputs, _ = judged(3)
    alone = replace(outputs, intermediate=())
    for a, b in zip(system.decode(outputs), system.decode(alone), strict=True):
        assert len(a) > 1
        assert np.array_equal(a.keypoints, b.keypoints) and np.array_equal(a.scores, b.scores)


@each_host
def test_a_picture_and_its_mirror_image_give_mirrored_maps(host: str) -> None:
    """With flip testing the network sees the same two pictures of both."""
    seed_everything(0)
    system = system_of(host)
    system.model.eval()
    sample = SyntheticScenes(SceneConfig(size=64, people=(2, 2)), 1, 1, COCO)[0]
    mirrored = replace(sample, image=np.ascontiguousarray(sample.image[..., ::-1]))
    seen = infer(system, [(sample,)], flip=True)
    back = infer(system, [(mirrored,)], flip=True).flip(COCO)
    assert not seen.intermediate and seen.tags.shape[2] == 2
    for a, b in zip(seen.heatmaps, back.heatmaps, strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(seen.tags, back.tags.flip(2))

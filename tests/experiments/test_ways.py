from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from poselib.analysis.inspect_image import with_switches
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.engine.predict import PredictOptions, predict
from poselib.experiments.presets import get_preset
from poselib.experiments.training import init_system
from poselib.experiments.ways import Variant, evaluate_variants
from poselib.skeletons import CROWDPOSE
from poselib.systems import System

OPTIONS = PredictOptions(size=64, multiple=32, flip=False)
SCALES = (1.0, 2.0)
WAYS = (
    Variant("several, matched", {"match": True}, scales=SCALES),
    Variant("one", off=("match", "refine")),
    Variant("several", off=("match",), scales=SCALES),
)


@pytest.fixture(scope="module")
def scenes() -> SyntheticScenes:
    return SyntheticScenes(SceneConfig(size=64, people=(2, 2)), 2, 5, CROWDPOSE)


def loud(name: str = "dekr", **switches: bool | str) -> System:
    """A system of random weights that sees people everywhere."""
    system = init_system(get_preset("smoke", "crowd", name), CROWDPOSE, 0, name, **switches)
    torch.manual_seed(0)
    for layer in system.model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    system.model.eval()
    return system


def points(found: list) -> list[np.ndarray]:
    return [poses.keypoints for poses in found]


def test_each_way_finds_what_it_finds_alone(scenes: SyntheticScenes) -> None:
    system = loud(match=True)
    found = {way.name: each for way, each in evaluate_variants(system, scenes, OPTIONS, WAYS)}
    assert list(found) == ["several, matched", "one", "several"]
    plain = with_switches(system, match=False)
    # 75 px of 512 are 9.375 of 64: see ``match_distance_for``.
    matched = with_switches(system, match=True, match_distance=75 * 64 / 512)
    look = replace(OPTIONS, scales=SCALES)
    alone = {
        "one": predict(plain, scenes, OPTIONS),
        "several": predict(plain, scenes, look),
        "several, matched": predict(matched, scenes, look),
    }
    for name, expected in alone.items():
        for mine, theirs in zip(points(found[name].poses), points(expected), strict=True):
            assert len(mine) and np.array_equal(mine, theirs)
    shapes = {name: np.concatenate(points(poses)) for name, poses in alone.items()}
    assert not np.array_equal(shapes["several"], shapes["several, matched"])
    assert shapes["one"].shape != shapes["several"].shape or not np.array_equal(
        shapes["one"], shapes["several"]
    )


def test_ways_of_the_same_scales_share_one_look(scenes: SyntheticScenes) -> None:
    system, seen = loud(), []
    system.model.register_forward_hook(lambda model, inputs, out: seen.append(inputs[0].shape[-1]))
    evaluate_variants(system, scenes, OPTIONS, WAYS)
    assert sorted(seen) == [64] * 4 + [128] * 2


def test_ways_that_do_not_fit_are_left_out(scenes: SyntheticScenes) -> None:
    grouping = loud("grm", head="associative")
    found = evaluate_variants(grouping, scenes, OPTIONS, WAYS[:2])
    assert [way.name for way, _ in found] == ["one"]
    with pytest.raises(ValueError, match=r"system 'grm' cannot be .* ways: 'several, matched'"):
        evaluate_variants(grouping, scenes, OPTIONS, WAYS[:1])


def test_what_is_off_is_so_only_where_it_can_be() -> None:
    way = Variant("one", off=("match", "refine"))
    assert way.decoding(loud(match=True), 64).switches["match"] is False
    decoding = way.decoding(loud("grm", head="associative"), 64)
    assert decoding.switches["refine"] is False and "match" not in decoding.switches

"""The scoring net: the official one under another order of features, and what it must not see."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.models.scoring import ScoringNet, Unit, neighbors
from poselib.skeletons import COCO, CROWDPOSE, LSP, SKELETONS, Skeleton
from tests.models.official import weights_rule

torch.set_num_threads(1)

OFFICIAL = {17: ScoringNet(COCO), 14: ScoringNet(CROWDPOSE, unit="left_leg")}
# Pairs of keypoints, by number, in the order of the features of official weights.
COCO_PAIRS = (
    *((0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 6), (5, 7), (5, 11)),
    *((6, 8), (6, 12), (7, 9), (8, 10), (11, 12), (11, 13), (12, 14), (13, 15), (14, 16)),
)
CROWDPOSE_PAIRS = (
    *((12, 13), (13, 0), (13, 1), (0, 2), (1, 3), (2, 4), (3, 5), (0, 6), (1, 7), (6, 8)),
    *((7, 9), (8, 10), (9, 11), (6, 7), (0, 1)),
)
PAIRS = {17: COCO_PAIRS, 14: CROWDPOSE_PAIRS}
LAYERS = {"l1": "layers.0", "l2": "layers.2", "l3": "layers.4"}
# A hand has no torso; its limbs are 3, 4 and 5 px long in ``HAND_POSE``.
HAND = Skeleton(
    "hand", ("palm", "thumb", "index"), (0.1,) * 3, (), (("palm", "thumb"), ("thumb", "index"))
)
HAND_POSE = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [3.0, 5.0]]])


def load_official(golden_dir: Path, net: ScoringNet) -> None:
    """Give a net the official weights, whose features have another order and other signs."""
    count, pairs = len(net.skeleton), PAIRS[len(net.skeleton)]
    keys = json.loads((golden_dir / "dekr_rescore_net.keys.json").read_text())[str(count)]
    weights = {}
    for name, value in weights_rule(golden_dir).fill(keys).items():
        layer, kind = name.split(".")
        weights[f"{LAYERS[layer]}.{kind}"] = torch.from_numpy(value)
    edges = [tuple(edge) for edge in net.edges.tolist()]
    positions = [pairs.index(e if e in pairs else (e[1], e[0])) for e in edges]
    offsets = [2 * position + axis for position in positions for axis in (0, 1)]
    columns = [*offsets, *(2 * len(pairs) + p for p in positions)]
    columns += range(3 * len(pairs), 3 * len(pairs) + count)
    signs = torch.ones(len(columns))
    forward = torch.tensor([1.0 if edge in pairs else -1.0 for edge in edges])
    signs[: 2 * len(pairs)] = forward.repeat_interleave(2)
    weights["layers.0.weight"] = weights["layers.0.weight"][:, columns] * signs
    net.load_state_dict(weights)


def poses_of(skeleton: Skeleton, count: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    poses = torch.tensor(rng.uniform(0, 200, (count, len(skeleton), 2)), dtype=torch.float32)
    return poses, torch.tensor(rng.random((count, len(skeleton))), dtype=torch.float32)


@pytest.mark.golden
@pytest.mark.parametrize("keypoints", [17, 14])
def test_official_scores(golden_dir: Path, keypoints: int) -> None:
    skeleton, unit = OFFICIAL[keypoints].skeleton, OFFICIAL[keypoints].unit
    net = ScoringNet(skeleton, unit=unit)
    load_official(golden_dir, net)
    with np.load(golden_dir / "dekr_rescore_net.npz") as data, torch.no_grad():
        poses = torch.tensor(data[f"k{keypoints}_poses"])
        scores = net(poses[..., :2], poses[..., 2])
        assert scores.shape == (6,)
        np.testing.assert_allclose(scores, data[f"k{keypoints}_pred"][:, 0], atol=1e-6)


@pytest.mark.golden
@pytest.mark.parametrize("keypoints", [17, 14])
def test_official_features_in_another_order(golden_dir: Path, keypoints: int) -> None:
    """Each of ours is one of theirs, or its negative where the pair is written the other way."""
    net = OFFICIAL[keypoints]
    with np.load(golden_dir / "dekr_rescore_net.npz") as data:
        poses, theirs = (
            torch.tensor(data[f"k{keypoints}_{name}"]) for name in ("poses", "feature")
        )
    ours = net.features(poses[..., :2], poses[..., 2])
    assert ours.shape == theirs.shape
    pairs = len(net.edges)
    taken = []
    for n, column in enumerate(ours.T):
        error = torch.minimum((theirs.T - column).abs(), (theirs.T + column).abs()).amax(dim=1)
        same = torch.nonzero(error < 1e-5).flatten().tolist()
        assert len(same) == 1
        taken += same
        if n >= 2 * pairs:
            torch.testing.assert_close(theirs[:, same[0]], column)
    assert sorted(taken) == list(range(len(taken)))
    assert taken[3 * pairs :] == list(range(3 * pairs, len(taken)))


@pytest.mark.golden
def test_torso_of_crowdpose_is_not_what_official_weights_expect(golden_dir: Path) -> None:
    with np.load(golden_dir / "dekr_rescore_net.npz") as data:
        poses = torch.tensor(data["k14_poses"])
    right, leg = (
        ScoringNet(CROWDPOSE, unit=unit).features(poses[..., :2], poses[..., 2])
        for unit in ("torso", "left_leg")
    )
    assert (right - leg)[:, :45].abs().max() > 0.1 and torch.equal(right[:, 45:], leg[:, 45:])


def test_neighbors() -> None:
    assert neighbors(COCO) == COCO.limbs and len(COCO.limbs) == 19
    crowdpose = neighbors(CROWDPOSE)
    assert len(crowdpose) == 15
    assert frozenset(("left_shoulder", "right_shoulder")) in {frozenset(e) for e in crowdpose}
    assert neighbors(HAND) == HAND.limbs


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_every_skeleton_has_a_net_with_a_torso(skeleton: Skeleton) -> None:
    net = ScoringNet(skeleton)
    torso = {frozenset(skeleton.keypoints[i] for i in pair) for pair in net.unit_pairs.tolist()}
    assert torso == {frozenset((f"{s}_shoulder", f"{s}_hip")) for s in ("left", "right")}
    poses, heats = poses_of(skeleton)
    assert net(poses, heats).shape == (5,)
    assert net.features(poses, heats).shape == (5, 3 * len(net.edges) + len(skeleton))


def test_features_by_hand() -> None:
    """Without a torso lengths are divided by the mean limb, (3 + 5) / 2."""
    heats = torch.tensor([[0.1, 0.2, 0.3]])
    features = ScoringNet(HAND).features(HAND_POSE, heats)
    assert features[0].tolist() == pytest.approx(
        [-3 / 4, 0, 0, -5 / 4, 3 / 4, 5 / 4, 0.1, 0.2, 0.3]
    )


@pytest.mark.parametrize("unit", ["torso", "left_leg"])
def test_units_by_hand(unit: Unit) -> None:
    places = {
        **{"left_shoulder": (0, 0), "left_hip": (0, 30), "left_knee": (40, 30)},
        **{"right_shoulder": (10, 0), "right_hip": (10, 50), "left_ankle": (40, 90)},
    }
    poses = torch.tensor([[places.get(name, (5, 5)) for name in LSP.keypoints]]).float()
    net = ScoringNet(LSP, unit=unit)
    length = {"torso": (30 + 50) / 2, "left_leg": (40 + 60) / 2}[unit]
    features = net.features(poses, torch.zeros(1, 14))
    lengths = features[0, 2 * len(net.edges) : 3 * len(net.edges)]
    limb = neighbors(LSP).index(("left_shoulder", "left_hip"))
    assert float(lengths[limb]) == pytest.approx(30 / length)


def test_neither_place_nor_size_matters() -> None:
    net = ScoringNet(COCO)
    poses, heats = poses_of(COCO)
    moved = 3 * poses + torch.tensor([100.0, -20.0])
    torch.testing.assert_close(net(moved, heats), net(poses, heats), atol=1e-5, rtol=1e-4)
    turned = poses[..., [1, 0]] * torch.tensor([1.0, -1.0])
    assert not torch.allclose(net(turned, heats), net(poses, heats), atol=1e-3)


def test_a_torso_shorter_than_a_pixel_counts_as_one() -> None:
    features = ScoringNet(HAND).features(HAND_POSE / 100, torch.zeros(1, 3))
    assert features[0, 4:6].tolist() == pytest.approx([0.03, 0.05])
    nothing = ScoringNet(COCO).features(torch.zeros(1, 17, 2), torch.zeros(1, 17))
    assert not nothing.any()


def test_nobody() -> None:
    assert ScoringNet(COCO)(torch.zeros(0, 17, 2), torch.zeros(0, 17)).shape == (0,)


def test_a_checkpoint_holds_the_layers_alone() -> None:
    net, other = ScoringNet(COCO, hidden=8), ScoringNet(COCO, hidden=8)
    state = net.state_dict()
    assert list(state) == [f"layers.{n}.{kind}" for n in (0, 2, 4) for kind in ("weight", "bias")]
    assert [tuple(state[f"layers.{n}.weight"].shape) for n in (0, 2, 4)] == [
        *((8, 74), (8, 8), (1, 8))
    ]
    other.load_state_dict(state)
    assert torch.equal(net(*poses_of(COCO)), other(*poses_of(COCO)))


def test_what_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="unit must be one of"):
        ScoringNet(COCO, unit="head")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="skeleton 'hand' has no limbs"):
        ScoringNet(replace(HAND, limbs=()))

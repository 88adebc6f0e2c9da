"""The scoring net: the official one under another order of features, and what it must not see."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.models.scoring import ScoringNet, Unit, load_official_scoring, neighbors
from poselib.models.toolbox_layouts import to_toolbox
from poselib.skeletons import COCO, CROWDPOSE, LSP, SKELETONS, Skeleton
from tests.models.official import weights_rule

torch.set_num_threads(1)

OFFICIAL = {17: ScoringNet(COCO), 14: ScoringNet(CROWDPOSE, unit="left_leg")}
# A hand has no torso; its limbs are 3, 4 and 5 px long in ``HAND_POSE``.
HAND = Skeleton(
    "hand", ("palm", "thumb", "index"), (0.1,) * 3, (), (("palm", "thumb"), ("thumb", "index"))
)
HAND_POSE = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [3.0, 5.0]]])


def official_file(golden_dir: Path, keypoints: int, path: Path, prefix: str = "") -> Path:
    keys = json.loads((golden_dir / "dekr_rescore_net.keys.json").read_text())[str(keypoints)]
    weights = weights_rule(golden_dir).fill(keys)
    torch.save({prefix + name: torch.from_numpy(value) for name, value in weights.items()}, path)
    return path


def poses_of(skeleton: Skeleton, count: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    poses = torch.tensor(rng.uniform(0, 200, (count, len(skeleton), 2)), dtype=torch.float32)
    return poses, torch.tensor(rng.random((count, len(skeleton))), dtype=torch.float32)


@pytest.mark.golden
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("keypoints", [17, 14])
def test_official_scores(golden_dir: Path, tmp_path: Path, keypoints: int, prefix: str) -> None:
    skeleton, unit = OFFICIAL[keypoints].skeleton, OFFICIAL[keypoints].unit
    net = ScoringNet(skeleton, unit=unit)
    load_official_scoring(net, official_file(golden_dir, keypoints, tmp_path / "net.pth", prefix))
    with np.load(golden_dir / "dekr_rescore_net.npz") as data, torch.no_grad():
        poses = torch.tensor(data[f"k{keypoints}_poses"])
        scores = net(poses[..., :2], poses[..., 2])
        assert scores.shape == (6,)
        np.testing.assert_allclose(scores, data[f"k{keypoints}_pred"][:, 0], atol=1e-6)


def test_a_file_of_mmpose_is_read_in_its_own_order(tmp_path: Path) -> None:
    net, loaded = ScoringNet(COCO), ScoringNet(COCO)
    rng = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng)
    own = {f"scoring.{name}": value for name, value in net.state_dict().items()}
    theirs = to_toolbox(own, net, "0.x")
    file = {name.removeprefix("rescore_net."): value for name, value in theirs.items()}
    torch.save(file, tmp_path / "kpt_rescore.pth")
    load_official_scoring(loaded, tmp_path / "kpt_rescore.pth", "mmpose")
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in loaded.state_dict().items())
    load_official_scoring(loaded, tmp_path / "kpt_rescore.pth")
    assert not torch.equal(loaded.layers[0].weight, net.layers[0].weight)


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

    def unit_length(*limbs: tuple[str, str]) -> Tensor:
        ends = [[CROWDPOSE.keypoints.index(name) for name in limb] for limb in limbs]
        lengths = [(poses[:, i, :2] - poses[:, j, :2]).norm(dim=1) for i, j in ends]
        return torch.stack(lengths).mean(dim=0).clamp(min=1)[:, None]

    torso = unit_length(("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"))
    half = unit_length(("left_hip", "left_knee"), ("left_knee", "left_ankle"))
    torch.testing.assert_close(right[:, :45] * torso, leg[:, :45] * half)
    assert torch.equal(right[:, 45:], leg[:, 45:])


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


def saved(path: Path, inputs: int = 74, **more: Tensor) -> Path:
    weights = {"l1.weight": torch.ones(256, inputs), "l1.bias": torch.ones(256)}
    weights |= {"l2.weight": torch.ones(256, 256), "l2.bias": torch.ones(256)}
    torch.save(weights | {"l3.weight": torch.ones(1, 256), "l3.bias": torch.ones(1)} | more, path)
    return path


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (ScoringNet(CROWDPOSE, unit="left_leg"), "does not fit ScoringNet: .*74.*for .*59"),
        (ScoringNet(COCO, hidden=8), "does not fit ScoringNet"),
        (ScoringNet(CROWDPOSE), "official files of 'crowdpose' need unit='left_leg'"),
        (ScoringNet(COCO, unit="left_leg"), "official files of 'coco' need unit='torso'"),
        (ScoringNet(LSP), "no official scoring net has the keypoints of 'lsp'"),
        (ScoringNet(replace(COCO, limbs=COCO.limbs[1:])), "'coco' have other neighbors"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, net: ScoringNet, message: str) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_official_scoring(net, saved(tmp_path / "net.pth"))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_incomplete_and_missing_files(tmp_path: Path) -> None:
    extra = saved(tmp_path / "extra.pth", **{"l4.bias": torch.ones(1)})
    with pytest.raises(ValueError, match="does not fit"):
        load_official_scoring(ScoringNet(COCO), extra)
    odd = saved(tmp_path / "odd.pth", **{"l3.bias": torch.full((1,), torch.nan)})
    with pytest.raises(ValueError, match=r"odd\.pth does not fit .*not finite \(layers.4.bias"):
        load_official_scoring(ScoringNet(COCO), odd)
    with pytest.raises(FileNotFoundError):
        load_official_scoring(ScoringNet(COCO), tmp_path / "none.pth")


def test_what_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="unit must be one of"):
        ScoringNet(COCO, unit="head")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="skeleton 'hand' has no limbs"):
        ScoringNet(replace(HAND, limbs=()))

"""LOGO-CAP as a whole: every ablation builds, learns and decodes, and what is saved comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.data.collation import collate
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.decoders.local_global import propose_poses, refine_poses
from poselib.engine.checkpoints import load_checkpoint, save_system
from poselib.engine.inference import PredictOptions
from poselib.engine.predict import predict
from poselib.engine.train import train
from poselib.engine.train_config import TrainConfig
from poselib.models.attentive_norm import AttentiveNorm2d
from poselib.models.pretrained import load_official
from poselib.ops.center_poses import CenterPoses
from poselib.ops.keypoint_expansion import expansion_rates
from poselib.ops.normalization import normalize
from poselib.ops.oks import keypoint_similarity
from poselib.outputs import LocalGlobalOutputs, RegressionOutputs
from poselib.skeletons import COCO, CROWDPOSE
from poselib.systems import System, build
from tests.decoders.factories import with_embedding
from tests.models.official import official_weights
from tests.ops.factories import offset_maps

torch.set_num_threads(1)

SMALL: dict[str, Any] = {
    "backbone": "hrnet_tiny_light",
    "heatmap_width": 8,
    "offset_width": 8,
    "embedding": 4,
    "message_width": 16,
    "local_window": 5,
    "global_window": 25,
}
ABLATIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "Table 5, baseline": {"adaptation": False},
    "Table 5, no OKS loss": {"oks_weight": 0.0},
    "Table 5, no reweighing": {"reweigh": False},
    "Table 5, no attentive norm": {"attentive": False},
    "Table 6, window 3": {"local_window": 3},
    "Table 6, one convolution": {"message_layers": 0},
    "heatmaps alone": {"prior": "expansion"},
    "box filter": {"prior": "box"},
    "Table 7, KAMs": {"prior": "attraction", "ties": "mean"},
    "Table 5, OKS loss alone": {"refined_weight": 0.0, "prior": "attraction"},
    "Eqs. 4 to 7 as printed": {
        "background": 0.01,
        "person_size": "times_area",
        "reduction": "sum",
    },
    "not adapted": {"adapt": False},
    "the paper's losses": {"assignment": "mean", "weighting": "similarity", "refined_sigma": None},
    "in the official frame": {"frame": "index"},
}


def system_of(skeleton: Any = COCO, **options: Any) -> System:
    torch.manual_seed(0)
    return build("logocap", skeleton, **{**SMALL, **options})


def scenes(count: int, size: int = 128, people: tuple[int, int] = (1, 2)) -> SyntheticScenes:
    return SyntheticScenes(SceneConfig(size=size, people=people), count, 3, COCO).cached()


def right_poses(
    system: System, batch: Any, error: float | Tensor = 0.0
) -> tuple[RegressionOutputs, Any]:
    """Outputs of the network whose maps of heat, centers and offsets are the truth.

    But for ``error``, in cells, of all offsets.
    """
    outputs, targets = system.model(normalize(batch.images)), system.encode(batch)
    maps, offsets = targets.heatmaps[0], offset_maps(targets)[0]
    maps, offsets = maps.clone(), offsets + error
    right = RegressionOutputs(maps[:, :-1], maps[:, -1:], offsets, targets.image_size)
    if isinstance(outputs, LocalGlobalOutputs):
        right = with_embedding(right, outputs.embedding, outputs.attraction_network)
    return right, targets


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_builds_learns_and_decodes(name: str) -> None:
    options = ABLATIONS[name]
    system = system_of(**options)
    batch = collate([scenes(2)[i] for i in range(2)])
    outputs, targets = right_poses(system, batch, error=0.5)
    terms = system.losses(outputs, targets)
    adapts = options.get("adaptation", True)
    expected = {"heatmap", "offset"} | ({"oks", "refined"} if adapts else set())
    assert set(terms) == expected and all(term.isfinite() for term in terms.values())
    if adapts:
        assert (float(terms["oks"].detach()) > 0) == ("no OKS" not in name)
        assert (float(terms["refined"].detach()) > 0) == ("loss alone" not in name)
        before = [p.detach().clone() for p in system.model.joints_mlp.parameters()]
        optimizer = torch.optim.SGD(system.model.parameters(), lr=0.1)
        sum(terms.values()).backward()  # type: ignore[union-attr]
        optimizer.step()
        after = system.model.joints_mlp.parameters()
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    system.model.eval()
    decoded = system.decode(right_poses(system, batch)[0])
    assert len(decoded) == 2 and all(np.isfinite(p.keypoints).all() for p in decoded)
    assert len(system.decode(system.model(normalize(batch.images)))) == 2


def test_options_reach_what_they_are_of() -> None:
    """Each with a value that no default has."""
    decoding = {"top_weight": 0.6, "nms_kernel": 5, "center_threshold": 0.2, "max_people": 7}
    decoding |= {
        "nms_distance": 0.1,
        "nms_fraction": 0.4,
        "scale_decrease": 0.8,
        "adapt": False,
        "prior": "expansion",
        "ties": "mean",
    }
    expansion = {"local_window": 7, "global_window": 31, "step": 0.7, "reweigh": False}
    expansion |= {"frame": "index"}
    taught = {"assignment": "mean", "weighting": "similarity", "refined_sigma": 3.0}
    taught |= {"reduction": "sum"}
    system = system_of(CROWDPOSE, **decoding, **expansion, **taught)
    options, losses = system.decode_options, system.losses.keywords["options"]  # type: ignore[attr-defined]
    assert {name: getattr(options, name) for name in decoding} == decoding
    for each in (options.expansion, losses.expansion):
        assert {name: getattr(each, name) for name in expansion} == expansion
        assert torch.equal(each.rates, expansion_rates(CROWDPOSE.sigmas))
    assert {name: getattr(losses, name) for name in taught} == taught
    assert losses.sigmas.tolist() == pytest.approx(CROWDPOSE.sigmas)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("person_size", "diagonal"),
        ("person_size", "times_area"),
        ("reduction", "sum"),
        ("foreground", "any"),
        ("region", "square"),
        ("radius", 2.0),
    ],
)
def test_readings_of_the_targets_are_heard(option: str, value: Any) -> None:
    batch = collate([scenes(2)[i] for i in range(2)])
    plain, other = system_of(), system_of(**{option: value})
    outputs, _ = right_poses(plain, batch, error=0.2)
    outputs.heatmaps.add_(0.1)
    terms = [system.losses(outputs, system.encode(batch)) for system in (plain, other)]
    changed = "heatmap" if option == "foreground" else "offset"
    assert float(terms[0][changed].detach()) != float(terms[1][changed].detach())


def test_squared_weights_of_the_heatmap_loss() -> None:
    """Eq. (4) as printed: the mean of the squares of w(x) times the difference."""
    batch = collate([scenes(2)[i] for i in range(2)])
    coded, printed = system_of(), system_of(background=0.1**2)
    outputs, targets = right_poses(coded, batch)
    outputs.heatmaps.add_(0.1)
    w = targets.masks[0]
    maps = torch.cat([outputs.heatmaps, outputs.centers], dim=1)
    expected = (w * (maps - targets.heatmaps[0])).square().mean()
    assert {0.1, 1.0} <= {round(value, 6) for value in w.unique().tolist()} <= {0.0, 0.1, 1.0}
    found = printed.losses(outputs, printed.encode(batch))["heatmap"]
    torch.testing.assert_close(found, expected)


def test_weights_of_the_losses() -> None:
    batch = collate([scenes(2)[i] for i in range(2)])
    plain = system_of()
    outputs, targets = right_poses(plain, batch, error=0.2)
    outputs.heatmaps.add_(0.1)
    weights = ("heatmap_weight", "offset_weight", "oks_weight", "refined_weight")
    terms = plain.losses(outputs, targets)
    ones = system_of(**dict.fromkeys(weights, 1.0)).losses(outputs, targets)
    # Sec. 3.2: λ = 0.01 for offsets and for attraction.
    shares = {"heatmap": 1.0, "offset": 0.01, "oks": 0.01, "refined": 1.0}
    for name, share in shares.items():
        assert float(ones[name].detach()) > 0
        torch.testing.assert_close(terms[name], share * ones[name])


def test_what_is_not_adapted_is_what_was_encoded() -> None:
    system = system_of(adapt=False, center_sigma=1.5, sigma=1.0, radius=2.0)
    data = scenes(6, 256, (1, 1))
    batch = collate([data[i] for i in range(6)])
    outputs, _ = right_poses(system, batch)
    for image, poses in enumerate(system.decode(outputs)):
        truth = batch.keypoints[image, 0].numpy()
        inside = (
            (truth[:, 2] > 0) & (truth[:, :2] > 0).all(axis=1) & (truth[:, :2] < 256).all(axis=1)
        )
        apart = np.abs(poses.keypoints[:, inside] - truth[inside, :2]).max(axis=(1, 2))
        assert len(apart) > 0 and apart.min() < 1e-2


def test_a_batch_without_people_is_learned_from_too() -> None:
    system = system_of()
    batch = collate([scenes(2)[i] for i in range(2)])
    batch = replace(batch, keypoints=batch.keypoints[:, :0], areas=batch.areas[:, :0])
    terms = system.losses(system.model(normalize(batch.images)), system.encode(batch))
    assert float(terms["oks"].detach()) == float(terms["refined"].detach()) == 0
    sum(terms.values()).backward()  # type: ignore[union-attr]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_runs_and_what_it_saves_comes_back(tmp_path: Path, precision: Any) -> None:
    system = system_of(weighting="similarity", prior="attraction")
    recipe = TrainConfig(
        steps=3, batch_size=2, precision=precision, log_every=1, checkpoint_every=2
    )
    trained = train(system, scenes(4, 64), recipe, tmp_path, progress=False).system
    save_system(tmp_path / "saved.safetensors", replace(trained, input_size=64), provenance={})
    loaded = load_checkpoint(tmp_path / "saved.safetensors").system
    assert loaded.name == "logocap" and loaded.options == trained.options
    images, near = torch.randn(1, 3, 64, 96), {"rtol": 0, "atol": 1e-3}
    with torch.no_grad():
        mine, theirs = (each.model.eval()(images) for each in (loaded, trained))
        for name in ("heatmaps", "centers", "offsets", "embedding"):
            torch.testing.assert_close(getattr(mine, name), getattr(theirs, name), **near)
        context = torch.randn(2, 17 * 4, 5, 5)
        torch.testing.assert_close(
            mine.attraction_network(context), theirs.attraction_network(context), **near
        )


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 0.5)])
def test_prediction_with_flip_and_scales(scales: tuple[float, ...]) -> None:
    system = system_of(center_threshold=0.0)
    torch.nn.init.ones_(system.model.final_layer_cls.bias)  # or nothing is found
    options = PredictOptions(size=64, multiple=32, flip=True, scales=scales)
    found = list(predict(system, scenes(2, 64), options))
    assert len(found) == 2
    assert all(len(poses) > 0 and np.isfinite(poses.keypoints).all() for poses in found)


@pytest.mark.slow
@pytest.mark.golden
def test_official_weights_are_read_in_their_own_frame(golden_dir: Path, tmp_path: Path) -> None:
    torch.save(official_weights(golden_dir, "logocap_w32"), tmp_path / "official.pth")
    system = build("logocap", COCO, frame="index")
    load_official(system.model, tmp_path / "official.pth")
    assert system.flip_shift == 0  # the official flip test has none
    with np.load(golden_dir / "logocap_w32.npz") as golden, torch.no_grad():
        (poses,) = system.decode(system.model.eval()(torch.from_numpy(golden["input"])))
        kept = golden["centers"][:, 2] > 0.01
    assert 0 < len(poses) <= kept.sum() and np.isfinite(poses.keypoints).all()


def test_meshes_are_those_of_the_skeleton() -> None:
    system = build("logocap", CROWDPOSE, **SMALL)
    outputs = system.model(torch.rand(1, 3, 64, 64))
    assert outputs.heatmaps.shape[1] == 14
    assert outputs.attraction_network(torch.zeros(2, 14 * 4, 5, 5)).shape == (2, 14, 5, 5)
    assert sum(isinstance(m, AttentiveNorm2d) for m in system.model.modules()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame": "corner"}, "frame must be one of"),
        ({"prior": "none"}, "prior must be one of"),
        ({"assignment": "nearest"}, "assignment must be one of"),
        ({"weighting": "even"}, "weighting must be one of"),
        ({"local_window": 4}, "odd positive side"),
        ({"global_window": 96}, "odd positive side"),
        ({"step": 0.0}, "step must be a positive number"),
        ({"refined_sigma": -1.0}, "refined_sigma must be positive"),
        ({"top_weight": 0.3}, "top_weight must be a weight from 0.5 to 1"),
        ({"nms_kernel": 2}, "nms_kernel must be an odd positive number"),
        ({"nms_fraction": 1.5}, "nms_fraction must be at least 0 and below 1"),
        ({"max_people": 0}, "max_people must be at least 1"),
        ({"message_layers": -1}, "message passing: -1 layers"),
        ({"message_width": 6}, "message passing: 3 layers of width 6"),
        ({"embedding": 0}, "one channel or more"),
        ({"adaptive": True}, "'logocap' has no option 'adaptive'"),
    ],
)
def test_unknown_values_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        system_of(**options)


@pytest.mark.overfit
def test_attraction_maps_alone_learn_where_keypoints_are() -> None:
    """By the OKS loss alone; at first they make poses worse, then better (Table 7)."""
    system = system_of(embedding=8, message_width=64, local_window=11, prior="attraction")
    data = scenes(4, people=(1, 1))
    batch = collate([data[i] for i in range(4)])
    wrong = 0.75 * torch.randn(4, 17, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    outputs, targets = right_poses(system, batch, error=wrong)
    outputs = replace(outputs, embedding=outputs.embedding.detach())
    people = propose_poses(outputs, system.decode_options)
    branch = system.model.joints_mlp

    def mean_oks(poses: CenterPoses) -> float:
        truth, areas = targets.keypoints[poses.images, 0], targets.areas[poses.images, 0]
        near = keypoint_similarity(poses.points, truth[..., :2], areas, COCO.sigmas)
        return float(near[truth[..., 2] > 0].mean())

    optimizer, found = torch.optim.Adam(branch.parameters(), lr=1e-2), []
    for _ in range(3):
        branch.eval()
        found.append(mean_oks(refine_poses(outputs, people, system.decode_options).people))
        branch.train()
        for _ in range(100):
            optimizer.zero_grad()
            system.losses(outputs, targets)["oks"].backward()
            optimizer.step()
    assert len(people.points) == 4 and found[0] < mean_oks(people) - 0.2
    assert found[2] > mean_oks(people) + 0.1 and found == sorted(found)

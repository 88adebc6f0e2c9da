"""The losses of adaptation against the official ones.

What the official arrays cannot be compared with:

- ``oksgt_*_pose_gt``: its third column, the transform's diagonal times the area times (2σ)², is
  computed there and used nowhere; here it is the visibility. Coordinates are compared.
- ``oksgt_*`` works in px of the photograph, with the transform undone and the mirroring too; here
  people and poses are in px of the network input, where areas are larger by the transform's
  determinant. Similarities are the same, and are compared so.
- ``loss_value_loss.oks`` is the mean over poses whose ``oks_person`` is at least 0.5 and
  ``loss_value_loss.hm`` that over all poses, with zeros for the others; in training there are no
  others. They are compared after those are left out, times how many are left.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.losses.heatmap import heatmap_mse
from poselib.losses.local_global import (
    AdaptationLossOptions,
    Assignment,
    assign_targets,
    best_match,
    keypoint_weights,
    separable_oks,
    weighted_mse,
)
from poselib.losses.offset import weighted_smooth_l1
from poselib.skeletons import COCO
from tests.decoders.factories import random_outputs
from tests.losses.factories import losses_of, poses_of, targets_of

torch.set_num_threads(1)

SIGMAS = torch.tensor(COCO.sigmas)


def golden_of(folder: Path, prefix: str) -> dict[str, Tensor]:
    with np.load(folder / "logocap_funcs.npz") as golden:
        names = [name for name in golden if name.startswith(prefix)]
        return {name.removeprefix(prefix): torch.from_numpy(golden[name]) for name in names}


def close(value: Tensor, expected: Tensor) -> None:
    tolerance = 1e-6 * float(expected.abs().max())
    torch.testing.assert_close(value.detach(), expected, rtol=0, atol=tolerance)


def flattened(pool: Tensor) -> Tensor:
    """The places of the golden, (m, 17, 2): they lie anywhere and form no grid."""
    return pool.reshape(-1, *pool.shape[3:])


def of_one_place(**changes: object) -> AdaptationLossOptions:
    options = losses_of("index", **changes)
    return replace(options, expansion=replace(options.expansion, local_window=1))


def official_assignment(pool: Tensor, keypoints: Tensor, areas: Tensor) -> tuple[Tensor, Tensor]:
    """Assign four poses to people by the best of their cells."""
    points = flattened(pool)
    truth, areas = (each.expand(len(points), *each.shape) for each in (keypoints, areas))
    x, y = separable_oks(points, truth, areas, of_one_place())
    best = (x * y)[:, :, 0].unflatten(0, (4, -1)).amax(dim=1)
    return best_match(best, (keypoints[..., 2] > 0).expand_as(best))


@pytest.mark.golden
def test_official_assignment(golden_dir: Path) -> None:
    of = golden_of(golden_dir, "oks_")
    person, pose_oks = official_assignment(of["pool"], of["kpts"], of["areas"])
    best = of["person_best"].max(dim=1)
    assert torch.equal(person, best.indices)
    torch.testing.assert_close(pose_oks, best.values)


@pytest.mark.golden
@pytest.mark.parametrize("flip", [False, True])
def test_official_similarities(
    golden_dir: Path, flip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    of, expected = golden_of(golden_dir, "oks_"), golden_of(golden_dir, f"oksgt_hflip{int(flip)}_")
    transform = golden_of(golden_dir, "oksgt_transform")[""]
    keypoints = of["kpts"].clone()
    keypoints[..., :2] = keypoints[..., :2] @ transform[:2, :2].T + transform[:2, 2]
    if flip:
        keypoints[..., 0] = 127 - keypoints[..., 0]  # pixel indices, of a width of 128
    areas = of["areas"] * transform[:2, :2].det()
    points, each = flattened(of["pool"]), of["pool"].shape[1] ** 2
    person, pose_oks = (
        found.repeat_interleave(each) for found in official_assignment(of["pool"], keypoints, areas)
    )
    people = poses_of([0] * len(points), points)
    # Poses and their assignment are given: only similarities are compared.
    module = "poselib.losses.local_global."
    monkeypatch.setattr(f"{module}poses_at_centers", lambda *_, **__: people)
    monkeypatch.setattr(f"{module}match_ground_truth", lambda *_: (person, pose_oks))
    targets = targets_of(keypoints[None] + torch.tensor([0.5, 0.5, 0]), areas[None])
    assigned = assign_targets(random_outputs(0), targets, of_one_place(min_oks=0.0))
    similarity = assigned.similarity.reshape(expected["parts"].shape)
    torch.testing.assert_close(similarity, expected["parts"])
    truth = assigned.ground_truth.unflatten(0, (4, -1))
    torch.testing.assert_close(truth[:, 0, :, :2], expected["pose_gt"][..., :2])
    count = (truth[..., 2] > 0).sum(dim=-1).clamp(min=1)
    whole = similarity.sum(dim=-1) / count.reshape(similarity.shape[:3])
    torch.testing.assert_close(whole, expected["person"])
    similar = expected["person"].flatten().sort(descending=True).values
    least = float(similar[5:7].mean())  # six are at least as similar
    found = assign_targets(random_outputs(0), targets, of_one_place(min_oks=least))
    assert len(found.people) == 6


@pytest.mark.golden
def test_official_losses_and_gradients(golden_dir: Path) -> None:
    of = golden_of(golden_dir, "loss_")
    found = {name: of[f"pred_{name}"].requires_grad_() for name in ("heatmaps", "offsets")}
    heat = heatmap_mse(found["heatmaps"], of["target_heatmaps.t"], of["target_heatmaps.w"]).mean()
    error = found["offsets"] - of["target_offsets.t"]
    offset = 0.01 * weighted_smooth_l1(error, of["target_offsets.w"])
    for name, value in (("heatmaps", heat), ("offsets", offset)):
        (gradient,) = torch.autograd.grad(value, found[name])
        close(value, of[f"value_loss.{name}"])
        close(gradient, of[f"grad_{name}"])


@pytest.mark.golden
def test_official_adaptation_losses_and_gradients(golden_dir: Path) -> None:
    of = golden_of(golden_dir, "loss_")
    near = of["target_oks.person"].amax(dim=(1, 2)) >= 0.5
    count = int(near.sum())
    if not count:
        assert of["value_loss.oks"] == of["value_loss.hm"] == 0
        return
    similarity = of["target_oks.joints"][near]
    people = poses_of(list(range(count)), torch.zeros(count, 17, 2))
    assigned = Assignment(people, similarity, torch.ones(count), torch.ones(count, 17, 3))
    weights, refined_weights = keypoint_weights(assigned, "improvement")
    found = {name: of[f"pred_{name}"].requires_grad_() for name in ("oks.joints", "out_hm")}
    oks = 0.01 * weighted_mse(found["oks.joints"][near], similarity, weights)
    refined = weighted_mse(found["out_hm"][near], of["target_out_hm"][near], refined_weights)
    values = {"oks.joints": (oks, "oks"), "out_hm": (refined * near.sum() / len(near), "hm")}
    for name, (value, official) in values.items():
        (gradient,) = torch.autograd.grad(value, found[name])
        close(value, of[f"value_loss.{official}"])
        close(gradient, of[f"grad_{name}"])

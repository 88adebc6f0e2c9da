"""Associative decoding against the plain decoder, and the plain one against goldens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poselib.benchmarks.references.plain_decoder import (
    STAGES,
    PlainOptions,
    decode_plainly,
    time_stages,
)
from poselib.decoders.associative import AssociativeOptions, decode_associative
from poselib.decoders.grouping import GroupingOptions
from poselib.outputs import TagOutputs
from poselib.structures import Poses
from tests.decoders.official_grouping import decoded_case


def random_maps(
    seed: int, people: int, length: int = 2, size: tuple[int, int] = (60, 84), kinds: int = 17
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make (K, H, W) heatmaps and (K, H, W, L) tags of overlapping people, some with near tags."""
    rng = np.random.default_rng(seed)
    y, x = (np.arange(n) + 0.5 for n in size)
    heat = rng.uniform(-0.01, 0.02, (kinds, *size))
    tags = rng.normal(0, 0.8, (kinds, *size, length))
    own = rng.normal(0, 1.5, (people, length))
    for n in range(people):
        for k in range(kinds):
            if rng.random() < 0.2:
                continue
            cx, cy = rng.uniform(0, size[1]), rng.uniform(0, size[0])
            square = (x[None] - cx) ** 2 + (y[:, None] - cy) ** 2
            # Weak ones are left to refinement.
            heat[k] = np.maximum(heat[k], rng.uniform(0.05, 1) * np.exp(-square / 8))
            near = square < 16
            tags[k][near] = own[n] + rng.normal(0, 0.15, (near.sum(), length))
    return torch.tensor(heat, dtype=torch.float32), torch.tensor(tags, dtype=torch.float32)


def decoded(heat: torch.Tensor, tags: torch.Tensor, options: AssociativeOptions) -> Poses:
    maps = tags.permute(0, 3, 1, 2).contiguous()
    return decode_associative(
        TagOutputs((heat[None],), maps[None], tuple(heat.shape[1:])), options
    )[0]


def assert_equal(one: Poses, other: Poses) -> None:
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.keypoints, other.keypoints)
    np.testing.assert_allclose(one.person_scores, other.person_scores, rtol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("people", [0, 1, 4, 12])
def test_poses_equal_those_of_the_plain_decoder(people: int, length: int) -> None:
    for seed in range(2):
        heat, tags = random_maps(seed, people, length)
        for order in ("progressive", tuple(range(17)), tuple(reversed(range(17)))):
            wanted = decode_plainly(heat, tags, PlainOptions(order))
            assert (len(wanted) == 0) == (people == 0)
            assert_equal(decoded(heat, tags, AssociativeOptions(order)), wanted)


def test_poses_equal_with_other_thresholds_and_kernels() -> None:
    heat, tags = random_maps(5, 8)
    plain = PlainOptions("progressive", 0.3, 0.4, 5, 3)
    wanted = decode_plainly(heat, tags, plain)
    grouping = GroupingOptions(0.3, 0.4, max_candidates=5)
    assert_equal(decoded(heat, tags, AssociativeOptions(grouping=grouping, nms_kernel=3)), wanted)
    assert len(wanted) != len(decode_plainly(heat, tags))  # the options do something


def test_refining_only_missing_keypoints_changes_nothing() -> None:
    heat, tags = random_maps(2, 6)
    every, missing = (decode_plainly(heat, tags, PlainOptions(every_keypoint=e)) for e in (1, 0))
    assert_equal(every, missing)


def test_stages_are_timed_separately() -> None:
    heat, tags = random_maps(2, 2)
    taken, poses = time_stages(heat, tags, PlainOptions(), repeats=2)
    assert list(taken) == [*STAGES, "total", "cpu_total"]
    assert taken["total"] == pytest.approx(sum(taken[stage] for stage in STAGES))
    assert_equal(poses, decode_plainly(heat, tags))


@pytest.mark.golden
@pytest.mark.parametrize("method", ["ae", "pad"])
def test_the_plain_decoder_equals_the_goldens(arrays_dir: Path, method: str) -> None:
    for case in (decoded_case(arrays_dir, case, method) for case in range(10)):
        if not case.comparable:
            continue
        order = "progressive" if method == "pad" else tuple(range(case.tags.shape[1]))
        tags = case.tags[0].permute(0, 2, 3, 1)
        poses = decode_plainly(case.heatmaps[0], tags, PlainOptions(order))
        np.testing.assert_array_equal(poses.keypoints, case.refine[..., :2])
        np.testing.assert_array_equal(poses.scores, case.refine[..., 2])
        np.testing.assert_allclose(poses.person_scores, case.scores, rtol=1e-6)

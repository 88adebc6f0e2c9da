"""Associative decoding: ideal outputs, symmetries, options and goldens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poselib.benchmarks.references.plain_decoder import PlainOptions, decode_plainly
from poselib.decoders import associative as decoder
from poselib.decoders import refinement
from poselib.decoders.associative import (
    STAGES,
    AssociativeOptions,
    decode_associative,
    find_candidates,
    group_candidates,
    trace_associative,
)
from poselib.decoders.grouping import GroupingOptions
from poselib.ops import peaks
from poselib.outputs import TagOutputs
from poselib.skeletons import COCO, CROWDPOSE
from poselib.structures import Poses
from tests.decoders.official_grouping import decoded_case

ORDERS = pytest.mark.parametrize("order", ["progressive", tuple(range(17))], ids=["pad", "fixed"])

ORDERS_OF_FIVE = pytest.mark.parametrize("order", ["progressive", (4, 2, 0, 1, 3)])


def scene(
    points: np.ndarray, size: tuple[int, int] = (64, 96), stride: int = 2, length: int = 2
) -> TagOutputs:
    """Draw ideal outputs of one image for (N, K, 2) px, NaN where a keypoint is missing.

    Two heatmap scales; each person's tag is written in a patch around its keypoints.
    """
    people, keypoints = points.shape[:2]
    fine = rendered(points, size, stride)
    h, w = fine.shape[-2:]
    tags = torch.full((keypoints, length, h, w), -20.0)
    for n, k in np.argwhere(np.isfinite(points[..., 0])):
        x, y = (points[n, k] / stride).astype(int)
        tags[k, :, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = 2.0 * n
    return TagOutputs((rendered(points, size, 2 * stride)[None], fine[None]), tags[None], size)


def rendered(points: np.ndarray, size: tuple[int, int], stride: int) -> torch.Tensor:
    y, x = (torch.arange(n // stride) + 0.5 for n in size)
    centers = torch.tensor(points / stride, dtype=torch.float32)
    square = (x - centers[..., 0, None, None]) ** 2 + (
        y[:, None] - centers[..., 1, None, None]
    ) ** 2
    return torch.exp(-square / (2 * 1.5**2)).nan_to_num(0).amax(dim=0)


def scattered(people: int, seed: int = 0, missing: float = 0.2) -> np.ndarray:
    """(people, 17, 2) px, far enough apart for each keypoint type to have separate peaks."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(6) * 16 + 8, np.arange(4) * 16 + 8), -1).reshape(-1, 2)
    cells = rng.permuted(np.tile(np.arange(24), (17, 1)), axis=1)[:, :people].T
    points = grid[cells] + rng.uniform(-3, 3, (people, 17, 2))
    points[rng.random((people, 17)) < missing] = np.nan
    return points


def by_place(poses: Poses) -> np.ndarray:
    """(N, K, 3) in an order that does not depend on that of the people."""
    rows = np.concatenate([poses.keypoints, poses.scores[..., None]], axis=-1)
    return rows[np.lexsort(rows.reshape(len(rows), -1).T)]


@ORDERS
def test_a_trace_holds_the_poses_and_every_grouped_keypoint(order) -> None:
    outputs = scene(scattered(4), length=1)
    options = AssociativeOptions(order=order)
    steps, poses = trace_associative(outputs, options)
    (decoded,) = decode_associative(outputs, options)
    assert np.array_equal(poses.keypoints, decoded.keypoints)
    assert np.array_equal(poses.scores, decoded.scores)
    (candidates,) = find_candidates(outputs, options)
    members = group_candidates(candidates, options).members
    traced = np.full_like(members, -1)
    for each in steps:
        traced[each.people, each.keypoint] = each.candidates
    assert np.array_equal(traced, members)


@ORDERS
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("resolution", ["image", "map"])
def test_ideal_outputs_are_decoded_exactly(order, length, resolution) -> None:
    for seed, people in enumerate((1, 3, 8)):
        points = scattered(people, seed)
        options = AssociativeOptions(order=order, resolution=resolution, refine=False)
        (poses,) = decode_associative(scene(points, length=length), options)
        assert len(poses) == people
        for person, score, total in zip(
            poses.keypoints, poses.scores, poses.person_scores, strict=True
        ):
            errors = np.linalg.norm(points - person, axis=-1)
            n = np.nanmean(errors, axis=1).argmin()
            assert (np.isfinite(errors[n]) == (score > 0)).all()
            assert np.nanmax(errors[n]) < 1.1
            assert (person[score == 0] == 0).all()
            assert total == pytest.approx(score.mean())


@pytest.mark.parametrize("resolution", ["image", "map"])
def test_subpixel_parabola_is_more_exact(resolution) -> None:
    points = scattered(5, seed=4, missing=0)
    outputs = scene(points)
    fine = replace(outputs, heatmaps=outputs.heatmaps[1:])

    def error(subpixel) -> float:
        options = AssociativeOptions(resolution=resolution, subpixel=subpixel)
        (poses,) = decode_associative(fine, options)
        distances = np.linalg.norm(poses.keypoints[:, None] - points, axis=-1)
        return float(distances.mean(axis=-1).min(axis=1).mean())

    assert error("parabola") < 0.12
    assert error("parabola") < error("quarter") < error("none")


def test_map_resolution_gives_px_of_the_network_input() -> None:
    heat, tags = torch.zeros(1, 1, 10, 20), torch.zeros(1, 1, 1, 5, 10)
    heat[0, 0, 6, 3], heat[0, 0, 6, 4], heat[0, 0, 5, 3] = 0.9, 0.3, 0.2
    options = AssociativeOptions(resolution="map", nms_kernel=5)
    (poses,) = decode_associative(TagOutputs((heat,), tags, (40, 60)), options)
    np.testing.assert_allclose(poses.keypoints, [[[(3 + 0.75) * 3, (6 + 0.25) * 4]]])
    np.testing.assert_allclose(poses.scores, [[0.9]])


@ORDERS
@pytest.mark.parametrize("refine", [False, True])
def test_flipped_maps_give_flipped_poses(order, refine) -> None:
    outputs = scene(scattered(6, seed=2))
    noise = torch.rand(outputs.heatmaps[1].shape, generator=torch.Generator().manual_seed(0))
    outputs = replace(outputs, heatmaps=(outputs.heatmaps[1] + 0.01 * noise,))
    options = AssociativeOptions(order=order, resolution="map", refine=refine)
    (poses,), (mirrored,) = (decode_associative(o, options) for o in (outputs, outputs.flip(COCO)))
    back = mirrored.keypoints[:, COCO.flip_indices]
    back[..., 0] = outputs.image_size[1] - back[..., 0]
    found = mirrored.scores[:, COCO.flip_indices]
    restored = Poses(np.where(found[..., None] > 0, back, 0), found, mirrored.person_scores)
    np.testing.assert_allclose(by_place(restored), by_place(poses), atol=1e-4)


def test_refinement_does_not_raise_the_person_score() -> None:
    points = scattered(3, seed=1, missing=0)
    outputs = scene(points)
    weak = outputs.heatmaps[1].clone()
    weak[:, 7] *= 0.08  # below the detection threshold
    outputs = replace(outputs, heatmaps=(weak,))
    (plain,) = decode_associative(outputs, AssociativeOptions(refine=False))
    (refined,) = decode_associative(outputs)
    assert (plain.scores[:, 7] == 0).all()
    assert (refined.scores[:, 7] > 0).all()
    np.testing.assert_array_equal(refined.person_scores, plain.person_scores)
    np.testing.assert_array_equal(refined.keypoints[:, :7], plain.keypoints[:, :7])
    distances = np.linalg.norm(refined.keypoints[:, None, 7] - points[:, 7], axis=-1)
    assert (distances.min(axis=1) < 1.1).all()


def test_images_of_a_batch_are_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = [scene(scattered(n, seed=n)) for n in (2, 5, 1)]
    empty = replace(scenes[0], heatmaps=tuple(h * 0 for h in scenes[0].heatmaps))
    scenes.insert(1, empty)
    batch = TagOutputs(
        tuple(torch.cat(maps) for maps in zip(*(s.heatmaps for s in scenes), strict=True)),
        torch.cat([s.tags for s in scenes]),
        scenes[0].image_size,
    )
    single = [decode_associative(s)[0] for s in scenes]
    assert [len(p) for p in single] == [2, 0, 5, 1]
    for values in (decoder._VALUES, 1):
        monkeypatch.setattr(decoder, "_VALUES", values)
        for one, other in zip(decode_associative(batch), single, strict=True):
            np.testing.assert_array_equal(one.keypoints, other.keypoints)
            np.testing.assert_array_equal(one.scores, other.scores)
            np.testing.assert_array_equal(one.person_scores, other.person_scores)


def assert_equal(found: list[Poses], wanted: list[Poses]) -> None:
    for one, other in zip(found, wanted, strict=True):
        for name in ("keypoints", "scores", "person_scores"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("resolution", ["image", "map"])
@pytest.mark.parametrize("length", [1, 2])
def test_lazy_tags_give_the_same_poses(monkeypatch, length, resolution) -> None:
    generator = torch.Generator().manual_seed(2)
    for seed, people in enumerate((1, 5, 12)):
        outputs = scene(scattered(people, seed, missing=0.4), length=length)
        noise = 0.02 * torch.rand(outputs.heatmaps[1].shape, generator=generator)
        outputs = replace(
            outputs,
            heatmaps=(outputs.heatmaps[0], outputs.heatmaps[1] + noise),
            tags=outputs.tags[..., ::2, ::2],
        )
        options = AssociativeOptions(resolution=resolution)
        found, candidates = decode_associative(outputs, options), find_candidates(outputs, options)
        with monkeypatch.context() as patch:
            patch.setattr(decoder, "_tags_at", TagOutputs.resized_tags)
            assert_equal(found, decode_associative(outputs, options))
            wanted = find_candidates(outputs, options)
        np.testing.assert_array_equal(candidates[0].cells, wanted[0].cells)
        np.testing.assert_allclose(candidates[0].tags, wanted[0].tags, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("resolution", ["image", "map"])
def test_gpu_code_path_gives_the_same_poses(monkeypatch, resolution) -> None:
    monkeypatch.setattr(decoder, "_tags_at", TagOutputs.resized_tags)
    generator = torch.Generator().manual_seed(1)
    cases = [scene(scattered(n, seed=n)) for n in (1, 6)]
    cases += [TagOutputs((heat,), tags, (24, 32)) for _, heat, tags in wild_maps()]
    noisy = [replace(c, heatmaps=(c.heatmaps[-1] + 0.05,)) for c in cases[:2]]
    for outputs in (*cases, *noisy):
        shape = outputs.tags.shape
        outputs = replace(outputs, tags=outputs.tags + torch.rand(shape, generator=generator))
        options = AssociativeOptions(resolution=resolution)
        wanted = decode_associative(outputs, options)
        with monkeypatch.context() as patch:
            patch.setattr(peaks, "_SPARSE", -1)
            patch.setattr(refinement, "_use_bounds", lambda device: False)
            assert_equal(decode_associative(outputs, options), wanted)


def crowd(
    people: int, size: tuple[int, int], seed: int, kinds: int = 5
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make (K, H, W) heatmaps with noise and (K, H, W, 2) tags, many of them similar."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[: size[0], : size[1]]
    heat, tags = rng.uniform(0, 0.02, (kinds, *size)), rng.normal(0, 0.5, (kinds, *size, 2))
    for own in rng.uniform(-people / 8, people / 8, (people, 2)):
        for k in np.flatnonzero(rng.random(kinds) > 0.2):
            square = (x - rng.integers(size[1])) ** 2 + (y - rng.integers(size[0])) ** 2
            rendered = rng.uniform(0.05, 1) * np.exp(-square / 18)
            tags[k] = np.where((rendered > np.maximum(heat[k], 0.03))[..., None], own, tags[k])
            heat[k] = np.maximum(heat[k], rendered)
    tags += rng.normal(0, 0.05, tags.shape)
    return torch.from_numpy(heat.astype(np.float32)), torch.from_numpy(tags.astype(np.float32))


@pytest.mark.slow
@ORDERS_OF_FIVE
@pytest.mark.parametrize(
    ("people", "size"),
    [
        (0, (40, 56)),
        (1, (3, 2)),
        (3, (64, 96)),
        (12, (101, 67)),
        (40, (96, 128)),
        (200, (160, 152)),
    ],
)
def test_crowds_equal_the_plain_decoder(people, size, order) -> None:
    for seed in range(2):
        heat, tags = crowd(people, size, seed)
        # A view of the order in which maps are stored: nothing is copied on the way.
        outputs = TagOutputs((heat[None],), tags.permute(0, 3, 1, 2)[None], size)
        grouping = GroupingOptions(max_candidates=250)
        plain = PlainOptions(order, max_candidates=250, every_keypoint=False)
        (found,) = decode_associative(outputs, AssociativeOptions(order, grouping))
        wanted = decode_plainly(heat, tags, plain)
        assert len(found) >= people // 2
        np.testing.assert_array_equal(found.scores, wanted.scores)
        np.testing.assert_array_equal(found.keypoints, wanted.keypoints)
        np.testing.assert_allclose(found.person_scores, wanted.person_scores, rtol=1e-6)


def test_on_stage_is_called_after_each_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = scene(scattered(2))
    two = replace(
        outputs,
        heatmaps=tuple(torch.cat([h, h]) for h in outputs.heatmaps),
        tags=torch.cat([outputs.tags, outputs.tags]),
    )
    stages: list[str] = []
    decode_associative(two, on_stage=stages.append)
    assert tuple(stages) == STAGES
    monkeypatch.setattr(decoder, "_VALUES", 1)
    stages.clear()
    decode_associative(two, on_stage=stages.append)
    assert tuple(stages) == STAGES * 2


def test_tags_are_resized_only_if_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: TagOutputs, *given: object) -> torch.Tensor:
        raise AssertionError("resized")

    monkeypatch.setattr(TagOutputs, "resized_tags", fail)
    heat, tags = torch.rand(1, 3, 16, 24), torch.rand(1, 3, 2, 16, 24)
    decode_associative(TagOutputs((heat,), tags, (16, 24)))
    decode_associative(TagOutputs((heat,), tags, (64, 96)), AssociativeOptions(resolution="map"))
    decode_associative(TagOutputs((heat,), tags, (64, 96)))
    tags[0, 0, 0, 3, 4] = torch.nan  # weights of zero would spread it
    with pytest.raises(AssertionError, match="resized"):
        decode_associative(TagOutputs((heat,), tags, (64, 96)))


def test_half_precision_outputs() -> None:
    outputs = scene(scattered(3))
    half = replace(
        outputs,
        heatmaps=tuple(h.bfloat16() for h in outputs.heatmaps),
        tags=outputs.tags.bfloat16().requires_grad_(),
    )
    (poses,) = decode_associative(half)
    assert len(poses) == 3
    assert poses.keypoints.dtype == poses.scores.dtype == poses.person_scores.dtype == np.float32


def wild_maps() -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    heat = torch.rand(1, 4, 12, 16, generator=generator)
    tags = 4 * torch.randn(1, 4, 2, 6, 8, generator=generator)
    cases = [("noise", heat, tags), ("no tags", heat, torch.full_like(tags, torch.nan))]
    for fill in (0.0, 1.0, -1.0, 1e38, -1e38, torch.nan, torch.inf, -torch.inf):
        some = torch.rand(heat.shape, generator=generator) < 0.3
        cases.append((f"{fill} heat", torch.full_like(heat, fill), tags))
        cases.append((f"some {fill} heat", heat.masked_fill(some, fill), tags))
        cases.append((f"{fill} tags", heat, torch.full_like(tags, fill)))
        cases.append((f"all {fill}", torch.full_like(heat, fill), torch.full_like(tags, fill)))
    cases.append(("one cell", heat[..., :1, :1], tags[..., :1, :1]))
    cases.append(("one row", heat[..., :1, :], tags[..., :1, :]))
    cases.append(("no image", heat[:0], tags[:0]))
    return cases


@pytest.mark.parametrize("resolution", ["image", "map"])
@pytest.mark.parametrize("order", ["progressive", (3, 1, 0, 2)])
@pytest.mark.parametrize(("heat", "tags"), [pytest.param(*c[1:], id=c[0]) for c in wild_maps()])
def test_random_maps_do_not_raise(heat, tags, order, resolution) -> None:
    outputs = TagOutputs((heat, heat), tags, (24, 32))
    subpixel = "quarter" if resolution == "image" else "parabola"
    options = AssociativeOptions(order=order, resolution=resolution, subpixel=subpixel)
    found = decode_associative(outputs, options)
    assert len(found) == len(heat)
    for poses in found:
        assert poses.keypoints.shape == (len(poses), 4, 2)
        assert np.isfinite(poses.keypoints).all()
        assert np.isfinite(poses.scores).all()
        assert np.isfinite(poses.person_scores).all()
        assert (poses.keypoints[poses.scores == 0] == 0).all()
        assert (poses.scores > 0).any(axis=1).all()


def test_empty_maps_give_empty_poses() -> None:
    outputs = TagOutputs((torch.zeros(2, 14, 8, 8),), torch.zeros(2, 14, 1, 8, 8), (16, 16))
    for poses in decode_associative(outputs):
        empty = Poses.empty(len(CROWDPOSE))
        for name in ("keypoints", "scores", "person_scores"):
            found, wanted = getattr(poses, name), getattr(empty, name)
            assert found.shape == wanted.shape
            assert found.dtype == wanted.dtype


def test_find_candidates_and_group_them() -> None:
    outputs = scene(scattered(4))
    options = AssociativeOptions(grouping=GroupingOptions(max_candidates=7))
    (candidates,) = find_candidates(outputs, options)
    assert candidates.values.shape == (17, 7)
    assert (
        len(group_candidates(candidates, options).members)
        == len(decode_associative(outputs)[0])
        == 4
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order", "sideways"),
        ("resolution", "half"),
        ("nms_kernel", 4),
        ("nms_kernel", 0),
        ("subpixel", "spline"),
    ],
)
def test_invalid_options_are_refused(field: str, value) -> None:
    with pytest.raises(ValueError, match=rf"{field}.*{value}"):
        AssociativeOptions(**{field: value})


def test_order_must_fit_the_keypoints() -> None:
    with pytest.raises(ValueError, match="each of the 17 keypoint types once"):
        decode_associative(scene(scattered(1)), AssociativeOptions(order=range(14)))


@pytest.mark.golden
@pytest.mark.parametrize("method", ["ae", "pad"])
@pytest.mark.parametrize(
    "grouping",
    [GroupingOptions(), GroupingOptions(threshold_before_assignment=False, max_people=30)],
    ids=["default", "official"],
)
def test_decoded_poses_equal_the_goldens(
    arrays_dir: Path, grouping: GroupingOptions, method: str
) -> None:
    """From maps to poses and scores.

    Candidates of people with like tags have several optimal matchings, of which the published
    people are one tie break: such cases are left out. Their peaks, shifts and refined keypoints are
    compared with those of the others.
    """
    cases = [decoded_case(arrays_dir, case, method) for case in range(10)]
    assert any(case.comparable for case in cases)
    for case in cases:
        if not case.comparable:
            continue
        order = "progressive" if method == "pad" else range(case.tags.shape[1])
        outputs = TagOutputs((case.heatmaps,), case.tags, tuple(case.heatmaps.shape[-2:]))
        (poses,) = decode_associative(outputs, AssociativeOptions(order, grouping))
        np.testing.assert_array_equal(poses.keypoints, case.refine[..., :2])
        np.testing.assert_array_equal(poses.scores, case.refine[..., 2])
        np.testing.assert_allclose(poses.person_scores, case.scores, rtol=1e-6)

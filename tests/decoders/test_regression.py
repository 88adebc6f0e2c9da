"""Center-offset decoding: goldens, ideal outputs, scales and options."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poselib.decoders.regression import RegressionOptions, decode_regression
from poselib.ops.map_coordinates import FRAMES, Frame
from poselib.outputs import RegressionOutputs
from poselib.skeletons import COCO
from poselib.structures import Poses
from tests.decoders.factories import (
    by_place,
    golden_outputs,
    heats_for_scoring,
    ideal_outputs,
    scattered,
)

SIZE = (256, 320)


def equal(a: Poses, b: Poses) -> None:
    np.testing.assert_array_equal(a.keypoints, b.keypoints)
    np.testing.assert_array_equal(a.scores, b.scores)
    np.testing.assert_array_equal(a.person_scores, b.person_scores)


# Published code


@pytest.mark.golden
@pytest.mark.parametrize("case", range(8))
def test_equals_official_code(arrays_dir: Path, case: int) -> None:
    outputs = golden_outputs(arrays_dir, f"c{case}", (96, 144))
    with np.load(arrays_dir / "dekr_decode.npz") as golden:
        poses = check_golden(outputs, golden[f"c{case}_poses"], golden[f"c{case}_scores"])
    # Scores are heats alone: what the official ones are more is a value of the center map.
    centers = poses.person_scores / poses.scores.mean(axis=1)
    apart = np.abs(centers[:, None] - outputs.centers.flatten().numpy())
    assert (apart.min(axis=1) < 1e-5).all()


@pytest.mark.golden
def test_several_scales_equal_official_code(arrays_dir: Path) -> None:
    others = tuple(
        golden_outputs(arrays_dir, f"ms_s{s}", size)
        for s, size in (("0.5", (48, 72)), ("2", (192, 288)))
    )
    outputs = golden_outputs(arrays_dir, "ms_s1", (96, 144), others)
    with np.load(arrays_dir / "dekr_decode.npz") as golden:
        check_golden(outputs, golden["ms_poses"], golden["ms_scores"])


def check_golden(outputs: RegressionOutputs, expected: np.ndarray, scores: np.ndarray) -> Poses:
    (poses,), heats = heats_for_scoring(
        outputs, RegressionOptions(frame="index", nms_distance=0.05)
    )
    # Published coordinates are pixel indices, and heats of keypoints times those of centers.
    np.testing.assert_allclose(poses.keypoints - 0.5, expected[..., :2], atol=1e-5)
    np.testing.assert_allclose(heats, expected[..., 2], atol=1e-6)
    np.testing.assert_allclose(poses.person_scores, scores, atol=1e-6)
    centers = poses.person_scores / poses.scores.mean(axis=1)
    np.testing.assert_allclose(poses.scores * centers[:, None], expected[..., 2], atol=1e-6)
    return poses


# Ideal outputs


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("keypoints", [3, 14, 17])
def test_ideal_outputs_are_decoded_exactly(frame: Frame, stride: int, keypoints: int) -> None:
    points = scattered(2, 6, keypoints, seed=stride)
    found = decode_regression(
        ideal_outputs(points, SIZE, stride, frame), RegressionOptions(frame=frame)
    )
    for poses, people_of_image in zip(found, points, strict=True):
        errors = np.abs(poses.keypoints[:, None] - people_of_image).max(axis=(2, 3))
        assert sorted(errors.argmin(axis=1)) == list(range(len(people_of_image)))
        assert errors.min(axis=1).max() < 1e-3
        assert poses.scores.min() > 0.8 and poses.scores.max() <= 1
        centers = poses.person_scores / poses.scores.mean(axis=1)
        assert (centers > 0.9).all() and (centers < 1).all()


def test_scores_by_hand() -> None:
    """A center of 0.8 at cell (2, 1); keypoints at its middle and half way to the next cell."""
    outputs = RegressionOutputs(
        torch.zeros(1, 2, 4, 5), torch.zeros(1, 1, 4, 5), torch.zeros(1, 2, 2, 4, 5), (16, 20)
    )
    outputs.centers[0, 0, 1, 2] = 0.8
    outputs.heatmaps[0, 0, 1, 2], outputs.heatmaps[0, 1, 3, 1] = 0.5, 1.0
    outputs.offsets[0, 1, :, 1, 2] = torch.tensor([0.5, -2.0])
    (poses,), heats = heats_for_scoring(outputs)
    assert poses.keypoints.tolist() == [[[10, 6], [8, 14]]]
    np.testing.assert_allclose(poses.scores, [[0.5, 0.5]])
    np.testing.assert_allclose(heats, [[0.4, 0.4]])
    np.testing.assert_allclose(poses.person_scores, [0.4])
    (poses,) = decode_regression(outputs, RegressionOptions(frame="index"))
    assert poses.keypoints.tolist() == [[[8.5, 4.5], [6.5, 12.5]]]
    np.testing.assert_allclose(poses.scores, [[0.5, 0.5]])


def test_duplicates_are_suppressed() -> None:
    """Of two centers with nearly the same pose the one remains whose keypoints have more heat."""
    points = scattered(1, 1, seed=5)
    outputs = ideal_outputs(points, SIZE)
    center = np.floor(points[0, 0].mean(axis=0) / 4).astype(int)
    outputs.centers.zero_()
    for shift, height in ((-2, 0.9), (2, 0.6)):
        outputs.centers[0, 0, center[1], center[0] + shift] = height
    right = outputs.offsets[0, :, :, center[1], center[0] + 2]
    outputs.offsets[0, :, 0, center[1], center[0] - 2] += 0.2
    (poses,) = decode_regression(outputs)
    assert len(poses) == 1
    expected = torch.tensor(center) + torch.tensor([2.5, 0.5]) - right
    np.testing.assert_allclose(poses.keypoints[0], 4 * expected, rtol=1e-5)
    assert 0.5 < poses.person_scores[0] < 0.6
    assert len(decode_regression(outputs, RegressionOptions(nms_distance=0.0))[0]) == 2
    assert len(decode_regression(outputs, RegressionOptions(nms_kernel=9))[0]) == 1


@pytest.mark.parametrize(
    ("size", "kernel"), [((200, 200), 3), ((200, 202), 5), ((300, 300), 5), ((300, 302), 7)]
)
def test_nms_kernel_grows_with_the_map(size: tuple[int, int], kernel: int) -> None:
    assert RegressionOptions().window(size) == kernel
    assert RegressionOptions(nms_kernel=9).window(size) == 9


# Options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frame", "corner"),
        ("nms_kernel", 4),
        ("nms_kernel", 0),
        ("center_threshold", -0.1),
        ("center_threshold", math.nan),
        ("max_people", 0),
        ("nms_distance", math.inf),
        ("nms_fraction", 1.0),
        ("nms_fraction", -0.1),
        ("nms_fraction", math.nan),
        ("scale_decrease", -1.0),
        ("match_distance", math.nan),
        ("subpixel", "newton"),
    ],
)
def test_invalid_options_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        RegressionOptions(**{name: value})  # type: ignore[arg-type]


def test_center_threshold_is_exclusive() -> None:
    outputs = ideal_outputs(scattered(1, 4), SIZE)
    top = outputs.centers.max().item()
    dimmed = replace(outputs, centers=outputs.centers * 0.01 / top)
    assert len(decode_regression(dimmed)[0]) == 0
    assert len(decode_regression(dimmed, RegressionOptions(center_threshold=0.009))[0]) > 0


def test_match_options() -> None:
    """Offsets are wrong by 3 px, to the left; heatmaps know better."""
    points = scattered(1, 1, seed=14)
    outputs = ideal_outputs(points, SIZE)
    outputs.offsets[:, :, 0] += 0.75

    def found(**options: object) -> np.ndarray:
        return decode_regression(outputs, RegressionOptions(**options))[0].keypoints  # type: ignore[arg-type]

    np.testing.assert_allclose(found(), points[0] - [3, 0], atol=1e-3)
    np.testing.assert_allclose(found(match=True), points[0], atol=5e-3)
    np.testing.assert_array_equal(found(match=True, match_distance=0.5), found())
    in_cells = found(match=True, subpixel="none")
    np.testing.assert_array_equal(in_cells % 4, np.full_like(in_cells, 2))
    outputs.heatmaps[0, 0, 60, 70] = 2.0  # (282, 242) px
    assert found(match=True, match_distance=999)[0, 0].tolist() != [282, 242]
    np.testing.assert_allclose(
        found(match=True, match_distance=999, max_people=1)[0, 0], [282, 242]
    )


# Numbers of people, and batches


def test_no_people() -> None:
    outputs = RegressionOutputs(
        torch.rand(2, 5, 8, 8), torch.zeros(2, 1, 8, 8), torch.rand(2, 5, 2, 8, 8), (32, 32)
    )

    def never(points: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        raise AssertionError("there are no people to score")

    for match in (False, True):
        found = decode_regression(outputs, RegressionOptions(match=match), never)
        assert [poses.keypoints.shape for poses in found] == [(0, 5, 2)] * 2
        assert [poses.scores.shape for poses in found] == [(0, 5)] * 2
        assert [poses.person_scores.shape for poses in found] == [(0,)] * 2


def test_max_people() -> None:
    points = scattered(1, 40)
    outputs = ideal_outputs(points, SIZE)
    (poses,) = decode_regression(outputs)
    assert len(poses) == 30
    (all_of_them,) = decode_regression(outputs, RegressionOptions(max_people=50))
    assert len(all_of_them) == 40
    # Two scales may each give thirty; the best of all remain, the best first.
    both = replace(outputs, other_scales=(ideal_outputs(points, SIZE, stride=2),))
    (poses,) = decode_regression(both)
    assert len(poses) == 30


@pytest.mark.parametrize("match", [False, True])
@pytest.mark.parametrize("frame", FRAMES)
def test_images_of_a_batch_are_independent(frame: Frame, match: bool) -> None:
    points = scattered(4, 6, seed=1)
    points[2] = points[2, :1]  # an image of one person
    fine, coarse = (ideal_outputs(points, SIZE, s, frame) for s in (4, 8))
    for outputs in (fine, coarse):
        outputs.centers[1] = 0  # and one without people
    batch = replace(fine, other_scales=(coarse,))
    options = RegressionOptions(frame=frame, match=match)
    for image, poses in enumerate(decode_regression(batch, options)):
        (alone,) = decode_regression(
            replace(part(fine, image), other_scales=(part(coarse, image),)), options
        )
        equal(poses, alone)
        assert (len(poses) > 0) == (image != 1)


def part(outputs: RegressionOutputs, image: int) -> RegressionOutputs:
    one = slice(image, image + 1)
    return replace(
        outputs,
        heatmaps=outputs.heatmaps[one],
        centers=outputs.centers[one],
        offsets=outputs.offsets[one],
    )


# What decoding commutes with


def random_outputs(
    seed: int, images: int = 2, size: tuple[int, int] = (30, 41)
) -> RegressionOutputs:
    """Maps of noise: centers everywhere, poses far beyond the image, equal ones never."""
    make = torch.Generator().manual_seed(seed)
    return RegressionOutputs(
        torch.rand(images, 17, *size, generator=make),
        torch.rand(images, 1, *size, generator=make),
        12 * torch.randn(images, 17, 2, *size, generator=make),
        (4 * size[0], 4 * size[1]),
    )


@pytest.mark.parametrize("match", [False, True])
@pytest.mark.parametrize("frame", FRAMES)
def test_order_of_keypoints_does_not_matter(frame: Frame, match: bool) -> None:
    order = torch.randperm(17, generator=torch.Generator().manual_seed(0))
    outputs = ideal_outputs(scattered(2, 6, seed=2), SIZE, frame=frame)
    permuted = replace(
        outputs, heatmaps=outputs.heatmaps[:, order], offsets=outputs.offsets[:, order]
    )
    options = RegressionOptions(frame=frame, match=match)
    for a, b in zip(
        decode_regression(outputs, options), decode_regression(permuted, options), strict=True
    ):
        np.testing.assert_array_equal(a.keypoints[:, order], b.keypoints)
        np.testing.assert_array_equal(a.scores[:, order], b.scores)
        np.testing.assert_allclose(a.person_scores, b.person_scores, rtol=1e-6)


@pytest.mark.parametrize("match", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_flipped_maps_give_flipped_poses(match: bool, several: bool) -> None:
    outputs = random_outputs(3)
    if several:
        outputs = replace(outputs, other_scales=(random_outputs(4, size=(15, 21)),))
    options = RegressionOptions(match=match, nms_distance=0.5)
    for poses, mirrored in zip(
        decode_regression(outputs, options),
        decode_regression(outputs.flip(COCO), options),
        strict=True,
    ):
        keypoints = poses.keypoints[:, COCO.flip_indices] * [-1, 1] + [164, 0]
        assert 0 < len(poses) == len(mirrored)
        np.testing.assert_allclose(mirrored.keypoints, keypoints, atol=2e-3)
        scores = poses.scores[:, COCO.flip_indices]
        np.testing.assert_allclose(mirrored.scores, scores, atol=1e-4)
        np.testing.assert_allclose(mirrored.person_scores, poses.person_scores, atol=1e-5)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_maps_of_any_precision(kind: torch.dtype) -> None:
    outputs = ideal_outputs(scattered(1, 5, seed=3), SIZE)
    maps = {name: getattr(outputs, name).to(kind) for name in ("heatmaps", "centers", "offsets")}
    (poses,) = decode_regression(replace(outputs, **maps))
    (expected,) = decode_regression(
        replace(outputs, **{name: m.float() for name, m in maps.items()})
    )
    equal(poses, expected)
    assert poses.keypoints.dtype == poses.scores.dtype == poses.person_scores.dtype == np.float32


def test_memory_layout_of_maps_does_not_matter() -> None:
    outputs = ideal_outputs(scattered(2, 5, seed=4), SIZE)
    last = replace(
        outputs,
        heatmaps=outputs.heatmaps.to(memory_format=torch.channels_last),
        offsets=outputs.offsets.permute(0, 3, 4, 1, 2).contiguous().permute(0, 3, 4, 1, 2),
    )
    for a, b in zip(decode_regression(outputs), decode_regression(last), strict=True):
        equal(a, b)


# Several scales


def test_scales_with_the_same_people_give_no_duplicates() -> None:
    points = scattered(1, 6, seed=6)
    first, coarse, fine = (ideal_outputs(points, SIZE, s) for s in (4, 8, 2))
    (poses,) = decode_regression(replace(first, other_scales=(coarse, fine)))
    (alone,) = decode_regression(first)
    assert len(poses) == len(alone) == 6
    np.testing.assert_allclose(by_place(poses), by_place(alone), atol=1e-3)


def test_poses_of_another_scale_have_rescaled_centers() -> None:
    near, far = scattered(1, 2, seed=7)[:, :1], scattered(1, 2, seed=7)[:, 1:]
    first, other = ideal_outputs(near, SIZE), ideal_outputs(far, SIZE, stride=2)
    first.centers.mul_(0.5)
    # Heat of both in both scales, so that means of heat are of what each alone has.
    both = ideal_outputs(np.concatenate([near, far], axis=1), SIZE)
    first = replace(first, heatmaps=both.heatmaps)
    other = replace(other, heatmaps=both.heatmaps)
    (poses,) = decode_regression(
        replace(first, other_scales=(other,)), RegressionOptions(scale_decrease=0.8)
    )
    (mine,) = decode_regression(first)
    (theirs,) = decode_regression(other)
    # The finer scale's people come first.
    np.testing.assert_allclose(poses.keypoints, np.concatenate([theirs.keypoints, mine.keypoints]))
    np.testing.assert_allclose(poses.scores, np.concatenate([theirs.scores, mine.scores]))
    height = 0.8 * first.centers.max().item() / other.centers.max().item()
    expected = np.concatenate([theirs.person_scores * height, mine.person_scores])
    np.testing.assert_allclose(poses.person_scores, expected, rtol=1e-5)


def test_scales_without_people_change_only_scores() -> None:
    points = scattered(1, 3, seed=8)
    outputs, empty = ideal_outputs(points, SIZE), ideal_outputs(points[:, :0], SIZE, stride=8)
    (alone,) = decode_regression(outputs)
    (poses,) = decode_regression(replace(outputs, other_scales=(empty,)))
    np.testing.assert_array_equal(poses.keypoints, alone.keypoints)
    np.testing.assert_allclose(poses.scores, alone.scores / 2, rtol=1e-6)
    np.testing.assert_allclose(poses.person_scores, alone.person_scores / 2, rtol=1e-6)
    # The other way round there are no centers at the first scale to rescale by.
    (poses,) = decode_regression(replace(empty, other_scales=(outputs,)))
    np.testing.assert_array_equal(poses.keypoints, alone.keypoints)
    np.testing.assert_allclose(poses.scores, alone.scores / 2, rtol=1e-6)
    scale = 0.9 / outputs.centers.max().item()
    np.testing.assert_allclose(poses.person_scores, alone.person_scores / 2 * scale, rtol=1e-5)


def test_nms_distance_is_larger_for_several_scales() -> None:
    """As published: 0.05 of the size for one scale, and 0.15 for several."""
    points = scattered(1, 1, seed=9)
    size = np.linalg.norm(np.ptp(points[0, 0], axis=0))
    shift = np.array([0.1 * size, 0], np.float32)
    scales = replace(
        ideal_outputs(points, SIZE), other_scales=(ideal_outputs(points + shift, SIZE),)
    )
    assert len(decode_regression(scales)[0]) == 1
    assert len(decode_regression(scales, RegressionOptions(nms_distance=0.05))[0]) == 2


# Odd values


def test_nonfinite_maps_give_no_people() -> None:
    for value in (math.nan, math.inf, -math.inf):
        outputs = random_outputs(5)
        for maps in (outputs.heatmaps, outputs.centers, outputs.offsets):
            maps.fill_(value)
        assert [len(p) for p in decode_regression(outputs, RegressionOptions(match=True))] == [0, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nonfinite_values_affect_nothing_else(bad: float) -> None:
    points = scattered(1, 5, seed=10)
    outputs = ideal_outputs(points, SIZE)
    (expected,) = decode_regression(outputs)
    cell = np.floor(expected.keypoints[0].mean(axis=0) / 4).astype(int)
    broken = replace(
        outputs,
        heatmaps=outputs.heatmaps.clone(),
        centers=outputs.centers.clone(),
        offsets=outputs.offsets.clone(),
    )
    broken.offsets[0, 3, 1, cell[1], cell[0]] = bad  # the first person is gone
    broken.centers[0, 0, 0, :] = bad
    broken.heatmaps[0, 4] = bad
    (poses,) = decode_regression(broken)
    np.testing.assert_array_equal(poses.keypoints, expected.keypoints[1:])
    assert poses.found.all() and (poses.scores[:, 4] < 1e-30).all()
    others = np.arange(17) != 4
    np.testing.assert_array_equal(poses.scores[:, others], expected.scores[1:, others])


def test_keypoints_without_score_are_present() -> None:
    outputs = RegressionOutputs(
        torch.zeros(1, 3, 6, 6), torch.zeros(1, 1, 6, 6), torch.ones(1, 3, 2, 6, 6), (24, 24)
    )
    outputs.heatmaps[0, 0], outputs.heatmaps[0, 2], outputs.centers[0, 0, 2, 3] = 0.5, -0.25, 0.8
    (poses,), heats = heats_for_scoring(outputs)
    assert poses.found.all() and (poses.keypoints == [10, 6]).all()
    np.testing.assert_allclose(poses.scores, [[0.5, 0, 0]], atol=1e-30)
    # The official code hides no negative heat from the scoring net.
    np.testing.assert_allclose(heats, [[0.4, 0, -0.2]], rtol=1e-6)
    # The person's score is the mean of what heat there was.
    np.testing.assert_allclose(poses.person_scores, [0.8 * (0.5 - 0.25) / 3], rtol=1e-6)


def test_poses_outside_the_image_have_the_score_of_the_border() -> None:
    outputs = RegressionOutputs(
        torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 2, 6, 6), (24, 24)
    )
    outputs.heatmaps[0, 0, 2, 0], outputs.centers[0, 0, 2, 3] = 0.5, 1.0
    outputs.offsets[0, 0, 0, 2, 3] = 100.0
    (poses,) = decode_regression(outputs)
    assert poses.keypoints.tolist() == [[[4 * (3.5 - 100), 10]]]
    assert poses.scores.tolist() == [[0.5]]
    outputs.offsets[0, 0, 0, 2, 3] = 1e30
    (poses,) = decode_regression(outputs, RegressionOptions(match=True))
    assert poses.keypoints[0, 0, 0] < -1e30 and poses.scores.tolist() == [[0.5]]


def test_poses_without_extent() -> None:
    points = np.array([[[50.0, 60.0]], [[150.0, 100.0]]]).repeat(17, axis=1)[None]
    for match in (False, True):
        (poses,) = decode_regression(ideal_outputs(points, SIZE), RegressionOptions(match=match))
        np.testing.assert_allclose(by_place(poses), points[0], atol=2e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 1)])
@pytest.mark.parametrize("frame", FRAMES)
def test_maps_of_few_cells(frame: Frame, size: tuple[int, int]) -> None:
    outputs = random_outputs(6, size=size)
    found = decode_regression(outputs, RegressionOptions(frame=frame, match=True))
    assert all(len(poses) > 0 and np.isfinite(poses.keypoints).all() for poses in found)


# Scoring people


def test_score_multiplies_person_scores() -> None:
    outputs = ideal_outputs(scattered(3, 4, seed=12), SIZE)
    outputs.centers[1] = 0
    outputs.heatmaps[2, 3] = -1.0
    plain = decode_regression(outputs)
    seen: list[torch.Tensor] = []

    def scorer(points: torch.Tensor, heats: torch.Tensor) -> torch.Tensor:
        seen.extend([points, heats])
        factors = torch.arange(1.0, len(points) + 1)
        factors[1] = math.nan
        return factors

    scored = decode_regression(outputs, score=scorer)
    points, heats = seen  # called once, with all people of the batch as they are returned
    np.testing.assert_array_equal(points, np.concatenate([p.keypoints for p in plain]))
    persons = np.concatenate([p.person_scores for p in plain])
    np.testing.assert_array_equal(heats.mean(dim=1), persons)
    others = np.arange(17) != 3  # all that have heat everywhere
    ratios = heats.numpy()[:, others] / np.concatenate([p.scores for p in plain])[:, others]
    np.testing.assert_allclose(ratios, ratios[:, :1].repeat(16, axis=1), rtol=1e-5)
    assert (ratios > 0.9).all() and (ratios < 1).all()
    factors = np.array([1, 0, 3, 4, 5, 6, 7, 8])
    expected = persons * factors
    np.testing.assert_allclose(np.concatenate([p.person_scores for p in scored]), expected)
    for a, b in zip(plain, scored, strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
        np.testing.assert_array_equal(a.scores, b.scores)


@pytest.mark.parametrize("shape", [(), (4, 1), (3,)])
def test_score_must_return_one_number_per_person(shape: tuple[int, ...]) -> None:
    outputs = ideal_outputs(scattered(1, 4, seed=13), SIZE)
    with pytest.raises(ValueError, match="4 numbers"):
        decode_regression(outputs, score=lambda points, scores: torch.ones(shape))

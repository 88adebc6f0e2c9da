"""Images, masks and keypoints must move together, to a fraction of a pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from poselib.data.augmentation import Augment
from poselib.data.transforms import crop_transform, fit, letterbox, warp_boxes, warp_sample
from poselib.skeletons import COCO, CROWDPOSE
from poselib.structures import AffineTransform, Size
from tests.data.factories.scenes import (
    BLOBS,
    assert_blobs_at_keypoints,
    scene,
    without_people,
)


def test_blob_detector_finds_the_blobs() -> None:
    assert_blobs_at_keypoints(scene(), tolerance=0.02)


@pytest.mark.parametrize("size", [(240, 320), (319, 241)])
@pytest.mark.parametrize("target", [96, 240, 360])
def test_letterbox_and_fit_keep_image_and_keypoints_aligned(
    size: tuple[int, int], target: int
) -> None:
    assert_blobs_at_keypoints(letterbox(scene(size), target))
    assert_blobs_at_keypoints(fit(scene(size), target))


def test_strong_reduction_averages_pixels() -> None:
    sample = scene((600, 801), sigma=12)
    noise = np.random.default_rng(0).integers(0, 2, sample.size, dtype=np.uint8) * 255
    speckled = replace(sample, image=np.stack([noise] * 3))
    assert_blobs_at_keypoints(fit(sample, 100))
    # Eight by eight pixels of noise average out; skipping pixels would keep its full spread.
    assert fit(speckled, 100).image[:, 10:60, 10:90].std() < 30


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("ignore_outside", [True, False])
@pytest.mark.parametrize(("side", "masked"), [(90, 0.5), (200, 0.5), (700, 0.5), (90, 0.0)])
def test_image_and_mask_are_those_of_each_channel_alone(
    side: float, masked: float, ignore_outside: bool, antialias: bool
) -> None:
    """OpenCV's bilinear sampling of one channel is the reference."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 120, 170), dtype=np.uint8)
    mask = rng.random((120, 170)) < masked
    sample = replace(scene((120, 170)), image=image, ignore_mask=mask)
    warp = crop_transform((80.2, 50.7), side, (64, 96), rotation=20, flip=True)
    outside = 255 * ignore_outside
    options = {"ignore_outside": ignore_outside, "antialias": antialias}
    found = warp_sample(sample, warp, (64, 96), **options)  # type: ignore[arg-type]
    alone = [_bilinear(channel, warp, (64, 96), 0, antialias) for channel in image]
    assert np.array_equal(found.image, alone)
    expected = _bilinear(np.uint8(255) * mask, warp, (64, 96), outside, True)
    assert np.array_equal(found.ignore_mask, expected > 127)


def _bilinear(
    channel: np.ndarray, warp: AffineTransform, size: Size, outside: int, antialias: bool
) -> np.ndarray:
    matrix, factor = np.vstack([warp.matrix, [0, 0, 1]]), int(1 / warp.scale)
    if antialias and factor > 1:
        height, width = channel.shape
        small = round(width / factor), round(height / factor)
        channel = cv2.resize(channel, small, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([width / small[0], height / small[1], 1])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(half) @ matrix @ half
    return cv2.warpAffine(channel, matrix[:2], size[::-1], borderValue=(outside,))


@pytest.mark.parametrize("seed", range(6))
def test_to_original_inverts_the_transform(seed: int) -> None:
    sample = scene()
    result = Augment(COCO, size=192, flip=0)(fit(sample, 300), np.random.default_rng(seed))
    there_and_back = result.to_original(result.to_original.inverse()(sample.keypoints[..., :2]))
    assert np.abs(there_and_back - sample.keypoints[..., :2]).max() < 1e-6
    back = result.to_original(result.keypoints[0, BLOBS, :2])
    assert np.abs(back - sample.keypoints[0, BLOBS, :2]).max() < 1e-3


def test_letterbox_sizes_and_corners() -> None:
    sample = scene((240, 320))
    boxed = letterbox(sample, 512)
    assert boxed.size == (512, 704)
    corner = boxed.to_original.inverse()([320, 240])
    assert corner == pytest.approx([512 * 4 / 3, 512])
    assert boxed.to_original([0, 0]) == pytest.approx([0, 0])
    assert (boxed.image[:, :, 684:] == 0).all()
    assert letterbox(sample, 240, multiple=1).size == (240, 320)
    assert letterbox(sample, 100, multiple=32).size == (128, 160)


def test_letterbox_of_the_same_size_keeps_every_pixel() -> None:
    sample = scene((240, 320))
    assert (letterbox(sample, 240, multiple=1).image == sample.image).all()
    assert (fit(sample, 320).image[:, :240] == sample.image).all()


def test_areas_scale_with_the_determinant() -> None:
    sample = scene()
    assert fit(sample, 640).areas == pytest.approx([4000.0])
    warp = crop_transform((100, 80), 120, 60, rotation=25, flip=True)
    square = warp(np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float))
    x, y = square.T
    shoelace = abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
    assert warp_sample(sample, warp, (60, 60)).areas == pytest.approx([1000 * shoelace / 100])


def test_keypoints_outside_become_zeros_and_people_without_keypoints_are_dropped() -> None:
    sample = scene()
    far = sample.keypoints.copy()
    far[..., 0] += 1000 * (far[..., 2] > 0)
    two = replace(
        sample,
        keypoints=np.concatenate([far, sample.keypoints]),
        areas=np.array([5.0, 9.0], np.float32),
    )
    augment = Augment(COCO, size=240, rotation=0, scale=(1, 1), translation=0, flip=0)
    kept = augment(two, np.random.default_rng(0))
    assert kept.areas.tolist() == [9.0]
    assert (kept.keypoints[0, BLOBS, 2] == 2).all()
    boxed = letterbox(two, 240)
    assert len(boxed.keypoints) == 2
    assert (boxed.keypoints[0] == 0).all()
    # On the right edge is outside: cells cover [i, i + 1).
    edge = scene().keypoints
    edge[0, 0, :2] = (320, 10)
    assert (letterbox(replace(sample, keypoints=edge), 240).keypoints[0, 0] == 0).all()


def test_no_people() -> None:
    empty = without_people(240, 320)
    for result in (
        Augment(COCO, size=64)(empty, np.random.default_rng(0)),
        letterbox(empty, 64),
        fit(empty, 64),
    ):
        assert result.keypoints.shape == (0, 17, 3)
        assert result.keypoints.dtype == np.float32
        assert result.areas.shape == (0,)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="17 keypoints, but skeleton 'crowdpose' has 14"):
        Augment(CROWDPOSE, size=64)(scene(), np.random.default_rng(0))
    with pytest.raises(ValueError, match="size must be positive"):
        letterbox(scene(), 0)
    with pytest.raises(ValueError, match="multiple must be positive"):
        letterbox(scene(), 64, multiple=0)
    with pytest.raises(ValueError, match="size must be positive"):
        fit(scene(), -3)


@pytest.mark.golden
def test_crop_warp_equals_the_official_augmentation_matrix(golden_dir: Path) -> None:
    # The official code takes the image's center as w / 2, which is right for pixel centers at
    # + 0.5, and then applies the matrix to pixel indices, which moves everything by up to half a
    # pixel. The matrix itself is the one wanted here.
    rows = np.load(golden_dir / "geometry.npz")[
        "aug_affine__cx_cy_scale_rot_res_m00_m01_m02_m10_m11_m12"
    ]
    for cx, cy, scale, rotation, size, *matrix in rows:
        warp = crop_transform((cx, cy), 200 * scale, int(size), rotation)
        assert warp.matrix.ravel() == pytest.approx(matrix, abs=1e-9)


@pytest.mark.golden
def test_letterbox_sizes_equal_the_official_ones(golden_dir: Path) -> None:
    rows = np.load(golden_dir / "geometry.npz")["multi_scale_size"]
    for height, width, size, scale, least, *official in rows:
        # The official code pads at the smallest scale, rounded up to 64, and enlarges that.
        ratio, short = scale / least, int((least * size + 63) // 64 * 64)
        sample = without_people(int(height), int(width))
        enlarged = tuple(side * ratio for side in letterbox(sample, short).size)
        assert enlarged == (official[1], official[0])


@pytest.mark.golden
def test_letterbox_equals_the_official_one(golden_dir: Path) -> None:
    # In frame "index", between pixel indices; the other frame has the same scale.
    arrays = np.load(golden_dir / "geometry.npz")
    for height, width in ((480, 640), (640, 480), (361, 641)):
        official = arrays[f"matrix_{height}x{width}"]
        sample = scene((height, width))
        ours = letterbox(sample, 512, frame="index").to_original.inverse()
        to_index = AffineTransform(np.array([[1.0, 0, -0.5], [0, 1.0, -0.5]]))
        between_indices = to_index.inverse().then(ours).then(to_index)
        assert between_indices.matrix == pytest.approx(official, abs=1e-4)
        corner = letterbox(sample, 512).to_original.inverse().matrix
        assert corner[:, :2] == pytest.approx(official[:, :2], abs=1e-5)


def test_boxes_are_transformed_with_their_corners_and_absent_people_keep_none() -> None:
    quarter = AffineTransform(np.array([[0.0, -1.0, 50.0], [1.0, 0.0, 0.0]]))
    boxes = np.array([[10, 20, 30, 25], [0, 0, 0, 0]], np.float32)
    assert warp_boxes(boxes, quarter).tolist() == [[25, 10, 30, 30], [0, 0, 0, 0]]
    sample = replace(scene(), boxes=boxes[:1], tracks=np.array([4]))
    moved = warp_sample(sample, quarter, (320, 240))
    assert moved.boxes is not None and moved.boxes.tolist() == [[25, 10, 30, 30]]
    assert moved.tracks is not None and moved.tracks.tolist() == [4]

"""Images, masks and keypoints must move together, to a fraction of a pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poselib.data.transforms import Augment, crop_transform, fit, letterbox, warp_sample
from poselib.skeletons import COCO, CROWDPOSE
from poselib.structures import AffineTransform, Sample

# The keypoints painted as blobs, one in each color channel.
BLOBS = (COCO.index("nose"), COCO.index("left_wrist"), COCO.index("right_wrist"))


def blob(size: tuple[int, int], xy: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian at (x, y) where the first pixel's center is (0.5, 0.5)."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    return np.exp(-((x - xy[0]) ** 2 + (y - xy[1]) ** 2) / (2 * sigma**2))


def centroid(channel: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: channel.shape[0], : channel.shape[1]] + 0.5
    weight = channel.astype(np.float64)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def scene(size: tuple[int, int] = (240, 320), sigma: float = 6.0) -> Sample:
    """One person whose nose and wrists are blobs; the nose is covered by the ignore mask."""
    middle = np.array([size[1], size[0]]) / 2
    points = middle + np.array([[1.3, -20.6], [31.8, 12.25], [-28.45, 17.9]])
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, BLOBS, :2] = points
    keypoints[0, BLOBS, 2] = 2
    blobs = [blob(size, xy, sigma) for xy in points]
    return Sample(
        image=np.rint(255 * np.stack(blobs)).astype(np.uint8),
        keypoints=keypoints,
        areas=np.array([1000.0], np.float32),
        ignore_mask=blobs[0] > 0.1,
        image_id=7,
        to_original=AffineTransform.identity(),
    )


def without_people(height: int, width: int) -> Sample:
    return Sample(
        image=np.zeros((3, height, width), np.uint8),
        keypoints=np.zeros((0, 17, 3), np.float32),
        areas=np.zeros(0, np.float32),
        ignore_mask=np.zeros((height, width), bool),
        image_id=1,
        to_original=AffineTransform.identity(),
    )


def assert_blobs_at_keypoints(sample: Sample, tolerance: float = 0.1) -> None:
    keypoints = sample.keypoints[0, BLOBS]
    assert (keypoints[:, 2] == 2).all()
    for channel, (x, y, _) in zip(sample.image, keypoints, strict=True):
        assert np.abs(centroid(channel) - [x, y]).max() < tolerance
    assert np.abs(centroid(sample.ignore_mask) - keypoints[0, :2]).max() < 0.3


def test_blob_detector_finds_the_blobs() -> None:
    assert_blobs_at_keypoints(scene(), tolerance=0.02)


@pytest.mark.parametrize("seed", range(12))
def test_augment_keeps_image_and_keypoints_aligned(seed: int) -> None:
    augment = Augment(COCO, size=256, flip=0)
    assert_blobs_at_keypoints(augment(scene(), np.random.default_rng(seed)))


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


def test_flip_swaps_left_and_right() -> None:
    augment = Augment(COCO, size=240, rotation=0, scale=(1, 1), translation=0, flip=1)
    sample = scene()
    flipped = augment(sample, np.random.default_rng(0))
    # The crop is columns 40 to 280; mirrored, x becomes 280 - x.
    nose, left, right = sample.keypoints[0, BLOBS]
    assert flipped.keypoints[0, BLOBS[0], 0] == pytest.approx(280 - nose[0], abs=1e-4)
    assert flipped.keypoints[0, BLOBS[1], 0] == pytest.approx(280 - right[0], abs=1e-4)
    assert flipped.keypoints[0, BLOBS[2], 0] == pytest.approx(280 - left[0], abs=1e-4)
    assert (flipped.image == sample.image[:, :, 40:280][:, :, ::-1]).all()
    assert (flipped.ignore_mask == sample.ignore_mask[:, 40:280][:, ::-1]).all()


@pytest.mark.parametrize("seed", range(6))
def test_flip_keeps_image_and_keypoints_aligned(seed: int) -> None:
    result = Augment(COCO, size=200, flip=1)(scene(), np.random.default_rng(seed))
    # The picture of the left wrist is now a right wrist.
    for channel, k in zip(result.image, (BLOBS[0], BLOBS[2], BLOBS[1]), strict=True):
        assert np.abs(centroid(channel) - result.keypoints[0, k, :2]).max() < 0.1


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


def test_augment_parameters_fill_their_ranges() -> None:
    sample = without_people(40, 60)
    augment, rng = Augment(COCO, size=8, translation=0.1), np.random.default_rng(0)
    warps = [augment(sample, rng).to_original for _ in range(800)]
    linear = np.array([w.matrix[:, :2] for w in warps])
    sides = np.sqrt(np.abs(np.linalg.det(linear))) * 8 / 40
    assert sides.min() == pytest.approx(0.75, abs=0.01)
    assert sides.max() == pytest.approx(1.5, abs=0.01)
    flips = np.linalg.det(linear) < 0
    assert 0.42 < flips.mean() < 0.58
    angles = np.degrees(np.arctan2(linear[..., 0, 1], linear[..., 1, 1]))
    assert np.abs(angles).max() <= 30 + 1e-6
    assert min(angles.max(), -angles.min()) > 29
    shifts = np.array([w([4, 4]) for w in warps]) - [30, 20]
    shares = shifts / (sides * 40)[:, None]
    assert np.abs(shares).max() <= 0.1 + 1e-6
    assert np.abs(shares).max(axis=0).min() > 0.099


def test_augment_is_deterministic() -> None:
    augment = Augment(COCO, size=64, brightness=0.2, contrast=0.2)
    one, two = (augment(scene(), np.random.default_rng(5)) for _ in range(2))
    assert (one.image == two.image).all()
    assert (one.keypoints == two.keypoints).all()
    other = augment(scene(), np.random.default_rng(6))
    assert not np.array_equal(one.keypoints, other.keypoints)


def test_brightness_and_contrast_change_pixels_only() -> None:
    plain = Augment(COCO, size=64)(scene(), np.random.default_rng(1))
    lit = Augment(COCO, size=64, brightness=0.3)(scene(), np.random.default_rng(1))
    assert (plain.keypoints == lit.keypoints).all()
    change = lit.image.astype(int) - plain.image
    unclipped = (lit.image > 0) & (lit.image < 255)
    assert len(np.unique(change[unclipped])) == 1
    assert lit.image.dtype == np.uint8


def test_ignore_outside() -> None:
    settings = {"size": 64, "rotation": 0, "scale": (1.5, 1.5), "translation": 0, "flip": 0}
    sample = scene((100, 100))
    clear = replace(sample, ignore_mask=np.zeros((100, 100), bool))
    rng = np.random.default_rng(0)
    assert not Augment(COCO, **settings)(clear, rng).ignore_mask.any()
    ignored = Augment(COCO, **settings, ignore_outside=True)(clear, rng).ignore_mask
    # 100 of 150 px are image: 42.7 of 64.
    assert ignored[0].all()
    assert not ignored[12:52, 12:52].any()
    assert ignored.mean() == pytest.approx(1 - (100 / 150) ** 2, abs=0.03)


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 0},
        {"scale": (0, 1)},
        {"scale": (1.5, 0.75)},
        {"scale": (1.0, float("nan"))},
        {"rotation": -1},
        {"translation": float("nan")},
        {"flip": 1.5},
        {"brightness": 2},
        {"contrast": -0.1},
    ],
)
def test_augment_refuses_bad_arguments(settings: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Augment(COCO, **{"size": 64, **settings})


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

"""Random crops, flips and light: what is drawn, and that one draw is for all frames of a clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poselib.data.augmentation import Augment
from poselib.skeletons import COCO
from poselib.structures import Clip
from tests.data.factories.scenes import (
    BLOBS,
    assert_blobs_at_keypoints,
    centroid,
    scene,
    without_people,
)


@pytest.mark.parametrize("seed", range(12))
def test_augment_keeps_image_and_keypoints_aligned(seed: int) -> None:
    augment = Augment(COCO, size=256, flip=0)
    assert_blobs_at_keypoints(augment(scene(), np.random.default_rng(seed)))


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


def moving_clip(frames: int = 4) -> Clip:
    """The same scene throughout; a second person is in the third frame alone, a third nowhere."""
    one = scene((100, 120))
    people = []
    for number in range(frames):
        points = np.repeat(one.keypoints, 3, axis=0)
        points[1, :, 2] *= number == 2
        points[2, :, :2] += 5000
        people.append(
            replace(one, keypoints=points, areas=np.full(3, 9, np.float32), tracks=np.arange(3))
        )
    return Clip(tuple(people), np.arange(frames) / 25, "a")


@pytest.mark.parametrize("seed", range(6))
def test_one_draw_augments_all_frames_of_a_clip(seed: int) -> None:
    augment = Augment(COCO, size=64, brightness=0.3, contrast=0.3)
    clip = augment(moving_clip(), np.random.default_rng(seed))
    alone = augment(scene((100, 120)), np.random.default_rng(seed))
    for frame in clip.frames:
        assert (frame.image == alone.image).all()
        assert (frame.to_original.matrix == alone.to_original.matrix).all()
        assert (frame.keypoints[0] == alone.keypoints[0]).all()


def test_people_of_a_clip_are_dropped_when_no_frame_shows_them() -> None:
    augment = Augment(COCO, size=240, rotation=0, scale=(1, 1), translation=0, flip=0)
    clip = augment(moving_clip(), np.random.default_rng(0))
    for number, frame in enumerate(clip.frames):
        assert frame.tracks is not None and frame.tracks.tolist() == [0, 1]
        assert (frame.keypoints[1, :, 2] > 0).any() == (number == 2)

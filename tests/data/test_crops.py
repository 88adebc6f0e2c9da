"""Crops of people: what they show, and that one region or one draw is for all frames of a clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poselib.data.augmentation import Augment
from poselib.data.clips import PersonClips, PersonImages, VideoClips
from poselib.data.collation import collate
from poselib.data.crops import CropRule, crop_person
from poselib.data.loaders import make_loader
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig, SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.data.transforms import crop_transform
from poselib.decoders.argmax import ArgmaxOptions, decode_argmax
from poselib.encoders.heatmap import heatmap_targets
from poselib.ops.map_coordinates import CROP_FRAMES, CropFrame
from poselib.outputs import HeatmapOutputs
from poselib.skeletons import COCO, POSETRACK18
from poselib.structures import Clip, Sample
from tests.data.factories.scenes import assert_blobs_at_keypoints, scene
from tests.strategies import generators, quick

OFFICIAL = CropRule(margin=1, per_frame=True, stretch=True)


def person(left: float, top: float, width: float, height: float) -> Sample:
    box = np.array([[left, top, left + width, top + height]], np.float32)
    return replace(scene((240, 320)), boxes=box)


def walk(frames: int = 4) -> Clip:
    """The box moves 10 px a frame to the right and grows."""
    samples = tuple(person(20 + 10 * t, 30, 60 + 4 * t, 100) for t in range(frames))
    return Clip(samples, np.arange(frames) / 25, "walk")


def corners(sample: Sample) -> list[float]:
    """Corners of the image in px of the file."""
    height, width = sample.size
    return sample.to_original([[0, 0], [width, height]]).ravel().tolist()


@quick
@given(generators, st.integers(1, 64), st.integers(1, 64), st.booleans())
def test_a_region_lies_in_the_middle_and_holds_its_box(
    rng: np.random.Generator, height: int, width: int, stretch: bool
) -> None:
    low, sides = rng.uniform(-50, 200, 2), rng.uniform(0.5, 90, 2)
    box = np.concatenate([low, low + sides])
    rule = CropRule(margin=float(rng.uniform(1, 2)), stretch=stretch)
    warp = rule.transform(box, (height, width))
    mapped = warp(box.reshape(2, 2))
    np.testing.assert_allclose(mapped.sum(axis=0), [width, height], atol=1e-6)
    assert (mapped > -1e-6).all() and (mapped < np.array([width, height]) + 1e-6).all()
    filled = (mapped[1] - mapped[0]) / [width, height] * rule.margin
    np.testing.assert_allclose(filled if stretch else filled.max(), 1, atol=1e-6)
    x, y = warp.matrix[0, 0], warp.matrix[1, 1]
    assert stretch or x == pytest.approx(y)
    turned = rule.transform(box, (height, width), 1.3, 20.0, (0.1, -0.2), flip=True)
    assert np.linalg.det(turned.matrix[:, :2]) < 0


def test_a_square_crop_is_that_of_whole_images() -> None:
    warp = CropRule(margin=1.5).transform(np.array([10.0, 20, 50, 100]), (64, 64), 1.2, 30)
    assert warp.matrix == pytest.approx(crop_transform((30, 60), 1.2 * 1.5 * 80, 64, 30).matrix)


def unbiased(box: np.ndarray, size: tuple[int, int], rotation: float) -> np.ndarray:
    """UDP's transform of pixel indices: from the box to unit lengths, W - 1 by H - 1 of them."""
    center, sides = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    units = np.array([size[1], size[0]]) - 1
    turn = np.deg2rad(-rotation)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    scaled = np.diag(units / sides) @ matrix
    return np.column_stack([scaled, units / 2 - scaled @ center])


@quick
@given(generators, st.integers(2, 64), st.integers(2, 64))
def test_an_aligned_crop_is_that_of_unbiased_data_processing(
    rng: np.random.Generator, height: int, width: int
) -> None:
    low = rng.uniform(-50, 200, 2)
    rule, one = CropRule(margin=1, stretch=True, frame="aligned"), float(rng.uniform(1, 90))
    for sides, size, rotation in (
        (rng.uniform(1, 90, 2), (height, width), 0.0),
        (np.array([one, one]), (height, height), float(rng.uniform(-40, 40))),
    ):
        box = np.concatenate([low, low + sides])
        expected = unbiased(box, size, rotation)
        points = rng.uniform(0, 300, (9, 2))
        got = rule.transform(box + 0.5, size, rotation=rotation)(points + 0.5) - 0.5
        np.testing.assert_allclose(got, points @ expected[:, :2].T + expected[:, 2], atol=1e-6)
    mirrored = rule.transform(box + 0.5, size, rotation=rotation, flip=True)(points + 0.5) - 0.5
    np.testing.assert_allclose(mirrored, [size[1] - 1, 0] + got * [-1, 1], atol=1e-6)


@pytest.mark.parametrize("frame", CROP_FRAMES)
def test_a_keypoint_returns_from_the_maps_of_its_crop(frame: CropFrame) -> None:
    """Cropped, encoded and decoded."""
    item, rng = person(40, 30, 60, 100), np.random.default_rng(0)
    points = np.append(rng.uniform([55, 60], [85, 100], (17, 2)), np.full((17, 1), 2.0), axis=1)
    shape = {"keypoints": points[None].astype(np.float32), "areas": np.ones(1, np.float32)}
    crop = crop_person(replace(item, **shape), (64, 48), CropRule(frame=frame))
    (maps,) = heatmap_targets(collate([crop]), strides=(4,), frame=frame).heatmaps
    options = ArgmaxOptions(frame=frame, subpixel="taylor")
    (poses,) = decode_argmax(HeatmapOutputs(maps, (64, 48)), options)
    back = poses.warped(crop.to_original).keypoints[0]
    np.testing.assert_allclose(back, points[:, :2], atol=0.3)


def test_one_region_for_all_frames_or_one_for_each() -> None:
    whole = crop_person(walk(), (64, 64), CropRule(margin=1))
    # From 20 to 20 + 3 * 10 + 72 = 122, and 100 high: a square of 102 around (71, 80).
    for frame in whole.frames:
        assert corners(frame) == pytest.approx([20, 29, 122, 131])
    each = crop_person(walk(), (64, 48), OFFICIAL)
    for t, frame in enumerate(each.frames):
        assert frame.size == (64, 48)
        left = 20 + 10 * t
        assert corners(frame) == pytest.approx([left, 30, left + 60 + 4 * t, 130])


def test_frames_without_a_box_take_that_of_a_neighbor() -> None:
    clip = walk(5)

    def hide(frame: Sample, t: int) -> Sample:
        hidden = replace(frame, boxes=np.zeros((1, 4), np.float32), keypoints=0 * frame.keypoints)
        return hidden if t in (0, 2, 3) else frame

    boxes = OFFICIAL.boxes(clip.each(hide))[:, 0]
    assert boxes.tolist() == [30, 30, 30, 30, 60]
    unseen = clip.each(lambda frame, _: hide(frame, 0))
    assert OFFICIAL.boxes(unseen).tolist() == [[0, 0, 320, 240]] * 5


def test_without_boxes_it_is_around_the_keypoints() -> None:
    sample = replace(scene(), boxes=None)
    points = sample.keypoints[sample.keypoints[..., 2] > 0][:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    assert CropRule().boxes(sample)[0] == pytest.approx([*low, *high])
    two = replace(sample, keypoints=np.repeat(sample.keypoints, 2, axis=0))
    with pytest.raises(ValueError, match="image 7: expected one person to crop, found 2"):
        CropRule().boxes(two)
    with pytest.raises(ValueError, match="margin must be positive"):
        CropRule(margin=0)
    with pytest.raises(ValueError, match=r"frame must be one of .*, not 'corner'"):
        CropRule(frame="corner")  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", [CropRule(margin=2.5), CropRule(2.5, True, False)])
@pytest.mark.parametrize("seed", range(3))
def test_pixels_and_keypoints_stay_aligned(rule: CropRule, seed: int) -> None:
    sample = replace(scene(), boxes=np.array([[125, 90, 200, 140]], np.float32))
    assert_blobs_at_keypoints(crop_person(sample, (192, 160), rule))
    augment = Augment(COCO, (192, 160), scale=(0.9, 1.2), translation=0.02, flip=0, crop=rule)
    assert_blobs_at_keypoints(augment(sample, np.random.default_rng(seed)))


@pytest.mark.parametrize("seed", range(4))
def test_one_draw_moves_the_regions_of_all_frames_alike(seed: int) -> None:
    augment = Augment(COCO, (64, 64), scale=(0.8, 1.4), rotation=40, crop=OFFICIAL)
    clip = augment(walk(), np.random.default_rng(seed))
    plain = crop_person(walk(), (64, 64), OFFICIAL)
    moves = [
        a.to_original.then(b.to_original.inverse()).matrix
        for a, b in zip(clip.frames, plain.frames, strict=True)
    ]
    for move in moves[1:]:
        np.testing.assert_allclose(move, moves[0], atol=1e-9)
    assert np.abs(moves[0] - np.eye(2, 3)).max() > 0.05


def test_people_of_clips_one_by_one() -> None:
    frames = SyntheticClips(ClipConfig(size=96, frames=6, people=(3, 3)), 2, 0, POSETRACK18)
    people, clips = PersonClips(frames, 3), VideoClips(frames, 3)
    assert len(people) == 2 * 2 * 3
    for index, (number, track) in enumerate(people.people):
        clip, whole = people[index], clips[number]
        for one, all_people in zip(clip.frames, whole.frames, strict=True):
            assert one.tracks is not None and one.tracks.tolist() == [track]
            assert all_people.tracks is not None
            row = all_people.tracks.tolist().index(track) if track in all_people.tracks else None
            if row is not None:
                assert (one.keypoints[0] == all_people.keypoints[row]).all()
    augment = Augment(POSETRACK18, (48, 32), crop=CropRule())
    batch = next(iter(make_loader(people, 2, augment=augment)))
    assert batch.images.shape == (6, 3, 48, 32) and batch.frames == 3


def test_a_person_who_is_hidden_throughout_has_a_row_without_labels() -> None:
    frames = SyntheticClips(ClipConfig(size=64, frames=2), 1, 0, POSETRACK18)
    people = PersonClips(frames, 2)
    people.people.append((0, 9))
    clip = people[1]
    assert not clip.labeled.any() and len(clip.labeled) == 1
    assert crop_person(clip, (32, 32)).size == (32, 32)


def test_people_of_images_one_by_one() -> None:
    scenes = SyntheticScenes(SceneConfig(size=64, people=(2, 3)), 3, 0, COCO)
    people = PersonImages(scenes)
    counts = [len(scenes[n].keypoints) for n in range(3)]
    assert len(people) == sum(counts)
    last = people[len(people) - 1]
    assert (last.keypoints[0] == scenes[2].keypoints[-1]).all() and len(last.keypoints) == 1
    assert crop_person(last, (64, 48)).size == (64, 48)


@quick
@given(generators, st.booleans())
def test_a_region_follows_the_person(rng: np.random.Generator, per_frame: bool) -> None:
    """It is that of a frame before until the center or the longer side has changed too much."""
    rule, region = CropRule(per_frame=per_frame), np.array([10.0, 20, 50, 120])
    center = np.array([30.0, 70]) + rng.uniform(-15, 15, 2)
    half = np.array([20.0, 50]) * rng.uniform(0.7, 1.4)
    box = np.concatenate([center - half, center + half])
    near = np.abs(center - [30, 70]).max() <= 10 and 0.8 <= half[1] / 50 <= 1.25
    assert rule.follow(region, box).tolist() == (region if near and not per_frame else box).tolist()
    unknown = np.array([0.0, 0, 0, 0])
    assert rule.follow(region, unknown).tolist() == region.tolist()


def test_a_person_who_walks_is_followed_in_steps() -> None:
    rule, box = CropRule(), np.array([0.0, 0, 40, 100])
    region, kept = box, []
    for t in range(31):
        region = rule.follow(region, box + np.array([t, 0, t, 0]))
        kept.append(region[0])
    assert kept == [0] * 11 + [11] * 11 + [22] * 9

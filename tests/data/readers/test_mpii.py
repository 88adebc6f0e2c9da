"""MPII in images, single people and groups, and the crops of its evaluations."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poselib.data.readers.mpii import MpiiImages
from poselib.structures import Sample
from tests.data.factories.images import images
from tests.data.factories.mat import NOTHING
from tests.data.factories.mpii import (
    Fields,
    entry,
    image,
    person,
    unlabeled,
    write_entries,
    write_groups,
    write_release,
)

NAMES = ("a.jpg", "b.jpg", "c.jpg", "t.jpg")
SIZE = (100, 200)


def content() -> tuple[Fields, ...]:
    """Images of two groups and a single person, of no people, of one person, and for testing."""
    no_joints = person(150, 20, annopoints=NOTHING)
    return (
        image(
            "a.jpg",
            *(person(10, 10, 0.2), person(30, 12, 0.4), no_joints, person(60, 40, 0.1)),
            person(100, 40),
            single=[5],
            groups=[[1, 2], [3, 4], [5]],
        ),
        image("b.jpg"),
        image("c.jpg", person(20, 20), single=[1], groups=[[1]]),
        image("t.jpg", unlabeled(40, 50), unlabeled(80, 30), train=0, groups=[[1, 2]]),
    )


def opened(folder: Path, unit: Any = "image", split: Any = "train", **options: Any) -> MpiiImages:
    shown = content()
    options.setdefault("groups", write_groups(folder, *shown))
    where = images(folder / "images", NAMES, SIZE)
    return MpiiImages.from_mat(write_release(folder, *shown), where, split, unit, **options)


def test_unit_image(tmp_path: Path) -> None:
    dataset = opened(tmp_path)
    # The second image has no labeled people.
    assert dataset.image_ids == (1, 3) and [len(sample.keypoints) for sample in dataset] == [4, 1]
    sample = dataset[0]
    assert sample.size == SIZE and sample.keypoints[1, 0].tolist() == [29.5, 11.5, 2]
    # The third person, of (157, 35) and 40 px, without joints.
    expected = np.zeros(SIZE, bool)
    expected[14:54, 136:176] = True
    assert (
        abs(sample.ignore_mask.astype(int) - expected).sum() <= 80
        and sample.ignore_mask.sum() == 1600
    )
    # Joints span 15 x 30 px.
    assert sample.areas == pytest.approx([0.53 * 15 * 30] * 4)


def test_unit_person(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "person")
    assert [dataset.image_path(i).name for i in range(2)] == ["a.jpg", "c.jpg"]
    assert dataset.image_ids == (1, 2) and len(dataset[0].keypoints) == 1
    assert dataset[0].keypoints[0, 0].tolist() == [99.5, 39.5, 2]
    assert not dataset[0].ignore_mask.any()


def test_unit_group(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "group")
    assert len(dataset) == 2 and dataset.image_ids == (1, 2)
    assert dataset.table.file_names == ("a.jpg", "a.jpg")
    assert [len(sample.keypoints) for sample in dataset] == [2, 1]
    assert dataset[0].keypoints[:, 0, 0].tolist() == [9.5, 29.5]
    # Persons 4 and 5, of 15 x 30 px each from (59.5, 39.5) and (99.5, 39.5).
    assert dataset[0].ignore_mask.sum() == 900
    assert (
        dataset[0].ignore_mask[40:69, 60:74].all() and dataset[0].ignore_mask[40:69, 100:114].all()
    )
    # Person 3 has no joints and is of the second group; persons 1, 2 and 5 are outside it.
    assert dataset[1].ignore_mask[20:50, 140:170].all()
    assert dataset[1].ignore_mask[11:39, 10:24].all() and dataset[1].ignore_mask[13:41, 30:44].all()
    assert not dataset[1].ignore_mask[44:, 60:74].any()


def test_head_sizes(tmp_path: Path) -> None:
    for unit, counts in (("image", [4, 1]), ("person", [1, 1]), ("group", [2, 1])):
        dataset = opened(tmp_path, unit)
        sizes = [dataset.head_sizes(i) for i in range(len(dataset))]
        assert [len(s) for s in sizes] == [len(s.keypoints) for s in dataset] == counts
        assert np.concatenate(sizes) == pytest.approx(3) and sizes[0].dtype == np.float32
    sizes[0][:] = 0
    assert dataset.head_sizes(0).all()


def test_images_for_testing_have_crops_without_labels(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "group", "test")
    assert len(dataset) == 1 and dataset[0].keypoints.shape == (0, 16, 3)
    assert dataset.head_sizes(0).shape == (0,)
    assert len(dataset.annotations()) == 0 and dataset.sizes()[0][1] == 200
    assert (dataset.box(0) == np.array([[39.5 - 30, 29.5 - 30], [79.5 + 30, 49.5 + 30]])).all()
    assert len(opened(tmp_path, "image", "test")[0].keypoints) == 0


def test_box_of_a_group(tmp_path: Path) -> None:
    # Centers (16.5, 24.5) and (36.5, 26.5), heights 40 and 80 px: 0.75 * 60 px around.
    box = opened(tmp_path, "group").box(0)
    assert box == pytest.approx(np.array([[16.5 - 45, 24.5 - 45], [36.5 + 45, 26.5 + 45]]))


def test_crop_of_a_group(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "group")
    warp, (low, high) = dataset.crop_transform(0, 384), dataset.box(0)
    # 110 x 92 px: the width fills the square, the height is padded above and below.
    scale = 384 / 110
    assert warp.scale == pytest.approx(scale)
    assert warp(low) == pytest.approx([0, 9 * scale]) and warp(high) == pytest.approx(
        [384, 384 - 9 * scale]
    )


def test_crop_of_a_person(tmp_path: Path) -> None:
    # Center (106.5, 54.5), height 40 px: 50 px wide, its middle 3 px lower.
    warp = opened(tmp_path, "person").crop_transform(0, 256)
    assert warp([106.5, 57.5]) == pytest.approx([128, 128])
    assert warp.scale == pytest.approx(256 / 50)


def test_crops_map_back_to_the_image(tmp_path: Path) -> None:
    plain, cropped = opened(tmp_path, "group"), opened(tmp_path, "group", crop_size=64)
    for whole, part in zip(plain, cropped, strict=True):
        assert part.size == (64, 64) and len(part.keypoints) == len(whole.keypoints)
        kept = part.keypoints[..., 2] > 0
        assert kept.any()
        back = part.to_original(part.keypoints[..., :2])
        assert back[kept] == pytest.approx(whole.keypoints[..., :2][kept], abs=1e-3)
    one, other = cropped.annotations(), plain.annotations()
    np.testing.assert_array_equal(one.keypoints, other.keypoints)
    np.testing.assert_array_equal(one.areas, other.areas)
    assert cropped.head_sizes(0).tolist() == plain.head_sizes(0).tolist()


def test_crops_are_black_outside_the_box(tmp_path: Path) -> None:
    """The image is wide enough to show more, but only the group's place is given."""
    shown = image("a.jpg", person(90, 10, 0.1), person(90, 60, 0.1), groups=[[1, 2]])
    where = images(tmp_path / "images", ["a.jpg"], (100, 400))
    dataset = MpiiImages.from_mat(
        *(write_release(tmp_path, shown), where, "train", "group"),
        groups=write_groups(tmp_path, shown),
        crop_size=160,
    )
    # 30 x 80 px, twice as large: 60 px wide in the middle of 160.
    assert dataset.box(0).tolist() == [[81.5, 9.5], [111.5, 89.5]]
    bright = dataset[0].image[0] > 40
    assert bright[:, 50:110].all() and bright.sum() == 160 * 60


def test_unknown_center_or_scale(tmp_path: Path) -> None:
    lost = person(30, 30, objpos=NOTHING, scale=NOTHING)
    shown = image("a.jpg", person(20, 20), lost, lost, groups=[[1, 2], [3]])
    where = images(tmp_path / "images", ["a.jpg"])
    dataset = MpiiImages.from_mat(
        *(write_release(tmp_path, shown), where, "train", "group"),
        groups=write_groups(tmp_path, shown),
    )
    # What is known of the others is enough.
    assert dataset.box(0) == pytest.approx(np.array([[-3.5, 4.5], [56.5, 64.5]]))
    with pytest.raises(ValueError, match=r"a\.jpg: group 2 has no objpos or no scale"):
        dataset.crop_transform(1, 384)
    with pytest.raises(ValueError, match="unit 'image' is the whole image"):
        opened(tmp_path).crop_transform(0, 384)


def test_chosen_file_names(tmp_path: Path) -> None:
    assert opened(tmp_path, "person", file_names={"c.jpg", "t.jpg"}).table.file_names == ("c.jpg",)


def test_unpublished_images_are_left_out(tmp_path: Path) -> None:
    shown = image("a.jpg", person(5, 5)), image("040348287.jpg", person(5, 5))
    path, where = write_release(tmp_path, *shown), images(tmp_path / "images", ["a.jpg"])
    assert len(MpiiImages.from_mat(path, where, "train")) == 1
    images(where, ["040348287.jpg"])
    assert len(MpiiImages.from_mat(path, where, "train")) == 2
    (where / "a.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 2 images: a\.jpg"):
        MpiiImages.from_mat(path, where, "train")


def test_pickle(tmp_path: Path) -> None:
    dataset = opened(tmp_path, "group", crop_size=32)
    copy = pickle.loads(pickle.dumps(dataset))
    assert (copy[0].image == dataset[0].image).all()
    assert copy.head_sizes(0).tolist() == dataset.head_sizes(0).tolist()


def test_image_ids(tmp_path: Path) -> None:
    """A group's people keep the group's order, so that results can be written in MPII's form."""
    shown = image("a.jpg", *(person(20 * n, 9) for n in (1, 2, 3)), groups=[[3, 1]])
    dataset = MpiiImages.from_mat(
        *(write_release(tmp_path, shown), images(tmp_path / "i", ["a.jpg"]), "train", "group"),
        groups=write_groups(tmp_path, shown),
    )
    assert dataset[0].keypoints[:, 0, 0].tolist() == [59.5, 19.5]


# JSON


def from_json(folder: Path, entries: list[Any], *options: Any, **named: Any) -> MpiiImages:
    return MpiiImages.from_json(
        write_entries(folder, entries), images(folder / "images", NAMES, SIZE), *options, **named
    )


def test_json_entries_by_image_or_person(tmp_path: Path) -> None:
    entries = [entry("a.jpg", 10), entry("b.jpg", 20), entry("a.jpg", 40)]
    whole, single = from_json(tmp_path, entries), from_json(tmp_path, entries, "person")
    assert [len(sample.keypoints) for sample in whole] == [2, 1] and whole.image_ids == (1, 2)
    assert whole[0].keypoints[:, 0, 0].tolist() == [9.5, 39.5]
    assert [len(sample.keypoints) for sample in single] == [1, 1, 1]
    assert single.image_ids == (1, 2, 3) and single[2].keypoints[0, 0, 0] == 39.5
    assert single.crop_transform(0, 100)([16.5, 34.5 + 3]) == pytest.approx([50, 50])
    assert whole.head_sizes(0) == pytest.approx([0.75 * np.hypot(1, 2)] * 2)


def test_json_and_mat_agree(tmp_path: Path) -> None:
    original = opened(tmp_path, "person")
    written = [entry("a.jpg", 100, 40), entry("c.jpg", 20, 20)]
    for a, b in zip(original, from_json(tmp_path, written, "person"), strict=True):
        labeled = b.keypoints[..., 2] > 0
        assert labeled.sum() == 15 and (a.keypoints[labeled] == b.keypoints[labeled]).all()


def test_json_for_testing_has_crops_without_labels(tmp_path: Path) -> None:
    entries = [entry("t.jpg", joints=None, joints_vis=None)]
    dataset = from_json(tmp_path, entries, "person", crop_size=64)
    assert dataset[0].size == (64, 64) and len(dataset[0].keypoints) == 0


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "people"}, "unknown unit 'people'; known: image, person, group"),
        ({"split": "val"}, "unknown split 'val'; known: train, test"),
        ({"unit": "group", "groups": None}, "unit 'group' needs groups, the file groups_v12.mat"),
        ({"crop_size": 64}, "crop_size 64 with unit 'image': crop a person or a group"),
        ({"unit": "person", "crop_size": 0}, "crop_size 0 with unit 'person'"),
        ({"unit": "person", "split": "test"}, r"u12_1\.mat: empty dataset: it has no sample of"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, **options)


def test_json_has_no_groups(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train\.json: has no groups"):
        from_json(tmp_path, [entry()], "group")
    with pytest.raises(ValueError, match="empty dataset"):
        from_json(tmp_path, [])


# Real annotations


def within(sample: Sample) -> bool:
    labeled = sample.keypoints[..., 2] > 0
    limits = np.array(sample.size[::-1])
    return bool(
        ((sample.keypoints[..., :2] >= 0) & (sample.keypoints[..., :2] < limits))[labeled].all()
    )


@pytest.mark.samples
@pytest.mark.parametrize("unit", ["image", "person"])
def test_real_samples(unit: Any, samples_dir: Path) -> None:
    folder = samples_dir / "mpii"
    dataset = MpiiImages.from_json(folder / "test_mpii.json", folder, unit)
    samples = list(dataset)
    assert [len(sample.keypoints) for sample in samples] == [1] * 5
    assert [int((s.keypoints[..., 2] > 0).sum()) for s in samples] == [16, 16, 14, 14, 16]
    assert all(within(sample) and sample.image.std() > 20 for sample in samples)
    # The first person's right ankle, (804, 711) in the file.
    assert samples[0].keypoints[0, 0].tolist() == [803.5, 710.5, 2]
    rows = json.loads((folder / "test_mpii.json").read_bytes())
    for i, row in enumerate(rows):
        neck, top = np.array(row["joints"])[[8, 9]]
        assert dataset.head_sizes(i) == pytest.approx([0.75 * np.linalg.norm(neck - top)], rel=1e-5)


@pytest.mark.samples
def test_real_crops(samples_dir: Path) -> None:
    folder = samples_dir / "mpii"
    dataset = MpiiImages.from_json(folder / "test_mpii.json", folder, "person", crop_size=256)
    for sample in dataset:
        xy = sample.keypoints[0][sample.keypoints[0, :, 2] > 0, :2]
        assert len(xy) >= 14, "a labeled joint was cut off"
        assert np.ptp(xy[:, 1]) > 0.5 * 256 and sample.image.std() > 20

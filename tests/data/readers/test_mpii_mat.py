"""Parsing MPII's own files, with everything that may be empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat

from poselib.data.readers.mpii_annotations import read_mpii_mat
from poselib.data.readers.mpii_samples import MpiiImage
from poselib.skeletons import MPII
from tests.data.factories.mat import NOTHING, cell, save, struct
from tests.data.factories.mpii import (
    Fields,
    image,
    person,
    point,
    points,
    release,
    unlabeled,
    write_groups,
    write_release,
)


def only(folder: Path, *people: Fields, **fields: Any) -> MpiiImage:
    (found,) = read_mpii_mat(write_release(folder, image("a.jpg", *people, **fields)))
    return found


def test_written_file_has_the_published_structure(tmp_path: Path) -> None:
    """What others' readers of the real file take: the same fields at the same depth."""
    path = write_release(tmp_path, image("a.jpg", person(5, 6), person(9, 9)), image("b.jpg"))
    content = loadmat(path, squeeze_me=True, struct_as_record=False)["RELEASE"]
    first, second = content.annolist
    assert first.image.name == "a.jpg" and len(first.annorect) == 2
    assert first.annorect[0].annopoints.point[0].id == 6
    assert first.annorect[0].objpos.x == 12 and first.annorect[0].x2 == 8
    assert second.annorect.size == 0 and content.img_train.tolist() == [1, 1]


def test_joints_by_id(tmp_path: Path) -> None:
    found = only(tmp_path, person(100, 50))
    assert found.keypoints.shape == (1, 16, 3) and found.keypoints.dtype == np.float32
    k = np.arange(16)
    assert (found.keypoints[0, :, 0] == 99.5 + k).all()
    assert (found.keypoints[0, :, 1] == 49.5 + 2 * k).all()
    assert (found.keypoints[0, :, 2] == 2).all()
    assert found.centers.tolist() == [[106.5, 64.5]] and found.scales.tolist() == [0.2]
    assert found.head_boxes.tolist() == [[99.5, 49.5, 102.5, 53.5]]
    assert found.head_sizes() == pytest.approx([0.6 * 5])
    assert (found.number, found.file_name, found.train) == (1, "a.jpg", True)


@pytest.mark.parametrize(
    ("written", "expected"),
    [(np.uint8(1), 2), (np.uint8(0), 1), ("1", 2), ("0", 1), (NOTHING, 2), ("", 2), (True, 2)],
)
def test_visibility(written: Any, expected: int, tmp_path: Path) -> None:
    joints = [point(3, 10, 20, is_visible=written), point(4, 11, 21)]
    found = only(tmp_path, person(1, 1, annopoints=struct({"point": struct(*joints)})))
    assert found.keypoints[0, 3].tolist() == [9.5, 19.5, expected]
    assert (found.keypoints[0, :, 2] > 0).sum() == 2


def test_point_without_visibility(tmp_path: Path) -> None:
    joint = {key: value for key, value in point(9, 10, 20).items() if key != "is_visible"}
    found = only(tmp_path, person(1, 1, annopoints=struct({"point": struct(joint)})))
    assert found.keypoints[0, 9].tolist() == [9.5, 19.5, 2]
    assert found.labeled.tolist() == [True] and (found.keypoints[0, :, 2] > 0).sum() == 1


@pytest.mark.parametrize("points", [NOTHING, "", struct({"point": NOTHING}), struct({"id": 1})])
def test_people_without_joints(points: Any, tmp_path: Path) -> None:
    found = only(tmp_path, person(30, 30), person(100, 50, annopoints=points))
    assert found.labeled.tolist() == [True, False] and not found.keypoints[1].any()
    assert found.centers[1].tolist() == [106.5, 64.5]
    # A square of the height, 0.2 * 200 px, around the center.
    assert found.boxes()[1].tolist() == [86.5, 44.5, 126.5, 84.5]


def test_people_with_a_head_box_or_nothing(tmp_path: Path) -> None:
    head = {
        name: np.uint16(v) for name, v in zip(("x1", "y1", "x2", "y2"), (3, 4, 9, 12), strict=True)
    }
    found = only(tmp_path, person(30, 30), head, {"scale": NOTHING, "objpos": NOTHING})
    assert np.isnan(found.centers[1:]).all() and np.isnan(found.scales[1:]).all()
    assert found.boxes()[1].tolist() == [2.5, 3.5, 8.5, 11.5] and np.isnan(found.boxes()[2]).all()
    assert found.head_sizes()[1] == pytest.approx(6) and np.isnan(found.head_sizes()[2])


def test_head_size_from_joints(tmp_path: Path) -> None:
    """MPII places neck and head top 0.8 of the head box's diagonal apart."""
    found = only(tmp_path, person(30, 30, x1=NOTHING))
    assert (MPII.index("upper_neck"), MPII.index("head_top")) == (8, 9)
    assert found.head_sizes() == pytest.approx([0.75 * np.hypot(1, 2)])
    joints = [p for p in points(30, 30) if p["id"] != 9]
    unknown = person(30, 30, x1=NOTHING, annopoints=struct({"point": struct(*joints)}))
    assert np.isnan(only(tmp_path, unknown).head_sizes()).all()


@pytest.mark.parametrize("annorect", [NOTHING, np.zeros((1, 0)), "", struct({"x1": NOTHING})])
def test_images_without_people(annorect: Any, tmp_path: Path) -> None:
    content = release(image("a.jpg", person(5, 5)), image("b.jpg"))
    content["annolist"][0, 1]["annorect"] = annorect
    first, second = read_mpii_mat(save(tmp_path / "a.mat", RELEASE=struct(content)))
    assert len(first) == 1 and not second.labeled.any()
    assert second.keypoints.shape[1:] == (16, 3) and second.boxes().shape[1:] == (4,)


def test_images_for_testing_have_centers_and_scales_only(tmp_path: Path) -> None:
    found = only(tmp_path, unlabeled(50, 60, 1.5), unlabeled(70, 60, 2.5), train=0, single=[2])
    assert not found.train and not found.labeled.any() and found.single == (1,)
    assert found.centers.tolist() == [[49.5, 59.5], [69.5, 59.5]]
    assert found.scales.tolist() == [1.5, 2.5] and np.isnan(found.head_sizes()).all()


def test_groups(tmp_path: Path) -> None:
    crowd = [person(10 * n, 5) for n in range(1, 6)]
    images = (
        image("a.jpg", *crowd, single=[5], groups=[[1, 2], [4, 3], [5]]),
        image("b.jpg"),
        image("c.jpg", crowd[0], groups=[[1]]),
    )
    found = read_mpii_mat(write_release(tmp_path, *images), write_groups(tmp_path, *images))
    assert [i.groups for i in found] == [((0, 1), (3, 2), (4,)), (), ((0,),)]
    assert [i.multi_person_groups for i in found] == [((0, 1), (3, 2)), (), ((0,),)]
    assert found[0].single == (4,)


@pytest.mark.parametrize(
    ("single", "groups", "kept"),
    [
        ([], [[1, 2, 3]], ((0, 1, 2),)),
        ([1], [[1, 2, 3]], ()),
        ([3], [[1, 2], [3]], ((0, 1),)),
        ([1, 2, 3], [[1], [2], [3]], ()),
        ([], [[], [2]], ((1,),)),
    ],
)
def test_groups_with_single_people_are_left_out(
    single: list[int], groups: list[list[int]], kept: tuple, tmp_path: Path
) -> None:
    shown = image("a.jpg", *(person(9 * n, 5) for n in (1, 2, 3)), single=single, groups=groups)
    (found,) = read_mpii_mat(write_release(tmp_path, shown), write_groups(tmp_path, shown))
    assert found.multi_person_groups == kept


def test_parsed_values_equal_the_written_ones(tmp_path: Path) -> None:
    """Round trip: everything of a random image, written as MPII does, comes back."""
    rng = np.random.default_rng(3)
    for _ in range(5):
        people = rng.integers(1, 500, (4, 16, 2))
        flags = rng.integers(0, 3, (4, 16))
        rows = [
            person(
                *(1, 1, float(scale)),
                annopoints=struct({"point": _point_array(xy, flag)}) if flag.any() else NOTHING,
                objpos=struct({"x": float(scale * 3), "y": float(scale * 5)}),
            )
            for xy, flag, scale in zip(people, flags, rng.uniform(0.5, 9, 4), strict=True)
        ]
        found = only(tmp_path, *rows)
        assert (found.keypoints[..., 2] == flags).all()
        expected = np.where(flags[..., None] > 0, people - 0.5, 0)
        assert (found.keypoints[..., :2] == expected).all()
        assert (found.centers + 0.5)[:, 0] / 3 == pytest.approx(found.scales)


def _point_array(xy: np.ndarray, flags: np.ndarray) -> np.ndarray:
    visible = {1: "0", 2: np.uint8(1)}
    return struct(
        *(
            {"id": np.uint8(k), "x": xy[k, 0], "y": xy[k, 1], "is_visible": visible[int(flags[k])]}
            for k in np.flatnonzero(flags)
        )
    )


# Bad input


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": 16}, r"annorect\(1\)\.annopoints\.point\(2\): id: expected 0 to 15, found 16"),
        ({"id": NOTHING}, "id: expected 0 to 15, found nan"),
        ({"id": 1.5}, "id: expected 0 to 15, found 1.5"),
        ({"x": NOTHING}, r"point\(2\): expected finite x and y, found nan and 20"),
        ({"y": np.inf}, "y: expected a finite number, found inf"),
        ({"is_visible": 2}, "is_visible: expected 0 or 1, found 2"),
        ({"is_visible": "yes"}, "is_visible: expected a number, found"),
    ],
)
def test_bad_joints(fields: Fields, message: str, tmp_path: Path) -> None:
    joints = struct(point(1, 5, 5), point(2, 10, 20) | fields)
    with pytest.raises(ValueError, match=rf"u12_1\.mat: RELEASE\.annolist\(1\)\..*{message}"):
        only(tmp_path, person(1, 1, annopoints=struct({"point": joints})))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": 0}, r"annorect\(1\): scale: expected a positive number, found 0"),
        ({"x1": "left"}, "x1: expected a number, found"),
        ({"objpos": struct({"x": "?", "y": 4})}, "objpos: x: expected a number, found"),
    ],
)
def test_bad_people(fields: Fields, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        only(tmp_path, person(1, 1, **fields))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annolist": NOTHING}, r"RELEASE\.annolist: expected a structure array, found none"),
        ({"img_train": np.ones((1, 2))}, r"RELEASE\.img_train: expected 0 or 1 for 1 images"),
        ({"img_train": NOTHING}, "img_train: expected 0 or 1 for 1 images"),
        ({"img_train": np.array([[2]])}, "img_train: expected 0 or 1 for 1 images"),
        (
            {"single_person": NOTHING},
            "single_person: expected a cell for each of 1 images, found 0",
        ),
        (
            {"single_person": cell([np.array([2])])},
            r"annolist\(1\): single_person: expected whole numbers from 1 to 1, found \[\[2\]\]",
        ),
        ({"annolist": struct({"image": NOTHING})}, r"annolist\(1\)\.image: expected one structure"),
        (
            {"annolist": struct({"image": struct({"name": 7})})},
            r"annolist\(1\)\.image: name: expected text, found",
        ),
    ],
)
def test_bad_release(change: Fields, message: str, tmp_path: Path) -> None:
    path = save(tmp_path / "m.mat", RELEASE=struct(release(image("a.jpg", person(5, 5))) | change))
    with pytest.raises(ValueError, match=rf"m\.mat: .*{message}"):
        read_mpii_mat(path)


def test_bad_files(tmp_path: Path) -> None:
    shown = image("a.jpg", person(5, 5), groups=[[2]])
    path, groups = write_release(tmp_path, shown), write_groups(tmp_path, shown)
    with pytest.raises(ValueError, match=r"groups\{1\}\{1\}: expected whole numbers from 1 to 1"):
        read_mpii_mat(path, groups)
    with pytest.raises(ValueError, match="groups: expected a cell for each of 1 images, found 2"):
        read_mpii_mat(path, write_groups(tmp_path, shown, shown))
    with pytest.raises(ValueError, match="RELEASE: expected one structure, found 0"):
        read_mpii_mat(save(tmp_path / "b.mat", RELEASE=np.eye(2)))
    with pytest.raises(FileNotFoundError, match=r"groups_v11\.mat does not exist"):
        read_mpii_mat(path, tmp_path / "groups_v11.mat")

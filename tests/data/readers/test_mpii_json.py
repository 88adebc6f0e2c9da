"""Parsing MPII's annotations as JSON."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poselib.data.readers.mpii_annotations import read_mpii_json
from tests.data.factories.mat import save
from tests.data.factories.mpii import Fields, entry, write_entries


def test_json_entry(tmp_path: Path) -> None:
    first, second = read_mpii_json(write_entries(tmp_path, [entry(), entry("b.jpg", 30)]))
    assert (first.number, second.number, second.file_name) == (1, 2, "b.jpg")
    keypoints = first.keypoints
    assert keypoints.shape == (1, 16, 3) and keypoints.dtype == np.float32
    assert keypoints[0, 4].tolist() == [13.5, 27.5, 2] and keypoints[0, 5].tolist() == [0, 0, 0]
    assert second.centers.tolist() == [[36.5, 34.5]] and second.scales.tolist() == [0.2]
    assert first.single == (0,) and first.groups == ()


def test_json_head_sizes(tmp_path: Path) -> None:
    path = write_entries(tmp_path, [entry(), entry("b.jpg")])
    assert read_mpii_json(path)[0].head_sizes() == pytest.approx([0.75 * np.hypot(1, 2)])
    # (corner, axis, person): (5, 6) to (8, 10) and (1, 2) to (7, 10).
    boxes = np.array([[[5, 1], [6, 2]], [[8, 7], [10, 10]]], np.float64)
    truth = save(tmp_path / "gt_valid.mat", headboxes_src=boxes, jnt_missing=np.zeros((16, 2)))
    first, second = read_mpii_json(path, truth)
    assert first.head_boxes.tolist() == [[4.5, 5.5, 7.5, 9.5]]
    assert [float(i.head_sizes()[0]) for i in (first, second)] == pytest.approx([3, 6])
    with pytest.raises(ValueError, match="headboxes_src: expected 2 x 2 x 1 numbers, one box an"):
        read_mpii_json(write_entries(tmp_path, [entry()]), truth)


def test_json_entries_for_testing(tmp_path: Path) -> None:
    known = entry(joints=None, joints_vis=None)
    unknown = entry("b.jpg", center=[-1, -1], scale=-1, joints=None, joints_vis=None)
    first, second = read_mpii_json(write_entries(tmp_path, [known, unknown]))
    assert not first.labeled.any() and not second.labeled.any()
    assert first.scales.tolist() == [0.2] and np.isnan(second.scales).all()
    assert np.isnan(second.centers).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image": None}, "entry 1: image: expected text, found None"),
        ({"image": 3}, "entry 1: image: expected text, found 3"),
        ({"scale": 0}, "scale: expected a positive number, found 0"),
        ({"scale": "1"}, "scale: expected a finite number, found '1'"),
        ({"scale": float("nan")}, "scale: expected a finite number, found nan"),
        ({"scale": float("inf")}, "scale: expected a finite number, found inf"),
        ({"center": [1]}, "center: expected 2 numbers, found 1"),
        ({"center": None}, "center: expected 2 numbers, found None"),
        ({"center": ["a", 2]}, "center: expected finite numbers, found 'a' at position 0"),
        ({"joints": [[1, 2]]}, "joints: expected 16 x 2 numbers, found"),
        ({"joints": [[1, 2]] * 15 + [[1]]}, "joint 15: joints: expected 2 numbers, found 1"),
        ({"joints": [[1, 2]] * 15 + [[1, 1e300]]}, "joint 15: joints: expected finite numbers"),
        ({"center": [10**400, 1]}, "center: expected finite numbers, found"),
        ({"joints": None}, "joints: expected 16 x 2 numbers, found None"),
        ({"joints_vis": [1] * 15}, "joints_vis: expected 16 numbers"),
        ({"joints_vis": [2] * 16}, "joints_vis: expected 0 or 1, found"),
        ({"joints_vis": None}, "joints_vis: expected 16 numbers, found None"),
    ],
)
def test_bad_entries(fields: Fields, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"train\.json: .*{message}"):
        read_mpii_json(write_entries(tmp_path, [entry() | fields]))


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.json does not exist"):
        read_mpii_json(tmp_path / "no.json")
    with pytest.raises(ValueError, match="not JSON"):
        read_mpii_json(write_entries(tmp_path, "[{"))
    for content in ({"images": []}, "7"):
        with pytest.raises(ValueError, match=r"train\.json: expected a list of objects, found"):
            read_mpii_json(write_entries(tmp_path, content))
    with pytest.raises(ValueError, match=r"train\.json\[1\]: expected an object, found int"):
        read_mpii_json(write_entries(tmp_path, [entry(), 1]))

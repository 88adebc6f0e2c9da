"""OCHuman's own file, written here as its toolkit reads it, and its sample in COCO's format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poselib.data.readers import ochuman
from poselib.data.readers.coco import CocoKeypoints
from poselib.data.readers.ochuman import OcHumanKeypoints
from poselib.skeletons import COCO, OCHUMAN
from tests.data.factories.ochuman import (
    FILE_NAMES,
    SEGMENT,
    Content,
    content,
    points,
    write,
)


def test_keypoints_and_areas(tmp_path: Path) -> None:
    dataset = OcHumanKeypoints(write(tmp_path, content()), tmp_path)
    assert dataset.skeleton is OCHUMAN and len(dataset) == 3
    assert dataset.table.sizes == ((40, 60),) * 3
    sample = dataset[0]
    # Keypoints are found by their names; 1 is visible and 3, hidden by others, is hidden.
    assert sample.keypoints[0, :3].tolist() == [[1.5, 0.5, 2], [2.5, 1.5, 2], [3.5, 2.5, 2]]
    assert sample.keypoints[1, 16].tolist() == [46.5, 16.5, 1]
    assert sample.areas.tolist() == [600, 600]
    # Hidden by the person's own body counts as visible, as in the dataset's conversion to COCO.
    assert (dataset[2].keypoints[0, :, 2] == 2).all()


def test_missing_keypoints_are_not_labeled(tmp_path: Path) -> None:
    data = content()
    data["images"][0]["annotations"][0]["keypoints"] = points(1, mark=0)
    sample = OcHumanKeypoints(write(tmp_path, data), tmp_path)[0]
    assert len(sample.keypoints) == 1 and sample.keypoints[0, 0, 0] == 30.5
    assert sample.ignore_mask[0:30, 1:21].all() and sample.ignore_mask.sum() == 600


def test_people_with_a_box_only_are_ignored(tmp_path: Path) -> None:
    dataset = OcHumanKeypoints(write(tmp_path, content()), tmp_path)
    assert len(dataset[1].keypoints) == 0 and dataset[1].ignore_mask.sum() == 600
    assert dataset[2].ignore_mask[0:30, 40:60].all() and len(dataset[2].keypoints) == 1


def test_subsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, content())
    names = [f"{n:06d}.jpg" for n in (4, 7, 9)]
    assert [*OcHumanKeypoints(path, tmp_path).table.file_names] == names
    # Of the two images with a complete person, the first 2500 are for validation.
    assert ochuman._VALIDATION_IMAGES == 2500
    assert [*OcHumanKeypoints(path, tmp_path, "val").table.file_names] == [names[0], names[2]]
    monkeypatch.setattr(ochuman, "_VALIDATION_IMAGES", 1)
    assert [*OcHumanKeypoints(path, tmp_path, "val").table.file_names] == names[:1]
    assert [*OcHumanKeypoints(path, tmp_path, "test").table.file_names] == names[2:]
    with pytest.raises(ValueError, match=r"subset must be one of .*'val'.*not 'train'"):
        OcHumanKeypoints(path, tmp_path, "train")  # type: ignore[arg-type]


def test_images_without_people_can_be_left_out(tmp_path: Path) -> None:
    dataset = OcHumanKeypoints(write(tmp_path, content()), tmp_path, keep_empty=False)
    assert dataset.image_ids == (1, 3)


Change = Callable[[Content], object]


def in_person(field: str, value: object) -> Change:
    return lambda data: data["images"][0]["annotations"][1].__setitem__(field, value)


def in_names(value: object) -> Change:
    return lambda data: data["keypoint_names"].__setitem__(FILE_NAMES.index("nose"), value)


BAD: list[tuple[Change, str]] = [
    (lambda d: d.pop("keypoint_names"), "keypoint_names: expected COCO's among others"),
    (lambda d: d["keypoint_names"].remove("nose"), "keypoint_names: expected COCO's among others"),
    (in_names(["nose"]), "keypoint_names: expected COCO's among others"),
    (lambda d: d.pop("images"), "images: expected a list of objects"),
    (lambda d: d["images"][0].pop("file_name"), "file_name: expected text"),
    (lambda d: d["images"][0].pop("annotations"), "000004.jpg: annotations: expected a list"),
    (lambda d: d["images"][0].pop("height"), "000004.jpg: height: expected a whole number"),
    (in_person("bbox", None), r"annotations\[1\]: bbox: expected 4 numbers"),
    (in_person("keypoints", [1, 2]), r"annotations\[1\]: keypoints: expected 57 numbers, found 2"),
    (in_person("keypoints", points(0, 4)), r"annotations\[1\]: keypoints: visibility must be 0"),
]


@pytest.mark.parametrize(("change", "words"), BAD, ids=[words[-28:] for _, words in BAD])
def test_bad_files_are_refused_by_name(change: Change, words: str, tmp_path: Path) -> None:
    data = json.loads(json.dumps(content()))
    change(data)
    with pytest.raises(ValueError, match=rf"ochuman\.json: .*{words}"):
        OcHumanKeypoints(write(tmp_path, data), tmp_path)


@pytest.mark.samples
def test_both_formats_agree(samples_dir: Path, tmp_path: Path) -> None:
    """The sample is a converted file; undoing the conversion must not change the people."""
    folder = samples_dir / "ochuman"
    converted = json.loads((folder / "test_ochuman.json").read_text())
    own = np.array([0, 3, 1])  # not labeled, hidden, visible
    entries = []
    for entry in converted["images"]:
        people = []
        for found in converted["annotations"]:
            if found["image_id"] == entry["id"]:
                x, y, width, height = found["bbox"]
                rows = np.array(found["keypoints"], float).reshape(17, 3)
                rows[:, 2] = own[rows[:, 2].astype(int)]
                people.append(
                    {
                        "bbox": [x, y, x + width, y + height],
                        "keypoints": rows.ravel().tolist(),
                        "segms": SEGMENT,
                        "max_iou": 0.7,
                    }
                )
        entries.append({**entry, "annotations": people})
    path = tmp_path / "ochuman.json"
    path.write_text(json.dumps({"keypoint_names": list(COCO.keypoints), "images": entries}))
    expected = CocoKeypoints(folder / "test_ochuman.json", folder, OCHUMAN)
    found = OcHumanKeypoints(path, folder, "val")
    assert len(found) == len(expected) == 3
    for a, b in zip(found, expected, strict=True):
        assert (a.keypoints == b.keypoints).all() and (a.image == b.image).all()
        # The converted file's area is the box too.
        assert a.areas.tolist() == pytest.approx(b.areas.tolist(), rel=0.01)


def test_names_are_compared_by_their_letters(tmp_path: Path) -> None:
    data = json.loads(json.dumps(content()))
    expected = OcHumanKeypoints(write(tmp_path, data), tmp_path).annotations()
    data["keypoint_names"] = [name.replace("_", "-").title() for name in data["keypoint_names"]]
    found = OcHumanKeypoints(write(tmp_path, data), tmp_path).annotations()
    assert (found.keypoints == expected.keypoints).all()

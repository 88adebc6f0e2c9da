"""UAV-Human's pose labels, written here as its annotation tool exports them: a file a frame."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poselib.data.readers.uav_human import UavHumanKeypoints
from poselib.skeletons import COCO, UAV_HUMAN
from tests.data.datasets import images, perfect_results
from tests.metrics.coco_entries import ap_of

Content = dict[str, Any]
HEIGHT, WIDTH = 40, 80
# Subject 0 is one to train on and subject 1 one to test on, by cross-subject-v1.
TRAIN = "P000S00G10B10H10UC022000LC021000A000R0_08241716_085"
TEST = "P001S00G20B40H20UC072000LC021000A000R0_08241838_002"
EMPTY = "P002S02G11B00H00UC062001LC032001A000R0_08310854_047"


def mark(name: str, x: float, y: float) -> Content:
    """A keypoint at (x, y) px, measured from the image's corner."""
    return {
        **{"from_name": "kp-1", "id": "A5gtW32bVw", "image_rotation": 0, "parent_id": None},
        **{"original_height": HEIGHT, "original_width": WIDTH, "source": "$img"},
        **{"to_name": "img-1", "type": "keypointlabels"},
        "value": {
            **{"keypointlabels": [name], "width": 0.29},
            **{"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT},
        },
    }


def camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found.group(1).upper(), name)


def person(x: float, names: tuple[str, ...] = COCO.keypoints) -> list[Content]:
    """Keypoint number n is at (x + n, 2 n + 1)."""
    at = {name: n for n, name in enumerate(COCO.keypoints)}
    return [mark(camel(name), x + at[name], 2 * at[name] + 1) for name in names]


def labels(*people: list[Content]) -> Content:
    result = [found for one in people for found in one]
    return {
        "completions": [{"created_at": 1602661707, "id": 657001, "result": result}],
        "data": {"img": "/data/another-name.jpg?d=%2Fhome"},
        "id": 657,
        "task_path": "/home/label_00/another-name.jpg",
    }


def content() -> dict[str, Content]:
    later = COCO.keypoints[1:]
    return {
        f"A000/{TRAIN}": labels(person(2)),
        f"A000/{TEST}": labels(person(1, COCO.keypoints[:15]), person(40, later)),
        f"A001/{EMPTY}": labels(),
    }


def write(folder: Path, data: dict[str, Any]) -> tuple[Path, Path]:
    annotations = folder / "annotations"
    for name, value in data.items():
        (annotations / name).parent.mkdir(parents=True, exist_ok=True)
        (annotations / f"{name}.json").write_text(json.dumps(value))
    return annotations, images(folder / "frames", [f"{name}.jpg" for name in data], (HEIGHT, WIDTH))


def test_frames_have_the_names_of_their_labels(tmp_path: Path) -> None:
    dataset = UavHumanKeypoints(*write(tmp_path, content()))
    assert dataset.skeleton is UAV_HUMAN and dataset.image_ids == (1, 2, 3)
    names = (f"A000/{TRAIN}.jpg", f"A000/{TEST}.jpg", f"A001/{EMPTY}.jpg")
    assert dataset.table.file_names == names
    assert [len(sample.keypoints) for sample in dataset] == [1, 2, 0]


def test_percent_become_px_from_the_edge(tmp_path: Path) -> None:
    keypoints = UavHumanKeypoints(*write(tmp_path, content()))[0].keypoints
    assert keypoints[0, :, 0] == pytest.approx(2 + np.arange(17), abs=1e-4)
    assert keypoints[0, :, 1] == pytest.approx(1 + 2 * np.arange(17), abs=1e-4)
    assert (keypoints[0, :, 2] == 2).all()


def test_areas_are_those_of_the_keypoints(tmp_path: Path) -> None:
    sample = UavHumanKeypoints(*write(tmp_path, content()))[0]
    assert sample.areas == pytest.approx([0.53 * 16 * 32], rel=1e-4)


def test_a_name_that_comes_again_begins_the_next_person(tmp_path: Path) -> None:
    """The first lacks the ankles, the second the nose: neither gets the other's."""
    keypoints = UavHumanKeypoints(*write(tmp_path, content()))[1].keypoints
    labeled = keypoints[..., 2] > 0
    assert np.flatnonzero(~labeled[0]).tolist() == [15, 16]
    assert np.flatnonzero(~labeled[1]).tolist() == [0]
    assert (keypoints[~labeled] == 0).all()
    assert keypoints[1, 16, 0] == pytest.approx(56, abs=1e-4)


def test_the_last_completion_counts(tmp_path: Path) -> None:
    data = content()
    older = labels(person(30))["completions"]
    data[f"A000/{TRAIN}"]["completions"] = [*older, *data[f"A000/{TRAIN}"]["completions"]]
    assert UavHumanKeypoints(*write(tmp_path, data))[0].keypoints[0, 0, 0] == 2


def test_subsets_are_those_of_the_published_subjects(tmp_path: Path) -> None:
    """89 of 119 subjects train, and those named are on the side that the dataset puts them."""
    names = {f"P{n:03d}S00_000": labels(person(1)) for n in range(119)}
    places = write(tmp_path, names)
    train, test = (UavHumanKeypoints(*places, subset) for subset in ("train", "test"))
    subjects = [int(name[1:4]) for name in train.table.file_names]
    assert len(train) == 89 and len(test) == 30 and len(UavHumanKeypoints(*places)) == 119
    assert {0, 2, 5, 21, 25, 53, 90, 98, 118} <= set(subjects)
    assert not {1, 3, 4, 9, 22, 54, 97, 99, 113} & set(subjects)


def test_frames_without_people_can_be_left_out(tmp_path: Path) -> None:
    places = write(tmp_path, content())
    assert UavHumanKeypoints(*places, "train", keep_empty=False).image_ids == (1,)


def test_the_truth_evaluates_to_one(tmp_path: Path) -> None:
    dataset = UavHumanKeypoints(*write(tmp_path, content()))
    truth = dataset.annotations()
    assert truth.keypoints[0, 0] == pytest.approx([1.5, 0.5, 2], abs=1e-3)
    assert ap_of(truth, perfect_results(dataset), UAV_HUMAN).AP > 1 - 1e-9


Change = Callable[[Content], object]


def in_mark(field: str, value: object) -> Change:
    return lambda data: data["completions"][0]["result"][3].__setitem__(field, value)


def in_value(field: str, value: object) -> Change:
    return lambda data: data["completions"][0]["result"][3]["value"].__setitem__(field, value)


BAD: list[tuple[Change, str]] = [
    (lambda d: d.pop("completions"), "completions: expected a list of objects, found nothing"),
    (lambda d: d["completions"].clear(), "completions: expected at least one, found none"),
    (lambda d: d["completions"][0].pop("result"), "result: expected a list of objects"),
    (in_mark("value", None), "result: value: expected an object"),
    (in_mark("original_width", "a"), "original_width: expected a whole number"),
    (in_mark("original_height", 41), r"state different sizes: \[\(40, 80\), \(41, 80\)\]"),
    (in_value("keypointlabels", ["tail"]), "keypointlabels: expected one of .* found 'tail'"),
    (in_value("keypointlabels", []), r"keypointlabels: expected one of .* found \[\]"),
    (in_value("x", None), "result: x: expected a finite number"),
    (in_value("y", float("inf")), "result: y: expected a finite number"),
]


@pytest.mark.parametrize(("change", "words"), BAD, ids=[words[-28:] for _, words in BAD])
def test_bad_files_are_refused_by_name(change: Change, words: str, tmp_path: Path) -> None:
    data = content()
    change(data[f"A000/{TRAIN}"])
    with pytest.raises(ValueError, match=rf"{TRAIN}\.json: .*{words}"):
        UavHumanKeypoints(*write(tmp_path, data))


def test_marks_of_another_kind_are_left_out(tmp_path: Path) -> None:
    data = content()
    data[f"A000/{TRAIN}"]["completions"][0]["result"].append({"type": "choices", "value": {}})
    assert len(UavHumanKeypoints(*write(tmp_path, data))[0].keypoints) == 1


def test_absent_files_and_unknown_subsets_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"label folder .*none.* holds no \.json file"):
        UavHumanKeypoints(tmp_path / "none", tmp_path)
    places = write(tmp_path, content())
    with pytest.raises(ValueError, match=r"subset must be one of .*not 'val'"):
        UavHumanKeypoints(*places, "val")  # type: ignore[arg-type]
    (places[1] / f"A000/{TRAIN}.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=rf"lacks 1 of 3 images: A000/{TRAIN}\.jpg"):
        UavHumanKeypoints(*places)
    (places[0] / "other.json").write_text("{}")
    with pytest.raises(ValueError, match=r"other\.json: expected a name that begins with"):
        UavHumanKeypoints(*places, "test")

"""UAV-Human's pose labels, written here as its annotation tool exports them: a file a frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poselib.data.readers.uav_human import UavHumanKeypoints
from poselib.skeletons import UAV_HUMAN
from tests.data.factories.images import perfect_results
from tests.data.factories.uav_human import (
    EMPTY,
    TEST,
    TRAIN,
    Content,
    content,
    labels,
    person,
    write,
)
from tests.metrics.factories import ap_of


def test_file_names(tmp_path: Path) -> None:
    dataset = UavHumanKeypoints(*write(tmp_path, content()))
    assert dataset.skeleton is UAV_HUMAN and dataset.image_ids == (1, 2, 3)
    names = (f"A000/{TRAIN}.jpg", f"A000/{TEST}.jpg", f"A001/{EMPTY}.jpg")
    assert dataset.table.file_names == names
    assert [len(sample.keypoints) for sample in dataset] == [1, 2, 0]


def test_coordinates_in_percent(tmp_path: Path) -> None:
    keypoints = UavHumanKeypoints(*write(tmp_path, content()))[0].keypoints
    assert keypoints[0, :, 0] == pytest.approx(2 + np.arange(17), abs=1e-4)
    assert keypoints[0, :, 1] == pytest.approx(1 + 2 * np.arange(17), abs=1e-4)
    assert (keypoints[0, :, 2] == 2).all()


def test_areas(tmp_path: Path) -> None:
    sample = UavHumanKeypoints(*write(tmp_path, content()))[0]
    assert sample.areas == pytest.approx([0.53 * 16 * 32], rel=1e-4)


def test_repeated_keypoint_begins_the_next_person(tmp_path: Path) -> None:
    """The first lacks the ankles, the second the nose: neither gets the other's."""
    keypoints = UavHumanKeypoints(*write(tmp_path, content()))[1].keypoints
    labeled = keypoints[..., 2] > 0
    assert np.flatnonzero(~labeled[0]).tolist() == [15, 16]
    assert np.flatnonzero(~labeled[1]).tolist() == [0]
    assert (keypoints[~labeled] == 0).all()
    assert keypoints[1, 16, 0] == pytest.approx(56, abs=1e-4)


def test_last_completion_is_used(tmp_path: Path) -> None:
    data = content()
    older = labels(person(30))["completions"]
    data[f"A000/{TRAIN}"]["completions"] = [*older, *data[f"A000/{TRAIN}"]["completions"]]
    assert UavHumanKeypoints(*write(tmp_path, data))[0].keypoints[0, 0, 0] == 2


def test_subsets(tmp_path: Path) -> None:
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


def test_ground_truth_evaluates_to_ap_one(tmp_path: Path) -> None:
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


def test_other_marks_are_left_out(tmp_path: Path) -> None:
    data = content()
    data[f"A000/{TRAIN}"]["completions"][0]["result"].append({"type": "choices", "value": {}})
    assert len(UavHumanKeypoints(*write(tmp_path, data))[0].keypoints) == 1


def test_missing_files_and_unknown_subsets_are_named(tmp_path: Path) -> None:
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


def test_hidden_files_and_other_spellings(tmp_path: Path) -> None:
    annotations, images = write(tmp_path, content())
    (annotations / "A000" / f"._{TRAIN}.json").write_bytes(b"\x00\x05\x16\x07 of a Mac")
    path = annotations / "A000" / f"{TRAIN}.json"
    path.write_text(path.read_text().replace("leftKnee", "Left-Knee"))
    dataset = UavHumanKeypoints(annotations, images)
    assert len(dataset) == 3 and (dataset[0].keypoints[0, :, 2] == 2).all()


@pytest.mark.parametrize("side", [0, -40, 10**400])
def test_a_size_that_no_frame_has_is_refused(side: int, tmp_path: Path) -> None:
    data = content()
    for mark in data[f"A000/{TRAIN}"]["completions"][0]["result"]:
        mark["original_height"] = side
    with pytest.raises(ValueError, match=rf"{TRAIN}.*(height|expected)"):
        UavHumanKeypoints(*write(tmp_path, data))

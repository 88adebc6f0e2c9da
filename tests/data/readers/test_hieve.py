"""HiEve's pose labels, written here in their published layout: a file a video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poselib.data.readers.hieve import HieveKeypoints
from poselib.skeletons import HIEVE
from tests.data.factories.hieve import Content, labels, write
from tests.data.factories.images import perfect_results
from tests.metrics.factories import ap_of


def test_frames_of_all_videos_in_order(tmp_path: Path) -> None:
    dataset = HieveKeypoints(*write(tmp_path, labels()))
    assert dataset.skeleton is HIEVE and dataset.image_ids == (1, 2, 3, 4)
    names = ("2/000000.jpg", "2/000001.jpg", "10/000000.jpg", "10/000002.jpg")
    assert dataset.table.file_names == names
    assert [int(sample.image.mean().round()) for sample in dataset] == [20, 21, 100, 102]
    assert [len(sample.keypoints) for sample in dataset] == [1, 0, 2, 0]


def test_keypoints_and_areas(tmp_path: Path) -> None:
    first, _, third, fourth = HieveKeypoints(*write(tmp_path, labels()))
    assert first.keypoints[0, :, 0].tolist() == [1.5 + k for k in range(14)]
    assert first.keypoints[0, :, 1].tolist() == [0.5 + 2 * k for k in range(14)]
    assert (first.keypoints[0, :, 2] == 2).all()
    assert first.areas.tolist() == pytest.approx([0.53 * 20 * 30])
    # Not listed, or listed without a score: not labeled.
    labeled = third.keypoints[0, :, 2] > 0
    assert np.flatnonzero(~labeled).tolist() == [0, 4, 13]
    assert (third.keypoints[0][~labeled] == 0).all()
    # Who has no keypoint is ignored.
    assert fourth.ignore_mask[0:30, 8:28].all() and fourth.ignore_mask.sum() == 600


def test_chosen_videos_in_their_order(tmp_path: Path) -> None:
    annotations, images = write(tmp_path, labels())
    dataset = HieveKeypoints(annotations, images, videos=["10"], keep_empty=False)
    assert dataset.table.file_names == ("10/000000.jpg",)
    with pytest.raises(FileNotFoundError, match=r"7\.json does not exist"):
        HieveKeypoints(annotations, images, videos=["7"])


def test_ground_truth_evaluates_to_ap_one(tmp_path: Path) -> None:
    dataset = HieveKeypoints(*write(tmp_path, labels()))
    truth = dataset.annotations()
    assert truth.keypoints[0, :2].tolist() == [[1, 0, 2], [2, 2, 2]]
    assert truth.crowds.sum() == 1
    assert ap_of(truth, perfect_results(dataset), HIEVE).AP > 1 - 1e-9


Change = Callable[[Content], object]


def in_person(field: str, value: object) -> Change:
    return lambda data: data["annolist"][0]["annorect"][0].__setitem__(field, value)


def in_point(field: str, value: object) -> Change:
    return lambda data: data["annolist"][0]["annorect"][0]["annopoints"][0]["point"][2].__setitem__(
        field, value
    )


WHERE = r"annolist\[0\]: "
BAD: list[tuple[Change, str]] = [
    (lambda d: d.pop("annolist"), "annolist: expected a list of objects, found nothing"),
    (lambda d: d["annolist"][0].pop("image"), WHERE + "image: expected a list of objects"),
    (lambda d: d["annolist"][0]["image"].clear(), WHERE + "image: expected one, found 0"),
    (lambda d: d["annolist"][0]["image"][0].pop("name"), WHERE + "image: name: expected text"),
    (lambda d: d["annolist"][0].pop("annorect"), WHERE + "annorect: expected a list of objects"),
    (in_person("x2", 7), r"annorect\[0\]: x2: expected 1 numbers, found 7"),
    (in_person("y1", ["a"]), r"annorect\[0\]: y1: expected finite numbers"),
    (in_point("id", [14]), r"annorect\[0\]: annopoints: id must be 0 to 13, found 14"),
    (in_point("id", [1.5]), r"annopoints: id must be 0 to 13, found 1\.5"),
    (in_point("x", [float("nan")]), r"annopoints: x: expected finite numbers"),
    (in_point("y", []), r"annopoints: y: expected 1 numbers, found 0"),
    (in_point("score", None), r"annopoints: score: expected 1 numbers, found None"),
]


@pytest.mark.parametrize(("change", "words"), BAD, ids=[words[-28:] for _, words in BAD])
def test_bad_files_are_refused_by_name(change: Change, words: str, tmp_path: Path) -> None:
    data = labels()
    change(data["10"])
    with pytest.raises(ValueError, match=rf"10\.json: {words}|10\.json: .*{words}"):
        HieveKeypoints(*write(tmp_path, data))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"label folder .*none.* holds no \.json file"):
        HieveKeypoints(tmp_path / "none", tmp_path)
    annotations, images = write(tmp_path, labels())
    (images / "10" / "000002.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 4 images: 10/000002\.jpg"):
        HieveKeypoints(annotations, images)


def test_hidden_files_and_boxes_from_the_right(tmp_path: Path) -> None:
    data = labels()
    data["2"]["annolist"][0]["annorect"][0].update(x1=[21], x2=[1])
    annotations, images = write(tmp_path, data)
    (annotations / "._2.json").write_bytes(b"\x00\x05\x16\x07 of a Mac")
    table = HieveKeypoints(annotations, images).annotations()
    # Any two opposite corners make a box, as in the other formats.
    assert table.boxes[0].tolist() == [1, 0, 20, 30] and (table.areas > 0).all()


def test_clips_have_tracks_and_videos_of_their_own(tmp_path: Path) -> None:
    data = labels()
    data["10"]["annolist"][0]["annorect"][1]["track_id"] = [8]
    frames = HieveKeypoints(*write(tmp_path, data), tracks=True)
    table = frames.annotations()
    assert frames.videos == ("2", "2", "10", "10") and frames.times == (0, 1 / 25, 0, 2 / 25)
    assert table.tracks is not None and table.tracks.tolist() == [3, 3, 8, -1]
    with pytest.raises(ValueError, match=r"2.json: annolist\[0\]: annorect: track_id: .*twice: 3"):
        data["2"]["annolist"][0]["annorect"] *= 2
        HieveKeypoints(*write(tmp_path, data), tracks=True)


def test_points_outside_of_frames_of_videos_are_not_labeled_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = labels()
    points = data["2"]["annolist"][0]["annorect"][0]["annopoints"][0]["point"]
    points[0]["x"], points[1]["y"] = [60], [-0.6]  # of 40x60 px, whose first edge is at -0.5
    data["10"]["annolist"][0]["annorect"][1]["track_id"] = [8]
    frames = HieveKeypoints(*write(tmp_path, data), tracks=True)
    seen = frames.annotations().keypoints[0, :, 2] > 0
    assert seen.tolist() == [True] * 12 + [False] * 2
    assert "labels: 2 of 39 keypoints lie outside of their images" in caplog.text
    caplog.clear()
    photographs = HieveKeypoints(*write(tmp_path, data))
    assert (photographs.annotations().keypoints[0, :, 2] > 0).all() and not caplog.text

"""Videos from files to files: poses, times and tracks; and what an interruption leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from poselib.data.video_files import open_video
from poselib.engine.image_stream import ImageStream
from poselib.engine.predict_video import predict_video, video_outputs
from poselib.skeletons import COCO
from poselib.structures import Poses
from tests.data.factories.videos import SIZE, h264_video, number_of, opencv_video

SHAPE = np.random.default_rng(1).uniform(0.3, 0.9, (len(COCO), 2)) * (64, 48)


def one_person(image: NDArray[np.uint8]) -> Poses:
    xy = (SHAPE + number_of(image) / 8).astype(np.float32)[None]
    return Poses(xy, np.ones(xy.shape[:2], np.float32), np.ones(1, np.float32))


def test_poses_and_film(tmp_path: Path) -> None:
    video = open_video(opencv_video(tmp_path / "clip.mp4", 12, 20.0))
    result = predict_video(ImageStream(one_person, COCO), video, tmp_path / "out")
    document, film_file, rows_file = video_outputs(tmp_path / "out", "clip")
    assert (result.document, result.film) == (document, film_file)
    assert (result.frames, result.people) == (12, 1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        [document.name, film_file.name, rows_file.name]
    )
    content = json.loads(result.document.read_text())
    assert content["info"] == {
        "video": "clip", "fps": 20.0, "complete": True, "frames": 12, "smoothing": None
    }  # fmt: skip
    assert [image["time"] for image in content["images"]] == pytest.approx(np.arange(12) / 20)
    assert [row["track_id"] for row in content["annotations"]] == [0] * 12
    first = np.array(content["annotations"][3]["keypoints"]).reshape(-1, 3)
    np.testing.assert_allclose(first[:, :2] + 0.5, SHAPE + 3 / 8, atol=1e-3)
    rows = pd.read_csv(rows_file)
    assert rows.columns[:2].tolist() == ["frame", "time"] and len(rows) == 12 * len(COCO)
    fourth = rows[rows.frame == 3]
    np.testing.assert_allclose(fourth[["x", "y"]], SHAPE + 3 / 8, atol=1e-4)
    assert fourth.time.unique() == pytest.approx([3 / 20]) and not fourth.track.any()
    film = open_video(result.film)
    drawn = list(film)
    assert (film.size, film.frames) == (SIZE, 12)
    assert [frame.time for frame in drawn] == pytest.approx(np.arange(12) / 20, abs=1e-3)
    for shown, plain in zip(drawn, video, strict=True):
        difference = np.abs(shown.image.astype(int) - plain.image).max(axis=2)
        assert difference[16:].max() > 60  # the poses
        assert np.median(difference[:14, 24:]) < 8


def test_scores_choose_who_is_written_and_who_is_drawn(tmp_path: Path) -> None:
    def two(image: NDArray[np.uint8]) -> Poses:
        both = Poses.join([one_person(image)] * 2)
        return replace(both, person_scores=np.array([0.9, 0.2], np.float32))

    video = open_video(opencv_video(tmp_path / "clip.mp4", 3))
    cases = ((0.0, 0.5, (6, 2, 1)), (0.5, 0.0, (3, 1, 1)), (0.0, 0.0, (6, 2, 2)))
    for least, drawn, expected in cases:
        result = predict_video(
            ImageStream(two, COCO), video, tmp_path, "a", min_score=least, draw_score=drawn
        )
        people = json.loads(result.document.read_text())["annotations"]
        assert (len(people), result.tracks, result.people) == expected
        counted = "(1 drawn)" in str(result)
        assert counted == (result.people < result.tracks)


def test_the_film_keeps_variable_times(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.03, 0.2, 15))
    times -= times[0]
    video = open_video(h264_video(tmp_path / "clip.mp4", times.tolist()))
    result = predict_video(ImageStream(one_person, COCO), video, tmp_path / "out")
    assert [frame.time for frame in open_video(result.film)] == pytest.approx(times, abs=1e-4)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_interrupted_prediction_keeps_what_was_written(
    error: type[BaseException], tmp_path: Path
) -> None:
    def stopped(image: NDArray[np.uint8]) -> Poses:
        if number_of(image) == 7:
            raise error("stop")
        return one_person(image)

    video = open_video(opencv_video(tmp_path / "clip.mp4", 12))
    with pytest.raises(error):
        predict_video(ImageStream(stopped, COCO), video, tmp_path / "out")
    document, film, rows = video_outputs(tmp_path / "out", "clip")
    content = json.loads(document.read_text())
    assert content["info"]["complete"] is False and len(content["images"]) == 7
    assert len(list(open_video(film))) == 7
    assert pd.read_csv(rows).frame.unique().tolist() == list(range(7))
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_what_fails_at_once_leaves_nothing(tmp_path: Path) -> None:
    video = open_video(opencv_video(tmp_path / "clip.mp4", 3))
    with pytest.raises(ValueError, match="smoothing must be one of"):
        predict_video(ImageStream(one_person, COCO), video, tmp_path / "out", smooth="none")
    assert not list((tmp_path / "out").iterdir())

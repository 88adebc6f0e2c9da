"""Poses frame by frame: each frame is predicted when it is asked for, and people are linked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from poselib.data.image_folder import bare_sample
from poselib.data.video_files import VideoFrame
from poselib.engine.image_stream import ImageStream, follow
from poselib.ops.smoothing import savitzky_golay
from poselib.skeletons import COCO
from poselib.structures import Poses

SHAPE = np.random.default_rng(1).uniform(0, 1, (len(COCO), 2)) * (40, 90)


def moving(image: NDArray[np.uint8]) -> Poses:
    """Two people, at places that the image's first px tell; the second is doubtful."""
    x, y = image[0, 0, :2].astype(float)
    xy = (SHAPE + np.array([[[x, 20]], [[y, 100]]])).astype(np.float32)
    order = [1, 0] if int(x) % 2 else [0, 1]
    scores = np.array([0.9, 0.2], np.float32)
    return Poses(xy, np.ones(xy.shape[:2], np.float32), scores)[np.array(order)]


def frame(number: int) -> VideoFrame:
    image = np.zeros((8, 8, 3), np.uint8)
    image[0, 0] = (3 * number, 200 - 2 * number, 0)
    return VideoFrame(image, number / 25, str(number))


def test_people_keep_their_numbers_and_frames_their_times() -> None:
    stream = ImageStream(moving, COCO)
    for number in range(30):
        each = frame(number)
        poses = stream.step(each.image, each.time)
        assert poses.time == each.time and poses.tracks is not None
        assert poses.tracks.tolist() == ([1, 0] if number % 2 else [0, 1])


def test_a_frame_that_is_not_later_or_of_another_size_is_refused() -> None:
    stream = ImageStream(moving, COCO)
    stream.step(frame(1).image, 1.0)
    for time in (1.0, 0.5, float("nan")):
        with pytest.raises(ValueError, match=r"frame 1: a time after 1\.0 s is wanted, not"):
            stream.step(frame(2).image, time)
    with pytest.raises(ValueError, match="frame 1 has 6 x 8 px; those before have 8 x 8"):
        stream.step(frame(2).image[:, :6], 1.5)
    assert stream.step(frame(2).image, 1.5).time == 1.5


def test_a_frame_is_whatever_a_model_takes(tmp_path: Path) -> None:
    pixels = frame(4).image[:6]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    channels_first = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    frames = (
        pixels,
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        Image.fromarray(pixels),
        torch.from_numpy(channels_first),
        torch.from_numpy(channels_first / np.float32(255)),
    )
    stream = ImageStream(moving, COCO)
    for time, each in enumerate(frames):
        found = stream.step(each, time)
        np.testing.assert_array_equal(found.keypoints, moving(pixels).keypoints)
        assert found.time == time
    for wrong, message in ((Image.new("RGB", (8, 8)), "has 8 x 8 px; those before have 8 x 6"),
                           (3, "an image must be a path")):  # fmt: skip
        with pytest.raises(ValueError, match=f"frame 6:? {message}"):
            stream.step(wrong, 9.0)
    sample = bare_sample(pixels)
    seen = ImageStream(lambda each: moving(each.image.transpose(1, 2, 0)), COCO)
    np.testing.assert_array_equal(seen.step(sample, 0).keypoints, moving(pixels).keypoints)
    with pytest.raises(ValueError, match="frame 1 has 8 x 8 px; those before have 8 x 6"):
        seen.step(bare_sample(frame(5).image), 1)


@pytest.mark.parametrize(("smooth", "behind"), [(None, 0), ("one-euro", 0), ("savgol", 13)])
def test_frames_are_read_as_their_poses_are_asked_for(smooth: str | None, behind: int) -> None:
    read = 0

    def watched():
        nonlocal read
        for number in range(40):
            read += 1
            yield frame(number)

    for number, (each, poses) in enumerate(follow(ImageStream(moving, COCO), watched(), smooth)):
        assert each.name == str(number) and poses.time == each.time
        assert read - 1 - number <= behind
    assert number == 39


def test_smoothing_is_that_of_the_tracks() -> None:
    def found(smooth: str | None) -> list[Poses]:
        frames = map(frame, range(40))
        return [poses for _, poses in follow(ImageStream(moving, COCO), frames, smooth)]

    for mine, expected in zip(found("savgol"), savitzky_golay(found(None)), strict=True):
        np.testing.assert_allclose(mine.keypoints, expected.keypoints, atol=1e-3)

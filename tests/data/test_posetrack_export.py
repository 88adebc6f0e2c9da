"""Poses of a video as a document in PoseTrack18's layout, written frame by frame."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from poselib.data.posetrack_export import FILE_KEYPOINTS, PosesDocument
from poselib.data.readers.video_json import read_video_json
from poselib.skeletons import COCO, POSETRACK18, Skeleton
from poselib.structures import Poses


def poses(skeleton: Skeleton, count: int, seed: int, time: float) -> Poses:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.1, 1, (count, len(skeleton))) * (
        rng.random((count, len(skeleton))) < 0.8
    )
    scores[:, 0] = 0.5  # somebody is there
    xy = rng.uniform(1, 90, (count, len(skeleton), 2)) * (scores > 0)[..., None]
    people = rng.random(count).astype(np.float32)
    tracks = rng.permutation(count) + 10
    return Poses(xy.astype(np.float32), scores.astype(np.float32), people, None, tracks, time)


def document(frames: list[Poses], skeleton: Skeleton, number: int = 0) -> str:
    text = io.StringIO()
    writer = PosesDocument(text, skeleton, "clip", number, (100, 120))
    for index, frame in enumerate(frames):
        writer.add(f"{index:06d}", frame)
    writer.finish({"fps": 20.0})
    return text.getvalue()


@pytest.mark.parametrize("skeleton", [COCO, POSETRACK18])
@pytest.mark.parametrize("counts", [(2, 0, 3), (0,), (130, 1), ()])
def test_it_is_read_as_what_was_written(
    skeleton: Skeleton, counts: tuple[int, ...], tmp_path: Path
) -> None:
    frames = [poses(skeleton, count, n, n / 20) for n, count in enumerate(counts)]
    (tmp_path / "clip.json").write_text(document(frames, skeleton))
    images, outside = read_video_json(tmp_path / "clip.json", tmp_path, skeleton)
    assert len(images) == len(frames) and outside == 0
    for image, frame in zip(images, frames, strict=True):
        assert (image.size, image.time, image.video) == ((100, 120), frame.time, "clip")
        np.testing.assert_array_equal(image.tracks, frame.tracks)
        np.testing.assert_allclose(image.keypoints[..., :2], frame.keypoints, atol=1e-3)
        np.testing.assert_array_equal(image.keypoints[..., 2] > 0, frame.found)
    ids = [row["id"] for row in json.loads(document(frames, skeleton))["annotations"]]
    assert len(set(ids)) == len(ids) == sum(counts)


def test_layout_and_scores() -> None:
    frames = [poses(POSETRACK18, 2, n, n / 20) for n in range(3)]
    content = json.loads(document(frames, POSETRACK18, number=4))
    assert content["info"] == {"fps": 20.0}
    assert content["categories"][0]["keypoints"] == list(FILE_KEYPOINTS)
    assert [image["nframes"] for image in content["images"]] == [3] * 3
    assert content["images"][1]["time"] == 0.05 and content["images"][1]["vid_id"] == "clip"
    first = content["annotations"][0]
    assert first["image_id"] == content["images"][0]["id"]
    listed = dict(zip(FILE_KEYPOINTS, first["scores"], strict=True))
    assert listed["left_ear"] == 0
    mine = [listed[name] for name in POSETRACK18.keypoints]
    assert mine == pytest.approx(frames[0].scores[0], abs=1e-4)
    assert first["score"] == pytest.approx(frames[0].person_scores[0], abs=1e-6)
    # Frames of other videos have other ids.
    other = json.loads(document(frames, POSETRACK18, number=5))
    ids = {image["id"] for image in content["images"] + other["images"]}
    assert len(ids) == 6

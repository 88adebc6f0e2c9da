"""Windows of videos, and people in rows of one track each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poselib.data.clips import VideoClips, join_frames, video_windows
from poselib.data.loaders import make_loader
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig
from poselib.skeletons import POSETRACK18
from tests.data.factories.scenes import scene
from tests.strategies import quick


@quick
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(1, 12), st.integers(1, 12))
def test_windows_cover_every_frame_of_videos_that_are_long_enough(
    lengths: list[int], frames: int, step: int
) -> None:
    videos = [f"v{n}" for n, length in enumerate(lengths) for _ in range(length)]
    if max(lengths) < frames:
        with pytest.raises(ValueError, match=f"no video has {frames} frames: the longest has"):
            video_windows(videos, frames, step)
        return
    windows = video_windows(videos, frames, step)
    for window in windows:
        assert len(window) == frames and len({videos[n] for n in window}) == 1
    for n, length in enumerate(lengths):
        covered = {i for window in windows for i in window if videos[i] == f"v{n}"}
        first = sum(lengths[:n])
        assert first + length - 1 in covered or length < frames
        if step <= frames:
            assert len(covered) == (length if length >= frames else 0)
    assert [len(w) for w in video_windows(videos)] == lengths


def test_people_keep_their_rows() -> None:
    def frame(*tracks: int) -> object:
        one = scene((20, 30))
        points = np.repeat(one.keypoints, len(tracks), axis=0)
        points[..., 0] = np.array(tracks)[:, None] + 1
        boxes = np.repeat(np.array(tracks, np.float32)[:, None], 4, axis=1) + 1
        areas = np.array(tracks, np.float32) + 1
        return replace(one, keypoints=points, areas=areas, boxes=boxes, tracks=np.array(tracks))

    clip = join_frames([frame(7, 3), frame(3), frame(5, 7)], [0, 0.1, 0.2], "a")  # type: ignore[list-item]
    present = np.array([[f.areas[row] for row in range(3)] for f in clip.frames])
    assert present.tolist() == [[8, 4, 0], [0, 4, 0], [8, 0, 6]]
    for sample in clip.frames:
        assert sample.tracks is not None and sample.tracks.tolist() == [7, 3, 5]
        assert sample.boxes is not None and (sample.boxes[:, 0] == sample.areas).all()
        assert (sample.keypoints[..., 0] == sample.areas[:, None]).all()
    with pytest.raises(ValueError, match="image 7: a track is in the frame twice"):
        join_frames([frame(1, 1), frame(1)], [0, 1], "a")  # type: ignore[list-item]
    with pytest.raises(ValueError, match="video a: people have no tracks"):
        join_frames([scene(), scene()], [0, 1], "a")
    assert len(join_frames([scene()], [0.0], "photograph")) == 1


def test_clips_of_a_dataset_make_batches() -> None:
    frames = SyntheticClips(ClipConfig(size=64, frames=6, people=(2, 2)), 2, 0, POSETRACK18)
    clips = VideoClips(frames, 4, 1)
    assert len(clips) == 6 and clips[1].times == pytest.approx([0.04, 0.08, 0.12, 0.16])
    batch = next(iter(make_loader(clips, 3)))
    assert batch.frames == 4 and batch.images.shape == (12, 3, 64, 64)
    assert batch.image_ids[:4] == frames.image_ids[:4]
    whole = VideoClips(frames)
    assert [len(clip) for clip in whole] == [6, 6]  # type: ignore[attr-defined]

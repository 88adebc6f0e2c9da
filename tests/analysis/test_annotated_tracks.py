"""Annotated people over time: smoothed video by video, measured, and joint by joint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from poselib.analysis import annotated_tracks
from poselib.analysis.annotated_tracks import (
    FILTERS,
    SMOOTHNESS,
    joint_paths,
    measure_smoothness,
    smooth_videos,
    summarize_smoothness,
)
from poselib.annotations import AnnotationTable
from poselib.ops.smoothing import savitzky_golay
from poselib.skeletons import POSETRACK18
from poselib.structures import Poses
from poselib.systems import build
from tests.analysis.clips import CLIPS, poses_of

FRAMES = CLIPS.config.frames


@pytest.fixture(scope="module")
def table() -> AnnotationTable:
    return CLIPS.annotations()


@pytest.fixture
def noisy(table: AnnotationTable) -> list[Poses]:
    return poses_of(table, noise=1.0)


def test_poses_get_the_tracks_and_times_of_the_annotated_people(
    table: AnnotationTable, noisy: list[Poses]
) -> None:
    tracked = smooth_videos(table, noisy, None)
    assert len(tracked) == 2 * FRAMES
    for frame, (before, after) in enumerate(zip(noisy, tracked, strict=True)):
        assert after.time == table.times[frame] and after.tracks is not None
        assert after.tracks.tolist() == table.tracks[table.labeled_rows(frame)].tolist()  # type: ignore[index]
        np.testing.assert_array_equal(after.keypoints, before.keypoints)


def test_each_video_is_smoothed_by_itself(table: AnnotationTable, noisy: list[Poses]) -> None:
    together = smooth_videos(table, noisy, "savgol")
    for first in (0, FRAMES):
        part = slice(first, first + FRAMES)
        alone = savitzky_golay(smooth_videos(table, noisy, None)[part])
        for one, other in zip(together[part], alone, strict=True):
            np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-4)
    euro = smooth_videos(table, noisy, "one-euro")
    for first in (0, FRAMES):  # the first frame of a video has nothing to be smoothed with
        np.testing.assert_allclose(euro[first].keypoints, noisy[first].keypoints, atol=1e-5)
    assert not np.allclose(euro[1].keypoints, noisy[1].keypoints, atol=0.1)


def test_annotations_without_tracks_are_refused(table: AnnotationTable, noisy: list[Poses]) -> None:
    with pytest.raises(ValueError, match="annotations need tracks"):
        smooth_videos(replace(table, tracks=None), noisy, None)


def test_smoothing_is_measured_for_each_training(
    table: AnnotationTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    amounts = iter((0.5, 2.0))
    monkeypatch.setattr(
        annotated_tracks, "predict", lambda *_, **__: poses_of(table, next(amounts))
    )
    system = build("jre", POSETRACK18, backbone="hrnet_tiny", height=64, width=64)
    results, drawn = measure_smoothness({"net": [system, system]}, CLIPS)
    assert list(drawn) == [f"net, {name}" for name in FILTERS]
    assert results["seed"].tolist() == [0] * 3 + [1] * 3
    raw, euro, savgol = (results.set_index("row").loc[row] for row in drawn)
    for smooth in (euro, savgol):
        assert (smooth["acceleration_error"].to_numpy() < raw["acceleration_error"]).all()
    # of the first training
    off = np.concatenate(
        [
            a.keypoints - b.keypoints
            for a, b in zip(drawn["net, as predicted"], poses_of(table), strict=True)
        ]
    )
    assert 0.4 < off[off != 0].std() < 0.6
    assert raw["pck_torso_total"].iloc[0] > raw["pck_torso_total"].iloc[1] > 1


def test_the_summary_says_means_over_seeds() -> None:
    lines = [
        {"row": row, "seed": s, **dict.fromkeys(SMOOTHNESS, s + n)}
        for n, row in enumerate("ba")
        for s in (1, 2)
    ]
    said = summarize_smoothness(pd.DataFrame(lines))
    assert said.endswith("torso, %: b 1.50, 1.50, 1.50; a 2.50, 2.50, 2.50")


def test_joints_are_followed_through_one_video(table: AnnotationTable, noisy: list[Poses]) -> None:
    hidden = table.keypoints.copy()
    mine = np.flatnonzero(table.images >= FRAMES)[0]  # the first person of the second video
    wrist = POSETRACK18.index("left_wrist")
    hidden[mine, wrist] = 0
    hidden_table = replace(table, keypoints=hidden)
    times, truth, found = joint_paths(
        hidden_table, {"raw": noisy}, POSETRACK18, ["left_wrist", "nose"], video=1
    )
    rows = [
        r
        for r in range(len(table))
        if table.images[r] >= FRAMES and table.tracks[r] == table.tracks[mine]
    ]  # type: ignore[index]
    assert times.tolist() == [table.times[table.images[row]] for row in rows]
    np.testing.assert_array_equal(
        truth["nose"], table.keypoints[rows, POSETRACK18.index("nose"), :2] + 0.5
    )
    assert np.isnan(truth["left_wrist"][0]).all() and np.isfinite(truth["left_wrist"][1:]).all()
    place = np.flatnonzero(table.labeled_rows(FRAMES) == mine)[0]
    np.testing.assert_array_equal(
        found["raw"]["left_wrist"][0], noisy[FRAMES].keypoints[place, wrist]
    )


def test_what_is_not_there_cannot_be_followed(table: AnnotationTable, noisy: list[Poses]) -> None:
    with pytest.raises(ValueError, match="video must be one of 0 to 1, not 2"):
        joint_paths(table, {}, POSETRACK18, ["nose"], video=2)
    with pytest.raises(ValueError, match="people have no tracks"):
        joint_paths(replace(table, tracks=None), {}, POSETRACK18, ["nose"])

"""Poses of annotated people in videos: of several methods, smoothed, and joints over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from poselib.annotations import PIXEL_CENTER, AnnotationTable
from poselib.data.catalog import KeypointDataset
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import AnnotatedBoxes
from poselib.engine.predict import predict
from poselib.engine.video_metrics import joints_of_people, video_metrics
from poselib.ops.smoothing import smoothed
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.systems import System
from poselib.typing import BoolArray, FloatArray

Paths = dict[str, FloatArray]  # by joint

# How poses are smoothed, by what figures call it; see ``ops.smoothing.smoothed``.
FILTERS: Mapping[str, str | None] = {
    "as predicted": None,
    "One-Euro": "one-euro",
    "Savitzky–Golay": "savgol",
}
# What smoothing changes, and its headings.
SMOOTHNESS: Mapping[str, str] = {
    "acceleration_error": "acceleration error, px/frame²",
    "still_jitter": "jitter of still joints, px/frame",
    "pck_torso_total": "PCK at 0.2 of the torso, %",
}


def predict_annotated(
    methods: Mapping[str, Sequence[System]],
    dataset: KeypointDataset,
    options: PredictOptions | None = None,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> Iterator[tuple[str, int, list[Poses]]]:
    """Predict annotated people in their boxes by each training of each of several methods.

    Args:
        methods: systems of crops, one for each seed.
        dataset, options, device, progress: as in ``engine.predict.predict``.

    Yields:
        The method, the number of the training, and of each image the poses of its labeled people,
        in order.

    Raises:
        ValueError: a system has other keypoints than the dataset.
    """
    for method, systems in methods.items():
        for number, system in enumerate(systems):
            if system.skeleton.keypoints != dataset.skeleton.keypoints:
                raise ValueError(
                    f"{method}: the system predicts the keypoints of {system.skeleton.name!r}, the "
                    f"people have those of {dataset.skeleton.name!r}"
                )
            where: Any = {"boxes": AnnotatedBoxes(), "device": device, "progress": progress}
            shown = None if options is None else options.for_system(system)
            yield method, number, predict(system, dataset, shown, **where)


def measure_smoothness(
    methods: Mapping[str, Sequence[System]],
    dataset: KeypointDataset,
    options: PredictOptions | None = None,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> tuple[pd.DataFrame, dict[str, list[Poses]]]:
    """Measure how smooth and how precise poses are, as predicted and smoothed by each filter.

    Args:
        methods, dataset, options, device, progress: as in ``predict_annotated``.

    Returns:
        One line a training and filter: ``row``, such as ``"RPSTN, One-Euro"``, ``seed``, and the
        metrics of ``SMOOTHNESS``; and by their row the poses of the first training.

    Raises:
        ValueError: as ``predict_annotated`` and ``smooth_videos``.
    """
    table = dataset.annotations()
    lines, first = [], dict[str, list[Poses]]()
    for method, seed, poses in predict_annotated(
        methods, dataset, options, device=device, progress=progress
    ):
        for name, kind in FILTERS.items():
            row, smooth = f"{method}, {name}", smooth_videos(table, poses, kind)
            values = video_metrics(table, smooth, dataset.skeleton, exact=True)
            values["pck_torso_total"] *= 100
            lines.append({"row": row, "seed": seed, **{key: values[key] for key in SMOOTHNESS}})
            first.setdefault(row, smooth)
    return pd.DataFrame(lines), first


def smooth_videos(
    table: AnnotationTable, poses: Sequence[Poses], method: str | None
) -> list[Poses]:
    """Smooth the poses of annotated people over time, in each video by itself.

    Args:
        table: annotated people of the frames of videos, with tracks.
        poses: of each frame those of its labeled people, in order; they need no tracks.
        method: see ``ops.smoothing.smoothed``; None for none.

    Returns:
        The poses with the tracks of their people and the times of their frames.

    Raises:
        ValueError: the annotations have no tracks, or the method is unknown.
    """
    if table.tracks is None:
        raise ValueError("annotations need tracks for poses to be smoothed over time")
    tracked = [
        replace(each, tracks=table.tracks[table.labeled_rows(frame)], time=table.times[frame])
        for frame, each in enumerate(poses)
    ]
    for video in dict.fromkeys(table.videos) if method else ():
        frames = [frame for frame, name in enumerate(table.videos) if name == video]
        smooth = smoothed([tracked[frame] for frame in frames], str(method))
        for frame, each in zip(frames, smooth, strict=True):
            tracked[frame] = each
    return tracked


def summarize_smoothness(results: pd.DataFrame) -> str:
    """Say in one line what ``measure_smoothness`` found, as means over seeds."""
    mean = results.groupby("row", sort=False)[list(SMOOTHNESS)].mean()
    parts = [
        f"{row} {', '.join(f'{value:.2f}' for value in values)}"
        for row, values in zip(mean.index, mean.to_numpy(), strict=True)
    ]
    return f"{', '.join(SMOOTHNESS.values())}: {'; '.join(parts)}"


def joint_paths(
    table: AnnotationTable,
    found: Mapping[str, Sequence[Poses]],
    skeleton: Skeleton,
    joints: Sequence[str],
    video: int = 0,
) -> tuple[FloatArray, Paths, dict[str, Paths]]:
    """Follow some joints of the first labeled person of a video, as ``plots.video`` draws them.

    Args:
        table: as in ``smooth_videos``.
        found: of each way of predicting the poses of all frames, as in ``smooth_videos``.
        skeleton: of both.
        joints: names of keypoints.
        video: its number.

    Returns:
        (T,) times, s; and by joint (T, 2) px, NaN where it is not labeled or missing: as
        annotated, and by way as found. Frames in which no joint is labeled are left out.

    Raises:
        ValueError: there is no such video or keypoint, or no person is labeled in the video.
    """
    names = list(dict.fromkeys(table.videos))
    if not 0 <= video < len(names):
        raise ValueError(f"video must be one of 0 to {len(names) - 1}, not {video}")
    rows = np.flatnonzero(~table.masked())
    frames = table.images[rows]
    mine: BoolArray = np.array([table.videos[frame] == names[video] for frame in frames], bool)
    if table.tracks is None or not mine.any():
        raise ValueError(f"video {names[video]!r}: no person is labeled, or people have no tracks")
    mine &= table.tracks[rows] == table.tracks[rows[mine][0]]
    columns = {joint: skeleton.index(joint) for joint in joints}

    def of_joints(people: FloatArray) -> Paths:
        known = np.where(people[mine, :, 2:] > 0, people[mine, :, :2], np.nan)
        return {joint: known[:, column] for joint, column in columns.items()}

    truth = table.keypoints[rows] + (PIXEL_CENTER, PIXEL_CENTER, 0)
    ways = {
        way: of_joints(joints_of_people(table, poses, skeleton, exact=True)[0])
        for way, poses in found.items()
    }
    times = np.array([table.times[frame] for frame in frames[mine]], float)
    return times, of_joints(truth), ways

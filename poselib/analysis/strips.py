"""Strips of frames in which joints of a person are masked or hidden, and the poses there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from poselib.analysis.occlusion import JointResults
from poselib.data.loaders import SampleSource
from poselib.data.occlusion import MaskedVideos
from poselib.plots.panels import Panel, Window, show_panels, window_around
from poselib.skeletons import Skeleton
from poselib.structures import Sample
from poselib.typing import BoolArray

_COLUMNS = 6


def masked_runs(videos: MaskedVideos) -> list[range]:
    """Return the frames of each masked run, and the clear one before it if there is one.

    Runs that the end of their video cuts short are left out, unless all are as short.
    """
    runs, first = [], 0
    for clear, frames in groupby(videos.since == 0):
        last = first + len(list(frames))
        if not clear:
            runs += _apart(range(first, last), videos)
        first = last
    longest = max(map(len, runs), default=0)
    return [run for run in runs if len(run) == longest]


def rank_strips(
    strips: Sequence[range],
    dataset: SampleSource,
    joints: Sequence[BoolArray],
    results: JointResults,
    other: JointResults,
) -> pd.DataFrame:
    """Return how many of some joints of each person two systems found in each strip.

    Args:
        strips: positions of consecutive frames.
        dataset: the frames.
        joints: of each frame (N, K), those that count, such as masked ones.
        results, other: of the two systems.

    Returns:
        One row for each strip and person with such a joint: ``strip``, its number, ``track``,
        ``joints``, ``right``, how many the first system found, and ``gain``, by how many more
        than the other.
    """
    rows = []
    for number, strip in enumerate(strips):
        totals: dict[int, np.ndarray] = {}
        for index in strip:
            for row, track in enumerate(_tracks(dataset[index])):
                mine, theirs = (each.right[index][row] for each in (results, other))
                counted = joints[index][row] & ~np.isnan(mine)
                both = np.array([counted.sum(), mine[counted].sum(), theirs[counted].sum()])
                totals[track] = totals.get(track, np.zeros(3)) + both
        rows += [
            (number, track, int(count), int(mine), int(mine - theirs))
            for track, (count, mine, theirs) in totals.items()
            if count
        ]
    return pd.DataFrame(rows, columns=["strip", "track", "joints", "right", "gain"])


def best_and_worst(ranked: pd.DataFrame, count: int) -> list[tuple[str, int, int]]:
    """Return strips of the largest gains, then of most joints that the first system did not find.

    Returns:
        ``"recovered"`` or ``"failed"``, the strip and the track of each, at most ``count`` of a
        kind; no strip twice, none without a gain and none without a wrong joint.
    """
    table = ranked.assign(wrong=ranked["joints"] - ranked["right"])
    chosen: list[tuple[str, int, int]] = []
    for kind, column in (("recovered", ["gain", "right"]), ("failed", ["wrong", "joints"])):
        known = table["strip"].isin([strip for _, strip, _ in chosen])
        left = table[~known & (table[column[0]] > 0)]
        first = left.sort_values(column, ascending=False, kind="stable").drop_duplicates("strip")
        chosen += [
            (kind, int(strip), int(track))
            for strip, track in zip(first["strip"][:count], first["track"][:count], strict=True)
        ]
    return chosen


def strip_figures(
    strips: Sequence[range],
    dataset: SampleSource,
    shown: SampleSource,
    joints: Sequence[BoolArray],
    results: Mapping[str, JointResults],
    skeleton: Skeleton,
    *,
    word: str = "masked",
    count: int = 2,
) -> dict[str, Figure]:
    """Draw strips of each kind of ``best_and_worst``; a kind without a strip lacks.

    Args:
        strips: positions of consecutive frames.
        dataset, shown, joints: see ``strip_panels``.
        results: of two systems by name; the gain is that of the first.
        word: what the joints are, such as ``"hidden"``.
        count: strips of a kind at most.
    """
    ranked = rank_strips(strips, dataset, joints, *results.values())
    columns = min(_COLUMNS, max(map(len, strips), default=1))
    panels: dict[str, list[Panel]] = {}
    for kind, number, track in best_and_worst(ranked, count):
        panels.setdefault(kind, []).extend(
            strip_panels(strips[number], track, dataset, shown, joints, results, columns)
        )
    return {
        kind: show_panels(
            each,
            skeleton,
            columns=columns,
            marked=f"{word}, wrong",
            right=f"{word}, right",
            title=f"{word.capitalize()} joints, {kind}: {' beside '.join(results)}",
        )
        for kind, each in panels.items()
    }


def strip_panels(
    strip: range,
    track: int,
    dataset: SampleSource,
    shown: SampleSource,
    joints: Sequence[BoolArray],
    results: Mapping[str, JointResults],
    columns: int,
) -> list[Panel]:
    """Return a row of panels for the annotated person and one for each system.

    Args:
        strip: positions of the frames, of which ``columns`` are shown.
        track: the person.
        dataset: the frames without masks, for the first row.
        shown: as the systems saw them.
        joints: of each frame (N, K), those that are marked, green where they are right and red
            where they are wrong.
        results: of the systems by name.
        columns: panels of a row; if the strip has fewer frames, as many as it has.
    """
    places = np.linspace(0, len(strip) - 1, min(columns, len(strip))).round().astype(int)
    indices = [strip[place] for place in places]
    rows = {
        index: _tracks(dataset[index]).index(track)
        for index in indices
        if track in _tracks(dataset[index])
    }
    points = [dataset[i].keypoints[row] for i, row in rows.items()]
    people = np.concatenate(points)
    window = window_around(people[people[:, 2] > 0, :2], dataset[indices[0]].size)
    panels = [
        Panel(
            dataset[i].image,
            dataset[i].keypoints[[rows[i]] if i in rows else []],
            title=f"truth, frame {i - strip[0]}",
            window=window,
        )
        for i in indices
    ]
    for name, each in results.items():
        panels += [_panel(name, shown[i], rows.get(i), each, joints[i], i, window) for i in indices]
    return panels


def _panel(
    name: str,
    sample: Sample,
    row: int | None,
    results: JointResults,
    joints: BoolArray,
    index: int,
    window: Window,
) -> Panel:
    """Return a panel of one person's pose in a frame, of which all joints are drawn."""
    own = [] if row is None else [row]
    truth, poses = sample.keypoints[own], results.poses[index][np.array(own, np.int64)]
    poses = replace(poses, scores=(poses.scores > 0).astype(np.float32))
    right, marked = results.right[index][own], joints[own] if own else joints[:0]
    good, bad = marked & (right == 1), marked & (right == 0)
    count = int((good | bad).sum())
    return Panel(
        sample.image,
        truth,
        poses,
        np.arange(len(own)),
        title=f"{name}: {int(good.sum())} of {count}" if count else name,
        rings=poses.keypoints[bad],
        targets=truth[bad, :2].astype(np.float64),
        hits=poses.keypoints[good],
        window=window,
    )


def _tracks(sample: Sample) -> list[int]:
    count = len(sample.keypoints)
    return list(range(count)) if sample.tracks is None else sample.tracks.tolist()


def _apart(frames: range, videos: MaskedVideos) -> list[range]:
    """Return the runs of several videos that follow each other without a clear frame."""
    parts = []
    for _, group in groupby(frames, key=lambda index: videos.videos[index]):
        own = list(group)
        before = own[0] - 1
        clear = before >= 0 and videos.videos[before] == videos.videos[own[0]]
        parts.append(range(before if clear else own[0], own[-1] + 1))
    return parts

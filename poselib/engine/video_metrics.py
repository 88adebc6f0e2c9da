"""The metrics of poses in the frames of videos, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from poselib.annotations import PIXEL_CENTER, AnnotationTable
from poselib.metrics.localization_errors import MATCHED
from poselib.metrics.matching import assign_one_to_one
from poselib.metrics.pck import PartAP
from poselib.metrics.person_pck import TORSO, part_rates, person_pck, reference_lengths
from poselib.metrics.posetrack import HEAD, posetrack_ap
from poselib.metrics.smoothness import acceleration_error, id_switches, still_jitter
from poselib.metrics.weighted_ap import weighted_ap
from poselib.ops.oks import object_keypoint_similarity
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.typing import FloatArray, IntArray

# Names of metrics, of which the first ones have an ending for each part of ``PartAP``.
PART_METRICS = ("pck_torso", "pck_person", "posetrack")
OTHER_METRICS = (
    *("pck_torso_hidden", "acceleration_error", "still_jitter", "id_switches"),
    *("video_AP", "video_AP50", "video_AP75", "video_AP90"),
)
_PARTS = tuple(part.name for part in fields(PartAP))
_THRESHOLD = 0.2  # of the person's size or torso (RPSTN, Sec. IV)


def video_metrics(
    table: AnnotationTable, poses: Sequence[Poses], skeleton: Skeleton, *, exact: bool = False
) -> dict[str, float]:
    """Measure poses in the frames of videos by every metric that their annotations allow.

    Args:
        table: annotated people; those of photographs are not measured.
        poses: of each frame, px with centers at integer + 0.5.
        skeleton: of both.
        exact: the poses of a frame are those of its labeled people, in order, as from annotated
            boxes; otherwise they are matched one to one by OKS.

    Returns:
        ``pck_person_<part>`` and ``pck_torso_<part>`` at 0.2, where the skeleton has a torso, and
        ``pck_torso_hidden`` of joints that are labeled but hidden;
        ``posetrack_<part>``, where heads have boxes; ``video_AP``, ``video_AP50``, ... as
        ``weighted_ap``; of annotated tracks ``acceleration_error``, px per frame², and
        ``still_jitter``, px, and ``id_switches`` of poses that are tracked without annotated boxes.
        Nothing for photographs.

    Raises:
        ValueError: there are not as many poses as frames, or as labeled people if ``exact``.
    """
    if not table.videos or not len(table):
        return {}
    if len(poses) != len(table.image_ids):
        raise ValueError(f"{len(poses)} images of poses for {len(table.image_ids)} frames")
    rows = np.flatnonzero(~table.masked())
    found, tracks = joints_of_people(table, poses, skeleton, exact)
    people = table.keypoints[rows].copy()
    people[..., :2] += PIXEL_CENTER
    named: dict[str, float] = {}
    if set(TORSO) <= set(skeleton.keypoints):
        boxes = table.boxes[rows]
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        for reference in ("torso", "person"):
            lengths = reference_lengths(people, corners, skeleton, reference)
            rates = person_pck(found, people, lengths, [_THRESHOLD])[0]
            parts = part_rates(rates, skeleton)
            named |= {f"pck_{reference}_{part}": parts[part] for part in _PARTS if part in parts}
            if reference == "torso":
                named["pck_torso_hidden"] = _of_hidden(found, people, lengths)
    if table.head_boxes is not None and set(HEAD) <= set(skeleton.keypoints):
        parts = posetrack_ap(poses, table, skeleton).as_dict()
        named |= {f"posetrack_{part}": value for part, value in parts.items()}
    named |= {f"video_{name}": value for name, value in weighted_ap(poses, table, skeleton).items()}
    if table.tracks is None:
        return named
    followed = table.tracks[rows] >= 0
    if not followed.any():
        return named
    rows = rows[followed]
    frames, persons = table.images[rows], _persons(table, rows)
    named |= _motion(frames, persons, found[followed], people[followed])
    if not exact and all(each.tracks is not None for each in poses):
        named["id_switches"] = float(_switches(frames, persons, tracks[followed]))
    return named


def joints_of_people(
    table: AnnotationTable, poses: Sequence[Poses], skeleton: Skeleton, exact: bool
) -> tuple[FloatArray, IntArray]:
    """Return what was found of each labeled person of a table.

    Returns:
        (N, K, 3) px and scores, zeros where nothing was found; and (N,) track ids, -1 where there
        is none, or of a pose that is not similar enough to be a person's.
    """
    joints = [np.zeros((0, len(skeleton), 3))]
    tracks = [np.zeros(0, np.int64)]
    for image, found in enumerate(poses):
        rows = table.labeled_rows(image)
        if exact and len(found) != len(rows):
            raise ValueError(
                f"image {table.image_ids[image]}: {len(found)} poses for {len(rows)} labeled people"
            )
        partners, oks = np.arange(len(rows)), np.ones((len(rows), len(found)))
        if not exact:
            people, areas = table.people(image)
            oks = object_keypoint_similarity(found.keypoints, people, areas, skeleton.sigmas)
            partners = assign_one_to_one(oks)
        (known,) = np.nonzero(partners >= 0)
        chosen = partners[known]
        mine = np.zeros((len(rows), len(skeleton), 3))
        mine[known, :, :2] = found.keypoints[chosen]
        mine[known, :, 2] = found.scores[chosen]
        joints.append(mine)
        numbers = np.full(len(rows), -1, np.int64)
        if found.tracks is not None:
            numbers[known] = np.where(oks[known, chosen] >= MATCHED, found.tracks[chosen], -1)
        tracks.append(numbers)
    return np.concatenate(joints), np.concatenate(tracks)


def _of_hidden(found: FloatArray, people: FloatArray, lengths: FloatArray) -> float:
    """Return the PCK of joints that are labeled but hidden, all kinds together."""
    hidden = people.copy()
    hidden[..., 2] = people[..., 2] == 1
    counts = (hidden[..., 2] > 0) & np.isfinite(lengths)[:, None]
    weights = counts.sum(axis=0)
    rates = np.nan_to_num(person_pck(found, hidden, lengths, [_THRESHOLD])[0])
    return float((rates * weights).sum() / weights.sum()) if weights.any() else float("nan")


def _persons(table: AnnotationTable, rows: IntArray) -> IntArray:
    """Return one number for each track of each video."""
    assert table.tracks is not None
    number = {video: n for n, video in enumerate(dict.fromkeys(table.videos))}
    videos = [number[table.videos[frame]] for frame in table.images[rows]]
    tracks = np.stack([np.array(videos, np.int64), table.tracks[rows]])
    persons: IntArray = np.unique(tracks, axis=1, return_inverse=True)[1].reshape(-1)
    return persons


def _motion(
    frames: IntArray, persons: IntArray, found: FloatArray, people: FloatArray
) -> dict[str, float]:
    """Measure acceleration and jitter over all tracks of all videos."""
    order = np.lexsort((frames, persons))
    # Tracks follow each other with two empty frames between, so that none runs into the next;
    # frames in which a person is not labeled are empty too.
    steps = np.diff(frames[order], prepend=frames[order][:1])
    steps[1:][np.diff(persons[order]) != 0] = 3
    place = np.cumsum(np.minimum(steps, 3))
    shape = (place[-1] + 1, *found.shape[1:])
    joints, truth = np.zeros(shape), np.zeros(shape)
    joints[place], truth[place] = found[order], people[order]
    return {
        "acceleration_error": acceleration_error(joints, truth),
        "still_jitter": still_jitter(joints, truth),
    }


def _switches(frames: IntArray, persons: IntArray, tracks: IntArray) -> int:
    """Count id switches over all videos; ``frames`` ascend."""
    known = tracks >= 0
    begins = np.flatnonzero(np.diff(frames[known])) + 1
    pairs = (np.split(each[known], begins) for each in (persons, tracks))
    return id_switches(list(zip(*pairs, strict=True)))

"""PoseTrack's average precision of joints in frames of videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from poselib.annotations import PIXEL_CENTER, AnnotationTable
from poselib.metrics.pck import HEAD_FRACTION, PartAP, joint_ap, part_means
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.typing import BoolArray, FloatArray

HEAD = ("nose", "head_bottom", "head_top")


def posetrack_ap(
    poses: Sequence[Poses], table: AnnotationTable, skeleton: Skeleton, threshold: float = 0.5
) -> PartAP:
    """Measure the average precision of each part as PoseTrack does; see ``pck.joint_ap``.

    Frames without people do not count, and neither do joints, found or annotated, in areas whose
    people are not labeled. ``head`` is the mean of nose, bottom and top of the head, ``total`` that
    of the 15 joints.

    Args:
        poses: the detections in each frame of the table, px with centers at integer + 0.5.
        table: annotated people with head boxes, such as of ``posetrack18`` and synthetic clips.
        skeleton: PoseTrack18's.
        threshold: in head sizes, which are 0.6 of the diagonal of the head box.

    Raises:
        ValueError: the table has no head boxes, or there are not as many detections as frames.
    """
    if table.head_boxes is None:
        raise ValueError(f"{table.source}: PoseTrack's AP needs head boxes, and there are none")
    if len(poses) != len(table.image_ids):
        raise ValueError(f"{len(poses)} images of detections for {len(table.image_ids)} frames")
    counted = ~table.masked()
    truth = table.keypoints.copy()
    truth[..., :2] += PIXEL_CENTER
    sizes = HEAD_FRACTION * np.linalg.norm(table.head_boxes[:, 2:], axis=1)
    bounds = np.searchsorted(table.images, np.arange(len(poses) + 1)).tolist()
    detections, people, heads = [], [], []
    for image, (found, first, last) in enumerate(zip(poses, bounds, bounds[1:], strict=False)):
        if first == last:
            continue
        if polygons := table.polygons.get(image, ()):
            own = truth[first:last]
            own[inside_any(own[..., :2] - PIXEL_CENTER, polygons)] = 0
            covered = inside_any(found.keypoints - PIXEL_CENTER, polygons)
            found = replace(found, scores=np.where(covered, 0, found.scores))
        rows = counted[first:last]
        detections.append(found)
        people.append(truth[first:last][rows])
        heads.append(sizes[first:last][rows])
    values = joint_ap(detections, people, heads, skeleton, [threshold])[0]
    return part_means(dict(zip(skeleton.keypoints, values.tolist(), strict=True)), HEAD)


def inside_any(points: ArrayLike, polygons: Sequence[FloatArray]) -> BoolArray:
    """Return whether points (..., 2) lie inside one of some outlines (P, 2), by ray casting."""
    xy = np.asarray(points, np.float64)
    inside = np.zeros(xy.shape[:-1], bool)
    for outline in polygons:
        start, end = outline, np.roll(outline, -1, axis=0)
        x, y = xy[..., :1], xy[..., 1:]
        crosses = (start[:, 1] > y) != (end[:, 1] > y)
        rise = np.where(start[:, 1] == end[:, 1], 1, end[:, 1] - start[:, 1])
        at = start[:, 0] + (y - start[:, 1]) * (end[:, 0] - start[:, 0]) / rise
        inside |= (crosses & (x < at)).sum(axis=-1) % 2 == 1
    return inside

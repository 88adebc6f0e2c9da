"""PCK of people in videos over the threshold, of several methods (RPSTN/JRE, Fig. 11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from poselib.analysis.annotated_tracks import predict_annotated
from poselib.annotations import PIXEL_CENTER, AnnotationTable
from poselib.data.catalog import KeypointDataset
from poselib.data.clips import PersonClips, VideoFrames
from poselib.data.collation import collate
from poselib.data.crops import crop_person
from poselib.engine.inference import PredictOptions, device_of
from poselib.engine.video_metrics import joints_of_people
from poselib.metrics.person_pck import (
    TORSO,
    Reference,
    official_counts,
    official_pck,
    part_rates,
    person_pck,
    reference_lengths,
)
from poselib.ops.normalization import normalize
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.systems import System

REFERENCES: tuple[Reference, ...] = ("torso", "person")
_NAMED = (0.1, 0.2, 0.4, 1.0)  # thresholds of the summary


def measure_thresholds(
    methods: Mapping[str, Sequence[System]],
    dataset: KeypointDataset,
    thresholds: ArrayLike,
    options: PredictOptions | None = None,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Compute the curves of each training of each method, people being shown in their boxes.

    Args:
        methods, dataset, options, device, progress: as in ``predict_annotated``.
        thresholds: as in ``threshold_curves``.

    Returns:
        The lines of ``threshold_curves`` with the columns ``method`` and ``seed``.

    Raises:
        ValueError: as ``predict_annotated`` and ``threshold_curves``.
    """
    table = dataset.annotations()
    found = predict_annotated(methods, dataset, options, device=device, progress=progress)
    curves = [
        threshold_curves(table, poses, dataset.skeleton, thresholds).assign(
            method=method, seed=seed
        )
        for method, seed, poses in found
    ]
    return pd.concat(curves, ignore_index=True)


@torch.no_grad()
def official_clip_pck(
    system: System,
    dataset: VideoFrames,
    *,
    frames: int = 5,
    threshold: float = 0.2,
    device: torch.device | str | None = None,
) -> dict[str, float]:
    """Compute PCK as the published code of RPSTN does: see ``official_pck``.

    It looks at one clip a video, drawn at random; here it is the first. People are shown in their
    crops, without flip testing.

    Args:
        system: sees one person at a time.
        dataset: frames of videos; those with fewer frames than a clip are left out.
        frames: of a clip.
        threshold: see ``official_pck``.
        device: where the network runs; where its weights are if not given.

    Returns:
        The parts of ``part_rates``: of each joint the mean over the clips that count it.

    Raises:
        ValueError: the system sees whole images, its skeleton has no torso, or every video is too
            short.
    """
    if system.crop is None or not set(TORSO) <= set(system.skeleton.keypoints):
        raise ValueError(f"{system.name!r}: a system of one person, with {TORSO}, is wanted")
    place = device_of(system) if device is None else torch.device(device)
    system.model.to(place).eval()
    people = PersonClips(dataset, frames, step=len(dataset))
    begins = {dataset.videos.index(video) for video in dict.fromkeys(dataset.videos)}
    found = []
    for index, (window, _) in enumerate(people.people):
        clip = people[index] if people.clips.windows[window].start in begins else None
        if clip is None or not any((each.keypoints[..., 2] > 0).any() for each in clip.frames):
            continue
        batch = collate([crop_person(clip, system.crop, system.crop_rule)])
        heatmaps = system.run(normalize(batch.images.to(place)), frames).heatmaps.cpu().numpy()
        targets = system.encode(batch).heatmaps[0].numpy()
        rates = official_pck(heatmaps, targets, system.skeleton, threshold)
        found.append(np.where(official_counts(targets).any(axis=0), rates, np.nan))
    return part_rates(pd.DataFrame(found).mean().to_numpy(), system.skeleton)


def threshold_curves(
    table: AnnotationTable, poses: Sequence[Poses], skeleton: Skeleton, thresholds: ArrayLike
) -> pd.DataFrame:
    """Compute PCK of each part, and of all joints, over the threshold.

    Args:
        table: annotated people of the frames.
        poses: of each frame those of its labeled people, in order, as from annotated boxes.
        skeleton: of both.
        thresholds: (T,) fractions of a length, see ``metrics.person_pck.reference_lengths``.

    Returns:
        One row each: ``reference``, ``part``, with ``"total"``, ``threshold`` and ``PCK``, %.

    Raises:
        ValueError: there are not as many poses as labeled people, or the skeleton has no torso.
    """
    found, _ = joints_of_people(table, poses, skeleton, exact=True)
    rows = np.flatnonzero(~table.masked())
    people, boxes = table.keypoints[rows].copy(), table.boxes[rows]
    people[..., :2] += PIXEL_CENTER
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    lines, levels = [], np.asarray(thresholds, float)
    for reference in REFERENCES:
        lengths = reference_lengths(people, corners, skeleton, reference)
        for level, rates in zip(levels, person_pck(found, people, lengths, levels), strict=True):
            lines += [
                {"reference": reference, "part": part, "threshold": level, "PCK": 100 * rate}
                for part, rate in part_rates(rates, skeleton).items()
            ]
    return pd.DataFrame(lines)


def summarize_thresholds(curves: pd.DataFrame) -> str:
    """Say in one line what mean PCK by torso size each method has at some of the thresholds."""
    total = curves[(curves["part"] == "total") & (curves["reference"] == "torso")]
    total = total[total["threshold"].round(6).isin(_NAMED)]
    mean = total.groupby(["method", "threshold"], sort=False)["PCK"].mean().unstack("threshold")
    parts = [
        f"{method} {', '.join(f'{value:.1f}' for value in values)}"
        for method, values in zip(mean.index, mean.to_numpy(), strict=True)
    ]
    named = ", ".join(f"{level:g}" for level in total["threshold"].unique())
    return f"mean PCK in % at {named} of the torso: {'; '.join(parts)}"

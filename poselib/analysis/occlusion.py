"""Which joints are found under masks, or behind something, by the frames that they are hidden.

RPSTN/JRE, Figs. 9 and 10: joints are masked in some frames of a video; a network that relates
joints, or remembers the frames before, may still find them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from poselib.data.clips import VideoFrames
from poselib.data.loaders import SampleSource
from poselib.data.occlusion import MaskedVideos, MaskRule
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import AnnotatedBoxes
from poselib.engine.predict import predict
from poselib.metrics.person_pck import Reference, reference_lengths, relative_distances
from poselib.structures import Poses
from poselib.systems import System
from poselib.typing import BoolArray, FloatArray

_HIDDEN = 1


@dataclass(frozen=True)
class JointResults:
    """Which joints of annotated people a system found in each frame.

    Attributes:
        poses: of each frame, one for each annotated person, px of the image.
        right: of each frame (N, K), 1 where the joint is right and 0 where it is not; NaN where it
            does not count.
    """

    poses: list[Poses]
    right: list[FloatArray]

    def rate(self, where: Sequence[BoolArray]) -> float:
        """Return the fraction that is right of the joints that (N, K) of each frame names."""
        named = zip(self.right, where, strict=True)
        values = np.concatenate([right[mask] for right, mask in named]) if where else np.zeros(0)
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) else float("nan")


@dataclass(frozen=True)
class MaskedResults:
    """Results on videos with masks over runs of some length.

    Attributes:
        videos: with the masks.
        masked: of each frame (N, K), which joints are masked.
        results: of each system by its name.
    """

    videos: MaskedVideos
    masked: list[BoolArray]
    results: dict[str, JointResults]


def find_joints(
    system: System,
    dataset: SampleSource,
    options: PredictOptions | None = None,
    *,
    reference: Reference = "torso",
    threshold: float = 0.2,
    device: torch.device | str | None = None,
) -> JointResults:
    """Predict the annotated people of each frame in their own boxes, and compare joint by joint.

    Args:
        system: sees one person at a time.
        dataset: frames of videos, or images.
        options: of the prediction; ``renew=1`` forgets the frame before.
        reference, threshold: see ``metrics.person_pck``.
        device: as in ``predict``.
    """
    poses = predict(system, dataset, options, boxes=AnnotatedBoxes(), device=device)
    right = []
    for index, found in enumerate(poses):
        sample = dataset[index]
        own = found.warped(sample.to_original.inverse())
        joints = np.concatenate([own.keypoints, own.scores[..., None]], axis=2)
        boxes = AnnotatedBoxes()(sample).corners
        lengths = reference_lengths(sample.keypoints, boxes, system.skeleton, reference)
        apart = relative_distances(joints, sample.keypoints, lengths)
        right.append(np.where(np.isnan(apart), np.nan, apart <= threshold))
        poses[index] = own
    return JointResults(poses, right)


def find_masked(
    systems: Mapping[str, tuple[System, PredictOptions]],
    dataset: VideoFrames,
    lengths: Sequence[int],
    rule: MaskRule,
    seed: int = 0,
    *,
    reference: Reference = "torso",
    threshold: float = 0.2,
    device: torch.device | str | None = None,
) -> dict[int, MaskedResults]:
    """Return what several systems find under masks over runs of several lengths.

    Args:
        systems: with the options of their predictions, by name.
        dataset: frames of videos.
        lengths: frames of a run; each replaces ``frames`` of the rule.
        rule, seed: see ``MaskedVideos``.
        reference, threshold, device: see ``find_joints``.
    """
    found = {}
    for length in lengths:
        videos = MaskedVideos(dataset, replace(rule, frames=length), seed)
        masked = [videos.masked(index, dataset[index]) for index in range(len(videos))]
        results = {
            name: find_joints(
                system, videos, options, reference=reference, threshold=threshold, device=device
            )
            for name, (system, options) in systems.items()
        }
        found[length] = MaskedResults(videos, masked, results)
    return found


def masked_table(
    found: Mapping[int, MaskedResults], clear: Mapping[str, JointResults]
) -> pd.DataFrame:
    """Return the fractions of joints that are right, by system and length of the masked runs.

    Args:
        found: of ``find_masked``.
        clear: the results of the same systems without masks.

    Returns:
        Columns ``system``, ``frames`` (of a run), ``masked`` (rate of masked joints), ``clear``
        (of the same joints without masks), ``others`` (of the other joints in frames with masks)
        and ``joints``, the number of masked ones.
    """
    rows = []
    for length, each in found.items():
        shown = each.videos.since > 0
        others = [
            ~mask if inside else np.zeros_like(mask)
            for mask, inside in zip(each.masked, shown, strict=True)
        ]
        number = sum(int(mask.sum()) for mask in each.masked)
        for name, results in each.results.items():
            rows.append(
                {
                    "system": name,
                    "frames": length,
                    "masked": results.rate(each.masked),
                    "clear": clear[name].rate(each.masked),
                    "others": results.rate(others),
                    "joints": number,
                }
            )
    return pd.DataFrame(rows)


def since_table(found: MaskedResults) -> pd.DataFrame:
    """Return the fractions of masked joints that are right by the frames since the last clear one.

    Returns:
        Columns ``system``, ``since`` and ``masked``.
    """
    rows = []
    for since in range(1, found.videos.rule.frames + 1):
        at = found.videos.since == since
        where = [
            mask if here else np.zeros_like(mask)
            for mask, here in zip(found.masked, at, strict=True)
        ]
        for name, results in found.results.items():
            rows.append({"system": name, "since": since, "masked": results.rate(where)})
    return pd.DataFrame(rows)


def hidden_joints(dataset: SampleSource) -> list[BoolArray]:
    """Return which joints (N, K) of each frame are labeled but hidden."""
    return [dataset[index].keypoints[..., 2] == _HIDDEN for index in range(len(dataset))]


def visible_joints(dataset: SampleSource) -> list[BoolArray]:
    """Return which joints (N, K) of each frame are visible."""
    return [dataset[index].keypoints[..., 2] > _HIDDEN for index in range(len(dataset))]

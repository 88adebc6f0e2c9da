"""Which joints are found under masks, or behind something, by the frames that they are hidden.

RPSTN/JRE, Figs. 9 and 10: joints are masked in some frames of a video; a network that relates
joints, or remembers the frames before, may still find them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

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
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.systems import System
from poselib.typing import BoolArray, FloatArray
from poselib.wording import shown

_HIDDEN = 1

# Trainings of a method with several seeds, and how they are shown images.
Method = tuple[Sequence[System], PredictOptions]


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
        results: of each method by its name, one for each seed.
    """

    videos: MaskedVideos
    masked: list[BoolArray]
    results: dict[str, list[JointResults]]


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
        options: of the prediction; ``renew=1`` forgets the frame before, if the system has it.
        reference, threshold: see ``metrics.person_pck``.
        device: as in ``predict``.
    """
    shown = None if options is None else options.for_system(system)
    poses = predict(system, dataset, shown, boxes=AnnotatedBoxes(), device=device)
    right = []
    for index, found in enumerate(poses):
        sample = dataset[index]
        poses[index] = found.warped(sample.to_original.inverse())
        right.append(joints_right(poses[index], sample, system.skeleton, reference, threshold))
    return JointResults(poses, right)


def joints_right(
    poses: Poses,
    sample: Sample,
    skeleton: Skeleton,
    reference: Reference = "torso",
    threshold: float = 0.2,
) -> FloatArray:
    """Return (N, K), 1 where a joint is right and 0 where not; NaN where it does not count.

    Args:
        poses: one for each annotated person of the sample, px of its image.
        reference, threshold: see ``metrics.person_pck``.
    """
    joints = np.concatenate([poses.keypoints, poses.scores[..., None]], axis=2)
    boxes = AnnotatedBoxes()(sample).corners
    lengths = reference_lengths(sample.keypoints, boxes, skeleton, reference)
    apart = relative_distances(joints, sample.keypoints, lengths)
    right: FloatArray = np.where(np.isnan(apart), np.nan, apart <= threshold)
    return right


def find_all(
    methods: Mapping[str, Method],
    dataset: SampleSource,
    *,
    reference: Reference = "torso",
    threshold: float = 0.2,
    device: torch.device | str | None = None,
) -> dict[str, list[JointResults]]:
    """Return ``find_joints`` of each method, one result for each of its seeds.

    Raises:
        ValueError: methods have different numbers of seeds, whose means would not compare.
    """
    seeds = {name: len(systems) for name, (systems, _) in methods.items()}
    if len(set(seeds.values())) > 1:
        raise ValueError(f"methods are compared with as many seeds each, not {shown(seeds)}")
    how: Any = {"reference": reference, "threshold": threshold, "device": device}
    return {
        name: [find_joints(system, dataset, options, **how) for system in systems]
        for name, (systems, options) in methods.items()
    }


def find_masked(
    methods: Mapping[str, Method],
    dataset: VideoFrames,
    lengths: Sequence[int],
    rule: MaskRule,
    seed: int = 0,
    *,
    reference: Reference = "torso",
    threshold: float = 0.2,
    device: torch.device | str | None = None,
) -> dict[int, MaskedResults]:
    """Return what several methods find under masks over runs of several lengths.

    Args:
        methods: by name.
        dataset: frames of videos.
        lengths: frames of a run; each replaces ``frames`` of the rule. Those that no video has
            behind its clear frames are left out, with a warning.
        rule, seed: see ``MaskedVideos``.
        reference, threshold, device: see ``find_joints``.

    Raises:
        ValueError: no video has any of the lengths.
    """
    found = {}
    for length in lengths:
        videos = MaskedVideos(dataset, replace(rule, frames=length), seed)
        longest = videos.since.max(initial=0)
        if longest < length:
            warnings.warn(
                f"runs of {length} masked frames are left out: after {rule.clear} clear frames "
                f"no video has more than {longest}",
                stacklevel=2,
            )
            continue
        masked = [videos.masked(index, dataset[index]) for index in range(len(videos))]
        results = find_all(methods, videos, reference=reference, threshold=threshold, device=device)
        found[length] = MaskedResults(videos, masked, results)
    if not found:
        raise ValueError(
            f"no video has runs of any of the lengths {shown(list(lengths))} after {rule.clear} "
            "clear frames"
        )
    return found


def masked_table(
    found: Mapping[int, MaskedResults], clear: Mapping[str, Sequence[JointResults]]
) -> pd.DataFrame:
    """Return the fractions of joints that are right, by method and length of the masked runs.

    Args:
        found: of ``find_masked``.
        clear: of ``find_all`` without masks, of the same methods.

    Returns:
        Columns ``method``, ``seed``, ``frames`` (of a run), ``masked`` (rate of masked joints),
        ``clear`` (of the same joints without masks), ``others`` (of the other joints in frames with
        masks) and ``joints``, the number of masked ones.
    """
    rows = []
    for length, each in found.items():
        others = [
            ~mask & (since > 0) for mask, since in zip(each.masked, each.videos.since, strict=True)
        ]
        joints = sum(int(mask.sum()) for mask in each.masked)
        for method, several in each.results.items():
            for seed, (results, without) in enumerate(zip(several, clear[method], strict=True)):
                rates = (results.rate(each.masked), without.rate(each.masked), results.rate(others))
                rows.append((method, seed, length, *rates, joints))
    names = ["method", "seed", "frames", "masked", "clear", "others", "joints"]
    return pd.DataFrame(rows, columns=names)


def since_table(found: MaskedResults) -> pd.DataFrame:
    """Return the fractions of masked joints that are right by the frames since the last clear one.

    Returns:
        Columns ``method``, ``seed``, ``since`` and ``masked``.
    """
    rows = []
    for since in range(1, found.videos.rule.frames + 1):
        where = [
            mask & (at == since) for mask, at in zip(found.masked, found.videos.since, strict=True)
        ]
        for method, several in found.results.items():
            rows += [(method, seed, since, one.rate(where)) for seed, one in enumerate(several)]
    return pd.DataFrame(rows, columns=["method", "seed", "since", "masked"])


def rate_panels(table: pd.DataFrame, found: MaskedResults) -> dict[str, pd.DataFrame]:
    """Return the rates of a ``masked_table``, and of each frame of some runs, for ``show_rates``.

    Returns:
        Means over seeds, a column for each method: rows are the frames of a run, and in the last
        panel the frames since the last clear one.
    """
    methods = list(table["method"].unique())
    panels = {"masked joints": (table, "frames", "masked")}
    panels["the same joints without masks"] = table, "frames", "clear"
    longest = f"masked joints in runs of {found.videos.rule.frames}"
    panels[longest] = since_table(found), "since", "masked"
    return {
        heading: rows.groupby([x, "method"])[y].mean().unstack()[methods]
        for heading, (rows, x, y) in panels.items()
    }


def summarize_masked(table: pd.DataFrame) -> str:
    """Return what was found in the longest runs of a ``masked_table``, in a sentence."""
    frames = table["frames"].max()
    means = table[table["frames"] == frames].groupby("method", sort=False)[["masked", "clear"]]
    parts = [
        f"{method} finds {100 * row['masked']:.0f} % ({100 * row['clear']:.0f} % without masks)"
        for method, row in means.mean().iterrows()
    ]
    return f"joints masked for {frames} frames: {'; '.join(parts)}"


def summarize_visibility(table: pd.DataFrame) -> str:
    """Return the rates of a ``visibility_table`` in a sentence."""
    means = table.groupby("method", sort=False)[["hidden", "visible"]].mean()
    return "; ".join(
        f"{method} finds {100 * row['hidden']:.0f} % of hidden and {100 * row['visible']:.0f} % of "
        "visible joints"
        for method, row in means.iterrows()
    )


def hidden_joints(dataset: SampleSource) -> list[BoolArray]:
    """Return which joints (N, K) of each frame are labeled but hidden."""
    return [dataset[index].keypoints[..., 2] == _HIDDEN for index in range(len(dataset))]


def visibility_table(
    results: Mapping[str, Sequence[JointResults]], hidden: Sequence[BoolArray]
) -> pd.DataFrame:
    """Return the fractions of ``hidden`` and other joints that are right.

    Returns:
        Columns ``method``, ``seed``, ``hidden`` and ``visible``.
    """
    visible = [~mask for mask in hidden]  # joints without a label count in no rate
    rows = [
        (method, seed, each.rate(hidden), each.rate(visible))
        for method, several in results.items()
        for seed, each in enumerate(several)
    ]
    return pd.DataFrame(rows, columns=["method", "seed", "hidden", "visible"])

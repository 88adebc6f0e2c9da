"""Measure how well person scores rank detections by their OKS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from poselib.analysis.compare import evaluate_decoders
from poselib.data.loaders import SampleSource
from poselib.engine.evaluate import LabeledImages
from poselib.engine.predict import PredictOptions
from poselib.engine.scoring_net import best_oks, has_labels
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.systems import System


def compare_rankings(
    systems: Mapping[str, System],
    dataset: LabeledImages,
    options: PredictOptions | None = None,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare the person scores that systems with one network give to the same detections.

    Args:
        systems: by name; they share a network and differ in the scores of detections.
        options: how images are presented; defaults to ``PredictOptions()``.
        device: where the network runs; where its weights are if not given.

    Returns:
        One row per system: ``ranked_by``, its name, the fields of ``APResult`` and
        ``rank_correlation`` of scores with OKS; and the table of ``rank_people``.

    Raises:
        ValueError: as ``evaluate_decoders``, or the detections are not the same.
    """
    evaluations = evaluate_decoders(
        systems, dataset, options, device=device, progress=progress, explain=False
    )
    skeleton = next(iter(systems.values())).skeleton
    people = rank_people(dataset, {n: each.poses for n, each in evaluations.items()}, skeleton)
    rows = [
        {
            "ranked_by": name,
            **evaluation.ap.as_dict(),
            "rank_correlation": rank_correlation(people[name], people["oks"]),
        }
        for name, evaluation in evaluations.items()
    ]
    return pd.DataFrame(rows), people


def rank_people(
    dataset: SampleSource, detections: Mapping[str, Sequence[Poses]], skeleton: Skeleton
) -> pd.DataFrame:
    """Return the OKS of detections beside the scores that several systems give them.

    Images without a labeled person are left out; see ``scoring_net.collect_scoring_data``.

    Args:
        detections: of each image, px of the file, by the name of the system that scored them; the
            same people in the same order.

    Returns:
        One row per detection: ``index`` of the image, ``oks``, the highest with any annotated
        person of the image, and the person score of each system under its name.

    Raises:
        ValueError: there is no system, or systems differ in images or people.
    """
    first = next(iter(detections.values()), None)
    if first is None or any(_counts(poses) != _counts(first) for poses in detections.values()):
        raise ValueError("expected the same people of the same images from every system")
    if len(first) != len(dataset):
        raise ValueError(f"{len(first)} predictions for {len(dataset)} images")
    columns = ["index", "oks", *detections]
    tables = [pd.DataFrame(columns=columns, dtype=float).astype({"index": int})]
    for index, people in enumerate(first):
        sample = dataset[index]
        if len(people) and has_labels(sample):
            scores = {name: poses[index].person_scores for name, poses in detections.items()}
            oks = best_oks(people, sample, skeleton)
            tables.append(pd.DataFrame({"index": index, "oks": oks, **scores}))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def rank_correlation(scores: ArrayLike, oks: ArrayLike) -> float:
    """Return Spearman's correlation of scores (P,) with OKS (P,); NaN if either is constant."""
    pair = np.asarray(scores, np.float64), np.asarray(oks, np.float64)
    if any(len(np.unique(values)) < 2 for values in pair):
        return float("nan")
    return float(spearmanr(*pair).statistic)


def _counts(poses: Sequence[Poses]) -> list[int]:
    return [len(people) for people in poses]

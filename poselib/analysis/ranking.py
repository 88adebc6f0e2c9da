"""Measure how well person scores rank detections by their OKS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch

from poselib.analysis.compare import evaluate_decoders
from poselib.data.loaders import SampleSource
from poselib.engine.evaluate import LabeledImages
from poselib.engine.inference import PredictOptions
from poselib.engine.scoring_net import best_oks, has_labels
from poselib.metrics.bootstrap import APGain, ap_gain
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
        options, device, progress: as in ``evaluate_decoders``.

    Returns:
        One row per system: ``ranked_by``, its name, the fields of ``APResult``,
        ``rank_correlation``, Spearman's, of scores with OKS, NaN if either is constant, and
        ``AP_gain``, ``AP_gain_low`` and ``AP_gain_high``, the AP more than the first system's with
        its interval over images, as ``ap_gain``; and the table of ``rank_people``.

    Raises:
        ValueError: as ``evaluate_decoders``, or the detections are not the same.
    """
    evaluations = evaluate_decoders(
        systems, dataset, options, device=device, progress=progress, explain=False
    )
    skeleton = next(iter(systems.values())).skeleton
    people = rank_people(dataset, {n: each.poses for n, each in evaluations.items()}, skeleton)
    table = pd.DataFrame({name: each.ap.as_dict() for name, each in evaluations.items()}).T
    table["rank_correlation"] = people.corr(method="spearman")["oks"]
    first, *others = (each.comparison for each in evaluations.values())
    more = [APGain(0.0, 0.0, 0.0), *(ap_gain(first, each) for each in others)]
    table[["AP_gain", "AP_gain_low", "AP_gain_high"]] = more
    return table.rename_axis("ranked_by").reset_index(), people


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
    first = next(iter(detections.values()), [])
    counts = {tuple(map(len, poses)) for poses in detections.values()}
    if len(counts) != 1:
        raise ValueError("expected the same people of the same images from every system")
    if len(first) != len(dataset):
        raise ValueError(f"{len(first)} predictions for {len(dataset)} images")
    tables = []
    for index, people in enumerate(first):
        sample = dataset[index]
        if len(people) and has_labels(sample):
            scores = {name: poses[index].person_scores for name, poses in detections.items()}
            oks = best_oks(people, sample, skeleton)
            tables.append(pd.DataFrame({"index": index, "oks": oks, **scores}))
    if not tables:
        return pd.DataFrame(columns=["index", "oks", *detections], dtype=float)
    return pd.concat(tables, ignore_index=True)

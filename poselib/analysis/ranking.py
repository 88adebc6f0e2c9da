"""How well scores rank the people that are found: better ones ought to come first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from poselib.data.loaders import SampleSource
from poselib.engine.evaluate import LabeledImages, score
from poselib.engine.predict import PredictOptions, predict_variants
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
    """Measure how well several systems rank the same people, while one network looks once.

    Args:
        systems: by name; they share a network and differ in the scores that they give to people.
        dataset: labeled images.
        options: how images are presented; defaults to ``PredictOptions()``.
        device: where the network runs; where its weights are if not given.
        progress: show a bar.

    Returns:
        One row a system: ``ranked_by``, its name, the fields of ``APResult`` and
        ``rank_correlation``, of scores with OKS; and the people that the latter is of, as in
        ``rank_people``.

    Raises:
        ValueError: nobody is annotated, before anything is predicted; as ``predict_variants``; or
            the systems find other people.
    """
    dataset.annotations()  # refused before the network looks at all images
    each = list(systems.values())
    found = predict_variants(each, dataset, options, device=device, progress=progress)
    ways = dict(zip(systems, found, strict=True))
    people = rank_people(dataset, ways, each[0].skeleton)
    rows = [
        {
            "ranked_by": name,
            **score(each[0], dataset, poses, explain=False).ap.as_dict(),
            "rank_correlation": rank_correlation(people[name], people["oks"]),
        }
        for name, poses in ways.items()
    ]
    return pd.DataFrame(rows), people


def rank_people(
    dataset: SampleSource, ways: Mapping[str, Sequence[Poses]], skeleton: Skeleton
) -> pd.DataFrame:
    """Put the scores of the people found beside how good they are.

    People in images without a labeled person are left out, see ``scoring.collect_scoring_data``.

    Args:
        dataset: labeled images.
        ways: the people found in each image, px of the file, by the name of what gave them their
            scores; the same people in the same order.
        skeleton: of all.

    Returns:
        One row a person: ``index``, the image's place in the dataset, ``oks``, the highest OKS with
        any annotated person of it, and the person's score by each way, under its name.

    Raises:
        ValueError: there is no way, or ways differ in images or people.
    """
    first = next(iter(ways.values()), None)
    if first is None or any(_numbers(found) != _numbers(first) for found in ways.values()):
        raise ValueError("expected the same people of the same images in every way")
    if len(first) != len(dataset):
        raise ValueError(f"{len(first)} predictions for {len(dataset)} images")
    tables = [pd.DataFrame(columns=["index", "oks", *ways], dtype=float).astype({"index": int})]
    for index, people in enumerate(first):
        sample = dataset[index]
        if len(people) and has_labels(sample):
            scores = {name: found[index].person_scores for name, found in ways.items()}
            oks = best_oks(people, sample, skeleton)
            tables.append(pd.DataFrame({"index": index, "oks": oks, **scores}))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def rank_correlation(scores: ArrayLike, oks: ArrayLike) -> float:
    """Return Spearman's correlation of scores (P,) with OKS (P,); NaN if either is constant."""
    pair = np.asarray(scores, np.float64), np.asarray(oks, np.float64)
    if any(len(np.unique(values)) < 2 for values in pair):
        return float("nan")
    return float(spearmanr(*pair).statistic)


def _numbers(found: Sequence[Poses]) -> list[int]:
    return [len(people) for people in found]

"""Example poses of one system, chosen by a rule: at even steps from the worst to the best image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from poselib.data.loaders import SampleSource
from poselib.plots.gallery import show_poses
from poselib.skeletons import Skeleton
from poselib.structures import Poses


def filter_by_score(poses: Sequence[Poses], least: float) -> list[Poses]:
    """Return the people of each image whose score is at least so high."""
    kept = [found.person_scores >= least for found in poses]
    return [
        Poses(found.keypoints[keep], found.scores[keep], found.person_scores[keep])
        for found, keep in zip(poses, kept, strict=True)
    ]


def evenly_spaced(ranked: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return ``count`` rows at even steps from the first to the last; all if there are fewer.

    Raises:
        ValueError: ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"at least 1 example must be shown, not {count}")
    places = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
    return ranked.iloc[places]


def mean_similarity(ranked: pd.DataFrame) -> float:
    """Return the mean OKS over all people of ``ranked_images``; NaN without any."""
    people = ranked["people"].to_numpy(float)
    return float((people * ranked["similarity"]).sum() / people.sum()) if people.sum() else np.nan


def show_examples(
    dataset: SampleSource,
    poses: Sequence[Poses],
    skeleton: Skeleton,
    rows: pd.DataFrame,
    *,
    columns: int = 4,
    title: str = "",
) -> Figure:
    """Draw the people found in some images, with all of their keypoints, however unsure.

    Args:
        dataset: the images.
        poses: people found in each, px of the image.
        skeleton: of the poses.
        rows: of ``ranked_images``, those to draw.
        columns: images side by side.
        title: heading of the figure.

    Raises:
        ValueError: there is no row.
    """
    chosen = rows["index"].tolist()
    return show_poses(
        [dataset[index].image for index in chosen],
        [poses[index] for index in chosen],
        skeleton,
        [f"image {i}: OKS {oks:.2f}" for i, oks in zip(chosen, rows["similarity"], strict=True)],
        columns=columns,
        min_score=0.0,
        title=title,
    )

"""Select the images to show by rank, never by appearance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from poselib.annotations import AnnotationTable
from poselib.data.loaders import SampleSource
from poselib.engine.evaluate import LabeledImages
from poselib.metrics.matching import matched_people
from poselib.plots.poses import labeled_people
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample, sample_index


def first_crowded(dataset: SampleSource, people: int, count: int, within: int = 1000) -> list[int]:
    """Return the first ``count`` images with at least ``people`` labeled people.

    If there are fewer, those with the most people follow, the first ones first.

    Args:
        count: images to return; fewer if the dataset is smaller.
        within: number of images that are read at most.
    """
    sizes: list[int] = []
    for index in range(min(len(dataset), within)):
        sizes.append(labeled_people(dataset[index].keypoints))
        if sum(size >= people for size in sizes) == count:
            break
    enough = [index for index, size in enumerate(sizes) if size >= people]
    others = sorted((i for i in range(len(sizes)) if sizes[i] < people), key=lambda i: -sizes[i])
    return [*enough, *others][:count]


def rank_images(dataset: SampleSource, poses: Sequence[Poses], skeleton: Skeleton) -> pd.DataFrame:
    """Rank the images with labeled people by how well these were detected, worst first.

    Args:
        poses: detections in each, px of the image.

    Returns:
        Columns ``index``, ``people``, ``detections`` and ``oks``, the mean over annotated people
        of the OKS with their matched detection, 0 without one. Unmatched detections do not count.

    Raises:
        ValueError: the number of poses is not that of the images.
    """
    if len(poses) != len(dataset):
        raise ValueError(f"{len(poses)} predictions for {len(dataset)} images")
    rows = []
    for index, detections in enumerate(poses):
        sample = dataset[index]
        if people := labeled_people(sample.keypoints):
            mean = float(np.nanmean(matched_people(detections, sample, skeleton)[1]))
            rows.append((index, people, len(detections), mean))
    table = pd.DataFrame(rows, columns=["index", "people", "detections", "oks"])
    return table.sort_values(["oks", "index"], ignore_index=True)


def mean_oks(ranked: pd.DataFrame) -> float:
    """Return the mean OKS over all people of ``rank_images``; NaN without any."""
    people = ranked["people"].to_numpy(float)
    return float((people * ranked["oks"]).sum() / people.sum()) if people.sum() else np.nan


def evenly_spaced(ranked: pd.Series, count: int) -> pd.Series:
    """Return ``count`` values at even steps from the first to the last; all if there are fewer.

    Raises:
        ValueError: ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"at least 1 example must be shown, not {count}")
    rows = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
    return ranked.iloc[rows]


def extremes(gain: pd.Series, count: int = 1) -> dict[str, list[Any]]:
    """Select the largest gains, those around the median and the largest losses.

    Nothing is selected twice: where there are few values, gains and losses go first.

    Args:
        count: values of each kind, at most.

    Returns:
        Labels of ``gain`` by ``"largest gain"``, ``"median gain"`` and ``"largest loss"``, the
        largest first. Values that are not positive are no gains, those that are not negative no
        losses.
    """
    ordered = gain.sort_values(kind="stable")
    best = ordered[ordered > 0].index[::-1][:count].tolist()
    worst = ordered[ordered < 0].index[:count].tolist()
    taken, middle = {*best, *worst}, len(ordered) // 2
    rest = [rank for rank, label in enumerate(ordered.index) if label not in taken]
    nearest = sorted(sorted(rest, key=lambda rank: abs(rank - middle))[:count])
    median = ordered.index[nearest].tolist()
    return {"largest gain": best, "median gain": median, "largest loss": worst}


class LabeledSubset:
    """The images of a dataset that have a person with a labeled keypoint, in the same order.

    LOGO-CAP, Sec. 1, measures on "2346 testing samples that are fully annotated with keypoint
    annotations" of COCO's val2017. As many of its 5000 images have a person with a labeled
    keypoint, and the official code asks for no more (``filter_for_keypoint_annotations``). So
    images without people or with boxes alone are left out; people who have a box alone in an image
    that is kept are ignored as usual.

    Attributes:
        dataset: as given.
        indices: of the images that are kept.

    Raises:
        ValueError: the dataset has no annotations.
    """

    def __init__(self, dataset: LabeledImages) -> None:
        self.dataset = dataset
        self.indices = tuple(np.flatnonzero(dataset.annotations().has_people).tolist())

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Sample:
        return self.dataset[self.indices[sample_index(index, len(self))]]

    def annotations(self) -> AnnotationTable:
        """Return the annotated people of the images that are kept."""
        return self.dataset.annotations().at(np.array(self.indices, np.int64))

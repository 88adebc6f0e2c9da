"""Which images of a dataset to show: by a rule, never by their looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from poselib.data.loaders import SampleSource
from poselib.metrics.matching import matched_oks
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample


def first_crowded(dataset: SampleSource, people: int, count: int, within: int = 1000) -> list[int]:
    """Return the first ``count`` images with at least so many labeled people, in their order.

    Where there are not enough, those with the most people follow, again the first first.

    Args:
        dataset: is read from its start.
        people: labeled people that an image should have.
        count: images to return; fewer if the dataset has fewer.
        within: no image after this many is looked at.
    """
    sizes: list[int] = []
    for index in range(min(len(dataset), within)):
        sizes.append(_people(dataset[index]))
        if sum(size >= people for size in sizes) == count:
            break
    enough = [index for index, size in enumerate(sizes) if size >= people]
    others = sorted((i for i in range(len(sizes)) if sizes[i] < people), key=lambda i: -sizes[i])
    return [*enough, *others][:count]


def ranked_images(
    dataset: SampleSource, poses: Sequence[Poses], skeleton: Skeleton
) -> pd.DataFrame:
    """Return the images with labeled people, those in which they were found worst first.

    Args:
        dataset: labeled images.
        poses: people found in each, px of the image.
        skeleton: of both.

    Returns:
        Columns ``index``, ``people``, ``found`` and ``similarity``, the mean over the annotated
        people of their OKS with a person found. Who was found but is not there does not count.

    Raises:
        ValueError: the number of poses is not that of the images.
    """
    if len(poses) != len(dataset):
        raise ValueError(f"{len(poses)} predictions for {len(dataset)} images")
    rows = []
    for index, found in enumerate(poses):
        sample = dataset[index]
        if people := _people(sample):
            mean = float(np.nanmean(matched_oks(found, sample, skeleton)))
            rows.append({"index": index, "people": people, "found": len(found), "similarity": mean})
    table = pd.DataFrame(rows, columns=["index", "people", "found", "similarity"])
    return table.sort_values(["similarity", "index"], ignore_index=True)


def _people(sample: Sample) -> int:
    return int((sample.keypoints[..., 2] > 0).any(axis=1).sum())

"""Sigmas of keypoints from images that several people annotated, by COCO's definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from poselib.annotations import AnnotationTable
from poselib.metrics.matching import assign_one_to_one
from poselib.skeletons import Skeleton
from poselib.typing import FloatArray, IntArray

MIN_PAIRS = 25  # the standard error of a sigma is then a tenth of it
# Two annotations are of one person if their keypoints are this near on average, in √area: about
# five times the sigma of COCO's hips.
_SAME_PERSON = 0.5


@dataclass(frozen=True)
class SigmaEstimate:
    """How far annotators differ in each keypoint.

    Attributes:
        skeleton: with the sigmas that enough pairs were found for; the others are as they were.
        sigmas: (K,) as estimated, NaN without a pair.
        pairs: (K,) how many pairs of annotations there are; of three annotations of a keypoint two
            count, as the third tells how far the others are off but not where the truth is.
        min_pairs: as many are enough.
    """

    skeleton: Skeleton
    sigmas: FloatArray
    pairs: IntArray
    min_pairs: int

    @property
    def errors(self) -> FloatArray:
        """(K,) standard errors, ``sigma / (2 √pairs)``: of each pair x and y count."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.sigmas / (2 * np.sqrt(self.pairs))

    def to_dataframe(self) -> pd.DataFrame:
        """Return ``sigma``, ``error``, ``pairs`` and the sigma ``used``, by keypoint."""
        columns = {"sigma": self.sigmas, "error": self.errors, "pairs": self.pairs}
        index = pd.Index(self.skeleton.keypoints, name="keypoint")
        return pd.DataFrame({**columns, "used": self.skeleton.sigmas}, index=index)

    def __repr__(self) -> str:
        few = int((self.pairs < self.min_pairs).sum())
        kept = f"\n{few} have fewer than {self.min_pairs} pairs: theirs stay" if few else ""
        return f"{self.to_dataframe().round(4)}{kept}"


def estimate_sigmas(
    annotators: Sequence[AnnotationTable], skeleton: Skeleton, *, min_pairs: int = MIN_PAIRS
) -> SigmaEstimate:
    r"""Estimate the sigmas of OKS from the same images annotated two or more times.

    COCO defines ``σ² = E[d² / s²]``, where d is how far an annotation lies from the keypoint and s²
    is the person's area. The true location is not known: the variance of the annotations around
    their mean, with one degree of freedom less than there are, stands in for it, which for two of
    them is half their squared distance. People are matched one to one in each image by how near
    their keypoints are; those that only one annotator has do not count, nor do crowds.

    A pair tells two numbers, x and y, so the standard error is ``σ / (2 √pairs)``: 25 pairs of a
    keypoint give 10%, 100 give 5%. One of its keypoints that is off by a limb counts as much as a
    hundred others: correct gross mistakes first.

    Args:
        annotators: two tables or more, as ``open_files(...).annotations()`` returns them; images
            are the same by file name where all tables know them, otherwise by id.
        skeleton: of all of them.
        min_pairs: keypoints with fewer keep the sigma that they have.

    Raises:
        ValueError: there is one table alone, one has another number of keypoints, or the first
            shares no image or no keypoint of a person with another.

    Example:
        >>> from poselib.skeletons import COCO
        >>> table = AnnotationTable.empty([1], 17)
        >>> estimate_sigmas([table], COCO)
        Traceback (most recent call last):
        ValueError: sigmas need the annotations of two annotators or more, not 1
    """
    if len(annotators) < 2:
        raise ValueError(
            f"sigmas need the annotations of two annotators or more, not {len(annotators)}"
        )
    for table in annotators:
        if table.keypoints.shape[1] != len(skeleton):
            raise ValueError(
                f"{table.source or 'annotations'}: {table.keypoints.shape[1]} keypoints, but "
                f"skeleton {skeleton.name!r} has {len(skeleton)}"
            )
    by_name = all(table.file_names for table in annotators)
    places = [
        {key: n for n, key in enumerate(t.file_names if by_name else t.image_ids)}
        for t in annotators
    ]
    shared = [key for key in places[0] if any(key in other for other in places[1:])]
    if not shared:
        kind = "file names" if by_name else "ids"
        raise ValueError(f"the first annotator shares no image with another, by {kind}")
    squares, freedom = np.zeros(len(skeleton)), np.zeros(len(skeleton), np.int64)
    for key in shared:
        images = [place.get(key) for place in places]
        points, areas = _annotations_of_people(annotators, images)
        labeled = points[..., 2] > 0
        count = labeled.sum(axis=1)
        xy = np.where(labeled[..., None], points[..., :2], 0)
        mean = xy.sum(axis=1) / np.maximum(count, 1)[..., None]
        apart = np.where(labeled, ((points[..., :2] - mean[:, None]) ** 2).sum(axis=-1), 0)
        squares += (apart.sum(axis=1) / areas[:, None]).sum(axis=0)
        freedom += np.maximum(count - 1, 0).sum(axis=0)
    if not freedom.any():
        raise ValueError("the first annotator shares no keypoint of a person with another")
    sigmas = np.where(freedom > 0, np.sqrt(squares / np.maximum(freedom, 1)), np.nan)
    enough = (freedom >= min_pairs) & (sigmas > 0)
    used = np.where(enough, sigmas, skeleton.sigmas).tolist()
    return SigmaEstimate(replace(skeleton, sigmas=tuple(used)), sigmas, freedom, min_pairs)


def _annotations_of_people(
    annotators: Sequence[AnnotationTable], images: Sequence[int | None]
) -> tuple[FloatArray, FloatArray]:
    """Return the people of an image in the first table, (N, A, K, 3), zeros where one lacks them.

    And their areas (N,), the mean over their annotators.
    """
    tables = [
        (t, t.labeled_rows(n)) for t, n in zip(annotators, images, strict=True) if n is not None
    ]
    (first, rows), *others = tables
    points, areas, count = [first.keypoints[rows]], first.areas[rows].copy(), np.ones(len(rows))
    for table, candidates in others:
        here, there = first.keypoints[rows][:, None], table.keypoints[candidates][None]
        both = (here[..., 2] > 0) & (there[..., 2] > 0)
        apart = np.linalg.norm(here[..., :2] - there[..., :2], axis=-1)
        scale = np.sqrt(np.maximum(first.areas[rows], 1e-9))[:, None]
        mean = (apart * both).sum(axis=-1) / np.maximum(both.sum(axis=-1), 1) / scale
        near = np.where(both.any(axis=-1), np.maximum(1 - mean / _SAME_PERSON, 0), 0)
        partner = assign_one_to_one(near)
        found = partner >= 0
        theirs = np.zeros_like(first.keypoints[rows])
        theirs[found] = table.keypoints[candidates[partner[found]]]
        areas[found] += table.areas[candidates[partner[found]]]
        count += found
        points.append(theirs)
    return np.stack(points, axis=1), np.maximum(areas / count, 1e-9)

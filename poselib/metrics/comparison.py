"""Annotated people and detections of the same images, paired once for all metrics."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from poselib.annotations import AnnotationTable, DetectionTable
from poselib.metrics.pairwise_oks import Pairs, pair_detections, pairwise_oks
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.typing import FloatArray, IntArray


@dataclass(frozen=True)
class Comparison:
    """Annotated people and the detections to compare them with.

    Attributes:
        truth: the annotated people of the evaluated images, in ascending order of image ids.
        found: the detections in these images.
        positions: (M,) int64, where each of these images is in the dataset.
        skeleton: gives the constants of OKS.
        max_detections: detections that count in an image, best scores first.
    """

    truth: AnnotationTable
    found: DetectionTable
    positions: IntArray
    skeleton: Skeleton
    max_detections: int = 20

    @cached_property
    def pairs(self) -> Pairs:
        """The best detections of each image with the people annotated there."""
        return pair_detections(self.truth, self.found, self.max_detections)

    @cached_property
    def oks(self) -> FloatArray:
        """(Q,) object keypoint similarity of each of ``pairs``."""
        return pairwise_oks(self.truth, self.found, self.pairs, self.skeleton.sigmas)

    @property
    def images(self) -> tuple[Any, ...]:
        """The image ids that positions refer to."""
        return self.truth.image_ids

    def at(self, positions: Sequence[int]) -> Comparison:
        """Return the comparison in the images at some positions, in that order."""
        count = len(self.images)
        if list(positions) == list(range(count)):
            return self
        kept = np.array(positions, np.int64)
        place = np.full(count, -1)
        place[kept] = np.arange(len(kept))
        found = self.found.only(place[self.found.images] >= 0)
        return replace(
            self,
            truth=self.truth.at(kept),
            positions=self.positions[kept],
            found=replace(found, images=place[found.images]),
        )

    def best_oks(self) -> tuple[FloatArray, IntArray]:
        """Find the most similar detection for each annotated person.

        People are not matched: two may have the same detection.

        Returns:
            (N,) OKS from 0 to 1, and (N,) positions in ``found``, of equals any; 0 and -1 where
            there is no detection.
        """
        pairs, values = self.pairs, self.oks
        best, row = np.zeros(len(self.truth)), np.full(len(self.truth), -1)
        np.maximum.at(best, pairs.truth, values)
        equal = values == best[pairs.truth]
        row[pairs.truth[equal]] = pairs.found[equal]
        return best, row


def compare(
    annotations: AnnotationTable,
    detections: DetectionTable | Sequence[Poses],
    skeleton: Skeleton,
    image_ids: Collection[Any] | None = None,
    max_detections: int = 20,
) -> Comparison:
    """Pair annotated people with detections, as all metrics take them.

    Args:
        annotations: the people of a dataset.
        detections: in its images; or one ``Poses`` for each of its images, in their order, px of
            the image files.
        image_ids: images to evaluate; all by default.
        max_detections: detections that count in an image, best scores first.

    Raises:
        ValueError: the numbers of keypoints or of images differ, a detection has a number that is
            not finite, ``image_ids`` names an image that the table lacks, or ``max_detections`` is
            below 1.
    """
    if max_detections < 1:
        raise ValueError(f"max_detections must be 1 or more, not {max_detections}")
    known = annotations.image_ids
    if not isinstance(detections, DetectionTable):
        if len(detections) != len(known):
            raise ValueError(f"{len(detections)} predictions for {len(known)} images")
        detections = DetectionTable.of_poses(detections, len(skeleton))
    counts = {annotations.keypoints.shape[1], detections.keypoints.shape[1], len(skeleton)}
    if len(counts) > 1:
        raise ValueError(
            f"{annotations.keypoints.shape[1]} keypoints annotated and "
            f"{detections.keypoints.shape[1]} detected, but skeleton {skeleton.name!r} has "
            f"{len(skeleton)}"
        )
    finite = np.isfinite(detections.keypoints).all(axis=(1, 2)) & np.isfinite(detections.scores)
    if not finite.all():
        image = known[detections.images[np.argmin(finite)]]
        raise ValueError(f"detections in image {image}: a keypoint or a score is not finite")
    wanted = set(known if image_ids is None else image_ids)
    if not wanted <= set(known):
        raise ValueError(f"image_ids: the ground truth lacks {sorted(wanted - set(known))[:5]}")
    order = sorted((n for n, image in enumerate(known) if image in wanted), key=known.__getitem__)
    everything = Comparison(
        annotations, detections, np.arange(len(known)), skeleton, max_detections
    )
    return everything.at(order)

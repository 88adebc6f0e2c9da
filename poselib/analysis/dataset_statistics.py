"""Count the people and keypoints of a dataset from its annotations."""

from __future__ import annotations

import numpy as np

from poselib.annotations import AnnotationTable
from poselib.ops.crowd_index import crowd_indices_of_images
from poselib.plots.statistics import DatasetStatistics


def annotation_statistics(annotations: AnnotationTable) -> DatasetStatistics:
    """Count the annotated people of a dataset; no image is read."""
    counted = ~annotations.crowds & annotations.labeled.any(axis=1)
    people = annotations.only(counted)
    images = len(annotations.image_ids)
    corners = np.concatenate([people.boxes[:, :2], people.boxes[:, :2] + people.boxes[:, 2:]], 1)
    marks = people.keypoints[..., 2]
    return DatasetStatistics(
        people=np.bincount(people.images, minlength=images),
        crowding=crowd_indices_of_images(people.keypoints, corners, people.images, images),
        visibility=np.stack([(marks == value).sum(axis=0) for value in range(3)], axis=1),
        areas=people.areas,
        ignored=int((~counted).sum()),
    )

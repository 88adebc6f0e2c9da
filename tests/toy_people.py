"""Two people of four keypoints, so simple that errors can be counted by hand."""

from __future__ import annotations

import numpy as np

from poselib.skeletons import Skeleton
from poselib.structures import AffineTransform, Poses, Sample

Annotated = list[tuple[float, float, int]]
Predicted = list[tuple[float, float]]

# sigma 0.05 and area 100 px² of a person: s k = 1 px, so that near ends at 1.18 px and loose at
# 2.15 px.
TOY = Skeleton(
    name="toy",
    keypoints=("nose", "left_hand", "right_hand", "tail"),
    sigmas=(0.05,) * 4,
    flip_pairs=(("left_hand", "right_hand"),),
    limbs=(("nose", "tail"),),
)
ANN: Annotated = [(10, 10, 2), (20, 10, 2), (30, 10, 2), (40, 10, 2)]
BOB: Annotated = [(10, 50, 2), (20, 50, 2), (30, 50, 2), (40, 50, 2)]
NONE = (0, 0)  # a keypoint that was not predicted


def at(person: Annotated) -> Predicted:
    """The locations of an annotated person's keypoints."""
    return [(x, y) for x, y, _ in person]


def sample(*people: Annotated) -> Sample:
    """Return an image of 64 x 64 px with these people."""
    keypoints = np.array(people, np.float32).reshape(-1, 4, 3)
    areas = np.full(len(keypoints), 100, np.float32)
    image, ignore = np.zeros((3, 64, 64), np.uint8), np.zeros((64, 64), bool)
    return Sample(image, keypoints, areas, ignore, 1, AffineTransform.identity())


def poses(*people: Predicted) -> Poses:
    """Return detections with a score of 1 for every keypoint that is present."""
    keypoints = np.array(people, np.float32).reshape(-1, 4, 2)
    scores = (keypoints != 0).any(-1).astype(np.float32)
    return Poses(keypoints, scores, scores.mean(1))

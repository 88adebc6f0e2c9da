"""Synthetic annotations and detections, to measure or test an evaluation."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from poselib.data.readers.json_fields import Entry
from poselib.ops.oks import AREA_OF_BOX
from poselib.skeletons import Skeleton

_WIDTH, _HEIGHT = 640, 480


def evaluation_workload(
    skeleton: Skeleton, images: int = 5000, seed: int = 0
) -> tuple[Entry, list[Entry]]:
    """Make ground truth and results of the size of a COCO validation set.

    About two people per image, in some images none, in COCO's range of sizes and with a third of
    the keypoints unlabeled; one in fifty is a crowd and one in twenty has no labeled keypoint.
    Nine people in ten are detected, more or less exactly, some twice, and four detections per image
    are false positives. 5000 images have about 10,000 people and 30,000 detections.

    Args:
        skeleton: gives K; where its keypoints lie on a body does not matter here.
        images: number of images, 640x480 px, with ids from 1 and crowd indices.

    Returns:
        Ground truth as ``evaluate_ap`` takes it, and COCO results.
    """
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(1, images + 1), rng.poisson(2.0, images))
    people, boxes = _people(rng, len(owners), len(skeleton))
    truth = {
        "images": [
            {"id": i, "width": _WIDTH, "height": _HEIGHT, "crowdIndex": index}
            for i, index in enumerate(np.round(rng.random(images), 3).tolist(), start=1)
        ],
        "annotations": _annotations(rng, owners, people, boxes),
        "categories": [{"id": 1, "name": "person", "keypoints": list(skeleton.keypoints)}],
    }
    return truth, _results(rng, images, owners, people, boxes)


def _people(
    rng: np.random.Generator, count: int, keypoints: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Keypoints (N, K, 3) and boxes (N, 4) left, top, width, height; px."""
    size = np.exp(rng.uniform(np.log(20), np.log(400), (count, 1))) * rng.uniform(
        0.4, 1, (count, 2)
    )
    corner = rng.random((count, 2)) * (np.array([_WIDTH, _HEIGHT]) - size).clip(0)
    xy = corner[:, None] + size[:, None] * rng.random((count, keypoints, 2))
    visibility = rng.choice(3, (count, keypoints), p=[0.34, 0.1, 0.56])
    visibility[rng.random(count) < 0.05] = 0
    points = np.where(visibility[..., None] > 0, np.round(xy), 0)
    return np.dstack([points, visibility]), np.hstack([corner, size])


def _annotations(
    rng: np.random.Generator,
    owners: NDArray[np.int64],
    people: NDArray[np.float64],
    boxes: NDArray[np.float64],
) -> list[Entry]:
    labeled = (people[..., 2] > 0).sum(axis=1)
    crowds = rng.random(len(people)) < 0.02
    areas = AREA_OF_BOX * boxes[:, 2:].prod(axis=1) * rng.uniform(0.7, 1.3, len(people))
    table = pd.DataFrame(
        {
            "id": np.arange(1, len(people) + 1),
            "image_id": owners,
            "category_id": 1,
            "iscrowd": crowds.astype(int),
            "num_keypoints": labeled,
            "keypoints": people.reshape(len(people), -1).tolist(),
            "bbox": boxes.tolist(),
            "area": areas,
        }
    )
    return cast(list[Entry], table.to_dict("records"))


def _results(
    rng: np.random.Generator,
    images: int,
    owners: NDArray[np.int64],
    people: NDArray[np.float64],
    boxes: NDArray[np.float64],
) -> list[Entry]:
    found = np.flatnonzero(rng.random(len(people)) < 0.9)
    found = np.concatenate([found, rng.permutation(found)[: len(found) // 10]])
    error = np.exp(rng.normal(-3.5, 1, (len(found), 1, 1))) * boxes[found, None, 2:]
    # Keypoints without a label are somewhere in the person's box.
    guess = boxes[found, None, :2] + boxes[found, None, 2:] * rng.random(people[found, :, :2].shape)
    labeled = people[found, :, 2:] > 0
    hits = np.where(labeled, people[found, :, :2], guess)
    hits = hits + error * rng.normal(size=hits.shape)
    misses, _ = _people(rng, 4 * images, people.shape[1])
    xy = np.concatenate([hits, misses[..., :2]])
    ids = np.concatenate([owners[found], rng.integers(1, images + 1, len(misses))])
    scores = np.concatenate([rng.beta(4, 2, len(found)), rng.beta(1, 4, len(misses))])
    rows = np.dstack([xy, rng.random(xy.shape[:2])]).reshape(len(xy), -1)
    order = rng.permutation(len(xy))
    table = pd.DataFrame(
        {
            "image_id": ids[order],
            "category_id": 1,
            "keypoints": np.round(rows[order], 2).tolist(),
            "score": np.round(scores[order], 4),
        }
    )
    return cast(list[Entry], table.to_dict("records"))

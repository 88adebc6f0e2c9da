"""Readers of COCO-format files and the writer of results in COCO format."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from poselib.data.coco_export import PIXEL_CENTER
from poselib.data.keypoint_dataset import KeypointImages
from poselib.data.readers.coco_json import read_images, read_json, read_table
from poselib.ops.io import atomic_write
from poselib.skeletons import Skeleton
from poselib.structures import Poses

__all__ = [
    "PIXEL_CENTER",
    "CocoImages",
    "CocoKeypoints",
    "to_coco_results",
    "upload_path",
    "write_results",
]


class CocoKeypoints(KeypointImages):
    """Images and people of a COCO-format keypoint file: COCO, CrowdPose, OCHuman or the like.

    Crowds and people without a labeled keypoint become ``Sample.ignore_mask``, from their outline
    where the file gives one and from their box where not. Everyone else is a row of
    ``Sample.keypoints``, with the file's area or 0.53 of the box where it gives none.

    Args:
        annotations: the JSON file.
        images: the folder that its file names are relative to.
        skeleton: which keypoints it annotates, in which order.
        keep_empty: keep images without labeled people, as evaluation must.

    Raises:
        FileNotFoundError: the file, the folder or an image is absent.
        ValueError: the file is not COCO, does not fit the skeleton, has a bad or missing field,
            or labels nobody.
    """

    def __init__(
        self, annotations: Path, images: Path, skeleton: Skeleton, keep_empty: bool = True
    ) -> None:
        self.annotation_file = Path(annotations)
        table = read_table(self.annotation_file, skeleton, keep_empty)
        super().__init__(table, images, skeleton)

    def ground_truth(self) -> dict[str, Any]:
        """Read the file's images, annotations and categories, of this dataset's images alone."""
        content, kept = read_json(self.annotation_file), set(self.image_ids)
        return {
            "images": [image for image in content["images"] if image["id"] in kept],
            "annotations": [
                person
                for person in content["annotations"]
                if person.get("category_id") == self.category_id and person["image_id"] in kept
            ],
            "categories": [c for c in content["categories"] if c.get("id") == self.category_id],
        }


class CocoImages(KeypointImages):
    """Images of a COCO-format file that annotates nobody, such as test-dev's.

    They are there to be predicted: ``to_coco_results`` and ``write_results`` make the file that
    the evaluation server takes, ``upload_path`` gives its name.

    Args:
        image_info: the JSON file, such as ``image_info_test-dev2017.json``.
        images: the folder that its file names are relative to.
        skeleton: which keypoints are predicted.

    Raises:
        FileNotFoundError: the file, the folder or an image is absent.
        ValueError: the file is not COCO, or has a bad or missing field.
    """

    def __init__(self, image_info: Path, images: Path, skeleton: Skeleton) -> None:
        super().__init__(read_images(Path(image_info), skeleton), images, skeleton)

    def ground_truth(self) -> dict[str, Any]:
        """Raise ValueError: there is none."""
        raise ValueError(
            f"{self.table.source} annotates nobody, so there is nothing to compare with: predict "
            "its images and upload the results to the evaluation server"
        )


def to_coco_results(poses: Poses, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
    """Return the people of one image as COCO results, keypoints as (x, y, score) triples.

    Args:
        poses: px of the image file; missing keypoints are written as 0, 0, 0.
        image_id: the dataset's number of the image.
        category_id: the dataset's number of the category.
    """
    xy = np.where(poses.found[..., None], poses.keypoints - PIXEL_CENTER, 0.0)
    scores = np.where(poses.found, poses.scores, 0.0)
    rows = np.concatenate([xy, scores[..., None]], axis=-1).astype(float)
    rows = rows.reshape(len(poses), 3 * scores.shape[1])
    return [
        {"image_id": image_id, "category_id": category_id, "keypoints": row, "score": score}
        for row, score in zip(
            rows.tolist(), poses.person_scores.astype(float).tolist(), strict=True
        )
    ]


def write_results(results: list[dict[str, Any]], path: Path) -> None:
    """Write COCO results as JSON; the file appears whole or not at all.

    Raises:
        ValueError: a number is not finite.
    """
    try:
        text = json.dumps(results, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path}: results must be finite numbers: {error}") from error
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def upload_path(folder: Path, algorithm: str, part: str = "test-dev2017") -> Path:
    """Return where COCO's server wants results of a part: the name states part and algorithm.

    Raises:
        ValueError: the algorithm's name is empty, or has anything but letters, digits, - and _.
    """
    if not re.fullmatch(r"[\w-]+", algorithm, re.ASCII):
        raise ValueError(f"algorithm must be letters, digits, - or _, not {algorithm!r}")
    return Path(folder) / f"person_keypoints_{part}_{algorithm}_results.json"

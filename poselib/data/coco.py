"""The reader of COCO-format keypoint files and the writer of results in COCO format.

The only place where poselib's coordinates, with pixel centres at integer + 0.5, meet COCO's,
which are pixel indices.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from poselib.data.coco_json import read_json, read_table
from poselib.data.image_files import read_image
from poselib.ops.files import replacing
from poselib.skeleton import Skeleton
from poselib.structures import Poses, Sample, Warp

# Added to what COCO writes; taken off what is written for COCO.
PIXEL_CENTRE = 0.5


class CocoKeypoints:
    """Images and people of a COCO-format keypoint file: COCO, CrowdPose, OCHuman or the like.

    Crowds and people without a labelled keypoint become ``Sample.ignore``, from their outline
    where the file gives one and from their box where not. Everyone else is a row of
    ``Sample.keypoints``, with the file's area or 0.53 of the box where it gives none.

    Args:
        annotations: the JSON file.
        images: the folder that its file names are relative to.
        skeleton: which keypoints it annotates, in which order.
        keep_empty: keep images without labelled people, as evaluation must.

    Raises:
        FileNotFoundError: the file, the folder or an image is absent.
        ValueError: the file is not COCO, does not fit the skeleton, has a bad or missing field,
            or labels nobody.
    """

    def __init__(
        self, annotations: Path, images: Path, skeleton: Skeleton, keep_empty: bool = True
    ) -> None:
        self.annotation_file, self.image_folder = Path(annotations), Path(images)
        self.skeleton = skeleton
        self._table = read_table(self.annotation_file, skeleton, keep_empty)
        _check_files(self.image_folder, self._table.file_names)

    def __len__(self) -> int:
        return len(self._table.image_ids)

    @property
    def image_ids(self) -> tuple[int, ...]:
        return self._table.image_ids

    @property
    def category_id(self) -> int:
        """The number of the category that has keypoints, which results must carry."""
        return self._table.category_id

    @property
    def crowd_indices(self) -> dict[int, float]:
        """CrowdPose's crowd index by image id; without images that have none."""
        return dict(self._table.crowd_indices)

    def image_path(self, index: int) -> Path:
        return self.image_folder / self._table.file_names[index]

    def __getitem__(self, index: int) -> Sample:
        """Read one image with its people, in px of the file.

        Raises:
            IndexError: no such index.
            FileNotFoundError, ValueError: the image is absent, unreadable, cut short, or not of
                the size that the annotations state.
        """
        table, index = self._table, range(len(self))[index]
        image = read_image(self.image_path(index))
        size = table.sizes[index]
        if image.shape[:2] != size:
            raise ValueError(
                f"{self.image_path(index)}: {image.shape[0]}x{image.shape[1]} px, but "
                f"{self.annotation_file} states {size[0]}x{size[1]}"
            )
        people = slice(table.starts[index], table.starts[index + 1])
        return Sample(
            image=image.transpose(2, 0, 1),
            keypoints=_centred(table.keypoints[people]),
            areas=table.areas[people].copy(),
            ignore=self._ignore(index),
            image_id=table.image_ids[index],
            to_original=Warp.identity(),
        )

    def _ignore(self, index: int) -> NDArray[np.bool_]:
        size = self._table.sizes[index]
        if index not in self._table.ignored:
            return np.zeros(size, dtype=bool)
        code = {"size": list(size), "counts": self._table.ignored[index]}
        return rle.decode(code).astype(bool)

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


def to_coco_results(poses: Poses, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
    """Return the people of one image as COCO results, keypoints as (x, y, score) triples.

    Args:
        poses: px of the image file; missing keypoints are written as 0, 0, 0.
        image_id: the dataset's number of the image.
        category_id: the dataset's number of the category.
    """
    xy = np.where(poses.found[..., None], poses.keypoints - PIXEL_CENTRE, 0.0)
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
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _centred(keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Go from pixel indices to pixel centres; keypoints that are not labelled become zeros."""
    shift = np.array([PIXEL_CENTRE, PIXEL_CENTRE, 0], dtype=np.float32)
    return np.where(keypoints[..., 2:] > 0, keypoints + shift, np.float32(0))


def _check_files(folder: Path, names: tuple[str, ...]) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"image folder {folder} does not exist")
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        listed = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
        raise FileNotFoundError(
            f"image folder {folder} lacks {len(absent)} of {len(names)} images: {listed}"
        )

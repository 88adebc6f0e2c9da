"""Datasets of images with people, whatever the format of their files.

A reader turns its format into a ``PeopleTable``, in poselib's coordinates; ``KeypointImages``
serves any table as samples and as ground truth, so that every dataset trains and evaluates alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from poselib.data.annotation_table import AnnotatedImage, PeopleTable, gather
from poselib.data.coco_export import coco_document
from poselib.data.image_io import image_size, read_image
from poselib.skeletons import Skeleton
from poselib.structures import AffineTransform, Sample, Size

__all__ = [
    "AnnotatedImage",
    "KeypointImages",
    "PeopleTable",
    "gather",
]


class KeypointImages:
    """Images with annotated people, from a table and a folder of image files.

    Args:
        table: who is where.
        images: the folder that its file names are relative to.
        skeleton: which keypoints it annotates, in which order.

    Attributes:
        table, skeleton: as given.
        image_folder: the folder.

    Raises:
        FileNotFoundError: the folder or an image is absent.
        ValueError: the table does not fit the skeleton.
    """

    def __init__(self, table: PeopleTable, images: Path, skeleton: Skeleton) -> None:
        if table.keypoints.shape[1:] != (len(skeleton), 3):
            raise ValueError(
                f"{table.source}: {table.keypoints.shape[1]} keypoints, but skeleton "
                f"{skeleton.name!r} has {len(skeleton)}"
            )
        self.table, self.image_folder, self.skeleton = table, Path(images), skeleton
        _check_images(self.image_folder, table.file_names)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def image_ids(self) -> tuple[int, ...]:
        return self.table.image_ids

    @property
    def category_id(self) -> int:
        """The number of the category that has keypoints, which results must carry."""
        return self.table.category_id

    @property
    def crowd_indices(self) -> dict[int, float]:
        """CrowdPose's crowd index by image id; without images that have none."""
        return dict(self.table.crowd_indices)

    def image_path(self, index: int) -> Path:
        return self.image_folder / self.table.file_names[index]

    def sizes(self) -> tuple[Size, ...]:
        """Return the (height, width) of each image, from the headers of the files if not stated.

        Raises:
            FileNotFoundError, ValueError: a file whose header is needed is absent or no image.
        """
        if self.table.sizes is not None:
            return self.table.sizes
        return tuple(image_size(self.image_path(index)) for index in range(len(self)))

    def __getitem__(self, index: int) -> Sample:
        """Read one image with its people, in px of the file.

        Raises:
            IndexError: no such index.
            FileNotFoundError, ValueError: the image is absent, unreadable, cut short, or not of
                the size that the annotations state.
        """
        table, index = self.table, range(len(self))[index]
        image = read_image(self.image_path(index))
        size = (image.shape[0], image.shape[1])
        if table.sizes is not None and size != table.sizes[index]:
            stated = table.sizes[index]
            raise ValueError(
                f"{self.image_path(index)}: {size[0]}x{size[1]} px, but "
                f"{table.source} states {stated[0]}x{stated[1]}"
            )
        people = slice(table.starts[index], table.starts[index + 1])
        return Sample(
            image=image.transpose(2, 0, 1),
            keypoints=table.keypoints[people].copy(),
            areas=table.areas[people].copy(),
            ignore_mask=self._ignore(index, size),
            image_id=table.image_ids[index],
            to_original=AffineTransform.identity(),
        )

    def _ignore(self, index: int, size: Size) -> NDArray[np.bool_]:
        mask = np.zeros(size, dtype=bool)
        if index in self.table.ignored:
            code = {"size": list(size), "counts": self.table.ignored[index]}
            mask |= rle.decode(code).astype(bool)
        for left, top, right, bottom in self.table.ignored_boxes.get(index, ()):
            # The pixels whose center is inside.
            rows, columns = _inside(top, bottom), _inside(left, right)
            mask[rows, columns] = True
        return mask

    def ground_truth(self) -> dict[str, Any]:
        """Describe images and people in COCO's format, as the evaluation reads it.

        Pixel indices, not centers; regions to ignore are annotations with ``iscrowd`` 1.
        """
        return coco_document(self.table, self.sizes(), self.skeleton)


def _check_images(folder: Path, names: Sequence[str]) -> None:
    """Raise FileNotFoundError unless the folder holds all images."""
    if not folder.is_dir():
        raise FileNotFoundError(f"image folder {folder} does not exist")
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        listed = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
        raise FileNotFoundError(
            f"image folder {folder} lacks {len(absent)} of {len(names)} images: {listed}"
        )


def _inside(start: float, stop: float) -> slice:
    return slice(max(0, int(np.ceil(start - 0.5))), max(0, int(np.ceil(stop - 0.5))))

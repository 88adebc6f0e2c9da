"""Datasets of images with people, whatever the format of their files.

A reader turns its format into an ``AnnotationTable``; ``KeypointImages`` serves any table as
samples and to metrics, so that every dataset trains and evaluates alike.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poselib.annotations import AnnotationTable
from poselib.data.annotation_table import AnnotatedImage, gather
from poselib.data.image_io import image_size, read_image
from poselib.data.regions import decode_region, fill_polygons
from poselib.skeletons import Skeleton
from poselib.structures import AffineTransform, Sample, Size, sample_index
from poselib.typing import IntArray
from poselib.wording import counted

__all__ = ["AnnotatedImage", "AnnotationTable", "KeypointImages", "gather"]


class KeypointImages:
    """Images with annotated people, from a table and a folder of image files.

    Args:
        table: the annotated people.
        images: the folder that its file names are relative to.
        skeleton: which keypoints it annotates, in which order.

    Attributes:
        table, skeleton: as given.
        image_folder: the folder.

    Raises:
        FileNotFoundError: the folder or an image is missing.
        ValueError: the table does not fit the skeleton.
    """

    def __init__(self, table: AnnotationTable, images: Path, skeleton: Skeleton) -> None:
        if table.keypoints.shape[1:] != (len(skeleton), 3):
            raise ValueError(
                f"{table.source}: {table.keypoints.shape[1]} keypoints, but skeleton "
                f"{skeleton.name!r} has {len(skeleton)}"
            )
        self.image_folder, self.skeleton = Path(images), skeleton
        names = _present_files(self.image_folder, table.file_names)
        self.table = replace(table, file_names=names)

    def __repr__(self) -> str:
        images = counted(len(self), "image")
        return f"<{images} of {self.table.source}, skeleton {self.skeleton.name!r}>"

    def __len__(self) -> int:
        return len(self.table.image_ids)

    @property
    def image_ids(self) -> tuple[int, ...]:
        return self.table.image_ids

    @property
    def videos(self) -> tuple[str, ...]:
        """The video of each image; empty in a dataset of photographs."""
        return self.table.videos

    @property
    def times(self) -> tuple[float, ...]:
        """Seconds of each image from the start of its video; empty in one of photographs."""
        return self.table.times

    def track_ids(self, index: int) -> IntArray:
        """Return the numbers of the labeled people of a frame; none in a dataset of photographs."""
        rows, tracks = self.table.labeled_rows(index), self.table.tracks
        return np.zeros(0, np.int64) if tracks is None else tracks[rows]

    @property
    def category_id(self) -> int:
        """The number of the category that has keypoints, which results must carry."""
        return self.table.category_ids[0]

    @property
    def crowd_indices(self) -> dict[int, float]:
        """CrowdPose's crowd index by image id; without images that have none."""
        return dict(self.table.crowd_indices)

    def image_path(self, index: int) -> Path:
        return self.image_folder / self.table.file_names[index]

    def sizes(self) -> tuple[Size, ...]:
        """Return the (height, width) of each image, from the headers of the files if not stated.

        Raises:
            FileNotFoundError, ValueError: a file whose header is needed is missing or no image.
        """
        if self.table.sizes is not None:
            return self.table.sizes
        return tuple(image_size(self.image_path(index)) for index in range(len(self)))

    def __getitem__(self, index: int) -> Sample:
        """Read one image with its people, in px of the file.

        Raises:
            IndexError, TypeError: no such index.
            FileNotFoundError, ValueError: the image is missing, unreadable, cut short, or not of
                the size that the annotations state.
        """
        table, index = self.table, sample_index(index, len(self))
        image = self._read(index)
        size = (image.shape[0], image.shape[1])
        keypoints, areas = table.people(index)
        rows = table.labeled_rows(index)
        low, sides = table.boxes[rows, :2], table.boxes[rows, 2:]
        return Sample(
            image=image.transpose(2, 0, 1),
            keypoints=keypoints,
            areas=areas,
            ignore_mask=self._ignore(index, size),
            image_id=table.image_ids[index],
            to_original=AffineTransform.identity(),
            boxes=np.concatenate([low, low + sides], axis=1).astype(np.float32),
            tracks=None if table.tracks is None else table.tracks[rows],
        )

    def _read(self, index: int) -> NDArray[np.uint8]:
        """Return the pixels (H, W, 3) of an image, of the size that the annotations state.

        Tools of annotation show a photograph as its EXIF orientation asks: where the size that
        they state is that of the turned picture alone, it is turned here too.
        """
        path, image = self.image_path(index), read_image(self.image_path(index))
        if self.table.sizes is None:
            return image
        stated = self.table.sizes[index]
        if image.shape[:2] == stated:
            return image
        if image_size(path, upright=True) != stated:
            found = f"{image.shape[0]}x{image.shape[1]} px"
            raise ValueError(
                f"{path}: {found}, but {self.table.source} states {stated[0]}x{stated[1]}"
            )
        return read_image(path, upright=True)

    def _ignore(self, index: int, size: Size) -> NDArray[np.bool_]:
        if index in self.table.regions:
            return decode_region(self.table.regions[index], size)
        mask = np.zeros(size, dtype=bool)
        rows = self.table.rows(index)
        for left, top, width, height in self.table.boxes[rows[self.table.masked(rows)]]:
            # The pixels whose center is inside.
            mask[_inside(top, top + height), _inside(left, left + width)] = True
        return fill_polygons(mask, self.table.polygons.get(index, ()))

    def annotations(self) -> AnnotationTable:
        """Return the annotated people of all images, which every metric takes."""
        return self.table


def _present_files(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of images, with ``/`` where a file has the separators of Windows.

    Raises:
        FileNotFoundError: the folder lacks an image.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"image folder {folder} does not exist")

    def is_there(name: str, base: Path = folder) -> bool:
        # Of names that no file can have, too long for example, it says that there is none.
        return os.path.isfile(os.path.join(base, name))

    if all(map(is_there, names)):
        return tuple(names)
    found = [name if is_there(name) else name.replace("\\", "/") for name in names]
    absent = [name for name in found if not is_there(name)]
    if not absent:
        return tuple(found)
    listed = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
    hints = "; backslashes are read as separators" if list(names) != found else ""
    if is_there(absent[0], folder.parent):
        hints += f"; the names begin at {folder.parent}, which is the folder to give"
    raise FileNotFoundError(
        f"image folder {folder} lacks {len(absent)} of {len(names)} images: {listed}{hints}"
    )


def _inside(start: float, stop: float) -> slice:
    return slice(max(0, int(np.ceil(start - 0.5))), max(0, int(np.ceil(stop - 0.5))))

"""Image files without annotations as a dataset."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from poselib.data.coco_export import coco_category
from poselib.data.image_io import (
    as_rgb,
    check_image,
    exif_orientation,
    image_size,
    read_image,
)
from poselib.ops.io import visible_files
from poselib.skeletons import Skeleton
from poselib.structures import AffineTransform, Sample, sample_index

ImageLike = str | Path | Image.Image | NDArray[Any] | Tensor | Sample
SUFFIXES = (".bmp", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class Images(Protocol):
    """A list, a tuple or a dataset of images."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> ImageLike: ...


def bare_sample(pixels: NDArray[np.uint8], image_id: int = 0) -> Sample:
    """Return an image (H, W, 3) uint8 RGB as a sample without people."""
    return Sample(
        image=pixels.transpose(2, 0, 1),
        keypoints=np.zeros((0, 0, 3), np.float32),
        areas=np.zeros(0, np.float32),
        ignore_mask=np.zeros(pixels.shape[:2], dtype=bool),
        image_id=image_id,
        to_original=AffineTransform.identity(),
    )


class ImageSamples(Sequence[Sample]):
    """Images of any kind as samples without people, read when they are needed.

    Args:
        images: a list, a tuple or a dataset of whatever ``image_io.as_rgb`` takes, or of samples,
            which are left as they are.

    Raises:
        FileNotFoundError, ValueError: as ``image_io.check_image`` does, of listed files.
    """

    def __init__(self, images: Images) -> None:
        self.images = images
        self._listed = images if isinstance(images, list | tuple) else ()
        self.paths = tuple(Path(each) for each in self._listed if isinstance(each, str | Path))
        for path in self.paths:
            check_image(path)
        files = len(self.paths) == len(images)
        self._numbers = image_numbers(self.paths) if files else range(len(images))

    @property
    def image_ids(self) -> list[int]:
        """Those of samples; of files, their numbers as in ``ImageFiles``; else 0, 1, ..."""
        known = getattr(self.images, "image_ids", None)
        if known is not None:
            return list(known)
        if not self._listed:
            return [sample.image_id for sample in self]
        return [
            image.image_id if isinstance(image, Sample) else number
            for image, number in zip(self._listed, self._numbers, strict=True)
        ]

    @property
    def videos(self) -> tuple[str, ...]:
        """The video of each image of a dataset of frames; none of photographs."""
        return tuple(getattr(self.images, "videos", ()))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        image = self.images[index]
        if isinstance(image, Sample):
            return image
        return bare_sample(as_rgb(image), self._numbers[index])


class ImageFiles:
    """Image files without annotations, turned as their EXIF orientation asks.

    All files are checked at once, without decoding them.

    Args:
        paths: image files.

    Attributes:
        paths: the files.
        sizes: (height, width) of each, px.
        image_ids: the numbers in the file names, as in COCO's, if all names are different numbers;
            else 1, 2, ...
        category_id: of people in a document of the images.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: no file is given, or a file is truncated or not an image.
    """

    category_id = 1

    def __init__(self, paths: Sequence[Path]) -> None:
        if not paths:
            raise ValueError("no image file is given")
        self.paths = tuple(Path(path) for path in paths)
        for path in self.paths:
            check_image(path)
        self.sizes = tuple(image_size(path, upright=True) for path in self.paths)
        self.image_ids = image_numbers(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        """Read one image, in its own px."""
        index = sample_index(index, len(self))
        pixels = read_image(self.paths[index], upright=True)
        return bare_sample(pixels, self.image_ids[index])

    def image_path(self, index: int) -> Path:
        """Return the path of an image file."""
        return self.paths[index]

    def document(self, skeleton: Skeleton) -> dict[str, Any]:
        """Return a COCO-format document of the images, to which results of this skeleton refer.

        Height, width and coordinates are those of the picture as it is shown. Where the file stores
        it turned, ``exif_orientation`` says how.
        """
        images: list[dict[str, Any]] = [
            {"id": number, "file_name": str(path), "height": height, "width": width}
            for number, path, (height, width) in zip(
                self.image_ids, self.paths, self.sizes, strict=True
            )
        ]
        for image, path in zip(images, self.paths, strict=True):
            if (orientation := exif_orientation(path)) != 1:
                image["exif_orientation"] = orientation
        categories = [coco_category(skeleton, self.category_id)]
        return {"images": images, "annotations": [], "categories": categories}


def image_paths(sources: Sequence[str | Path]) -> list[Path]:
    """Return the image files that file names, folders and patterns such as ``a/*.jpg`` refer to.

    A folder refers to the images in it, without hidden files and subfolders. Each name is returned
    once; several names of one content, such as links, are all returned.

    Raises:
        FileNotFoundError: a file is missing, or a folder or pattern has no image.
    """
    paths: dict[Path, Path] = {}
    for source in sources:
        for path in _expand(Path(source)):
            paths.setdefault(Path(os.path.abspath(path)), path)
    return list(paths.values())


def _expand(source: Path) -> list[Path]:
    if source.is_dir():
        inside = [path for path in visible_files(source) if path.suffix.lower() in SUFFIXES]
        if not inside:
            raise FileNotFoundError(f"folder {source} holds no image ({', '.join(SUFFIXES)})")
        return inside
    if source.exists() or not glob.has_magic(str(source)):
        if not source.is_file():
            raise FileNotFoundError(f"file {source} does not exist")
        return [source]
    matches = sorted(Path(p) for p in glob.glob(str(source), recursive=True) if Path(p).is_file())
    if not matches:
        raise FileNotFoundError(f"no file matches {source}")
    return matches


def image_numbers(paths: Sequence[Path]) -> tuple[int, ...]:
    """Return the ids of image files: see ``ImageFiles``."""
    stems = [path.stem for path in paths]
    # Longer ones do not fit into 64 bits, as ids must.
    if all(stem.isascii() and stem.isdigit() and len(stem) < 19 for stem in stems):
        numbers = tuple(int(stem) for stem in stems)
        if len(set(numbers)) == len(numbers):
            return numbers
    return tuple(range(1, len(paths) + 1))


def as_samples(images: Any) -> tuple[ImageSamples, bool]:
    """Return images as samples, and whether they are several or one alone."""
    single = isinstance(images, str | Path | Image.Image | np.ndarray | Tensor | Sample)
    several = not single and hasattr(images, "__len__") and hasattr(images, "__getitem__")
    return ImageSamples(images if several else [images]), several

"""Reading image files, in their stored orientation.

A rotation in EXIF is never applied: keypoints are annotated in stored pixels.
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from poselib.structures import Size

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"
# Errors of Pillow for files that are truncated, of another kind or far too large.
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return the stored pixels of an image file as (H, W, 3) uint8, RGB.

    Grayscale becomes three equal channels, transparency is dropped and 16 bits become 8.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: it is truncated or not an image.
    """
    _check_present(path)
    data = path.read_bytes()
    _check_complete(data, path)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise ValueError(f"{path}: expected an image, but it cannot be decoded")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def image_size(path: Path) -> Size:
    """Return the (height, width) in px that the header of an image file states.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: it is not an image.
    """
    _check_present(path)
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except _UNREADABLE as error:
        raise ValueError(f"{path}: expected an image: {error}") from error


def _check_present(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"image file {path} does not exist")


def _check_complete(data: bytes, path: Path) -> None:
    """Raise ValueError for a truncated file, which OpenCV would silently fill with gray."""
    if data.startswith(_JPEG_START) and data.endswith(_JPEG_END):
        return
    if data.startswith(_PNG_START) and data.endswith(_PNG_END):
        return
    # Bytes may follow the end marker, or it may be missing: decode with a stricter reader.
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except _UNREADABLE as error:
        raise ValueError(f"{path}: truncated, corrupt or not an image: {error}") from error

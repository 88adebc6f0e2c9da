"""Images of every kind as (H, W, 3) uint8, RGB.

A dataset's files are read as they are stored: their keypoints are annotated in stored pixels.
Images without annotations are turned as EXIF asks, which is how a viewer shows them.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from poselib.data.annotation_table import MAX_PIXELS
from poselib.ops.console import without_addresses
from poselib.ops.file_kinds import why_no_image
from poselib.structures import Size

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"
# What has to be done to the stored rows and columns, by EXIF orientation; from 5 on the sides of
# the image are exchanged.
_ORIENTATION, _SIDEWAYS = ExifTags.Base.Orientation, 5
_TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
# Bytes that a decoder takes for more of an image: whatever they are, there is no 0xff among them.
_MORE_DATA = bytes(range(255)) * 8
_DAMAGED = "truncated, corrupt or not an image"


def read_image(path: Path, *, upright: bool = False) -> NDArray[np.uint8]:
    """Return the pixels of an image file as (H, W, 3) uint8, RGB.

    Grayscale becomes three equal channels, transparency is dropped and 16 bits become 8.

    Args:
        path: the file.
        upright: turn the image as its EXIF orientation asks.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is truncated, not an image, or has more pixels than Pillow or OpenCV reads.
    """
    _check_present(path)
    data = path.read_bytes()
    _check_complete(data, path)
    orientation = 1
    if upright or _may_be_huge(data):
        orientation = _header(io.BytesIO(data), path, upright)[1]
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    level = cv2.utils.logging.setLogLevel(0)  # what it logs of damaged files does not name them
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError) as error:
        reason = getattr(error, "err", "not enough memory")
        (height, width), _ = _header(io.BytesIO(data), path, orientation=False)
        raise ValueError(f"{path}: {width} x {height} px cannot be decoded ({reason})") from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if image is None:
        raise ValueError(f"{path}: expected an image, but it cannot be decoded")
    if data.startswith(_JPEG_START) and (image[-2:, -2:] == 128).all():
        with _pillow(path, _DAMAGED):
            ends_early = _ends_early(data)
        if ends_early:
            raise ValueError(f"{path}: truncated: the data end before the last rows of the image")
    pixels: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[assignment]
    turn = _TURNS.get(orientation)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def as_rgb(image: object) -> NDArray[np.uint8]:
    """Return any image as (H, W, 3) uint8, RGB.

    Gray images become three equal channels, and transparency is dropped. 16 bits become 8 if a
    value is above 255, and floating-point values in [0, 1] are multiplied by 255.

    Args:
        image: a path; a PIL image; an array (H, W, 3), also (H, W), (H, W, 1), (H, W, 4) or with
            channels first; or a tensor (3, H, W), also (H, W), (1, H, W), (4, H, W) or with
            channels last. Files and PIL images are turned as their EXIF orientation asks.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not an image, or has another shape, type or range of values.
    """
    if isinstance(image, str | Path):
        return read_image(Path(image), upright=True)
    if isinstance(image, Image.Image):
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):
            stored = np.asarray(image)
            fits = stored.min(initial=0) >= 0 and stored.max(initial=0) < 2**16
            if image.mode != "F" and fits:  # 16 bits, which Pillow also keeps as 32
                stored = stored.astype(np.uint16)
            return _from_array(stored, channels_first=False)
        return np.asarray(image.convert("RGB"))
    if isinstance(image, Tensor):
        tensor = image.detach().cpu()
        values = tensor.float() if tensor.is_floating_point() else tensor
        return _from_array(values.numpy(), channels_first=True)
    if isinstance(image, np.ndarray):
        return _from_array(image, channels_first=False)
    raise ValueError(
        "an image must be a path, a PIL image, an array (H, W, 3) or a tensor (3, H, W), not "
        f"{type(image).__name__}"
    )


def _from_array(values: NDArray[Any], channels_first: bool) -> NDArray[np.uint8]:
    shape = values.shape
    if values.dtype.kind not in "iuf":
        raise ValueError(f"an image of {values.dtype} cannot be understood: it must have numbers")
    if values.ndim == 2:
        values = values[..., None]
    counts = (1, 3, 4)
    first = values.ndim == 3 and shape[0] in counts
    last = values.ndim == 3 and values.shape[-1] in counts
    if not (first or last) or 0 in shape:
        hint = "; give several images as a list" if values.ndim == 4 else ""
        raise ValueError(f"an image must be (H, W, 3) or (3, H, W), not {shape}{hint}")
    if first and (channels_first or not last) and len(shape) == 3:
        values = values.transpose(1, 2, 0)
    pixels = _to_uint8(values)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[..., :3]


def _to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    low, high = values.min(), values.max()
    # Values up to 255 are 8 bits in a wider type: as 16 bits they would be black.
    if values.dtype == np.uint16 and high > 255:
        return np.round(values / 257).astype(np.uint8)
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.round(values * 255).astype(np.uint8)
    if values.dtype.kind in "iu" and low >= 0 and high <= 255:
        return values.astype(np.uint8)
    wanted = "[0, 1]" if values.dtype.kind == "f" else "[0, 255]"
    raise ValueError(
        f"an image of {values.dtype} must have values in {wanted}, but they reach from {low} to "
        f"{high}"
    )


def image_size(path: Path, *, upright: bool = False) -> Size:
    """Return the (height, width) in px that the header of an image file states.

    Args:
        path: the file.
        upright: the size of the image as its EXIF orientation asks.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not an image.
    """
    _check_present(path)
    (height, width), orientation = _header(path, path, upright)
    return (width, height) if orientation >= _SIDEWAYS else (height, width)


def exif_orientation(path: Path) -> int:
    """Return how an image file asks to be turned, 1 to 8 as in EXIF; 1 is not at all.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not an image.
    """
    _check_present(path)
    return _header(path, path, orientation=True)[1]


def check_image(path: Path) -> None:
    """Check that a file is a whole image, as far as can be told without decoding its pixels.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not an image, or is cut short.
    """
    image_size(path)
    _check_complete(path.read_bytes(), path)


def encode_image(image: NDArray[np.uint8], suffix: str, parameters: Sequence[int] = ()) -> bytes:
    """Return the file of an image (H, W, 3) uint8, RGB.

    OpenCV writes no file itself: it knows neither names that are no text nor, on Windows, others
    than English ones.

    Args:
        image: the pixels.
        suffix: ``".png"`` or ``".jpg"``.
        parameters: of ``cv2.imencode``.

    Raises:
        ValueError: the image cannot be encoded.
    """
    done, code = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), list(parameters))
    if not done:
        raise ValueError(f"an image {image.shape} cannot be encoded as {suffix}")
    return code.tobytes()


def _check_present(path: Path) -> None:
    if path.is_dir():
        raise ValueError(
            f"{path} is a folder, not an image file; give its images as a list, such as "
            f"sorted(Path({str(path)!r}).glob('*.jpg')), or as a video, poselib.open_video(...)"
        )
    if not path.is_file():
        raise FileNotFoundError(f"image file {path} does not exist")


def _header(source: Path | io.BytesIO, path: Path, orientation: bool) -> tuple[Size, int]:
    """Return the (height, width) that an image states and, if asked for, its EXIF orientation."""
    with _pillow(path, "expected an image"), Image.open(source) as image:
        turn = image.getexif().get(_ORIENTATION, 1) if orientation else 1
        return (image.height, image.width), turn if turn in _TURNS else 1


@contextmanager
def _pillow(path: Path, fault: str) -> Iterator[None]:
    """Name the file in errors and warnings of Pillow, of which there is every kind."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            yield
        except Exception as error:
            raise ValueError(f"{path}: {fault}: {_reason(error, path)}") from error
    for message in dict.fromkeys(str(each.message).strip() for each in heard):
        warnings.warn(f"{path}: {message}", stacklevel=2)


def _may_be_huge(data: bytes) -> bool:
    """Whether a file may hold more pixels than Pillow reads: its header then has to be asked."""
    if data.startswith(_PNG_START):
        return int.from_bytes(data[16:20]) * int.from_bytes(data[20:24]) > MAX_PIXELS
    # A block of 64 px takes a bit of a JPEG at least.
    return not data.startswith(_JPEG_START) or 512 * len(data) > MAX_PIXELS


def _reason(error: Exception, path: Path) -> str:
    """Return what an error says, without addresses of objects."""
    if isinstance(error, UnidentifiedImageError):
        return why_no_image(path)
    return without_addresses(str(error))


def _ends_early(data: bytes) -> bool:
    """Whether a JPEG ends before its last rows, which decoders fill with gray, but has an end mark.

    If so, whatever is put before the mark is decoded into these rows. A progressive one that is cut
    after its first scan has no such rows, but is blurred; it is not recognized.
    """
    body = data[: data.rindex(_JPEG_END)]
    # Pillow's decoder writes no warning of its own.
    with (
        Image.open(io.BytesIO(data)) as as_it_is,
        Image.open(io.BytesIO(body + _MORE_DATA + _JPEG_END)) as with_more,
    ):
        return not np.array_equal(np.asarray(as_it_is), np.asarray(with_more))


def _overruns(data: bytes) -> bool:
    """Whether a part of a PNG states more bytes than follow, which OpenCV would reserve."""
    place, kind = 8, b""
    while kind != b"IEND" and place + 8 <= len(data):
        kind = data[place + 4 : place + 8]
        place += 12 + int.from_bytes(data[place : place + 4])
    return place > len(data)


def _check_complete(data: bytes, path: Path) -> None:
    """Raise ValueError for a truncated file, which OpenCV would silently fill with gray."""
    if data.startswith(_JPEG_START) and data.endswith(_JPEG_END):
        return
    if data.startswith(_PNG_START) and _overruns(data):
        raise ValueError(f"{path}: {_DAMAGED}: a part states more bytes than there are")
    if data.startswith(_PNG_START) and data.endswith(_PNG_END):
        return
    # Bytes may follow the end marker, or it may be missing: decode with a stricter reader.
    with _pillow(path, _DAMAGED), Image.open(io.BytesIO(data)) as image:
        image.load()

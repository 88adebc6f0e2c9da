"""Every kind of file gives (H, W, 3) uint8 in RGB, or an error that names it."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from poselib.data import image_io
from poselib.data.image_io import (
    as_rgb,
    check_image,
    exif_orientation,
    image_size,
    read_image,
)
from tests.strategies import quick

RED_TO_BLUE = np.zeros((20, 32, 3), np.uint8)
RED_TO_BLUE[:, :16, 0] = 250
RED_TO_BLUE[:, 16:, 2] = 250


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def written(folder: Path, data: bytes, name: str = "picture.jpg") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_channels_are_rgb(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path, encoded(Image.fromarray(RED_TO_BLUE), kind))
    image = read_image(path)
    assert image.shape == (20, 32, 3) and image.dtype == np.uint8
    assert np.abs(image[:, [0, 31]].astype(int) - RED_TO_BLUE[:, [0, 31]]).max() < 40


def test_gray_palette_alpha_and_16_bit_files(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(32, dtype=np.uint8) * 8, (20, 1))
    gray = Image.fromarray(ramp)
    for kind in ("PNG", "JPEG"):
        image = read_image(written(tmp_path, encoded(gray, kind)))
        assert np.abs(image.astype(int) - ramp[..., None]).max() <= 3
    alpha = np.dstack([RED_TO_BLUE, np.full((20, 32), 7, np.uint8)])
    assert (
        read_image(written(tmp_path, encoded(Image.fromarray(alpha), "PNG"))) == RED_TO_BLUE
    ).all()
    palette = Image.fromarray(RED_TO_BLUE).quantize(4)
    image = read_image(written(tmp_path, encoded(palette, "PNG")))
    assert np.abs(image.astype(int) - RED_TO_BLUE).max() < 8
    deep = Image.fromarray(ramp.astype(np.uint16) * 257)
    image = read_image(written(tmp_path, encoded(deep, "PNG")))
    assert image.dtype == np.uint8 and np.abs(image.astype(int) - ramp[..., None]).max() <= 1


def test_exif_rotation_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to view
    path = written(tmp_path, encoded(Image.fromarray(RED_TO_BLUE), "JPEG", exif=exif.tobytes()))
    image = read_image(path)
    assert image.shape == (20, 32, 3) and image_size(path) == (20, 32)
    assert image[10, 2, 0] > 200 and image[10, 30, 2] > 200


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_truncated_files_are_refused(kind: str, share: float, tmp_path: Path) -> None:
    data = encoded(noise(), kind)
    path = written(tmp_path, data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"picture\.jpg: truncated, corrupt or not an image"):
        read_image(path)


def test_truncated_files_with_an_end_mark_inside_are_refused(tmp_path: Path) -> None:
    # A thumbnail in EXIF is a JPEG of its own, end mark included.
    thumbnail = encoded(Image.fromarray(RED_TO_BLUE), "JPEG")
    data = encoded(noise(), "JPEG", exif=b"Exif\x00\x00" + thumbnail)
    assert data.count(b"\xff\xd9") >= 2
    with pytest.raises(ValueError, match="truncated"):
        read_image(written(tmp_path, data[: len(data) // 2]))


def test_trailing_bytes_are_accepted(tmp_path: Path) -> None:
    data = encoded(noise(), "JPEG")
    clean = read_image(written(tmp_path, data, "clean.jpg"))
    assert (read_image(written(tmp_path, data + b"trailer", "more.jpg")) == clean).all()


def test_files_that_are_no_image_are_refused(tmp_path: Path) -> None:
    for data in (b"", b"not an image at all", b"\xff\xd8\xff\xd9"):
        with pytest.raises(ValueError, match=r"picture\.jpg"):
            read_image(written(tmp_path, data))
        with pytest.raises(ValueError, match=r"picture\.jpg: expected an image"):
            image_size(tmp_path / "picture.jpg")
    for read in (read_image, image_size):
        with pytest.raises(FileNotFoundError, match=r"absent\.jpg does not exist"):
            read(tmp_path / "absent.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_upright_image_is_turned_as_exif_asks(
    kind: str, orientation: int, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = written(tmp_path, encoded(Image.fromarray(RED_TO_BLUE), kind, exif=exif.tobytes()))
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)
    image = read_image(path, upright=True)
    assert image.shape == expected.shape and np.abs(image - expected).max() <= 3
    assert image_size(path, upright=True) == image.shape[:2] and image.flags.c_contiguous


# Images of other kinds than files


RAMP = np.linspace(0, 255, 24 * 32).round().astype(np.uint8).reshape(24, 32)
COLORS = np.dstack([RAMP, RAMP[::-1], RAMP[:, ::-1]])
GRAY = np.dstack([RAMP] * 3)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (COLORS, COLORS),
        (COLORS.transpose(2, 0, 1), COLORS),
        (COLORS.astype(np.int64), COLORS),
        (COLORS.astype(np.float32) / 255, COLORS),
        (COLORS.astype(np.uint16) * 257, COLORS),
        (np.dstack([COLORS, RAMP]), COLORS),
        (RAMP, GRAY),
        (RAMP[..., None], GRAY),
        (RAMP / 255, GRAY),
        (COLORS[:3, :3], COLORS[:3, :3]),
        (torch.from_numpy(COLORS.transpose(2, 0, 1).copy()), COLORS),
        (torch.from_numpy(COLORS), COLORS),
        (torch.from_numpy(COLORS[:3, :3].copy()).permute(2, 0, 1), COLORS[:3, :3]),
        (torch.from_numpy(RAMP), GRAY),
        (torch.from_numpy(RAMP)[None] / 255, GRAY),
        (Image.fromarray(COLORS), COLORS),
        (Image.fromarray(RAMP), GRAY),
        (Image.fromarray(np.dstack([COLORS, RAMP])), COLORS),
        (Image.fromarray(np.dstack([RAMP, RAMP])), GRAY),
        (Image.fromarray(RAMP.astype(np.uint16) * 257), GRAY),
        (Image.fromarray(RAMP.astype(np.int32) * 257), GRAY),
        (Image.fromarray(RAMP.astype(np.int32)), GRAY),
        (Image.fromarray(RAMP.astype(np.uint16)), GRAY),
        (COLORS.astype(np.uint16), COLORS),
        (Image.fromarray(RAMP.astype(np.float32) / 255), GRAY),
    ],
)
def test_arrays_tensors_and_pil_images_are_understood(image: Any, expected: np.ndarray) -> None:
    pixels = as_rgb(image)
    assert pixels.dtype == np.uint8 and pixels.shape == expected.shape
    assert np.array_equal(pixels, expected)


def test_a_pil_image_is_turned_as_exif_asks(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = written(tmp_path, encoded(Image.fromarray(RED_TO_BLUE), "JPEG", exif=exif.tobytes()))
    with Image.open(path) as image:
        assert np.array_equal(as_rgb(image), as_rgb(path)) and as_rgb(path).shape == (32, 20, 3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "not NoneType"),
        ([[1, 2]], "not list"),
        (np.zeros(5), r"not \(5,\)"),
        (np.zeros((0, 5, 3), np.uint8), r"not \(0, 5, 3\)"),
        (np.zeros((5, 6, 7), np.uint8), r"not \(5, 6, 7\)"),
        (torch.zeros(2, 3, 8, 8), "several images as a list"),
        (COLORS.astype(np.float32), r"float32 must have values in \[0, 1\], .* from 0.0 to 255.0"),
        (COLORS / -255.0, r"in \[0, 1\]"),
        (np.full((4, 4, 3), np.nan), "from nan to nan"),
        (COLORS.astype(np.int32) * 300, r"int32 must have values in \[0, 255\]"),
        (Image.fromarray(RAMP.astype(np.int32) * 2000), r"int32 must have values in \[0, 255\]"),
        (COLORS > 5, "image of bool"),
    ],
)
def test_what_is_no_image_is_refused_in_a_sentence(image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        as_rgb(image)
    assert "\n" not in str(error.value)


def with_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(Image.fromarray(RED_TO_BLUE), "JPEG", exif=exif.tobytes())


@pytest.mark.parametrize(("stated", "read"), [(1, 1), (3, 3), (8, 8), (0, 1), (9, 1)])
def test_orientation_of_a_file(stated: int, read: int, tmp_path: Path) -> None:
    assert exif_orientation(written(tmp_path, with_exif(stated))) == read
    assert exif_orientation(written(tmp_path, encoded(noise(), "PNG"), "a.png")) == 1


def test_a_part_that_states_gigabytes_is_not_reserved(tmp_path: Path) -> None:
    data = bytearray(encoded(Image.fromarray(RED_TO_BLUE), "PNG"))
    place = data.index(b"IDAT")
    data[place - 4 : place] = b"\x7f\x7f\0\x10"
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"picture\.png: truncated, corrupt"):
        read_image(written(tmp_path, bytes(data), "picture.png"))
    assert time.perf_counter() - start < 0.5


def test_warnings_name_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Of EXIF data that is cut, and of a TIFF with an orientation that there is not."""
    exif = with_exif(6)
    start = exif.index(b"Exif\0\0")
    path = written(tmp_path, exif[: start + 14] + b"\0\xff" + exif[start + 16 :], "cut.jpg")
    with pytest.warns(UserWarning, match=r"cut\.jpg: Corrupt EXIF data") as heard:
        read_image(path, upright=True)
    assert len(heard) == 1
    data = bytearray(encoded(Image.fromarray(RED_TO_BLUE), "TIFF", tiffinfo={0x0112: 3}))
    data[data.index(b"\x12\x01\x03\0\x01\0\0\0\x03") + 8] = 99
    read_image(written(tmp_path, bytes(data), "turned.tiff"))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"subsampling": 0}])
@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
def test_a_cut_file_with_an_end_mark_is_refused(
    options: dict[str, Any], fraction: float, tmp_path: Path
) -> None:
    data = encoded(noise(), "JPEG", **options)
    for end in (b"\xff\xd9", b"\xff\xff\xd9"):
        path = written(tmp_path, data[: int(fraction * len(data))] + end)
        with pytest.raises(ValueError, match=r"picture\.jpg: truncated: the data end before"):
            read_image(path)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
def test_an_image_that_ends_in_the_gray_of_cut_files_is_read(
    options: dict[str, Any], tmp_path: Path
) -> None:
    pixels = np.full((64, 64, 3), 128, np.uint8)
    for top in (0, 32):
        pixels[:top] = np.asarray(noise())[:top]
        path = written(tmp_path, encoded(Image.fromarray(pixels), "JPEG", **options))
        assert (read_image(path)[-8:] == 128).all()


def test_messages_have_no_addresses_of_objects(tmp_path: Path) -> None:
    path = written(tmp_path, b"\x00\x05\x16\x07 of a Mac", "._a.png")
    for read in (read_image, image_size, check_image):
        with pytest.raises(ValueError, match=r"_a\.png: .*its format is not known") as error:
            read(path)
        assert "0x" not in str(error.value)


def test_limits_of_the_decoders_are_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, encoded(noise(), "PNG"))

    def refuse(*_: object) -> None:
        raise cv2.error("pixels <= CV_IO_MAX_IMAGE_PIXELS")

    with monkeypatch.context() as patch:
        patch.setattr(cv2, "imdecode", refuse)
        with pytest.raises(ValueError, match=r"picture\.jpg: 64 x 64 px cannot be decoded \("):
            read_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    monkeypatch.setattr(image_io, "MAX_PIXELS", 2000)
    for kind in ("PNG", "JPEG", "BMP"):
        path = written(tmp_path, encoded(noise(), kind))
        for read in (read_image, image_size):
            with pytest.raises(ValueError, match=r"picture\.jpg: .*4096 pixels.* limit of 2000"):
                read(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about what is lost
@quick
@given(st.binary(max_size=60), st.integers(0, 300))
def test_any_bytes_are_an_image_or_a_sentence(more: bytes, place: int) -> None:
    """Starts of every kind of file, spoiled at a place or cut there."""
    with tempfile.TemporaryDirectory() as folder:
        for start in STARTS:
            for data in (start[:place] + more, start[:place] + more + start[place + len(more) :]):
                path = written(Path(folder), data)
                for read in (read_image, image_size, check_image):
                    try:
                        read(path)
                    except ValueError as error:
                        assert str(error).startswith(str(path)) and "\n" not in str(error)


STARTS = [
    encoded(Image.fromarray(RED_TO_BLUE), kind)
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "ICO", "PPM")
]

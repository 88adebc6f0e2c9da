"""Every kind of file gives (H, W, 3) uint8 in RGB, or an error that names it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poselib.data.image_io import image_size, read_image

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

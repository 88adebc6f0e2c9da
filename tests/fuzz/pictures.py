"""Images of every format and kind of pixel, whole, odd or damaged."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tests.fuzz.raw_bytes import damage

Rng = np.random.Generator
MODES = ("L", "RGB", "RGBA", "P", "1", "CMYK", "I;16", "LA", "I", "F")
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "ICO", "TGA")


def picture(rng: Rng) -> bytes:
    """Return an image file: three in four are damaged or contradict themselves."""
    data = _whole(rng)
    chance = rng.random()
    if chance < 0.25:
        return data
    if chance < 0.35:
        return _strange_png(rng)
    return damage(rng, data)


def _whole(rng: Rng) -> bytes:
    size = tuple(rng.choice([1, 2, 7, 16, 33], 2).tolist())
    if rng.random() < 0.15:  # depths that Pillow does not write
        deep = rng.integers(0, 65536, (*size, rng.choice([1, 3, 4])), np.uint16)
        return cv2.imencode(rng.choice([".png", ".tiff"]), deep)[1].tobytes()
    mode, kind = str(rng.choice(MODES)), str(rng.choice(FORMATS))
    pixels = Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8))
    image = pixels.convert("I").convert("I;16") if mode == "I;16" else pixels.convert(mode)
    options: dict[str, object] = {}
    if kind in ("JPEG", "PNG", "WEBP", "TIFF") and rng.random() < 0.3:
        exif = Image.Exif()
        exif[0x0112] = int(rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65535]))
        options["exif"] = exif
    if kind == "JPEG":
        options |= {"progressive": bool(rng.integers(2)), "quality": int(rng.integers(1, 100))}
    if kind in ("GIF", "TIFF", "WEBP", "PNG") and rng.random() < 0.2:
        options |= {"save_all": True, "append_images": [image, image]}
    stream = io.BytesIO()
    try:
        image.save(stream, kind, **options)
    except (OSError, ValueError, KeyError):  # the format has no such pixels
        stream = io.BytesIO()
        pixels.save(stream, "PNG")
    return stream.getvalue()


def _strange_png(rng: Rng) -> bytes:
    """Return a PNG whose header, right in itself, does not fit what follows, or is huge."""
    sides = [0, 1, 8, 1000, 65535, 2**31 - 1, 2**32 - 1]
    width, height = (int(rng.choice(sides)) for _ in range(2))
    depth, color = int(rng.choice([1, 2, 4, 8, 16, 3])), int(rng.choice([0, 2, 3, 4, 6, 5]))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(rng.integers(2)))
    rows = zlib.compress(b"\0" * int(rng.choice([0, 10, 100_000])))
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    extra = [(b"tEXt", b"a\0" + b"x" * 10), (b"iCCP", b"a\0\0bad"), (b"zTXt", b"a\0\0bad")]
    chunks.insert(1, extra[rng.integers(3)])
    parts = [
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def write_picture(rng: Rng, folder: Path) -> None:
    (folder / "a.png").write_bytes(picture(rng))

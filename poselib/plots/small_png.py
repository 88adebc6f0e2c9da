"""Smaller PNG files: a palette of 256 colors in place of three channels."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

_FREQUENT = 128  # colors that stay as they are: white, text, lines; the others share as many
_COARSE = 3  # of so many pixels in each direction one is enough to choose the other colors
_CHANNELS = np.array([65536, 256, 1])


def reduce_colors(image: Image.Image) -> Image.Image:
    """Return an RGB image with at most 256 colors; each pixel gets the nearest of them.

    The most frequent colors stay exact. The others are chosen to cover those of small areas too,
    which a median cut would shift.
    """
    pixels = np.asarray(image.convert("RGB"))
    packed = pixels.reshape(-1, 3) @ _CHANNELS
    found, which, counts = np.unique(packed, return_inverse=True, return_counts=True)
    frequent = found[np.argsort(-counts, kind="stable")[:_FREQUENT]]
    size = (max(1, image.width // _COARSE), max(1, image.height // _COARSE))
    coarse = image.convert("RGB").resize(size, Image.Resampling.NEAREST)
    covering = coarse.quantize(256 - _FREQUENT, method=Image.Quantize.MAXCOVERAGE, kmeans=1)
    palette = np.concatenate(
        [_unpacked(frequent), np.reshape(covering.getpalette() or [], (-1, 3)).astype(np.int64)]
    )
    _, nearest = cKDTree(palette).query(_unpacked(found))
    indices = np.asarray(nearest, np.uint8)[which].reshape(pixels.shape[:2])
    reduced = Image.fromarray(indices, mode="P")
    reduced.putpalette(palette.astype(np.uint8).tobytes())
    return reduced


def _unpacked(colors: np.ndarray) -> np.ndarray:
    return np.stack([colors >> 16, colors >> 8 & 255, colors & 255], axis=-1)

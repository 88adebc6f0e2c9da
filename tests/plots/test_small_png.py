"""Figures with few colors."""

from __future__ import annotations

import numpy as np
from PIL import Image

from poselib.plots.small_png import reduce_colors


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(int)


def test_frequent_colors_stay_exact_and_rare_ones_are_near() -> None:
    rng = np.random.default_rng(0)
    pixels = np.full((90, 120, 3), 255, np.uint8)
    pixels[10:40, 10:50] = (0, 114, 178)
    pixels[60:66, 80:86] = (213, 94, 0)  # a small marker
    ramp = np.linspace(0, 255, 400).round().astype(np.uint8)
    pixels[70:80, :40] = ramp.reshape(10, 40, 1)  # more grays than the palette can hold
    pixels[5, 60:120] = rng.integers(0, 256, (60, 3))

    reduced = reduce_colors(Image.fromarray(pixels))

    assert reduced.mode == "P" and len(np.unique(np.asarray(reduced))) <= 256
    found, wanted = _pixels(reduced), pixels.astype(int)
    flat = np.zeros((90, 120), bool)
    flat[8:66] = True
    np.testing.assert_array_equal(found[flat], wanted[flat])
    assert np.abs(found - wanted)[70:80].max() <= 8


def test_every_pixel_gets_the_nearest_color_of_the_palette() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 30, 3), np.uint8))
    found, wanted = _pixels(reduce_colors(noise)), _pixels(noise)
    palette = np.unique(found.reshape(-1, 3), axis=0)
    distances = ((wanted[:, :, None] - palette) ** 2).sum(-1)
    np.testing.assert_array_equal(((found - wanted) ** 2).sum(-1), distances.min(-1))


def test_an_image_of_one_color_keeps_it() -> None:
    assert reduce_colors(Image.new("RGB", (1, 1), "white")).convert("RGB").getpixel((0, 0)) == (
        255,
        255,
        255,
    )

"""Backgrounds, limb-like distractors and camera effects of synthetic scenes."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from poselib.data.synthetic.rendering import FIXED_POINT_BITS, to_fixed_point

Image = NDArray[np.uint8]
CAMERA_VALUES = 7  # random values that ``degrade`` takes


@lru_cache(maxsize=8)
def _noise(side: int, strength: int) -> NDArray[np.int8]:
    # The same noise in every process, so that a scene depends on its own seed only.
    rng = np.random.default_rng(strength)
    return np.clip(rng.normal(0, strength, (side, side, 3)), -60, 60).astype(np.int8)


def _color(rng: np.random.Generator) -> NDArray[np.int64]:
    """Sample a background color: mostly gray, sometimes saturated."""
    tint = 18 if rng.random() < 0.7 else 60
    return np.clip(rng.integers(35, 221) + rng.integers(-tint, tint + 1, 3), 0, 255)


def paint_background(rng: np.random.Generator, size: int) -> Image:
    """Return a random (size, size, 3) uint8 texture: soft patches, sometimes bars or a floor."""
    kind, strength = rng.random(2)
    patches, swing = int(rng.integers(2, 14)), int(8 + 40 * strength)
    light = rng.integers(-swing, swing + 1, (patches, patches, 1))
    tint = rng.integers(-swing // 3, swing // 3 + 1, (patches, patches, 3))
    low = np.clip(_color(rng) + light + tint, 0, 255).astype(np.uint8)
    image: Image = cv2.resize(low, (size, size), interpolation=cv2.INTER_LINEAR)
    if kind < 0.2:
        _bars(rng, image)
    elif kind < 0.6:
        _floor(rng, image)
    return image


def _bars(rng: np.random.Generator, image: Image) -> None:
    size = len(image)
    count, slope = int(rng.integers(3, 12)), rng.uniform(-0.4, 0.4)
    t = (np.arange(count) + rng.random()) * size / count
    shift = slope * size
    lines = np.stack([np.stack([t, 0 * t], -1), np.stack([t + shift, 0 * t + size], -1)], 1)
    if rng.random() < 0.5:
        lines = lines[..., ::-1]
    color = tuple(_color(rng).tolist())
    width = int(max(1, rng.uniform(0.1, 0.4) * size / count))
    cv2.polylines(
        image, list(to_fixed_point(lines)), False, color, width, cv2.LINE_8, FIXED_POINT_BITS
    )


def _floor(rng: np.random.Generator, image: Image) -> None:
    """Give the lower part of the image another color, darker towards the wall."""
    top = int(rng.uniform(0.4, 0.85) * len(image))
    shade = np.array([_color(rng) * 0.8, _color(rng)])[:, None]
    rows = cv2.resize(shade, (len(image), len(image) - top), interpolation=cv2.INTER_LINEAR)
    image[top:] = cv2.addWeighted(image[top:], 0.3, rows.astype(np.uint8), 0.7, 0)


def paint_distractors(rng: np.random.Generator, image: Image, count: int) -> None:
    """Paint ``count`` sticks, boxes and blobs of the size of limbs and heads, in place."""
    size = len(image)
    for kind, x, y, turn, long, wide, aspect in rng.random((count, 7)).tolist():
        color = tuple(rng.integers(25, 231, 3).tolist())
        thick = (0.02 + 0.05 * wide) * size
        length = (0.12 + 0.4 * long) * size if kind < 0.55 else thick * (1 + 2 * aspect)
        center = (x * size, y * size)
        if kind < 0.75:
            corners = np.array(cv2.boxPoints((center, (length, thick), turn * 180)), np.float64)
            cv2.fillConvexPoly(image, to_fixed_point(corners), color, cv2.LINE_AA, FIXED_POINT_BITS)
        else:
            middle = to_fixed_point(np.array(center)).tolist()
            axes = (np.array([length, thick]) * (1 << FIXED_POINT_BITS)).astype(int).tolist()
            cv2.ellipse(
                image, middle, axes, turn * 180, 0, 360, color, -1, cv2.LINE_AA, FIXED_POINT_BITS
            )


def apply_camera_effects(rng: np.random.Generator, image: Image) -> None:
    """Apply random blur, exposure and sensor noise to the image, in place."""
    degrade(image, *rng.random(CAMERA_VALUES).tolist())


def degrade(
    image: Image,
    blur: float,
    expose: float,
    gain: float,
    lift: float,
    x: float,
    y: float,
    grain: float,
) -> None:
    """Blur, expose and add noise as values in [0, 1) say, in place; x and y shift the noise."""
    size = len(image)
    if blur < 0.2:
        cv2.blur(image, (3, 3), dst=image)
    if expose < 0.5:
        cv2.convertScaleAbs(image, dst=image, alpha=0.75 + 0.4 * gain, beta=25 * lift)
    noise = _noise(size + 32, 3 if grain < 0.5 else 7)
    top, left = int(32 * y), int(32 * x)
    cv2.add(image, noise[top : top + size, left : left + size], dst=image, dtype=cv2.CV_8U)

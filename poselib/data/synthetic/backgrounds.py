"""What is behind and between the people: textures, limb-like distractors and camera noise."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from poselib.data.synthetic.rendering import SHIFT, fixed

Image = NDArray[np.uint8]


@lru_cache(maxsize=8)
def _grain(side: int, strength: int) -> NDArray[np.int8]:
    # The bank is the same in every process, so a scene depends on its own seed alone.
    rng = np.random.default_rng(strength)
    return np.clip(rng.normal(0, strength, (side, side, 3)), -60, 60).astype(np.int8)


def _color(rng: np.random.Generator) -> NDArray[np.int64]:
    """A color of rooms and streets: mostly gray, now and then strong."""
    tint = 18 if rng.random() < 0.7 else 60
    return np.clip(rng.integers(35, 221) + rng.integers(-tint, tint + 1, 3), 0, 255)


def background(rng: np.random.Generator, size: int) -> Image:
    """Draw a (size, size, 3) uint8 texture: soft patches, in some with bars or a floor."""
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
    reach = slope * size
    lines = np.stack([np.stack([t, 0 * t], -1), np.stack([t + reach, 0 * t + size], -1)], 1)
    if rng.random() < 0.5:
        lines = lines[..., ::-1]
    color = tuple(_color(rng).tolist())
    width = int(max(1, rng.uniform(0.1, 0.4) * size / count))
    cv2.polylines(image, list(fixed(lines)), False, color, width, cv2.LINE_8, SHIFT)


def _floor(rng: np.random.Generator, image: Image) -> None:
    """Give the lower part another color, darker towards the wall."""
    top = int(rng.uniform(0.4, 0.85) * len(image))
    shade = np.array([_color(rng) * 0.8, _color(rng)])[:, None]
    rows = cv2.resize(shade, (len(image), len(image) - top), interpolation=cv2.INTER_LINEAR)
    image[top:] = cv2.addWeighted(image[top:], 0.3, rows.astype(np.uint8), 0.7, 0)


def distractors(rng: np.random.Generator, image: Image, count: int) -> None:
    """Paint ``count`` sticks, boxes and blobs in place, about as large as limbs and heads."""
    size = len(image)
    for kind, x, y, turn, long, wide, aspect in rng.random((count, 7)).tolist():
        color = tuple(rng.integers(25, 231, 3).tolist())
        thick = (0.02 + 0.05 * wide) * size
        length = (0.12 + 0.4 * long) * size if kind < 0.55 else thick * (1 + 2 * aspect)
        center = (x * size, y * size)
        if kind < 0.75:
            corners = np.array(cv2.boxPoints((center, (length, thick), turn * 180)), np.float64)
            cv2.fillConvexPoly(image, fixed(corners), color, cv2.LINE_AA, SHIFT)
        else:
            middle = fixed(np.array(center)).tolist()
            axes = (np.array([length, thick]) * (1 << SHIFT)).astype(int).tolist()
            cv2.ellipse(image, middle, axes, turn * 180, 0, 360, color, -1, cv2.LINE_AA, SHIFT)


def camera(rng: np.random.Generator, image: Image) -> None:
    """Make the image, in place, what a camera might see: exposure, some blur, some grain."""
    size = len(image)
    blur, expose, gain, lift, x, y, grain = rng.random(7).tolist()
    if blur < 0.2:
        cv2.blur(image, (3, 3), dst=image)
    if expose < 0.5:
        cv2.convertScaleAbs(image, dst=image, alpha=0.75 + 0.4 * gain, beta=25 * lift)
    bank = _grain(size + 32, 3 if grain < 0.5 else 7)
    top, left = int(32 * y), int(32 * x)
    cv2.add(image, bank[top : top + size, left : left + size], dst=image, dtype=cv2.CV_8U)

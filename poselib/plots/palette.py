"""Colors that stay apart for color-blind readers: one per person, lighter on the left side."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import ArrayLike, NDArray

Color = tuple[float, float, float]  # red, green, blue in [0, 1]

# Okabe and Ito's palette without black, which is lost on photographs.
ORANGE: Color = (0.902, 0.624, 0.000)
SKY: Color = (0.337, 0.706, 0.914)
PURPLE: Color = (0.800, 0.475, 0.655)
GREEN: Color = (0.000, 0.620, 0.451)
YELLOW: Color = (0.941, 0.894, 0.259)
BLUE: Color = (0.000, 0.447, 0.698)
VERMILION: Color = (0.835, 0.369, 0.000)
WHITE: Color = (1.0, 1.0, 1.0)
INK: Color = (0.13, 0.13, 0.15)
GRAY: Color = (0.55, 0.55, 0.58)
ALERT: Color = (0.80, 0.10, 0.12)

# The order keeps the first few people, and the first few lines of a plot, as far apart as possible.
_PEOPLE = (ORANGE, SKY, PURPLE, GREEN, YELLOW, BLUE, VERMILION)
LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GRAY)
_GOLDEN = 0.6180339887  # spreads any number of hues evenly


def blend(color: Color, other: Color, amount: float) -> Color:
    """Return ``color`` moved towards ``other`` by ``amount`` in [0, 1]."""
    red, green, blue = ((1 - amount) * a + amount * b for a, b in zip(color, other, strict=True))
    return red, green, blue


def person_colors(count: int) -> tuple[Color, ...]:
    """Return ``count`` distinct colors: Okabe and Ito's seven first, then spread hues."""
    extra = max(count - len(_PEOPLE), 0)
    more = tuple(
        colorsys.hls_to_rgb((0.12 + i * _GOLDEN) % 1.0, (0.45, 0.65)[i % 2], 0.75)
        for i in range(extra)
    )
    return (*_PEOPLE, *more)[:count]


def partner_colors(people: int, partners: ArrayLike) -> list[Color]:
    """Return the colors of detections: that of the annotated person each was matched to.

    Args:
        people: how many people are annotated; they have ``person_colors(people)``.
        partners: (P,) the annotated person of each detection; those without one (-1) get colors
            of their own.
    """
    given = np.asarray(partners, dtype=np.int64)
    colors = person_colors(people + len(given))
    numbers = np.where(given >= 0, given, people + np.cumsum(given < 0) - 1)
    return [colors[number] for number in numbers]


def side_color(color: Color, side: str) -> Color:
    """Return a person's color for ``"left"`` (lighter), ``"right"`` (darker) or ``"center"``."""
    if side == "left":
        return blend(color, WHITE, 0.5)
    return blend(color, INK, 0.2) if side == "right" else color


def to_rgb8(color: Color) -> tuple[int, int, int]:
    """Return a color as three integers in [0, 255]."""
    red, green, blue = (round(255 * part) for part in color)
    return red, green, blue


def to_pale_gray(image: NDArray[np.uint8], strength: float = 0.55) -> NDArray[np.uint8]:
    """Return an image (3, H, W) uint8 as pale gray, so that colors drawn over it carry meaning.

    ``strength`` in [0, 1] is how far the gray is moved to white.
    """
    gray = image.astype(np.float32).mean(axis=0)
    pale = (1 - strength) * gray + strength * 255
    return np.repeat(pale[None].round().astype(np.uint8), 3, axis=0)

"""Colours that stay apart for colour-blind readers: one per person, lighter on the left side."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]  # red, green, blue in [0, 1]

# Okabe and Ito's palette without black, which is lost on photographs.
ORANGE: Colour = (0.902, 0.624, 0.000)
SKY: Colour = (0.337, 0.706, 0.914)
PURPLE: Colour = (0.800, 0.475, 0.655)
GREEN: Colour = (0.000, 0.620, 0.451)
YELLOW: Colour = (0.941, 0.894, 0.259)
BLUE: Colour = (0.000, 0.447, 0.698)
VERMILION: Colour = (0.835, 0.369, 0.000)
WHITE: Colour = (1.0, 1.0, 1.0)
INK: Colour = (0.13, 0.13, 0.15)
GREY: Colour = (0.55, 0.55, 0.58)
ALERT: Colour = (0.80, 0.10, 0.12)

# The order keeps the first few people as far apart as possible.
_PEOPLE = (ORANGE, SKY, PURPLE, GREEN, YELLOW, BLUE, VERMILION)
_GOLDEN = 0.6180339887  # spreads any number of hues evenly


def mixed(colour: Colour, other: Colour, amount: float) -> Colour:
    """Return ``colour`` moved towards ``other`` by ``amount`` in [0, 1]."""
    red, green, blue = ((1 - amount) * a + amount * b for a, b in zip(colour, other, strict=True))
    return red, green, blue


def person_colours(count: int) -> tuple[Colour, ...]:
    """Return ``count`` distinct colours: Okabe and Ito's seven first, then spread hues."""
    extra = max(count - len(_PEOPLE), 0)
    more = tuple(
        colorsys.hls_to_rgb((0.12 + i * _GOLDEN) % 1.0, (0.45, 0.65)[i % 2], 0.75)
        for i in range(extra)
    )
    return (*_PEOPLE, *more)[:count]


def side_colour(colour: Colour, side: str) -> Colour:
    """Return a person's colour for ``"left"`` (lighter), ``"right"`` (darker) or ``"centre"``."""
    if side == "left":
        return mixed(colour, WHITE, 0.5)
    return mixed(colour, INK, 0.2) if side == "right" else colour


def as_bytes(colour: Colour) -> tuple[int, int, int]:
    """Return a colour as three integers in [0, 255]."""
    red, green, blue = (round(255 * part) for part in colour)
    return red, green, blue


def greyed(image: NDArray[np.uint8], strength: float = 0.55) -> NDArray[np.uint8]:
    """Return an image (3, H, W) uint8 as pale grey, so that colours drawn over it carry meaning.

    ``strength`` in [0, 1] is how far the grey is moved to white.
    """
    grey = image.astype(np.float32).mean(axis=0)
    pale = (1 - strength) * grey + strength * 255
    return np.repeat(pale[None].round().astype(np.uint8), 3, axis=0)

"""Random appearance of synthetic people: skin, hair and clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poselib.data.synthetic.body_parts import CAPSULES, HULLS, PART_INDEX, PARTS

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Appearance:
    """Colors of one person's body parts.

    Attributes:
        colors, outline_colors: of each part, in the order of ``body_parts.PARTS``.
        present: which parts exist, such as a skirt or long hair.
        stripes: number of stripes across the shirt; 1 or fewer for none.
        stripe_color: their color.
    """

    colors: list[Color]
    outline_colors: list[Color]
    present: NDArray[np.bool_]
    stripes: int
    stripe_color: Color


_SKINS = np.array(
    [(246, 214, 188), (232, 188, 152), (204, 152, 112), (160, 108, 72), (112, 74, 50), (78, 52, 38)]
)
_HAIRS = np.array(
    [(28, 22, 20), (64, 40, 26), (112, 70, 36), (206, 170, 96), (150, 60, 30), (150, 148, 146)]
)
_PALETTE = np.array(
    [
        *((200, 40, 44), (38, 86, 176), (42, 138, 74), (232, 186, 40), (236, 236, 232)),
        *((38, 40, 48), (126, 62, 150), (232, 122, 40), (84, 178, 206), (232, 142, 172)),
        *((104, 82, 60), (124, 130, 138), (26, 52, 96), (98, 112, 54), (146, 30, 62)),
    ]
)


def sample_appearance(rng: np.random.Generator) -> Appearance:
    """Sample skin, hair and clothes of one person."""
    u = rng.random(12)
    skin = _SKINS[int(u[0] * len(_SKINS))] + rng.integers(-8, 9)
    shirt, trousers, shoes = (_PALETTE[i] for i in rng.choice(len(_PALETTE), 3, replace=False))
    shirt, trousers = shirt + rng.integers(-18, 19, 3), trousers + rng.integers(-18, 19, 3)
    skirt, dress = u[1] < 0.14, u[1] < 0.06
    lower = shirt if dress else trousers
    sleeves, legs = u[2], u[3]
    table = {
        "skin": skin,
        "hand": skin,
        "upper_arm": shirt if sleeves < 0.9 else skin,
        "forearm": shirt if sleeves < 0.45 else skin,
        "thigh": skin if skirt else trousers,
        "shin": skin if skirt or legs < 0.28 else trousers,
        "foot": shoes,
        "hair": skin if u[4] < 0.06 else _HAIRS[int(u[5] * len(_HAIRS))] + rng.integers(-8, 9),
        "eye": np.array((24, 20, 20)),
        "white": np.array((244, 244, 244)),
        "nose": skin * 0.82,
        "mouth": skin * 0.5 + np.array((70, 10, 14)),
        "chest": shirt,
        "pelvis": lower,
        "skirt": lower,
    }
    names = [part.color for part in CAPSULES] + [hull[0] for hull in HULLS]
    rgb = np.clip(np.array([table[name] for name in names]), 0, 255).astype(int)
    present = np.ones(len(PARTS), dtype=bool)
    present[PART_INDEX["long_hair"]] = u[6] < 0.35 and u[4] >= 0.06
    present[PART_INDEX["skirt"]] = skirt
    pattern = _PALETTE[int(u[7] * len(_PALETTE))].tolist()
    # Outlines separate limbs of one color: darker, or lighter where that would not show.
    dark = rgb.sum(-1, keepdims=True) < 150
    outline_colors = np.where(dark, rgb + 45, (0.55 * rgb).astype(int))
    return Appearance(
        colors=[(r, g, b) for r, g, b in rgb.tolist()],
        outline_colors=[(r, g, b) for r, g, b in outline_colors.tolist()],
        present=present,
        stripes=int(u[8] * 12) - 5,
        stripe_color=(pattern[0], pattern[1], pattern[2]),
    )

"""Outlines and where they land on the pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from poselib.data.synthetic import rendering
from poselib.data.synthetic.appearance import sample_appearance
from poselib.data.synthetic.body_parts import (
    CAPSULES,
    NOT_IN_PART_MAP,
    PARTS,
    PARTS_SHOWING,
    WITHOUT_OUTLINE,
)

CENTERS = [(20.0, 30.0), (20.25, 30.75), (19.5, 31.5)]


@pytest.mark.parametrize("center", CENTERS)
def test_fixed_point_keeps_pixel_centers(center: tuple[float, float]) -> None:
    # Pixel centers are at integer + 0.5: the centroid of a disc is its center.
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    disc = np.array(center) + 9 * np.stack([np.cos(turn), np.sin(turn)], -1)
    image = np.zeros((64, 64), np.uint8)
    cv2.fillConvexPoly(
        image, rendering.to_fixed_point(disc), 255, cv2.LINE_AA, rendering.FIXED_POINT_BITS
    )
    rows, columns = np.nonzero(image)
    weight = image[rows, columns]
    assert np.average(columns + 0.5, weights=weight) == pytest.approx(center[0], abs=0.15)
    assert np.average(rows + 0.5, weights=weight) == pytest.approx(center[1], abs=0.15)


@pytest.mark.parametrize("radii", [(3.0, 3.0), (5.0, 2.0), (2.0, 5.0), (6.0, 1.0), (1.0, 6.0)])
@pytest.mark.parametrize("length", [0.0, 2.0, 12.0])
def test_capsule_is_the_convex_hull_of_its_circles(
    radii: tuple[float, float], length: float
) -> None:
    angle = 0.7
    start = np.array([1.0, -2.0])
    end = start + length * np.array([np.cos(angle), np.sin(angle)])
    polygon = rendering._capsules(start, end, np.array(radii))
    t = np.linspace(0, 1, 2001)[:, None]
    centers, sizes = start + t * (end - start), radii[0] + t[:, 0] * (radii[1] - radii[0])
    reach = np.linalg.norm(polygon[:, None] - centers, axis=-1) - sizes
    # Every vertex is on the edge of the hull: inside none of its circles, and on one of them.
    np.testing.assert_allclose(reach.min(1), 0, atol=1e-3)
    edges = np.roll(polygon, -1, 0) - polygon
    after = np.roll(edges, -1, 0)
    assert (edges[:, 0] * after[:, 1] - edges[:, 1] * after[:, 0] > -1e-9).all(), "convex"


def test_body_part_tables_are_consistent() -> None:
    assert len(set(PARTS)) == len(PARTS) < 255
    assert PARTS_SHOWING.shape[1] == len(PARTS) + 1 and not PARTS_SHOWING[:, 0].any()
    assert PARTS_SHOWING.any(1).all()
    assert NOT_IN_PART_MAP <= WITHOUT_OUTLINE <= set(range(len(CAPSULES)))


def test_appearances_are_valid_and_differ() -> None:
    rng = np.random.default_rng(0)
    appearances = [sample_appearance(rng) for _ in range(50)]
    for appearance in appearances:
        colors = np.array(appearance.colors + appearance.outline_colors)
        assert (
            len(appearance.colors) == len(PARTS) and (colors >= 0).all() and (colors <= 255).all()
        )
        assert appearance.colors[PARTS.index("left_hand")] == appearance.colors[PARTS.index("face")]
    chest = {appearance.colors[PARTS.index("chest")] for appearance in appearances}
    assert len(chest) > 40
    assert (
        0 < np.mean([appearance.present[PARTS.index("skirt")] for appearance in appearances]) < 0.5
    )

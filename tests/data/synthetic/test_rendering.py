"""Outlines and where they land on the pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from poselib.data.synthetic import rendering as figures
from poselib.data.synthetic.appearance import draw_look
from poselib.data.synthetic.body_parts import CAPSULES, CARRIERS, FLAT, PARTS, PLAIN

CENTERS = [(20.0, 30.0), (20.25, 30.75), (19.5, 31.5)]


@pytest.mark.parametrize("center", CENTERS)
def test_shapes_land_where_the_coordinates_say(center: tuple[float, float]) -> None:
    # Pixel centers are at integer + 0.5: the centroid of a disc is its center.
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    disc = np.array(center) + 9 * np.stack([np.cos(turn), np.sin(turn)], -1)
    image = np.zeros((64, 64), np.uint8)
    cv2.fillConvexPoly(image, figures.fixed(disc), 255, cv2.LINE_AA, figures.SHIFT)
    rows, columns = np.nonzero(image)
    weight = image[rows, columns]
    assert np.average(columns + 0.5, weights=weight) == pytest.approx(center[0], abs=0.15)
    assert np.average(rows + 0.5, weights=weight) == pytest.approx(center[1], abs=0.15)


@pytest.mark.parametrize("radii", [(3.0, 3.0), (5.0, 2.0), (2.0, 5.0), (6.0, 1.0), (1.0, 6.0)])
@pytest.mark.parametrize("length", [0.0, 2.0, 12.0])
def test_a_capsule_is_the_convex_hull_of_its_circles(
    radii: tuple[float, float], length: float
) -> None:
    angle = 0.7
    start = np.array([1.0, -2.0])
    end = start + length * np.array([np.cos(angle), np.sin(angle)])
    polygon = figures._capsules(start, end, np.array(radii))
    t = np.linspace(0, 1, 2001)[:, None]
    centers, sizes = start + t * (end - start), radii[0] + t[:, 0] * (radii[1] - radii[0])
    reach = np.linalg.norm(polygon[:, None] - centers, axis=-1) - sizes
    # Every vertex is on the edge of the hull: inside none of its circles, and on one of them.
    np.testing.assert_allclose(reach.min(1), 0, atol=1e-3)
    edges = np.roll(polygon, -1, 0) - polygon
    after = np.roll(edges, -1, 0)
    assert (edges[:, 0] * after[:, 1] - edges[:, 1] * after[:, 0] > -1e-9).all(), "convex"


def test_tables_fit_each_other() -> None:
    assert len(set(PARTS)) == len(PARTS) < 255
    assert CARRIERS.shape[1] == len(PARTS) + 1 and not CARRIERS[:, 0].any()
    assert CARRIERS.any(1).all()
    assert FLAT <= PLAIN <= set(range(len(CAPSULES)))


def test_looks_are_colors_and_differ() -> None:
    rng = np.random.default_rng(0)
    looks = [draw_look(rng) for _ in range(50)]
    for look in looks:
        colors = np.array(look.colors + look.rims)
        assert len(look.colors) == len(PARTS) and (colors >= 0).all() and (colors <= 255).all()
        assert look.colors[PARTS.index("left_hand")] == look.colors[PARTS.index("face")]
    chest = {look.colors[PARTS.index("chest")] for look in looks}
    assert len(chest) > 40
    assert 0 < np.mean([look.worn[PARTS.index("skirt")] for look in looks]) < 0.5

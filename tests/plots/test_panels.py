from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from poselib.plots.panels import Panel, show_panels, window_around
from poselib.plots.style import person_colors, side_color
from poselib.skeletons import COCO

PARTNERS = np.array([1, -1])


def marks(ax, gid: str) -> list[list[tuple[float, float]]]:
    return [line.get_xydata().tolist() for line in ax.get_lines() if line.get_gid() == gid]


def test_rings_and_lines_are_where_the_panel_says(scene) -> None:
    rings = np.array([[10.0, 20.0], [30.0, 40.0]])
    targets = np.array([[50.0, 60.0], [np.nan, np.nan]])
    panel = Panel(scene.image, scene.keypoints, scene.poses, PARTNERS, "found", rings, targets)
    sheet = show_panels([Panel(scene.image, scene.keypoints, title="truth"), panel], COCO,
                        marked="wrong", title="Failures")  # fmt: skip
    left, right = sheet.axes[:2]
    assert [left.get_title(), right.get_title()] == ["truth", "found"]
    assert marks(right, "marked") == [rings.tolist()]
    assert marks(right, "belongs") == [[[10, 20], [50, 60]]]
    assert marks(left, "marked") == [[]] and marks(left, "belongs") == []
    names = [text.get_text() for text in sheet.legends[0].get_texts()]
    assert names[-2:] == ["wrong", "correct position"]


def test_hits_have_rings_of_their_own_color_and_name(scene) -> None:
    points = np.array([[10.0, 20.0]])
    panel = Panel(scene.image, scene.keypoints, scene.poses, PARTNERS, hits=points,
                  window=(5, 5, 60, 60))  # fmt: skip
    sheet = show_panels([panel], COCO, marked="wrong", right="recovered")
    assert marks(sheet.axes[0], "right") == [[[5, 15]]] and marks(sheet.axes[0], "marked") == [[]]
    names = [text.get_text() for text in sheet.legends[0].get_texts()]
    assert names[-1] == "recovered" and "wrong" not in names


def test_without_marks_the_legend_does_not_name_them(scene) -> None:
    sheet = show_panels([Panel(scene.image, scene.keypoints)], COCO, marked="wrong")
    names = [text.get_text() for text in sheet.legends[0].get_texts()]
    assert "wrong" not in names and "correct position" not in names


def test_people_found_have_the_color_of_their_partner_or_one_of_their_own(scene) -> None:
    panel = Panel(scene.image, scene.keypoints, scene.poses, PARTNERS)
    (ax,) = show_panels([panel], COCO).axes
    drawn = {c.get_gid(): c.get_facecolor() for c in ax.collections}
    colors = person_colors(4)
    for person, expected in ((0, colors[1]), (1, colors[2])):
        tones = {tuple(np.round(tone[:3], 6)) for tone in drawn[f"person {person} limbs"]}
        assert tuple(np.round(to_rgb(side_color(expected, "left")), 6)) in tones


def test_a_window_shows_its_part_alone(scene) -> None:
    image = scene.image.copy()
    image[:, 30:, 60:] = 200
    ring = np.array([[70.0, 40.0]])
    panel = Panel(image, scene.keypoints, scene.poses, PARTNERS, rings=ring,
                  window=(60, 30, 128, 96))  # fmt: skip
    (ax,) = show_panels([panel], COCO).axes
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 68), (66, 0))
    assert (np.asarray(ax.get_images()[0].get_array()) == 200).all()
    assert marks(ax, "marked") == [[[10, 10]]]
    whole = show_panels([replace(panel, window=None)], COCO).axes[0]
    for mine, theirs in zip(ax.collections, whole.collections, strict=True):
        centers = [path.vertices.mean(axis=0) for path in mine.get_paths()]
        others = [path.vertices.mean(axis=0) for path in theirs.get_paths()]
        # Line widths follow the part that is shown, so corners differ a little.
        assert np.allclose(np.array(centers), np.array(others) - (60, 30), atol=0.5)


def test_windows_are_square_hold_their_points_and_lie_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        points = rng.uniform(0, (128, 96), (5, 2))
        left, top, right, bottom = window_around(points, (96, 128))
        assert 0 <= left < right <= 128 and 0 <= top < bottom <= 96
        low, high = points.min(axis=0), points.max(axis=0)
        assert (low >= (left, top)).all() and (high <= (right, bottom)).all()
        side = (high - low).max() * 1.3
        assert right - left >= min(side, 128) - 1e-9
        assert bottom - top >= min(side, 96) - 1e-9
        assert abs((right - left) - (bottom - top)) <= 1 or bottom - top == 96
    assert window_around(np.zeros((0, 2)), (96, 128)) == (0, 0, 128, 96)
    # One point still has surroundings: a quarter of the image's shorter side.
    assert window_around([[64, 48]], (96, 128)) == (52, 36, 76, 60)


def test_bad_panels_are_refused(scene) -> None:
    with pytest.raises(ValueError, match="1 partners for 2 detections"):
        show_panels([Panel(scene.image, scene.keypoints, scene.poses, PARTNERS[:1])], COCO)
    with pytest.raises(ValueError, match="does not lie in an image 128 by 96"):
        show_panels([Panel(scene.image, scene.keypoints, window=(0, 0, 200, 50))], COCO)
    with pytest.raises(ValueError, match="nothing to draw"):
        show_panels([], COCO)

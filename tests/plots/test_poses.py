from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from poselib.plots.poses import (
    contact_sheet,
    draw_poses,
    draw_truth,
    paint_poses,
    paint_truth,
    show_poses,
)
from poselib.skeletons import COCO, CROWDPOSE
from poselib.structures import Poses


def polygons(ax, kind):
    people = [artist for artist in ax.collections if isinstance(artist, PolyCollection)]
    return [person for person in people if (person.get_gid() or "").endswith(kind)]


def polygon_count(ax, kind):
    return sum(len(c.get_paths()) for c in polygons(ax, kind))


def rendered(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def test_each_person_is_drawn_in_a_color_of_its_own(scene):
    figure = draw_poses(scene.image, scene.poses, COCO)
    assert isinstance(figure, Figure)
    first, second = polygons(figure.axes[0], "keypoints")
    assert len(first.get_paths()) == 2 * 17 and len(second.get_paths()) == 2 * 12
    fillings = [{tuple(c) for c in p.get_facecolor()[1::2]} for p in (first, second)]
    assert not fillings[0] & fillings[1]


def test_a_score_threshold_leaves_out_keypoints_and_people(scene):
    scores = scene.poses.scores.copy()
    scores[0, :5] = 0.2
    poses = replace(scene.poses, scores=scores)
    kept = draw_poses(scene.image, poses, COCO, min_score=0.2).axes[0]
    assert polygon_count(kept, "keypoints") == 2 * (12 + 12)
    alone = draw_poses(scene.image, poses, COCO, min_score=0, min_person_score=0.5).axes[0]
    assert polygon_count(alone, "keypoints") == 2 * 17


def test_nobody_gives_the_bare_image(scene):
    axes = draw_poses(scene.image, Poses.empty(17), COCO).axes
    assert len(axes) == 1 and not polygons(axes[0], "keypoints")


def test_drawing_into_given_axes_returns_their_figure(scene):
    figure = Figure()
    ax = figure.subplots()
    assert draw_poses(scene.image, scene.poses, COCO, ax=ax) is figure
    assert draw_truth(scene.image, scene.keypoints, COCO, ax=ax) is figure
    assert len(figure.axes) == 1 and not figure.legends


def test_unlabeled_keypoints_are_not_drawn(scene):
    ax = draw_truth(scene.image, scene.keypoints, COCO).axes[0]
    assert polygon_count(ax, "keypoints") == 2 * (17 + 12)


def test_keypoints_lie_where_the_image_shows_them():
    """A keypoint at the center of a bright pixel is drawn on that pixel."""
    image = np.zeros((3, 24, 32), np.uint8)
    image[:, 5, 20] = 255
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, 1] = (20.5, 5.5, 2)
    bare = draw_truth(image, keypoints * 0, COCO)
    drawn = draw_truth(image, keypoints, COCO)
    before, after = rendered(bare).astype(int), rendered(drawn).astype(int)
    ax = bare.axes[0]
    corners = ax.transData.transform([(20, 6), (21, 5)])  # display coordinates grow upwards
    (left, low), (right, high) = corners
    height = before.shape[0]
    center = np.array([(left + right) / 2, height - (low + high) / 2])
    white = before[int(height - high) + 2 : int(height - low) - 1, int(left) + 2 : int(right) - 1]
    assert white.size and (white[..., :3] > 250).all()
    changed = np.argwhere((before != after).any(-1))[:, ::-1]
    np.testing.assert_allclose(changed.mean(axis=0), center, atol=1.0)


def test_painting_changes_pixels_near_the_limbs_only(scene):
    original = scene.image.copy()
    painted = paint_poses(scene.image, scene.poses, COCO)
    np.testing.assert_array_equal(scene.image, original)
    assert painted.shape == (96, 128, 3) and painted.dtype == np.uint8
    ys, xs = np.nonzero((painted != 120).any(-1))
    pixels = np.stack([xs, ys], -1) + 0.5
    segments = []
    for person, seen in zip(scene.poses.keypoints, scene.poses.found, strict=True):
        segments += [(person[i], person[j]) for i, j in COCO.limb_indices if seen[i] and seen[j]]
    a, b = (np.array(side, np.float64) for side in zip(*segments, strict=True))
    along = ((pixels[:, None] - a) * (b - a)).sum(-1) / np.maximum(((b - a) ** 2).sum(-1), 1e-9)
    nearest = a + np.clip(along, 0, 1)[..., None] * (b - a)
    distance = np.linalg.norm(pixels[:, None] - nearest, axis=-1).min(axis=1)
    assert distance.max() < 5
    for person, seen in zip(scene.poses.keypoints, scene.poses.found, strict=True):
        for x, y in person[seen]:
            assert (painted[int(y), int(x)] != 120).any()


def test_painted_markers_are_centered_on_the_keypoint():
    keypoints = np.zeros((1, 17, 2), np.float32)
    keypoints[0, 1] = (200.5, 150.5)
    scores = np.zeros((1, 17), np.float32)
    scores[0, 1] = 1
    image = np.zeros((3, 300, 400), np.uint8) + np.uint8(99)
    painted = paint_poses(image, Poses(keypoints, scores, np.ones(1, np.float32)), COCO)
    ys, xs = np.nonzero((painted != 99).any(-1))
    np.testing.assert_allclose((xs.mean() + 0.5, ys.mean() + 0.5), (200.5, 150.5), atol=0.1)


def test_painted_truth_has_rings_where_keypoints_are_hidden():
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, 1], keypoints[0, 15] = (100.5, 150.5, 1), (300.5, 150.5, 2)
    painted = paint_truth(np.full((3, 300, 400), 99, np.uint8), keypoints, COCO)
    assert (painted[150, 100] > 250).all() and not (painted[150, 300] > 250).all()
    ys, xs = np.nonzero((painted != 99).any(-1) & (np.arange(400) < 200))
    np.testing.assert_allclose((xs.mean() + 0.5, ys.mean() + 0.5), (100.5, 150.5), atol=0.1)


def test_painting_survives_keypoints_far_outside(scene):
    far = replace(scene.poses, keypoints=scene.poses.keypoints * np.float32(1e7))
    assert paint_poses(scene.image, far, COCO).shape == (96, 128, 3)
    broken = scene.poses.keypoints.copy()
    broken[0] = np.nan
    paint_poses(scene.image, replace(scene.poses, keypoints=broken), COCO)


def test_nobody_leaves_the_image_as_it_is(scene):
    painted = paint_poses(scene.image, Poses.empty(17), COCO)
    np.testing.assert_array_equal(painted, scene.image.transpose(1, 2, 0))


def test_every_image_has_its_people(scene):
    figure = show_poses([scene.image] * 2, [scene.poses] * 2, COCO, ["a", "b"], title="found")
    drawn = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in drawn] == ["a", "b"]
    assert len(polygons(drawn[0], "limbs")) == 2
    ax = show_poses([scene.image], [scene.poses], COCO, min_person_score=0.5).axes[0]
    assert len(polygons(ax, "limbs")) == 1
    for least, count in ((0.0, 2), (0.8, 0)):  # all have a score of 0.8
        ax = show_poses([scene.image], [scene.poses], COCO, min_score=least).axes[0]
        assert len(polygons(ax, "keypoints")) == count
    with pytest.raises(ValueError, match="not 1 and 2 for 2"):
        show_poses([scene.image] * 2, [scene.poses], COCO)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 8, 8), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((8, 8), np.uint8),
    ],
)
def test_wrong_images_are_refused(image):
    with pytest.raises(ValueError, match=r"image must be \(3, H, W\) uint8"):
        paint_poses(image, Poses.empty(17), COCO)
    with pytest.raises(ValueError, match=r"image must be \(3, H, W\) uint8"):
        draw_poses(image, Poses.empty(17), COCO)


def test_wrong_keypoints_are_refused(scene):
    with pytest.raises(ValueError, match="crowdpose"):
        draw_poses(scene.image, scene.poses, CROWDPOSE)
    with pytest.raises(ValueError, match="crowdpose"):
        draw_truth(scene.image, scene.keypoints, CROWDPOSE)
    with pytest.raises(ValueError, match="empty"):
        show_poses([], [], COCO)


def gids(ax):
    return {artist.get_gid() for artist in ax.get_children()} - {None}


def test_one_panel_a_sample_with_people_areas_and_ignored_region(scene):
    figure = contact_sheet([scene.sample] * 5, COCO, columns=3)
    axes = [ax for ax in figure.axes if ax.axison]
    assert len(axes) == 5
    assert axes[0].get_title() == "#7 · 2 people"
    assert {text.get_text() for text in axes[0].texts} == {"30", "20"}  # √area
    assert {"ignore", "person 0 limbs", "person 1 keypoints"} <= gids(axes[0])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "ignored region" in labels and len(labels) == 6


def test_without_areas_and_ignored_regions_the_legend_does_not_name_them(scene):
    sample = replace(scene.sample, ignore_mask=np.zeros((96, 128), bool))
    figure = contact_sheet([sample], COCO, show_areas=False)
    assert "ignore" not in gids(figure.axes[0]) and not figure.axes[0].texts
    assert len(figure.legends[0].get_texts()) == 4


def test_the_hatched_region_covers_the_mask(scene):
    figure = contact_sheet([scene.sample], COCO)
    (region,) = [c for c in figure.axes[0].collections if c.get_gid() == "ignore"]
    outline = np.concatenate([path.vertices for path in region.get_paths() if len(path.vertices)])
    np.testing.assert_allclose(outline.min(axis=0), (100, 0), atol=0.5)
    np.testing.assert_allclose(outline.max(axis=0), (128, 20), atol=0.5)
    np.testing.assert_allclose(region.get_facecolor(), [[1, 1, 1, 0.35]])


def test_a_sample_without_people(scene):
    empty = replace(
        scene.sample, keypoints=np.zeros((0, 17, 3), np.float32), areas=np.zeros(0, np.float32)
    )
    assert contact_sheet([empty], COCO).axes[0].get_title() == "#7 · 0 people"


def test_wrong_samples_are_refused(scene):
    with pytest.raises(ValueError, match="crowdpose"):
        contact_sheet([scene.sample], CROWDPOSE)
    with pytest.raises(ValueError, match="empty"):
        contact_sheet([], COCO)
    with pytest.raises(ValueError, match="titles"):
        contact_sheet([scene.sample], COCO, titles=["a", "b"])

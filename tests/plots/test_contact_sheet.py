from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poselib.plots.poses import contact_sheet
from poselib.skeletons import COCO, CROWDPOSE


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


def test_a_sample_without_people(scene):
    empty = replace(
        scene.sample, keypoints=np.zeros((0, 17, 3), np.float32), areas=np.zeros(0, np.float32)
    )
    assert contact_sheet([empty], COCO).axes[0].get_title() == "#7 · 0 people"


def test_wrong_input_is_refused(scene):
    with pytest.raises(ValueError, match="crowdpose"):
        contact_sheet([scene.sample], CROWDPOSE)
    with pytest.raises(ValueError, match="empty"):
        contact_sheet([], COCO)
    with pytest.raises(ValueError, match="titles"):
        contact_sheet([scene.sample], COCO, titles=["a", "b"])

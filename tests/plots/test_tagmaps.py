from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps

from poselib.plots.heatmaps import TAG_COLORS, masked_tags, show_tagmaps, tag_limits
from poselib.skeletons import COCO, CROWDPOSE


@pytest.fixture
def maps():
    """Tags of -1 left and 2 right, wild in the middle; heat on both sides."""
    tags, heat = np.zeros((17, 6, 8)), np.zeros((17, 6, 8))
    tags[..., :3], tags[..., 5:], tags[..., 3:5] = -1, 2, 50
    heat[3, :, 0], heat[4, :, 7] = 1, 0.8
    return tags, heat


def test_each_model_has_a_row_and_a_scale_of_its_own(scene, maps):
    other = (maps[0] * 3, maps[1])
    figure = show_tagmaps(scene.image, {"without": maps, "with": other}, COCO, keypoints=["nose"])
    titles = [ax.get_title() for ax in figure.axes]
    assert len(titles) == 4
    assert titles[0].startswith("without") and titles[2].startswith("with:")
    for ax, (tags, heat) in zip((figure.axes[1], figure.axes[3]), (maps, other), strict=True):
        (bar,) = ax.child_axes
        assert bar.get_ylabel() == "tag value"
        assert ax.images[0].get_clim() == bar.get_ylim() == tag_limits(tags, heat)


def test_limits_come_from_the_people_alone(maps):
    low, high = tag_limits(*maps)
    assert -1.2 < low < -1 and 2 < high < 2.2
    low, high = tag_limits(maps[0] * 0, maps[1] * 0)
    assert low < 0 < high


def test_people_are_colored_by_their_tag_and_the_rest_is_clear(maps):
    colors = masked_tags(*maps, limits=(-1, 2))
    assert (colors[:, 1:7, 3] == 0).all()
    assert (colors[:, [0, 7], 3] > 0.9).all()
    np.testing.assert_allclose(colors[0, 0, :3], colormaps[TAG_COLORS](0.0)[:3])
    np.testing.assert_allclose(colors[0, 7, :3], colormaps[TAG_COLORS](1.0)[:3])


def test_only_tagmaps_without_whole_panels(scene, maps):
    (ax,) = show_tagmaps(scene.image, {"": maps}, COCO, keypoints=[]).axes
    (bar,) = ax.child_axes
    assert ax.get_title() == "on people" and bar.get_ylim() == tag_limits(*maps)


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_whole_tagmaps_are_of_the_head_and_a_hip(scene, maps, skeleton):
    kinds = len(skeleton)
    own = {"": (maps[0][:kinds], maps[1][:kinds])}
    titles = [ax.get_title() for ax in show_tagmaps(scene.image, own, skeleton).axes]
    assert any(skeleton.groups["body_parts"][0][0] in title for title in titles)
    assert any("left hip" in title for title in titles)


def test_wrong_input_is_refused(scene, maps):
    with pytest.raises(ValueError, match="at least one model"):
        show_tagmaps(scene.image, {}, COCO)
    with pytest.raises(ValueError, match="tags must be"):
        show_tagmaps(scene.image, {"a": (maps[0][:14], maps[1])}, COCO)
    with pytest.raises(ValueError, match="tail"):
        show_tagmaps(scene.image, {"a": maps}, COCO, keypoints=["tail"])

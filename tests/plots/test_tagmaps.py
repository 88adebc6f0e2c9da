from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps

from poselib.plots.tagmaps import TAG, masked_tags, show_tagmaps, tag_limits
from poselib.skeletons import COCO


@pytest.fixture
def maps():
    """Tags of -1 left and 2 right, wild in the middle; heat on both sides."""
    tags, heat = np.zeros((17, 6, 8)), np.zeros((17, 6, 8))
    tags[..., :3], tags[..., 5:], tags[..., 3:5] = -1, 2, 50
    heat[3, :, 0], heat[4, :, 7] = 1, 0.8
    return tags, heat


def panels(figure):
    return [ax for ax in figure.axes if ax.axison and ax.get_label() != "<colorbar>"]


def bars(figure):
    return [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]


def test_one_row_a_model_with_a_bar_of_its_own(scene, maps):
    figure = show_tagmaps(scene.image, {"without": maps, "with": maps}, COCO, keypoints=["nose"])
    titles = [ax.get_title() for ax in panels(figure)]
    assert len(titles) == 4 and len(bars(figure)) == 2
    assert titles[0].startswith("without") and titles[2].startswith("with:")
    assert all(bar.get_ylabel() == "tag value" for bar in bars(figure))


def test_a_shared_scale_gives_all_rows_the_same_limits(scene, maps):
    other = (maps[0] * 3, maps[1])
    for shared in (False, True):
        figure = show_tagmaps(scene.image, {"a": maps, "b": other}, COCO, shared_scale=shared)
        first, second = (panels(figure)[i].images[0].get_clim() for i in (1, 4))
        assert (first == second) is shared


def test_limits_come_from_the_people_alone(maps):
    low, high = tag_limits(*maps)
    assert -1.2 < low < -1 and 2 < high < 2.2
    low, high = tag_limits(maps[0] * 0, maps[1] * 0)
    assert low < 0 < high


def test_people_are_coloured_by_their_tag_and_the_rest_is_clear(maps):
    colours = masked_tags(*maps, limits=(-1, 2))
    assert (colours[:, 1:7, 3] == 0).all()
    assert (colours[:, [0, 7], 3] > 0.9).all()
    np.testing.assert_allclose(colours[0, 0, :3], colormaps[TAG](0.0)[:3])
    np.testing.assert_allclose(colours[0, 7, :3], colormaps[TAG](1.0)[:3])


def test_only_tagmaps_without_whole_panels(scene, maps):
    figure = show_tagmaps(scene.image, {"": maps}, COCO, keypoints=[])
    figure.canvas.draw()
    assert len(panels(figure)) == 1 and len(bars(figure)) == 1


def test_wrong_input_is_refused(scene, maps):
    with pytest.raises(ValueError, match="at least one model"):
        show_tagmaps(scene.image, {}, COCO)
    with pytest.raises(ValueError, match="tags must be"):
        show_tagmaps(scene.image, {"a": (maps[0][:14], maps[1])}, COCO)
    with pytest.raises(ValueError, match="tail"):
        show_tagmaps(scene.image, {"a": maps}, COCO, keypoints=["tail"])

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poselib.plots.local_filters import FilterPanel, show_local_filters
from poselib.skeletons import COCO


@pytest.fixture
def panel(scene) -> FilterPanel:
    truth = scene.keypoints[0].astype(np.float64)
    before = truth[:, :2] + [3, 0]
    filters = np.random.default_rng(0).uniform(0, 0.6, (17, 5, 5))
    places = np.tile([[-1.0, 0.5]], (17, 1))
    poses = np.stack([before, truth[:, :2] + [1, 0]])
    return FilterPanel(scene.image, truth, poses, (0.5, 0.9), filters, places, "most")


def lines(ax, gid):
    return [line.get_xydata() for line in ax.lines if line.get_gid() == gid]


def test_both_poses_and_every_filter_are_drawn(panel) -> None:
    figure = show_local_filters([panel, panel], COCO, title="T")
    axes = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    assert len(axes) == 2 * (2 + 17)
    before, after, nose = axes[:3]
    assert before.get_title() == "most\nregressed: OKS 0.500"
    assert after.get_title() == "adapted: OKS 0.900 (+0.400)"
    assert nose.get_title() == "nose" and axes[7].get_title() == "left\nshoulder"
    (shown,) = nose.images
    np.testing.assert_array_equal(shown.get_array(), panel.filters[0])
    assert shown.get_extent() == [-2.5, 2.5, 2.5, -2.5]
    (cross,) = lines(nose, "truth")
    assert cross.tolist() == [[-1.0, 0.5]]


def test_residuals_lead_from_the_pose_to_the_truth(panel) -> None:
    unlabeled = panel.truth.copy()
    unlabeled[2:, 2] = 0
    before, after = show_local_filters([replace(panel, truth=unlabeled)], COCO).axes[:2]
    for ax, pose in zip((before, after), panel.poses, strict=True):
        found = lines(ax, "residual")[::2]  # each is drawn twice, the first time wider
        expected = [np.stack([pose[i], panel.truth[i, :2]]) for i in (0, 1)]
        np.testing.assert_allclose(found, expected)
    assert before.get_xlim() == after.get_xlim()


def test_truth_outside_a_filter_or_unknown_is_not_drawn(panel) -> None:
    places = panel.places.copy()
    places[0], places[1] = np.nan, [0.0, 2.6]
    axes = show_local_filters([replace(panel, places=places)], COCO).axes
    drawn = [ax for ax in axes if lines(ax, "middle")]
    assert [len(lines(ax, "truth")) for ax in drawn[:3]] == [0, 0, 1]


@pytest.mark.slow
def test_filters_of_one_person_share_a_scale(panel) -> None:
    weak = replace(panel, filters=np.zeros((17, 5, 5)))
    tops = []
    for one in (panel, weak):
        axes = show_local_filters([one], COCO).axes
        (top,) = {ax.images[0].get_clim()[1] for ax in axes if lines(ax, "middle")}
        tops.append(top)
    assert tops[0] == pytest.approx(panel.filters.max()) and tops[1] > 0


def test_what_does_not_fit_is_refused(panel) -> None:
    with pytest.raises(ValueError, match="no panel"):
        show_local_filters([], COCO)
    with pytest.raises(ValueError, match=r"filters must be \(17, h, w\)"):
        show_local_filters([replace(panel, filters=np.zeros((3, 5, 5)))], COCO)

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.patches import Circle

from poselib.plots.saliency import FocusPanel, show_focus


@pytest.fixture
def panel(scene) -> FocusPanel:
    keypoints = scene.keypoints[0, :2, :2].astype(np.float64)
    return FocusPanel(scene.image, np.array([31.0, 45.0]), keypoints, title="ours: nose")


def line(ax, gid):
    (found,) = [line for line in ax.lines if line.get_gid() == gid]
    return found.get_xydata()


def labels(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_saliency_covers_the_image_with_its_own_brightness(panel) -> None:
    saliency = np.zeros(panel.image.shape[1:])
    saliency[10:20, 10:20] = np.arange(1, 101).reshape(10, 10)
    both = [replace(panel, saliency=saliency), replace(panel, saliency=9 * saliency, radius=5.0)]
    figure = show_focus(both, columns=2, title="Saliency")
    (first, second) = (ax.images[1] for ax in figure.axes)
    assert first.get_extent() == [0, 128, 96, 0]
    assert second.get_clim()[1] == pytest.approx(9 * first.get_clim()[1])
    assert not figure.axes[0].patches
    circles = [patch for patch in figure.axes[1].patches if isinstance(patch, Circle)]
    assert {tuple(circle.center) for circle in circles} == set(map(tuple, panel.keypoints))
    assert {circle.radius for circle in circles} == {5.0}
    assert labels(figure) == ["keypoint", "center of the person", "near"]


def test_a_saliency_of_nothing_is_clear(panel) -> None:
    figure = show_focus([replace(panel, saliency=np.zeros(panel.image.shape[1:]))])
    assert (figure.axes[0].images[1].get_alpha() == 0).all()


def test_activated_pixels_are_drawn_where_they_are(panel) -> None:
    places = np.array([[3.0, 4.0], [200.0, 4.0]])
    figure = show_focus([replace(panel, activated=places)])
    (ax,) = figure.axes
    assert len(ax.images) == 1 and ax.get_xlim() == (0, 128)
    np.testing.assert_array_equal(line(ax, "activated"), places)
    np.testing.assert_array_equal(line(ax, "keypoints"), panel.keypoints)
    np.testing.assert_array_equal(line(ax, "center"), [panel.center])
    assert labels(figure)[-1] == "activated pixel"


def test_wrong_input_is_refused(panel) -> None:
    with pytest.raises(ValueError, match="empty"):
        show_focus([])
    with pytest.raises(ValueError, match=r"saliency must be \(96, 128\)"):
        show_focus([replace(panel, saliency=np.zeros((4, 4)))])

"""Offsets drawn from a center, with and without annotations."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.plots.regression import OffsetPanel, show_offsets
from poselib.skeletons import COCO
from poselib.structures import Poses

POINTS = np.random.default_rng(0).uniform(8, 56, (17, 2))
IMAGE = np.full((3, 64, 64), 90, np.uint8)


def panel(**changes: object) -> OffsetPanel:
    given = {"values": np.eye(16), "label": "center map", **changes}
    return OffsetPanel(IMAGE, np.array([32.0, 30.0]), POINTS, POINTS + 2.0, 9, **given)  # type: ignore[arg-type]


def poses() -> Poses:
    ones = np.ones((1, 17), np.float32)
    return Poses(POINTS[None].astype(np.float32), ones, ones[:, 0])


@pytest.mark.parametrize("truth", [False, True])
def test_arrows_lead_from_the_center_to_each_keypoint(truth: bool) -> None:
    points = np.concatenate([POINTS - 1.0, np.ones((17, 1))], axis=1)
    points[3, 2] = 0
    figure = show_offsets(panel(truth=points if truth else None), poses(), COCO)
    left, right = figure.axes[:2]
    arrows = {tuple(np.round(text.xy, 6)) for text in right.texts}
    assert arrows == {tuple(np.round(point, 6)) for point in POINTS}
    assert all(text.xyann == (32.0, 30.0) for text in right.texts)
    crosses = [line for line in right.lines if line.get_gid() == "truth"]
    assert len(crosses) == truth and all(len(line.get_xdata()) == 16 for line in crosses)
    assert left.get_title() == "1 person"


def test_a_map_lies_where_it_belongs() -> None:
    figure = show_offsets(panel(extent=(10.0, 20.0, 30.0, 20.0)), poses(), COCO)
    assert figure.axes[1].images[-1].get_extent() == [10.0, 20.0, 30.0, 20.0]
    taps = np.full((81, 2), 12.0)
    figure = show_offsets(panel(values=None, activated=taps, regular=taps), poses(), COCO)
    assert len(figure.axes[1].images) == 1  # the photograph alone
    drawn = [line for line in figure.axes[1].lines if line.get_gid() == "activated"]
    assert len(drawn[0].get_xdata()) == 81

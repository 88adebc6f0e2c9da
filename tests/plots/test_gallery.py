from __future__ import annotations

import pytest

from poselib.plots.gallery import show_poses
from poselib.skeletons import COCO


def test_every_image_has_its_people(scene) -> None:
    sheet = show_poses([scene.image] * 2, [scene.poses] * 2, COCO, ["a", "b"], title="found")
    panels = [ax for ax in sheet.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["a", "b"]
    assert len(panels[0].collections) == 4  # limbs and keypoints of two people


def test_people_below_the_score_are_left_out(scene) -> None:
    sheet = show_poses([scene.image], [scene.poses], COCO, min_person_score=0.5)
    assert len(sheet.axes[0].collections) == 2


def test_keypoints_at_or_below_the_score_are_left_out(scene) -> None:
    for least, drawn in ((0.0, 4), (0.8, 0)):  # all have a score of 0.8
        sheet = show_poses([scene.image], [scene.poses], COCO, min_score=least)
        assert len(sheet.axes[0].collections) == drawn


def test_lengths_must_agree(scene) -> None:
    with pytest.raises(ValueError, match="not 1 and 2 for 2"):
        show_poses([scene.image] * 2, [scene.poses], COCO)

from __future__ import annotations

from dataclasses import replace

import numpy as np

from poselib.plots.colors import matched_colors
from poselib.structures import Poses


def test_a_found_person_takes_the_color_of_the_true_one(scene):
    poses = scene.poses
    swapped = Poses(poses.keypoints[::-1], poses.scores[::-1], poses.person_scores[::-1])
    own, others = matched_colors(scene.keypoints, swapped)
    assert others == own[::-1]


def test_a_found_person_on_nobody_takes_a_new_color(scene):
    poses = replace(scene.poses, keypoints=scene.poses.keypoints + np.float32(60))
    own, others = matched_colors(scene.keypoints, poses)
    assert len({*own, *others}) == 4
    own, others = matched_colors(scene.keypoints[:0], poses)
    assert own == () and len(set(others)) == 2
    own, others = matched_colors(scene.keypoints, Poses.empty(17))
    assert len(own) == 2 and others == ()


def test_two_found_people_never_share_a_color(scene):
    poses = scene.poses
    twice = Poses(
        np.concatenate([poses.keypoints] * 2),
        np.concatenate([poses.scores] * 2),
        np.concatenate([poses.person_scores] * 2),
    )
    assert len(set(matched_colors(scene.keypoints, twice)[1])) == 4

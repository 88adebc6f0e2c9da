"""Poses beside those of known people."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.analysis.truth_fit import fit_to_truth
from poselib.skeletons import COCO
from tests.analysis.factories import STANDING, moved, standing

PEOPLE = (STANDING * 0.7, STANDING * 0.7 + np.array([40.0, 8.0], np.float32))


def test_poses_are_compared_with_the_annotated_person_they_fit() -> None:
    sample = standing(*PEOPLE)
    sample.keypoints[0, 16, 2] = 0  # not labeled
    pose = PEOPLE[0].astype(np.float64) + np.array([3.0, 4.0])
    pose[9] = PEOPLE[1][9] + np.array([1.0, 0.0])
    fit = fit_to_truth(np.stack([pose, pose]), sample, COCO)
    assert fit is not None and fit.person == 0 and len(fit.oks) == 2
    expected = np.full(17, 5.0)
    expected[9] = np.linalg.norm(pose[9] - PEOPLE[0][9])
    np.testing.assert_allclose(fit.errors[1, :16], expected[:16], rtol=1e-5)
    assert np.isnan(fit.errors[:, 16]).all() and fit.rivals[16] == -1
    assert fit.rivals[9] == 1 and (fit.rivals[[0, 5, 11]] == -1).all()
    assert fit.oks[0] == pytest.approx(np.nanmean(fit.similarities[0]))


def test_without_labeled_people_nothing_is_compared() -> None:
    sample = standing()
    sample.keypoints[..., 2] = 0
    assert fit_to_truth(moved(0, 0)[None].astype(float), sample, COCO) is None

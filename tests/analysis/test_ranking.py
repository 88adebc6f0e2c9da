"""How well scores rank people: by hand, and of whole systems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from poselib.analysis.ranking import compare_rankings, rank_people
from poselib.engine.evaluate import evaluate
from poselib.engine.scoring_net import attach_scoring_net, detach_scoring_net
from poselib.models.scoring import ScoringNet
from poselib.ops.oks import object_keypoint_similarity
from poselib.skeletons import COCO
from poselib.structures import Poses
from tests.analysis.factories import (
    OPTIONS,
    SCENES,
    STANDING,
    build_tiny,
    labeled,
    moved,
    poses_at,
    sample_of,
)

torch.set_num_threads(1)


def test_rank_people_by_hand() -> None:
    samples = [
        sample_of(np.zeros((0, 17, 3))),
        sample_of(np.stack([labeled(STANDING), labeled(moved(40, 0))])),
        sample_of(labeled(STANDING)[None]),
    ]
    found = [poses_at(STANDING), poses_at(moved(2, 0), STANDING, moved(41, 0)), Poses.empty(17)]
    scores = [np.array(s, np.float32) for s in ([9], [1, 2, 3], [])]
    other = [replace(p, person_scores=s) for p, s in zip(found, scores, strict=True)]
    table = rank_people(samples, {"heats": found, "net": other}, COCO)
    assert list(table) == ["index", "oks", "heats", "net"] and table["index"].tolist() == [1] * 3
    alike = object_keypoint_similarity(
        found[1].keypoints, samples[1].keypoints, samples[1].areas, COCO.sigmas
    )
    np.testing.assert_allclose(table["oks"], alike.max(axis=0))
    assert table["heats"].tolist() == [1, 1, 1] and table["net"].tolist() == [1, 2, 3]
    nobody = rank_people(samples[:1], {"heats": found[:1]}, COCO)
    assert list(nobody) == ["index", "oks", "heats"] and len(nobody) == 0


def test_rank_people_needs_the_same_detections() -> None:
    sample = sample_of(labeled(STANDING)[None])
    one, two = poses_at(STANDING), poses_at(STANDING, STANDING)
    for ways in ({}, {"a": [one], "b": [two]}, {"a": [one], "b": []}):
        with pytest.raises(ValueError, match="the same people of the same images"):
            rank_people([sample], ways, COCO)
    with pytest.raises(ValueError, match="2 predictions for 1 images"):
        rank_people([sample], {"a": [one, one]}, COCO)


def test_rankings_equal_single_evaluations() -> None:
    torch.manual_seed(0)
    ranked = attach_scoring_net(build_tiny(nms_distance=0.0), ScoringNet(COCO))
    systems = {"heats": detach_scoring_net(ranked), "net": ranked}
    table, people = compare_rankings(systems, SCENES, OPTIONS)
    assert table["ranked_by"].tolist() == ["heats", "net"]
    for row, (name, system) in zip(table.to_dict("records"), systems.items(), strict=True):
        alone = evaluate(system, SCENES, OPTIONS, explain=False)
        np.testing.assert_equal({key: row[key] for key in alone.ap.as_dict()}, alone.ap.as_dict())
        scores = np.concatenate([found.person_scores for found in alone.poses])
        np.testing.assert_array_equal(people[name], scores)
        assert row["rank_correlation"] == pytest.approx(spearmanr(scores, people["oks"]).statistic)
    assert table["rank_correlation"].nunique() == 2
    gains = table[["AP_gain", "AP_gain_low", "AP_gain_high"]].to_numpy()
    assert gains[0].tolist() == [0, 0, 0] and gains[1, 0] == pytest.approx(np.diff(table["AP"])[0])

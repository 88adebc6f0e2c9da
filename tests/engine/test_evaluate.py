"""Evaluation with a system that knows the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poselib.data.coco import CocoKeypoints
from poselib.data.synthetic import SceneRecipe, SyntheticScenes
from poselib.engine.evaluate import LabelledImages, evaluate, score
from poselib.engine.predict import PredictOptions, predict
from poselib.skeleton import Skeleton
from poselib.skeletons import COCO, CROWDPOSE
from poselib.structures import Poses
from tests.engine.oracles import Marked, truth_system

SMALL = PredictOptions(size=128, batch_size=8, flip=False)


def scenes(skeleton: Skeleton = COCO, count: int = 200) -> SyntheticScenes:
    return SyntheticScenes(SceneRecipe(size=128, people=(1, 3)), count, 7, skeleton).cached()


def perfect(dataset: LabelledImages, skeleton: Skeleton, options: PredictOptions, **switches):
    system = truth_system(dataset, options, skeleton, **switches)
    return evaluate(system, Marked(dataset), options)


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE])
@pytest.mark.parametrize("progressive", [True, False])
def test_the_truth_is_found_perfect(skeleton: Skeleton, progressive: bool) -> None:
    dataset = scenes(skeleton)
    evaluated = perfect(dataset, skeleton, SMALL, progressive=progressive)
    assert evaluated.ap.AP >= 0.98 and evaluated.ap.AP50 >= 0.99
    assert len(evaluated.poses) == len(dataset)
    assert sum(map(len, evaluated.poses)) == len(evaluated.results)


@pytest.mark.parametrize("changes", [{"flip": True}, {"scales": (1.0, 0.5)}, {"size": 192}])
def test_the_truth_stays_perfect_however_it_is_presented(changes: dict) -> None:
    evaluated = perfect(scenes(count=12), COCO, replace(SMALL, **changes))
    assert evaluated.ap.AP >= 0.98


@pytest.mark.samples
@pytest.mark.parametrize("progressive", [True, False])
@pytest.mark.parametrize(
    ("name", "file", "skeleton"),
    [("coco", "test_coco.json", COCO), ("crowdpose", "test_crowdpose.json", CROWDPOSE)],
)
def test_the_truth_of_real_samples_is_found(
    samples_dir: Path, name: str, file: str, skeleton: Skeleton, progressive: bool
) -> None:
    dataset = CocoKeypoints(samples_dir / name / file, samples_dir / name, skeleton)
    options = PredictOptions(size=512, flip=False)
    evaluated = perfect(dataset, skeleton, options, progressive=progressive)
    assert evaluated.ap.AP >= 0.98


def test_poses_of_the_wrong_image_score_nothing() -> None:
    dataset = scenes(count=6)
    system = truth_system(dataset, SMALL, COCO)
    poses = predict(system, Marked(dataset), SMALL)
    good, shuffled = score(system, dataset, poses), score(system, dataset, poses[::-1])
    assert good.ap.AP > 0.95 and shuffled.ap.AP < 0.2


def test_shifted_poses_score_less() -> None:
    dataset = scenes(count=6)
    system = truth_system(dataset, SMALL, COCO)
    poses = predict(system, Marked(dataset), SMALL)
    moved = [replace(p, keypoints=p.keypoints + np.float32(3)) for p in poses]
    assert score(system, dataset, moved).ap.AP < score(system, dataset, poses).ap.AP - 0.05


def test_no_poses_score_zero() -> None:
    dataset = scenes(count=3)
    system = truth_system(dataset, SMALL, COCO)
    assert score(system, dataset, [Poses.empty(17)] * 3).ap.AP == 0


def test_one_prediction_an_image_is_asked_for() -> None:
    dataset = scenes(count=3)
    system = truth_system(dataset, SMALL, COCO)
    with pytest.raises(ValueError, match="2 predictions for 3 images"):
        score(system, dataset, [Poses.empty(17)] * 2)

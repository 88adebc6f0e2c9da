"""The detections of runs, opened again with their images, and two runs paired by image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from poselib.analysis.compare import compare_detections
from poselib.analysis.image_errors import image_poses
from poselib.engine.evaluate import evaluate_poses
from poselib.experiments.own_results import results_of, save_results
from poselib.experiments.run_results import open_results, pair_images
from poselib.experiments.runs import load_run, start_run
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO
from tests.experiments.found_truth import moved
from tests.experiments.run_folders import MOVES, evaluation, moved_images, write_dataset


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("results")
    write_dataset(home / "toy")
    return home


def test_two_runs_are_paired_as_two_systems_are_compared(home: Path) -> None:
    dataset = write_dataset(home / "toy")
    poses = {name: moved_images(dataset, *by) for name, by in MOVES.items()}
    found = [
        open_results(evaluation(home / "runs", name, dataset, each)) for name, each in poses.items()
    ]
    for position in range(len(dataset)):
        again = image_poses(found[0].comparison, position, dataset[position])
        np.testing.assert_allclose(again.keypoints, poses["one"][position].keypoints, atol=1e-4)
    evaluations = {name: evaluate_poses(dataset, each, COCO) for name, each in poses.items()}
    expected = compare_detections(dataset, evaluations, COCO)
    pairs = pair_images(*found)
    assert pairs["gain"].to_dict() == pytest.approx(expected.gain.to_dict(), abs=2e-6)
    assert pairs["people"].eq(2).all() and pairs.index.tolist() == expected.gain.index.tolist()


def test_images_that_are_not_the_same_are_not_paired(home: Path, tmp_path: Path) -> None:
    dataset = write_dataset(home / "toy")
    content = json.loads((home / "toy" / "annotations.json").read_text())
    for person in content["annotations"]:
        person["keypoints"][0] += 3
    (home / "toy" / "other.json").write_text(json.dumps(content))
    poses = moved(dataset, 0.0)
    first = open_results(evaluation(tmp_path, "first", dataset, poses))
    other = str(home / "toy" / "other.json")
    second = open_results(evaluation(tmp_path, "second", dataset, poses, data=other))
    with pytest.raises(ValueError, match="no image in common: 5 images of"):
        pair_images(first, second)
    (home / "toy" / "other.json").unlink()


def test_what_is_missing_is_named(home: Path, tmp_path: Path) -> None:
    dataset = write_dataset(home / "toy")
    poses = moved(dataset, 0.0)
    lost = evaluation(tmp_path, "lost", dataset, poses, data="coco")
    with pytest.raises(ValueError, match="does not say where the dataset 'coco' lies"):
        open_results(lost)
    with pytest.raises(FileNotFoundError, match=r"person_keypoints_val2017\.json"):
        open_results(lost, str(tmp_path / "coco"))
    (lost.folder / "results.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no results.json: poselib train"):
        open_results(lost)


@pytest.mark.parametrize(
    ("name", "params", "wanted"),
    [
        ("train", {"preset": "smoke", "dataset": "crowd"}, "system"),
        ("own_training", {"data": "toy"}, "data_dir"),
        ("evaluation", {"split": "val"}, "data"),
        ("study", {"annotations": "toy.json"}, "images"),
    ],
)
def test_a_parameter_that_is_missing_is_named(
    tmp_path: Path, name: str, params: dict[str, str], wanted: str
) -> None:
    record = start_run(tmp_path, name, params, "run")
    (record.folder / "results.json").write_text("[]")
    with pytest.raises(ValueError, match=f"run does not say .* it states no {wanted}$"):
        open_results(record)


def test_the_test_images_of_a_training_are_opened_again(tmp_path: Path) -> None:
    settings = get_preset("smoke", "crowd", "dekr", size=64)
    scenes = settings.open_dataset("crowd", "test")
    params = {"preset": "smoke", "dataset": "crowd", "system": "dekr", "size": 64, "skeleton": ""}
    record = start_run(tmp_path, "train", params, "run")
    save_results(evaluate_poses(scenes, moved(scenes, 0.0), scenes.skeleton), scenes, record.folder)
    opened = open_results(load_run(record.folder))
    assert opened.dataset[0].size == (64, 64) and len(opened.dataset) == len(scenes)
    assert (opened.errors["oks"] > 0.99).all()


def test_synthetic_scenes_of_a_notebook_are_opened_again(tmp_path: Path) -> None:
    params = {"preset": "smoke", "dataset": "synthetic", "checkpoint": "bundled", "scenes": 2}
    record = start_run(tmp_path, "evaluate", {**params, "people_min": 2, "people_max": 2}, "run")
    (record.folder / "results.json").write_text("[]")
    opened = open_results(load_run(record.folder))
    assert len(opened.dataset) == 2 and opened.errors["missed"].tolist() == [2, 2]
    found = evaluate_poses(opened.dataset, moved(opened.dataset, 0.0), COCO)
    rows = results_of(found, opened.dataset)
    (record.folder / "results.json").write_text(json.dumps(rows))
    assert open_results(record).errors["missed"].tolist() == [0, 0]

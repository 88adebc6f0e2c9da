"""Inputs from public reports of faults give what the list beside them says."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import poselib
from poselib.cli import main
from poselib.data.image_io import read_image
from poselib.data.readers.coco import CocoKeypoints, read_annotations, read_results
from poselib.engine.decode_maps import read_maps
from poselib.engine.evaluate import evaluate_poses
from poselib.skeletons import COCO


def read(cases: Path, name: str) -> CocoKeypoints:
    (path,) = cases.glob(f"{name}_*.json")
    return CocoKeypoints(path, cases / "scene" / "images", COCO)


@pytest.mark.parametrize(
    ("name", "people", "ignored"),
    [
        ("02", [1, 2], [37 * 71, 0]),
        ("03", [1, 2], [0, 0]),
        ("10", [2, 2], [0, 0]),
        ("11", [2, 2], [0, 0]),
        ("14", [2, 2], [0, 0]),
        ("15", [1, 2], [2500, 0]),
        ("20", [2, 2], [0, 0]),
    ],
)
def test_files_that_are_read(
    name: str, people: list[int], ignored: list[int], cases_dir: Path
) -> None:
    samples = list(read(cases_dir, name))
    assert [len(sample.keypoints) for sample in samples] == people
    assert [int(sample.ignore_mask.sum()) for sample in samples] == ignored


def test_boxes_that_are_missing_are_those_of_the_keypoints(cases_dir: Path) -> None:
    table = read(cases_dir, "10").annotations()
    assert (table.boxes[:, 2:] > 5).all() and table.areas.tolist() == [1104, 1208, 589, 1132]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("05", "annotations: id 1: segmentation: run lengths cover 20010 of 9216 px"),
        ("06", "annotations: id 1: segmentation: expected numbers"),
        ("09", "annotations: id 1: bbox: expected a width and height from 0 on"),
        ("12", "annotations: id 1: iscrowd: expected 0, 1, true or false, found '0'"),
        ("13", r"annotations: id 1: category_id 0 is not among categories, whose ids are \[1\]"),
        ("17", "categories: keypoints: expected a list of names, found 17"),
        ("18", "annotations: id 1: area: expected a finite number"),
        ("19", "not JSON that can be read"),
        ("21", "annotations: id 3: keypoints: expected finite numbers, found None"),
    ],
)
def test_files_that_are_refused(name: str, words: str, cases_dir: Path) -> None:
    with pytest.raises(ValueError, match=rf"{name}_\w+\.json: {words}") as error:
        read(cases_dir, name)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_separators_of_windows(cases_dir: Path) -> None:
    (path,) = cases_dir.glob("16_*.json")
    samples = CocoKeypoints(path, cases_dir / "scene", COCO)
    assert [len(sample.keypoints) for sample in samples] == [2, 2]
    with pytest.raises(FileNotFoundError, match="backslashes are read as separators"):
        read(cases_dir, "16")


def test_counts_of_zero_keypoints_are_the_reason(cases_dir: Path) -> None:
    dataset = read(cases_dir, "14")
    poses = [poselib.Poses.empty(17)] * 2
    (reason,) = evaluate_poses(dataset, poses, COCO).reasons
    assert "num_keypoints says 0 for 4 who have some" in reason


def test_results_with_ids_as_text(cases_dir: Path) -> None:
    truth = read_annotations(cases_dir / "scene" / "annotations.json", COCO)
    (path,) = cases_dir.glob("30_*.json")
    with pytest.raises(ValueError, match=r"30_\w+\.json\[0\]: image_id '0': a whole number"):
        read_results(path, truth)


@pytest.mark.slow
@pytest.mark.parametrize("orientation", [3, 6])
def test_photographs_are_turned_before_people_are_found(orientation: int, cases_dir: Path) -> None:
    poses = poselib.load()(cases_dir / f"40_phone_orientation_{orientation}.jpg")
    assert poses.person_scores[:2] == pytest.approx([0.84, 0.78], abs=0.03)


def test_a_cut_photograph_is_refused(cases_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"43_cut_but_ended\.jpg: truncated"):
        read_image(cases_dir / "43_cut_but_ended.jpg")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("predict 41_gigapixel.png", "41_gigapixel.png: expected an image: Image size (1200000000"),
        ("predict 42_strip_600x1.png", "42_strip_600x1.png: an image of 600 x 1 px is too narrow"),
        ("decode 62_claims_62_terabytes.npz", "62_claims_62_terabytes.npz: no npz file"),
    ],
)
def test_commands_refuse_in_one_line(
    command: str, words: str, cases_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verb, name = command.split()
    assert main([verb, str(cases_dir / name), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and words in said
    assert not (tmp_path / "out").exists()


def test_huge_claims_of_an_npz_file(cases_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"62_claims_62_terabytes\.npz: no npz file"):
        read_maps(cases_dir / "62_claims_62_terabytes.npz")


@pytest.mark.slow
def test_a_folder_from_a_mac_has_one_image(cases_dir: Path, tmp_path: Path) -> None:
    assert main(["predict", str(cases_dir / "44_from_a_mac"), "--out", str(tmp_path)]) == 0
    images = json.loads((tmp_path / "images.json").read_text())["images"]
    assert [Path(image["file_name"]).name for image in images] == ["000000.png"]


def test_statistics_of_people_without_boxes(cases_dir: Path) -> None:
    """What the notebook of datasets shows."""
    from poselib.analysis.dataset_statistics import annotation_statistics

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = annotation_statistics(read(cases_dir, "10").annotations())
    assert found.people.tolist() == [2, 2] and (found.crowding > 0).any()

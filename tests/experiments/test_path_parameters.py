"""Paths of a caller: found from the folder of the notebook that gets them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from poselib.experiments.parameters import cli_parameters
from poselib.experiments.path_parameters import resolve_paths

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# Notebooks and their parameters that hold paths, by the form that these have.
ONE = {
    "02_data": "data_dir annotations images",
    "04_evaluate": "checkpoint data_dir annotations images",
    "05_predict": "checkpoint images image_info detector",
    "07_errors": "results",
    "08_explore": "association_model regression_model relation_model dataset",
    "09_examples": "checkpoint_baseline",
    "12_hae_decoding": "image",
    "13_comparison": "coco_dir checkpoint_coco checkpoint_sub_jhmdb_1",
    "21_hae_transfer": "own_dir",
    "64_rpstn_clip": "video",
}
SEVERAL = {
    "34_dekr_matching": "checkpoints",
    "61_rpstn_occlusion": "rpstn without_jre single_image single_image_jre",
    "62_rpstn_thresholds": "rpstn without_jre without_propagator single_image",
    "63_rpstn_streaming": "checkpoints single_image",
}
NAMED = {"13_comparison": "beside", "52_logocap_speed": "checkpoints"}


def cases(kind: dict[str, str]) -> list[tuple[str, str]]:
    return [(notebook, name) for notebook, names in kind.items() for name in names.split()]


def given(notebook: str, name: str, value: str) -> str:
    options = Namespace(preset=None, parameter=[(name, value)])
    return str(cli_parameters(NOTEBOOKS / f"{notebook}.ipynb", options)[name])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with some files."""
    (tmp_path / "own").mkdir()
    for name in ("a.pt", "own/b=1.pt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path.resolve()


@pytest.mark.parametrize(("notebook", "name"), cases(ONE))
def test_one_path_is_the_callers(home: Path, notebook: str, name: str) -> None:
    assert given(notebook, name, "own/b=1.pt") == str(home / "own/b=1.pt")
    if name not in ("dataset", "data_dir", "own_dir", "coco_dir"):
        with pytest.raises(FileNotFoundError, match=rf"{name} own/gone\.pt does not exist in"):
            given(notebook, name, "own/gone.pt")


@pytest.mark.parametrize(("notebook", "name"), cases(SEVERAL))
def test_each_of_several_paths_is_the_callers(home: Path, notebook: str, name: str) -> None:
    value = "a.pt  own/b=1.pt dekr_w32_coco hf:owner/name@main"
    expected = f"{home}/a.pt  {home}/own/b=1.pt dekr_w32_coco hf:owner/name@main"
    assert given(notebook, name, value) == expected
    with pytest.raises(FileNotFoundError, match=rf"{name} own/gone\.pt does not exist in"):
        given(notebook, name, "a.pt own/gone.pt")


@pytest.mark.parametrize(("notebook", "name"), cases(NAMED))
def test_paths_with_names_are_the_callers(home: Path, notebook: str, name: str) -> None:
    value = "AE,_seed_0=a.pt B=own/b=1.pt C=dekr_w32_coco"
    expected = f"AE,_seed_0={home}/a.pt B={home}/own/b=1.pt C=dekr_w32_coco"
    assert given(notebook, name, value) == expected
    with pytest.raises(FileNotFoundError, match=rf"{name} gone\.pt does not exist in"):
        given(notebook, name, "AE=gone.pt")


def test_paths_with_what_separates_them_are_relative(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "a project" / "notebooks"
    folder.mkdir(parents=True)
    (home / "a project" / "a.pt").touch()
    monkeypatch.chdir(home / "a project")
    assert resolve_paths({"rpstn": "a.pt"}, folder) == {"rpstn": "../a.pt"}
    assert resolve_paths({"checkpoint": "a.pt"}, folder) == {
        "checkpoint": str(home / "a project" / "a.pt")
    }
    with pytest.raises(ValueError, match=r"rpstn: one of several files cannot be called '\.\./a"):
        resolve_paths({"rpstn": "a.pt"}, home / "own")


def test_a_dataset_is_a_folder_only_where_it_is_no_name(home: Path) -> None:
    for name in ("crowd", "hands"):
        (home / name).mkdir()
    assert given("08_explore", "dataset", "crowd") == "crowd"
    assert given("08_explore", "dataset", "hands") == str(home / "hands")


def test_patterns_are_looked_for_in_both_folders(home: Path) -> None:
    assert given("05_predict", "images", "own/*.pt") == str(home / "own/*.pt")
    assert given("05_predict", "images", "own/*.png") == "own/*.png"


def test_what_is_written_lies_in_the_working_directory(home: Path) -> None:
    for name in ("new.safetensors", "own/new.safetensors"):
        assert given("03_train", "export", name) == str(home / name)
    # Unless only the notebook finds the folder.
    assert given("03_train", "export", "sweeps/new.safetensors") == "sweeps/new.safetensors"
    assert given("03_train", "export", "") == ""

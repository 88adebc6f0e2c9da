"""Files of weights and maps, and names, that went wrong for others: each gives what is expected."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

import poselib
from poselib.cli import main
from poselib.data.readers.coco import CocoKeypoints
from poselib.engine.checkpoints import load_checkpoint
from poselib.models.pretrained import load_official, read_weights
from poselib.plots.poses import contact_sheet
from poselib.skeletons import COCO
from tests.conftest import ROOT
from tests.forked_notebook import run_forked

FOREIGN = {
    "52_pointer.pth": "a Git LFS pointer and not the file",
    "53_page.pth": "a web page",
    "55_one_byte.pth": "incomplete",
}


def test_numpy_numbers_beside_weights_are_no_obstacle(cases_dir: Path) -> None:
    path = cases_dir / "50_numpy_scalars.pth"
    assert read_weights(path)
    network = poselib.build("hae", COCO, backbone="hrnet_tiny").model
    with pytest.raises(ValueError, match=r"50_numpy_scalars\.pth does not fit .* missing"):
        load_official(network, path)
    with pytest.raises(ValueError, match=r"50_numpy_scalars\.pth: holds no description.*official"):
        load_checkpoint(path)


def test_names_of_a_compiled_network_are_reported_without_the_compiler(cases_dir: Path) -> None:
    network = poselib.build("hae", COCO, backbone="hrnet_tiny").model
    with pytest.raises(ValueError, match=r"51_compiled\.pth does not fit .* missing") as error:
        load_official(network, cases_dir / "51_compiled.pth")
    assert "_orig_mod" not in str(error.value) and "unexpected" not in str(error.value)


@pytest.mark.parametrize("name", FOREIGN)
def test_files_that_hold_no_weights_are_called_what_they_are(cases_dir: Path, name: str) -> None:
    for read in (read_weights, load_checkpoint, poselib.load):
        with pytest.raises(ValueError) as error:
            read(cases_dir / name)
        text = str(error.value)
        assert text.startswith(f"{cases_dir / name}: ") and FOREIGN[name] in text
        assert "weights_only" not in text and text.isprintable()


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("61_nan_tags.npz", "tags has 4352 numbers that are not finite"),
        ("62_claims_62_terabytes.npz", "Unable to allocate 61"),
    ],
)
def test_stored_maps_are_refused_in_a_line(
    cases_dir: Path, tmp_path: Path, name: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    assert main(["decode", str(cases_dir / name), "--out", str(tmp_path / "poses.npz")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and name in error and named in error
    assert time.monotonic() - begun < 10 and not list(tmp_path.iterdir())


def test_dollars_in_a_name_are_shown_as_they_are(cases_dir: Path) -> None:
    (path,) = cases_dir.glob("20_*.json")
    data = CocoKeypoints(path, cases_dir / "scene" / "images", COCO)
    figure = contact_sheet([data[0], data[1]], COCO, title=path.stem, titles=[path.stem] * 2)
    figure.draw_without_rendering()
    shown = [figure.get_suptitle(), *(ax.get_title() for ax in figure.axes)]
    assert shown == [path.stem] * 3 and path.stem.count("$") == 2


@pytest.mark.notebooks
def test_the_notebook_of_a_dataset_takes_dollars_in_its_name(
    cases_dir: Path, tmp_path: Path
) -> None:
    (path,) = cases_dir.glob("20_*.json")
    parameters = {
        **{"preset": "smoke", "annotations": path, "images": cases_dir / "scene" / "images"},
        **{"runs_dir": tmp_path / "runs", "figures_dir": tmp_path / "figures"},
    }
    run_forked(ROOT / "notebooks" / "02_data.ipynb", parameters, tmp_path / "log.txt", timeout=600)
    assert list((tmp_path / "figures").glob("*.png"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_refused_maps_leave_a_pipe_alone(
    cases_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    command = ["decode", str(cases_dir / "61_nan_tags.npz"), "--out", str(tmp_path / "pipe")]
    assert main(command) == 2 and "not finite" in capsys.readouterr().err
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)

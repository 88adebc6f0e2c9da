"""Every notebook is thin, stripped and runs with its smallest preset."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from poselib.experiments.parameters import notebook_parameters
from poselib.experiments.study import open_study
from poselib.papers.presets import PRESETS
from tests.experiments.factories import finish_study, saved_system
from tests.forked_notebook import run_forked

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SHARED_PARAMETERS = {"preset", "runs_dir", "figures_dir", "seed"}
CODE_LINES = 100
MINUTES = 10

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def code(path: Path) -> str:
    """Return a notebook's Python, without lines for IPython alone."""
    lines = "\n".join("".join(cell["source"]) for cell in code_cells(path)).splitlines()
    return "\n".join(line for line in lines if not re.match(r"\s*[%!]", line))


@each_notebook
def test_it_is_stripped(path: Path) -> None:
    notebook = read(path)
    assert "papermill" not in notebook["metadata"]
    assert "widgets" not in notebook["metadata"]
    for cell in notebook["cells"]:
        assert not {"papermill", "execution"} & set(cell["metadata"])
    for cell in code_cells(path):
        assert cell["outputs"] == [] and cell["execution_count"] is None


@each_notebook
def test_it_begins_with_a_title(path: Path) -> None:
    first = read(path)["cells"][0]
    assert first["cell_type"] == "markdown"
    assert re.match(r"# \S", "".join(first["source"]))


@each_notebook
def test_its_parameters_are_plain_scalars(path: Path) -> None:
    parameters = notebook_parameters(path)
    assert set(parameters) >= SHARED_PARAMETERS
    assert parameters["preset"] in PRESETS


@each_notebook
def test_papermill_reads_its_parameters_without_a_warning(path: Path) -> None:
    (cell,) = (c for c in code_cells(path) if "parameters" in c["metadata"].get("tags", []))
    assert all(line.count("=") == 1 for line in "".join(cell["source"]).splitlines())


@each_notebook
def test_it_reads_and_writes_where_its_parameters_say(path: Path) -> None:
    for cell in code_cells(path):
        if "parameters" not in cell["metadata"].get("tags", []):
            assert not re.search(r"[\"'/](runs|figures)[\"'/]", "".join(cell["source"]))


@each_notebook
def test_what_deserves_a_name_is_in_the_library(path: Path) -> None:
    tree = ast.parse(code(path))
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    assert not [node.name for node in ast.walk(tree) if isinstance(node, definitions)]
    lines = [line for line in code(path).splitlines() if line.strip() and line.strip()[0] != "#"]
    assert len(lines) <= CODE_LINES


@each_notebook
def test_an_unknown_parameter_is_refused(path: Path, tmp_path: Path) -> None:
    notebooks = pytest.importorskip("poselib.experiments.notebooks")
    with pytest.raises(ValueError, match="has no parameter 'presett'"):
        notebooks.run_notebook(path, tmp_path / "out", {"presett": "smoke"})
    assert list(tmp_path.iterdir()) == []


# What runs of the notebooks that are run once per paper or study. The other studies are checked
# without running in tests/experiments/test_ablation.py.
STUDIES = ("hae_components", "dekr_components", "rpstn_components", "rpstn_single_images")
# A checkpoint that is named by its system is saved before, with its first weights. The first
# notebook runs in a kernel, below; each keypoint of each person takes a gradient in DEKR's.
CLIPS = {"checkpoint": "rpstn", "dataset": "clips"}
GIVEN = {
    "01_quickstart": [],
    "03_train": [{}, {"system": "rpstn", "dataset": "clips"}],
    "04_evaluate": [{}, CLIPS],
    "05_predict": [{}, {"checkpoint": "rpstn"}],
    "06_benchmark": [{"threads": "1"}],  # tests/benchmarks/test_run.py takes two
    "07_errors": [{}, {"checkpoint": "jre", "dataset": "clip_crowd"}],
    "09_examples": [
        {},
        {"system": "logocap", "baseline": ""},
        {"system": "rpstn", "baseline": "jre", "dataset": "clip_crowd"},
    ],
    "10_complexity": [{}, {"paper": "rpstn"}],
    "13_comparison": [{"paper": "dekr", "scales": "0.5 1"}, {"paper": "rpstn"}],
    "14_ablation": [{"study": study} for study in STUDIES],
    "60_rpstn_relations": [{"clips": 2, "shown": 1}],
    "36_dekr_focus": [
        {"dataset": "synthetic", "shown": 1, "salient": "nose", "activated": "nose head"}
    ],
}
RUNS = [(path, given) for path in NOTEBOOKS for given in GIVEN.get(path.stem, [{}])]


def assert_sidecars(figures: Path) -> None:
    for figure in figures.glob("*.*"):  # not the folder of kept runs
        assert figure.with_suffix(".json").is_file(), f"{figure.name} has no sidecar"


@pytest.mark.notebooks
@pytest.mark.parametrize(
    ("path", "given"), RUNS, ids=["-".join([p.stem, *map(str, g.values())]) for p, g in RUNS]
)
def test_it_runs(path: Path, given: dict[str, str | int], tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    runs_dir = tmp_path / "runs"
    if "study" in given:  # its trainings are 03_train's, which runs by itself
        sweep = ROOT / "notebooks" / "sweeps" / f"{given['study']}.json"
        finish_study(open_study(sweep, "smoke", "0", runs_dir))
    folders = {"runs_dir": str(runs_dir), "figures_dir": str(tmp_path / "figures")}
    parameters = {"preset": "smoke", **folders, **given}
    if checkpoint := given.get("checkpoint"):
        parameters["checkpoint"] = saved_system(checkpoint, tmp_path / "untrained.safetensors")
    run_forked(path, parameters, tmp_path / "log.txt", timeout=60 * MINUTES)
    assert_sidecars(tmp_path / "figures")
    if "study" in given:
        assert (tmp_path / "figures" / f"{given['study']}.png").is_file()


@pytest.mark.notebooks
def test_the_first_runs_in_a_kernel(tmp_path: Path) -> None:
    notebooks = pytest.importorskip("poselib.experiments.notebooks")
    folders = {"runs_dir": str(tmp_path / "runs"), "figures_dir": str(tmp_path / "figures")}
    path = ROOT / "notebooks" / "01_quickstart.ipynb"
    copy = notebooks.run_notebook(path, tmp_path, {"preset": "smoke", **folders})
    assert copy.is_file() and any((tmp_path / "figures").glob("*.png"))
    assert_sidecars(tmp_path / "figures")


def test_numbers_do_not_repeat() -> None:
    numbers = [path.stem.partition("_")[0] for path in NOTEBOOKS]
    assert all(number.isdigit() for number in numbers)
    assert len(set(numbers)) == len(numbers)

"""Parameters of notebooks and options of systems as text."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from poselib.experiments.parameters import (
    check_parameters,
    cli_parameters,
    current_parameters,
    display_path,
    notebook_parameters,
    parse_options,
    parse_parameters,
)
from poselib.experiments.runs import start_run
from poselib.skeletons import Skeleton
from tests.experiments.factories import cell, write_notebook

DECLARED = """# What may be set from outside.
preset = "small"  # smoke, small or paper
steps: int = 100
rate = -1e-3
flip = True
checkpoint = None
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return write_notebook(tmp_path / "01_small.ipynb", cell("1 + 1"), cell(DECLARED, "parameters"))


def test_defaults_are_read_without_running_anything(notebook: Path) -> None:
    assert notebook_parameters(notebook) == {
        "preset": "small",
        "steps": 100,
        "rate": -1e-3,
        "flip": True,
        "checkpoint": None,
    }


def test_current_values_are_collected_without_local_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = DECLARED + 'runs_dir = "../runs"\ncoco_dir = ""\ndevice = "auto"\n'
    write_notebook(tmp_path / "01_small.ipynb", cell(declared, "parameters"))
    monkeypatch.chdir(tmp_path)
    set_now = {"preset": "smoke", "steps": 3, "rate": 0.5, "flip": False, "checkpoint": ""}
    others = {"runs_dir": "/a", "coco_dir": "/b", "device": "cpu", "table": object()}
    found = current_parameters(
        "01_small", {**set_now, **others}, data="4 images", checkpoint="bundled"
    )
    assert found.pop("given") == set_now
    assert found == {"notebook": "01_small", **set_now, "data": "4 images", "checkpoint": "bundled"}


def test_a_skeleton_of_ones_own_is_recorded_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run holds it without the file that it came from."""
    monkeypatch.chdir(tmp_path)
    write_notebook(tmp_path / "n.ipynb", cell('skeleton = ""', "parameters"))
    own = Skeleton("one", ("a",), (0.1,), (), ())
    own.to_toml(tmp_path / "one.toml")
    for given, recorded in (("one.toml", own.fields()), ("coco", "coco"), ("", "")):
        params = current_parameters("n", {"skeleton": given})
        assert params["skeleton"] == recorded
        assert start_run(tmp_path / "runs", "n", params).params["skeleton"] == recorded


def test_current_values_need_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="01_small"):
        current_parameters("01_small", {})


def test_source_may_be_a_list_of_lines(tmp_path: Path) -> None:
    lines = cell("", "parameters") | {"source": ["a = 1\n", "b = 2"]}
    assert notebook_parameters(write_notebook(tmp_path / "n.ipynb", lines)) == {"a": 1, "b": 2}


def test_values_that_fit_pass(notebook: Path) -> None:
    given = {"preset": "smoke", "steps": 3, "rate": 1, "flip": False, "checkpoint": Path("a/b")}
    assert check_parameters(notebook, given) == {**given, "checkpoint": str(Path("a/b"))}
    assert check_parameters(notebook, {"steps": None}) == {"steps": None}


def test_an_unknown_parameter_is_refused_with_the_known_ones_and_a_guess(notebook: Path) -> None:
    with pytest.raises(ValueError, match=r"no parameter 'step'.*did you mean 'steps'.*preset, st"):
        check_parameters(notebook, {"step": 3})
    with pytest.raises(ValueError, match=r"no parameter 'zzz'; it has preset"):
        check_parameters(notebook, {"zzz": 3})


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 1.5), ("steps", "3"), ("steps", True), ("flip", 1), ("rate", "x"), ("preset", 3)],
)
def test_a_value_of_another_type_is_refused(notebook: Path, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"parameter '{name}' must be a"):
        check_parameters(notebook, {name: value})


def test_only_plain_scalars_can_be_passed(notebook: Path) -> None:
    with pytest.raises(ValueError, match="must be a plain scalar"):
        check_parameters(notebook, {"checkpoint": [1, 2]})


def test_text_is_read_by_the_type_of_the_default(notebook: Path) -> None:
    text = {"preset": "1", "steps": "5", "rate": "1e-4", "flip": "false", "checkpoint": "x.pt"}
    expected = {"preset": "1", "steps": 5, "rate": 1e-4, "flip": False, "checkpoint": "x.pt"}
    assert parse_parameters(notebook, text) == expected
    with pytest.raises(ValueError, match="must be a int, not 'many'"):
        parse_parameters(notebook, {"steps": "many"})


def test_paths_of_the_command_line_are_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are not paths, and what exists from the notebook's folder stays as it was given."""
    source = 'system = "hae"\ncheckpoint = ""\ndata_dir = ""\nimages = ""\npretrained = ""'
    (tmp_path / "notebooks").mkdir()
    path = write_notebook(tmp_path / "notebooks" / "n.ipynb", cell(source, "parameters"))
    for name in ("notebooks/own", "own", "data", "hae"):
        (tmp_path / name).mkdir()
    (tmp_path / "a.pt").touch()
    monkeypatch.chdir(tmp_path)
    given = {"system": "hae", "checkpoint": "a.pt", "data_dir": "own", "images": "data"}
    found = cli_parameters(path, Namespace(preset=None, parameter=list(given.items())))
    absolute = {name: str((tmp_path / given[name]).resolve()) for name in ("checkpoint", "images")}
    assert found == {**given, **absolute}
    for name in ("images", "checkpoint"):
        given = [(name, "absent/too")]
        with pytest.raises(FileNotFoundError, match=rf"{name} absent/too .* in {tmp_path} or"):
            cli_parameters(path, Namespace(preset=None, parameter=given))
    with pytest.raises(FileNotFoundError, match="images photos does not exist in /"):
        cli_parameters(path, Namespace(preset=None, parameter=[("images", "photos")]))
    for kept in (("images", "own/*.png"), ("checkpoint", "bundled"), ("data_dir", "new")):
        assert cli_parameters(path, Namespace(preset=None, parameter=[kept])) == dict([kept])
    source += '\nskeleton = ""'
    path = write_notebook(tmp_path / "notebooks" / "n.ipynb", cell(source, "parameters"))
    Skeleton("one", ("a",), (0.1,), (), ()).to_toml(tmp_path / "one.toml")
    one, coco = (Namespace(preset=None, parameter=[("skeleton", n)]) for n in ("one.toml", "coco"))
    assert cli_parameters(path, one) == {"skeleton": str((tmp_path / "one.toml").resolve())}
    assert cli_parameters(path, coco) == {"skeleton": "coco"}
    with pytest.raises(FileNotFoundError, match=r"skeleton two\.toml does not exist in /"):
        cli_parameters(path, Namespace(preset=None, parameter=[("skeleton", "two.toml")]))
    several = Namespace(preset=None, parameter=[("pretrained", "own,a.pt,resnet18")])
    listed = ("own", str((tmp_path / "a.pt").resolve()), "resnet18")
    assert cli_parameters(path, several) == {"pretrained": ",".join(listed)}


@pytest.mark.parametrize("text", ["nan", "-inf", "Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused_by_name(notebook: Path, text: str) -> None:
    for name in ("rate", "checkpoint"):
        with pytest.raises(ValueError, match=f"parameter '{name}' must be a finite number"):
            parse_parameters(notebook, {name: text})
        with pytest.raises(ValueError, match=f"parameter '{name}' must be a finite number"):
            check_parameters(notebook, {name: float(text)})
    with pytest.raises(ValueError, match="option 'width' must be a finite number"):
        parse_options(f"width={text}")
    assert parse_parameters(notebook, {"preset": text}) == {"preset": text}


@pytest.mark.parametrize("text", ["{[]: 1}", "(" * 5000])
def test_text_that_is_no_literal_stays_text(notebook: Path, text: str) -> None:
    assert parse_parameters(notebook, {"checkpoint": text}) == {"checkpoint": text}


def test_paths_are_shown_from_the_callers_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSELIB_CALLER", str(tmp_path / "project"))
    monkeypatch.chdir(tmp_path)
    assert display_path("project/figures/a.png") == str(Path("figures/a.png"))
    assert display_path("b.png") == str((tmp_path / "b.png").resolve())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a = [1]", "'a' must be a plain scalar"),
        ("a = 1 + b", "'a' must be a plain scalar"),
        ("a = b = 1", "must only assign"),
        ("a, b = 1, 2", "must only assign"),
        ("print(1)", "must only assign"),
        ("a =", "not Python"),
        ("a = 1\0", "not Python"),
        ("a = {[]: 1}", "'a' must be a plain scalar"),
    ],
)
def test_a_parameters_cell_that_does_more_is_refused(
    tmp_path: Path, source: str, message: str
) -> None:
    path = write_notebook(tmp_path / "n.ipynb", cell(source, "parameters"))
    with pytest.raises(ValueError, match=message):
        notebook_parameters(path)


def test_there_must_be_one_such_cell(tmp_path: Path) -> None:
    none = write_notebook(tmp_path / "none.ipynb", cell("a = 1"))
    two = write_notebook(
        tmp_path / "two.ipynb", cell("a = 1", "parameters"), cell("b = 1", "parameters")
    )
    for path, count in ((none, 0), (two, 2)):
        with pytest.raises(ValueError, match=f"one cell tagged 'parameters', not {count}"):
            notebook_parameters(path)


def test_files_that_are_no_notebooks_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.ipynb does not exist"):
        notebook_parameters(tmp_path / "absent.ipynb")
    cells = ('{"source": 3, "metadata": {"tags": ["parameters"]}}', '{"metadata": []}')
    texts = [f'{{"cells": [{{"cell_type": "code", {cell[1:]}]}}' for cell in cells]
    for text in ("{", "[]", '{"cells": 3}', '{"nothing": 1}', *texts):
        path = tmp_path / "torn.ipynb"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"torn\.ipynb is not a Jupyter notebook"):
            notebook_parameters(path)


def test_options_in_one_parameter() -> None:
    text = " adaptive=false width=8 sigma=1.5  start=center relation=none "
    expected = {"adaptive": False, "width": 8, "sigma": 1.5, "start": "center", "relation": None}
    assert parse_options(text) == expected
    assert parse_options("") == {}


@pytest.mark.parametrize("text", ["{[]:1}", "(" * 300, "\0"])
def test_a_value_that_is_no_literal_is_text(text: str) -> None:
    assert parse_options(f"a={text}") == {"a": text}


@pytest.mark.parametrize("text", ["adaptive", "=3", "a=1 a=2", "width = 8"])
def test_options_must_be_pairs(text: str) -> None:
    with pytest.raises(ValueError, match="name=value pairs of different names"):
        parse_options(text)

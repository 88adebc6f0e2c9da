"""Execution of notebooks, in Python and from the command line."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("papermill")

from poselib.experiments.notebooks import NotebookError, main, report_line, run_notebook
from poselib.experiments.runs import start_run
from tests.experiments.factories import cell, write_notebook

DECLARED = cell('preset = "small"\nruns_dir = "runs"\nfigures_dir = "figures"', "parameters")
WORK = cell(
    "import os, sys\n"
    "from pathlib import Path\n"
    "import poselib\n"
    "from poselib.experiments.runs import save_table, start_run\n"
    "import pandas as pd\n"
    "print('preset', preset)\n"
    "print(sys.executable, poselib.__file__, Path.cwd(), sep='|')"
)
SAVE = cell(
    "run = start_run(runs_dir, 'tiny', {'preset': preset})\n"
    "run.finish({'AP': 0.3149, 'AP50': 0.64, 'AR': 1, 'train_seconds': 270.6})\n"
    "save_table(pd.DataFrame({'a': [1]}), Path(figures_dir) / 'table.csv', {}, runs=[run])"
)


def printed(copy: Path) -> str:
    cells = json.loads(copy.read_text())["cells"]
    outputs = [o for c in cells for o in c.get("outputs", [])]
    return "".join("".join(o.get("text", "")) for o in outputs)


@pytest.mark.notebooks
def test_a_notebook_runs_here_with_its_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its own folder, on this Python and poselib, even if another python3 kernel is first."""
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": ["/nonexistent/python"], "display_name": "other", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    import poselib

    path = write_notebook(tmp_path / "n.ipynb", DECLARED, WORK)
    before = path.read_bytes()
    copy = run_notebook(path, tmp_path / "out", {"preset": "smoke"})
    assert "preset smoke" in printed(copy)
    executable, library, folder = printed(copy).strip().splitlines()[-1].split("|")
    assert executable == sys.executable and Path(folder) == tmp_path.resolve()
    assert os.path.samefile(library, poselib.__file__)
    assert list((tmp_path / "out").iterdir()) == [copy] and copy.name.count(".") == 1
    assert path.read_bytes() == before


@pytest.mark.notebooks
def test_a_failing_notebook_leaves_its_copy(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "n.ipynb", DECLARED, cell("print('so far')"), cell("1 / 0"), cell("print(3)")
    )
    with pytest.raises(NotebookError, match=r"(?s)n\.ipynb failed.*ZeroDivisionError"):
        run_notebook(path, tmp_path / "out")
    (copy,) = (tmp_path / "out").iterdir()
    assert copy.name.endswith(".failed.ipynb")
    assert "so far" in printed(copy) and "\n3" not in printed(copy)


@pytest.mark.notebooks
def test_a_cell_that_hangs_is_stopped(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", DECLARED, cell("import time; time.sleep(600)"))
    with pytest.raises(NotebookError, match=r"(?is)failed.*tim(ed|eout)"):
        run_notebook(path, tmp_path / "out", timeout=1)
    assert [p.name.endswith(".failed.ipynb") for p in (tmp_path / "out").iterdir()] == [True]


def test_an_unknown_parameter_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", DECLARED)
    with pytest.raises(ValueError, match=r"no parameter 'presets' \(did you mean 'preset'\?\)"):
        run_notebook(path, tmp_path / "out", {"presets": "smoke"})
    with pytest.raises(ValueError, match="timeout must be a positive"):
        run_notebook(path, tmp_path / "out", timeout=0)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        run_notebook(tmp_path / "absent.ipynb", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_takes_no_figures_is_found_before_anything_runs(tmp_path: Path) -> None:
    source = 'runs_dir = "runs"\nfigures_dir = "figures"'
    path = write_notebook(tmp_path / "n.ipynb", cell(source, "parameters"))
    (tmp_path / "figures").write_text("a file")
    with pytest.raises(ValueError, match="figures is not a folder that can be written to"):
        run_notebook(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_report_has_two_decimals_and_whole_seconds(tmp_path: Path) -> None:
    run = start_run(tmp_path, "quickstart", {})
    run.finish({"AP": 0.314, "AP50": 0.636, "AR": 0.4, "train_seconds": 270.6})
    line = report_line(run, ["AP", "AP50", "AR", "train_seconds"])
    assert line == "quickstart: AP=0.31 AP50=0.64 AR=0.40 train_seconds=271"
    with pytest.raises(ValueError, match="has no number 'PCK' among"):
        report_line(run, ["PCK"])


@pytest.mark.notebooks
def test_the_command_ends_with_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = write_notebook(tmp_path / "01_tiny.ipynb", DECLARED, WORK, SAVE)
    metrics = ["AP", "AP50", "AR", "train_seconds"]
    assert main([str(notebook), "--preset", "smoke", "--report", *metrics]) == 0
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert "preset smoke" in lines and not err
    assert lines[-2:] == [
        f"figures: {Path('runs/figures/table.csv')}",
        "tiny: AP=0.31 AP50=0.64 AR=1.00 train_seconds=271",
    ]


@pytest.mark.notebooks
def test_an_interrupt_after_the_last_reply_is_not_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The client asks what language it was, and interrupts when it has the answer."""
    slow_end = """
        import time
        handlers = get_ipython().kernel.shell_handlers
        answer = handlers["kernel_info_request"]

        async def slowly(*message):
            await answer(*message)
            time.sleep(60)

        handlers["kernel_info_request"] = slowly
    """
    path = write_notebook(tmp_path / "n.ipynb", DECLARED, cell(textwrap.dedent(slow_end)))
    run_notebook(path, tmp_path / "out")
    assert capfd.readouterr().err == ""


@pytest.mark.notebooks
def test_a_report_without_a_new_run_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An older run of the same name must not be reported as this one's."""
    monkeypatch.chdir(tmp_path)
    old = start_run(tmp_path / "runs", "tiny", {})
    old.finish({"AP": 0.9})
    os.utime(old.folder / "metrics.json", (1e9, 1e9))
    notebook = write_notebook(tmp_path / "01_tiny.ipynb", DECLARED)
    assert main([str(notebook), "--quiet", "--report", "AP"]) == 1
    assert "finished no run named 'tiny' in runs" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["-p", "step", "3"], "has no parameter 'step'"),
        (["--preset", "huge"], "unknown preset 'huge'; known: smoke, demo, small, paper"),
        (["-p", "checkpoint", "absent.pt"], "checkpoint absent.pt does not exist"),
    ],
)
def test_the_command_refuses_what_cannot_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], message: str
) -> None:
    declared = cell('preset = "small"\ncheckpoint = ""', "parameters")
    notebook = write_notebook(tmp_path / "n.ipynb", declared)
    assert main([str(notebook), *given, "--output", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        (["--preset", "smoke"], "a/figures"),
        (["--preset", "smoke", "-p", "figures_dir", "b"], "b"),
        (["--preset", "demo"], None),
    ],
)
def test_smoke_does_not_overwrite_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], folder: str | None
) -> None:
    seen = []

    def run(path: Path, output: Path, values: dict, *args: object, **kwargs: object) -> Path:
        seen.append(values.get("figures_dir"))
        return tmp_path

    monkeypatch.setattr("poselib.experiments.notebooks.run_notebook", run)
    notebook = write_notebook(tmp_path / "n.ipynb", DECLARED)
    assert main([str(notebook), "-p", "runs_dir", "a", *given]) == 0
    assert seen == [folder]

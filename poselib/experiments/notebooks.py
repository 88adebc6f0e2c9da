"""Execute notebooks with parameters by papermill, and keep the executed copies.

From a shell: ``python -m poselib.experiments.notebooks NOTEBOOK --preset smoke -p seed 1``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from poselib.experiments.failed_cells import failed_cell
from poselib.experiments.parameters import (
    add_parameter_options,
    check_parameters,
    cli_parameters,
    display_path,
    notebook_parameters,
    unnumbered,
)
from poselib.experiments.run_record import RunRecord, load_run
from poselib.ops.console import complain, say
from poselib.ops.io import check_output
from poselib.ops.processor import spin_briefly

_HOUR = 3600.0


class NotebookError(RuntimeError):
    """A notebook failed; the message says where its partial copy is.

    Attributes:
        line: the cell that failed and its error, in one line.
    """

    line = ""


def run_notebook(
    path: Path | str,
    output_folder: Path | str,
    parameters: Mapping[str, Any] | None = None,
    timeout: float = _HOUR,
    *,
    stream: bool | TextIO = False,
    name: str | None = None,
) -> Path:
    """Execute a notebook in its own folder and return the path of the executed copy.

    The kernel is the calling interpreter, whatever kernels are installed, and imports the same
    poselib. While it runs, the copy is named ``<name>.running.ipynb``; afterwards ``<name>.ipynb``,
    or ``<name>.failed.ipynb`` with the cells that were executed.

    Args:
        path: the notebook; it is not changed.
        output_folder: receives the executed copy; created if absent.
        parameters: values for the notebook's cell tagged ``parameters``. Relative paths among
            them are relative to the notebook's folder.
        timeout: seconds that one cell may take.
        stream: print the output of the cells here, or write it to a file.
        name: of the copy, which replaces an earlier one; by default a new one with the time.

    Raises:
        FileNotFoundError: there is no such notebook.
        ValueError: the notebook lacks one of the parameters or has it with another type, or its
            folder of runs or figures cannot be written to.
        NotebookError: a cell raised an error or took too long, or the kernel died.
    """
    path = Path(path).resolve()
    values = check_parameters(path, parameters or {})
    if not timeout > 0:
        raise ValueError(f"timeout must be a positive number of seconds, not {timeout}")
    for written in ("runs_dir", "figures_dir"):
        if (place := _folder(path, values, written)) is not None:
            check_output(place, folder=True)
    folder = Path(output_folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    name = name or _new_name(path)
    running, copy = folder / f"{name}.running.ipynb", folder / f"{name}.failed.ipynb"
    try:
        _execute(path, running, values, timeout, stream)
        copy.unlink(missing_ok=True)
        copy = folder / f"{name}.ipynb"
    except Exception as error:
        reason = str(error).strip() or type(error).__name__
        failure = NotebookError(f"{path.name} failed; its partial copy is {copy}\n{reason}")
        failure.line = failed_cell(running, error)
        raise failure from error
    finally:
        if running.exists():
            os.replace(running, copy)
    return copy


def _new_name(path: Path) -> str:
    # Imported here, as torch and Matplotlib with it: workers of sweeps need neither.
    from poselib.experiments.runs import new_id

    return new_id(path.stem)


def _execute(
    path: Path, output: Path, values: Mapping[str, Any], timeout: float, stream: bool | TextIO
) -> None:
    # Imported here: only those who execute notebooks need papermill installed.
    import papermill

    from poselib.experiments.kernels import ThisInterpreter

    spin_briefly()
    ThisInterpreter.caller = Path.cwd()  # before papermill changes it
    ThisInterpreter.copy, ThisInterpreter.process = output, 0
    ThisInterpreter.output = None if isinstance(stream, bool) else stream
    streams = (sys.stdout, sys.stderr) if stream is True else (ThisInterpreter.output,) * 2
    papermill.execute_notebook(
        path,
        output,
        parameters=dict(values),
        kernel_name="python3",
        language="python",
        cwd=path.parent,
        progress_bar=False,  # of cells: it would contradict that of a training
        stdout_file=streams[0],
        stderr_file=streams[1],
        execution_timeout=max(1, round(timeout)),
        kernel_manager_class=ThisInterpreter,
    )


def report_line(record: RunRecord, metrics: Sequence[str]) -> str:
    """Return ``name: AP=0.31 ... train_seconds=271``: seconds whole, other numbers to 0.01.

    Raises:
        ValueError: the run lacks one of the metrics.
    """
    values = record.metrics
    missing = [name for name in metrics if not isinstance(values.get(name), int | float)]
    if missing:
        raise ValueError(f"run {record.id} has no number {missing[0]!r} among {sorted(values)}")
    shown = [
        f"{name}={values[name]:.0f}" if name.endswith("seconds") else f"{name}={values[name]:.2f}"
        for name in metrics
    ]
    return f"{record.name}: {' '.join(shown)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute a notebook from the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    start = time.time()
    try:
        values = cli_parameters(options.notebook, options)
        values = {**_figures_of_smoke(options.notebook, values), **values}
    except (ValueError, OSError) as error:
        complain(f"{error}")
        return 2
    try:
        copy = run_notebook(
            options.notebook, options.output, values, options.timeout, stream=not options.quiet
        )
        lines = [f"notebook: {display_path(copy)}", *_figures(options.notebook, values, start)]
        if options.report:
            record = _latest(options.notebook, values, start)
            lines.append(report_line(record, options.report))
    except (ValueError, OSError, NotebookError) as error:
        complain(f"{error}")
        return 1
    say("\n".join(lines))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m poselib.experiments.notebooks")
    parser.add_argument("notebook", type=Path)
    add_parameter_options(parser.add_argument)
    parser.add_argument("--output", type=Path, default=Path("runs/notebooks"), metavar="FOLDER")
    parser.add_argument("--timeout", type=float, default=_HOUR, help="seconds for one cell")
    parser.add_argument("--quiet", action="store_true", help="do not show what the cells print")
    text = "end with these metrics of the notebook's run"
    parser.add_argument("--report", nargs="+", metavar="METRIC", help=text)
    return parser


def _folder(notebook: Path, values: Mapping[str, Any], name: str) -> Path | None:
    """Return a folder among a notebook's parameters, or None if it has no such parameter."""
    folder = {**notebook_parameters(notebook), **values}.get(name)
    return notebook.resolve().parent / folder if isinstance(folder, str) else None


def _figures_of_smoke(notebook: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return another folder for the preset smoke, whose figures mean nothing, than the usual."""
    known = {**notebook_parameters(notebook), **values}
    if known.get("preset") != "smoke" or not {"runs_dir", "figures_dir"} <= known.keys():
        return {}
    return {"figures_dir": f"{known['runs_dir']}/figures"}


def _figures(notebook: Path, values: Mapping[str, Any], start: float) -> list[str]:
    folder = _folder(notebook, values, "figures_dir")
    if folder is None or not folder.is_dir():
        return []
    written = sorted(p for s in ("png", "csv") for p in folder.glob(f"*.{s}") if is_newer(p, start))
    return [f"figures: {display_path(path)}" for path in written]


def _latest(notebook: Path, values: Mapping[str, Any], start: float) -> RunRecord:
    """Return the run that a notebook has just finished."""
    runs_dir = _folder(notebook, values, "runs_dir")
    if runs_dir is None:
        raise ValueError(f"{notebook} has no parameter 'runs_dir'")
    from poselib.experiments.runs import list_runs

    name = unnumbered(notebook)
    folders = [Path(folder) for folder in list_runs(runs_dir, name)["folder"]]
    new = [folder for folder in folders if is_newer(folder / "metrics.json", start)]
    if not new:
        raise ValueError(f"{notebook} finished no run named {name!r} in {display_path(runs_dir)}")
    return load_run(new[-1])


def is_newer(path: Path, start: float) -> bool:
    """Whether a file was written after a time, of ``time.time()``."""
    # Some file systems store whole seconds only.
    return path.exists() and path.stat().st_mtime >= int(start)


if __name__ == "__main__":
    sys.exit(main())

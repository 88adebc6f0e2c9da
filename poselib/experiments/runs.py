"""Records of runs, one folder each, and figures with their provenance.

A run's folder ``runs/<id>/`` holds ``params.json``, ``run.json`` (name, start, seed, git commit,
versions), ``metrics.jsonl`` (one line per measurement, while it runs) and ``metrics.json`` (its
results; written last, so a run that has it is finished). Figures and tables are written with a
JSON file of the same name beside them, and the runs that they show are kept in ``runs/`` there: a
JSON file each, so that a table can be checked without the folders of its runs.
"""

from __future__ import annotations

import re
import secrets
import time
import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from poselib.experiments.executed_code import executed_code
from poselib.experiments.fingerprint import Fingerprint
from poselib.experiments.identity import OPTIONS, is_as_planned
from poselib.experiments.kept_runs import KEPT as KEPT
from poselib.experiments.kept_runs import in_default_folder, keep_run, trained_folders
from poselib.experiments.plain import plain as plain
from poselib.experiments.provenance import provenance
from poselib.experiments.resolved_parameters import PARAMS
from poselib.experiments.run_record import RUN, WEIGHTS_OF, Params
from poselib.experiments.run_record import RunRecord as RunRecord
from poselib.experiments.run_record import load_run as load_run
from poselib.ops.io import atomic_write, read_json, write_json
from poselib.plots.small_png import reduce_colors

_DPI, _LARGE = 150, 50_000  # px an inch, bytes
_ABOUT = ["id", "name", "started", "finished", "folder"]
_BEGAN = time.time()
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def start_run(
    runs_dir: Path | str, name: str, params: Params, run_id: str | None = None
) -> RunRecord:
    """Create the folder of a new run, or resume an existing one.

    Args:
        name: what is run: letters, digits, ``.``, ``_`` and ``-``.
        params: plain values, see ``current_parameters``. A ``seed`` among them is recorded as the
            run's seed, a ``notebook`` as what ran.
        run_id: folder name to use. If it exists already, the run is resumed: see ``finished``.
            By default an id is made of the time, the name and random digits.

    Raises:
        ValueError: the name or id holds other characters, a parameter cannot be written as
            JSON, the id belongs to a run with another name, other parameters, or other code or
            settings, or it is that of a plan for other code, settings or files than those of now.
    """
    values = plain(params, "params")
    notebook, _ = values.pop("notebook", ""), values.pop("given", None)
    folder = Path(runs_dir) / _checked(run_id or new_id(name))
    code = executed_code({**values, "notebook": notebook}, drawing=False)
    if not is_as_planned(folder.name, values, code):
        raise ValueError(
            f"run {folder.name!r} was planned with other code, settings or files than those of "
            "now: they were changed since; plan again, in a new process"
        )
    if (folder / RUN).exists():
        return _same_run(load_run(folder), name, values, code)
    folder.mkdir(parents=True, exist_ok=run_id is not None)
    write_json(folder / PARAMS, values)
    about = {"name": name, "notebook": notebook, "started": _now(), "seed": values.get("seed")}
    if (folder / WEIGHTS_OF).is_file():
        origin = about["weights_of"] = read_json(folder / WEIGHTS_OF)
        if origin.get("weights") != code.get("weights"):
            raise ValueError(
                f"{folder}: its weights were trained by other code than that of now: remove it"
            )
    write_json(folder / RUN, {"id": folder.name, **about, "code": code, **provenance()})
    return RunRecord(folder, name, values)


def list_runs(runs_dir: Path | str, name: str | None = None) -> pd.DataFrame:
    """Return one row per run, oldest first.

    A folder that cannot be read is left out, with a warning.

    Returns:
        Columns ``id``, ``name``, ``started``, ``finished``, ``folder`` and, for each parameter
        and metric of any of the runs, ``params.<name>`` and ``metrics.<name>``.
    """
    rows, faults = read_rows(runs_dir, name)
    for folder, fault in faults.items():
        warnings.warn(f"{folder} is left out: {fault}", stacklevel=2)
    return rows_of(rows)


def read_rows(
    runs_dir: Path | str, name: str | None = None
) -> tuple[list[dict[str, Any]], dict[Path, str]]:
    """Return the rows of the runs in a folder, and why others cannot be read, by their folders."""
    rows, faults = [], {}
    for path in sorted(Path(runs_dir).glob(f"*/{RUN}")):
        try:
            record = load_run(path.parent)
            rows += [row_of(record)] if name in (None, record.name) else []
        except (OSError, ValueError) as error:
            faults[path.parent] = str(error)
    return rows, faults


def row_of(record: RunRecord) -> dict[str, Any]:
    """Return the row of a run in ``list_runs``."""
    started = record.about["started"]
    about = (record.id, record.name, started, record.finished, str(record.folder))
    groups = {"params": record.params, "metrics": record.metrics}
    values = {f"{group}.{k}": v for group, each in groups.items() for k, v in each.items()}
    return {**dict(zip(_ABOUT, about, strict=True)), **values}


def rows_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows of runs as a table, oldest first."""
    table = pd.DataFrame(rows, columns=None if rows else _ABOUT)
    return table.sort_values(["started", "id"], ignore_index=True)


def new_id(name: str) -> str:
    """Return a readable, unique id that sorts by time."""
    _checked(name)
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}-{secrets.token_hex(4)}"


def sidecar(
    figure: Path | str,
    params: Params,
    *,
    runs: Iterable[RunRecord | str] = (),
    outcome: str = "",
) -> Path:
    """Write the provenance of a figure or table beside it, and return that file's path.

    Args:
        params: parameters of the notebook that made it, see ``current_parameters``, or its
            ``command``, ``python -m MODULE`` and options, and what else is to be recorded.
        runs: the runs it shows, or their ids. They are kept beside it too, and so are those whose
            trained systems ``params`` name.
        outcome: what came out, in one self-contained line.
    """
    figure, parameters = Path(figure), plain(params, "params")
    trained = trained_folders(parameters)
    runs = [*runs, *map(load_run, trained)]
    read = [run.params for run in runs if isinstance(run, RunRecord)]
    content = {
        "figure": figure.name,
        "notebook": parameters.pop("notebook", ""),
        "command": parameters.pop("command", ""),
        "given": parameters.pop("given", {}),
        "created": _now(),
        "parameters": parameters,
        "seed": parameters.get("seed"),
        "runs": [run if isinstance(run, str) else run.id for run in runs],
        "outcome": outcome,
        "seconds": round(time.time() - _BEGAN, 1),  # since the notebook began
        "code": executed_code(params, read),
        **provenance(),
    }
    for run in runs:
        # A figure in the folder of its run, as of a training's curves, lies beside it already.
        if isinstance(run, RunRecord) and run.folder.resolve() not in figure.resolve().parents:
            keep_run(run, figure.parent)
    path = figure.with_suffix(".json")
    write_json(path, in_default_folder(content, trained))
    return path


def save_figure(
    figure: Figure,
    path: Path | str,
    params: Params,
    *,
    runs: Iterable[RunRecord | str] = (),
    outcome: str = "",
    small: bool = True,
) -> Path:
    """Write a figure as PNG with its sidecar and return the path of the PNG.

    Args:
        small: reduce a file of more than 50 kB to 256 colors, which makes a chart three times
            smaller, and a page of grainy images four times: figures are under version control.
            It takes a second or two. The preset smoke, whose figures nobody keeps, is spared them.

    Raises:
        ValueError: the path does not end in ``.png``.
    """
    path = _with_suffix(path, ".png")
    with atomic_write(path) as temporary:
        figure.savefig(
            temporary, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None}
        )
        reduced = small and params.get("preset") != "smoke"
        if reduced and temporary.stat().st_size > _LARGE:
            with Image.open(temporary) as image:
                reduce_colors(image).save(temporary, format="png", optimize=True)
        sidecar(path, params, runs=runs, outcome=outcome)
    return path


def save_table(
    table: pd.DataFrame,
    path: Path | str,
    params: Params,
    *,
    runs: Iterable[RunRecord | str] = (),
    outcome: str = "",
) -> Path:
    """Write a table as CSV, without its index, with its sidecar and return the path of the CSV.

    Raises:
        ValueError: the path does not end in ``.csv``.
    """
    path = _with_suffix(path, ".csv")
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", errors="backslashreplace")
        sidecar(path, params, runs=runs, outcome=outcome)
    return path


def _same_run(record: RunRecord, name: str, params: Params, code: Mapping[str, Any]) -> RunRecord:
    if record.name != name:
        raise ValueError(f"run {record.id!r} is one of {record.name!r}, not of {name!r}")
    keys = sorted({*record.params, *params})
    other = [k for k in keys if _unordered(k, record.params) != _unordered(k, params)]
    if other:
        raise ValueError(
            f"run {record.id!r} has {other[0]}={record.params.get(other[0])!r}, not "
            f"{params.get(other[0])!r}; resume a run with its own parameters or use another id"
        )
    before: Mapping[str, Any] = record.about.get("code") or {}
    if code and before and (changed := _changed(before, code)):
        raise ValueError(
            f"run {record.id!r} was begun before {', '.join(changed)} changed: use another id"
        )
    return record


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return which modules differ in what was recorded of two executions, or the preset."""
    names = Fingerprint(now["modules"]).changed(before.get("modules", {}))
    return names or (["its preset"] if before.get("settings") != now.get("settings") else [])


def _unordered(key: str, params: Params) -> Any:
    """Return a parameter to compare; the order in which options are written does not matter."""
    value = params.get(key)
    return sorted(value.split()) if key in OPTIONS and isinstance(value, str) else value


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} must be letters, digits, '.', '_' and '-', a sign not first")
    return name


def _with_suffix(path: Path | str, suffix: str) -> Path:
    path = Path(path)
    if path.suffix != suffix:
        raise ValueError(f"{path} must end in {suffix}")
    return path


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")

"""Sweeps: one notebook run many times, one row of a table per set of parameters.

A sweep is a JSON file beside the notebooks::

    {
      "about": "what the rows compare",
      "notebook": "../03_train.ipynb",
      "parameters": {"dataset": "crowd", "steps": 4000},
      "rows": {"baseline": {"focal": false}, "focal": {"focal": true}}
    }

``parameters`` are common to all rows. A run's id follows from its parameters and what they mean
(see ``identity``), so a run that several sweeps need is made once, and an interrupted one is
resumed, unless its code has changed. Further objects of the file are read elsewhere: see
``ablation``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poselib.experiments.former_names import convert_rows
from poselib.experiments.identity import planned_id
from poselib.experiments.kept_runs import KEPT, load_kept
from poselib.experiments.parameters import Scalar, check_parameters, notebook_parameters
from poselib.experiments.run_record import RunRecord, load_run
from poselib.ops.io import read_json

_FIELDS = {"about": str, "notebook": str, "parameters": dict, "rows": dict}


@dataclass(frozen=True)
class Sweep:
    """A sweep file.

    Attributes:
        name: the file's stem.
        about: what the rows compare.
        notebook: path of the notebook to run.
        parameters: common to all rows.
        rows: the name of each row and the parameters that it adds.
    """

    name: str
    about: str
    notebook: Path
    parameters: Mapping[str, Scalar]
    rows: Mapping[str, Mapping[str, Scalar]]


@dataclass(frozen=True)
class PlannedRun:
    """One execution of a sweep's notebook.

    Attributes:
        sweep, row: of the sweep file.
        seed: of the run.
        notebook: path of the notebook.
        parameters: to pass to it, folders excepted.
        run_id: name of the run's folder.
    """

    sweep: str
    row: str
    seed: int
    notebook: Path
    parameters: Mapping[str, Scalar]
    run_id: str

    def record(
        self, runs_dir: Path | str, figures_dir: Path | str | None = None
    ) -> RunRecord | None:
        """Return the run if it is finished, and was made as its id says, else None.

        Args:
            runs_dir: holds the folders of runs.
            figures_dir: holds runs that are kept, which count where the folder of one is absent.
        """
        try:
            record = load_run(Path(runs_dir) / self.run_id)
        except FileNotFoundError:
            kept = Path(figures_dir or runs_dir) / KEPT / f"{self.run_id}.json"
            if figures_dir is None or not kept.is_file():
                return None
            record = load_kept(kept, runs_dir)
        return record if record.finished and record.as_planned else None


def read_sweep(path: Path | str) -> Sweep:
    """Read a sweep file and check its parameters against the notebook.

    Raises:
        FileNotFoundError: the file or its notebook is absent.
        ValueError: the file is no JSON object, a field is missing or of another type, it has no
            rows or two of one name, or a parameter is not one of the notebook.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"sweep file {path} does not exist")
    content = read_json(path)
    _check_names(path)
    for field, kind in _FIELDS.items():
        if not isinstance(content.get(field), kind):
            raise ValueError(f"{path}: expected a {kind.__name__} named {field!r}")
    common, rows = content["parameters"], content["rows"]
    if not rows or not all(isinstance(row, dict) for row in rows.values()):
        raise ValueError(f"{path}: rows: expected one row or more, each an object of parameters")
    notebook = (path.parent / content["notebook"]).resolve()
    try:
        if "options" in notebook_parameters(notebook):
            common, rows = convert_rows(common, rows)
        for row in rows.values():
            check_parameters(notebook, {**common, **row})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Sweep(path.stem, content["about"], notebook, common, dict(rows))


def plan(
    sweep: Sweep,
    seeds: Sequence[int],
    parameters: Mapping[str, Any] | None = None,
    rows: Sequence[str] | None = None,
) -> list[PlannedRun]:
    """Return the runs of a sweep: all rows with the first seed, then all with the next.

    Args:
        parameters: override those that are common to all rows.

    Raises:
        ValueError: there are no rows or no seeds, one of them is given twice or two rows are the
            same run, a row or a parameter is unknown, or a parameter has another type.
    """
    wanted = list(sweep.rows) if rows is None else list(rows)
    check_unique("seeds", seeds)
    check_unique("rows", wanted)
    if unknown := [row for row in wanted if row not in sweep.rows]:
        raise ValueError(f"sweep {sweep.name!r} has no rows {unknown}; it has {list(sweep.rows)}")
    runs = [
        _planned(sweep, row, seed, {**sweep.parameters, **(parameters or {})})
        for seed in seeds
        for row in wanted
    ]
    first: dict[str, PlannedRun] = {}
    for run in runs:
        if (other := first.setdefault(run.run_id, run)) is not run:
            raise ValueError(f"sweep {sweep.name!r}: rows {other.row!r} and {run.row!r} are equal")
    return runs


def check_unique(what: str, values: Sequence[object]) -> None:
    """Raise ValueError where there are no values, or one of them occurs twice."""
    if not values:
        raise ValueError(f"there are no {what}")
    if twice := [value for value, count in Counter(values).items() if count > 1]:
        raise ValueError(f"{what}: {twice[0]} is given twice")


def _check_names(path: Path) -> None:
    """Raise ValueError for a name that an object has twice; JSON keeps the last one silently."""

    def check(pairs: list[tuple[str, Any]]) -> None:
        names = Counter(name for name, _ in pairs)
        if twice := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"{path}: {twice[0]!r} occurs twice in one object")

    json.loads(path.read_bytes(), object_pairs_hook=check)


def _planned(sweep: Sweep, row: str, seed: int, common: Mapping[str, Any]) -> PlannedRun:
    given = {**common, **sweep.rows[row], "seed": seed}
    values = check_parameters(sweep.notebook, given)
    run_id = planned_id(sweep.notebook, values)
    return PlannedRun(sweep.name, row, seed, sweep.notebook, values, run_id)

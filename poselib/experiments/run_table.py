"""Runs as a table that is searched and sorted by text, and what tells two runs apart."""

from __future__ import annotations

import operator
import os
import re
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from poselib.experiments.runs import RunRecord, read_rows, rows_of
from poselib.ops.io import parse_json, visible_files
from poselib.systems import SYSTEMS
from poselib.systems.published import PUBLISHED

TRAINING, EVALUATION = "own_training", "evaluation"  # runs of the commands train and evaluate
FIRST = ("run", "name", "system", "dataset", "state", "started")
# A run without results whose folder was written to within so many seconds is taken for one that
# goes on: metrics are written every few steps.
_FRESH = 300.0
_TERM = re.compile(r"(?P<name>[^=<>!]+)(?P<sign>!=|>=|<=|=|>|<)(?P<value>.*)", re.DOTALL)
_ORDERS: Mapping[str, Callable[[Any, float], Any]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip


@dataclass(frozen=True)
class RunTable:
    """The runs of a folder.

    Attributes:
        rows: one a run, oldest first, by its id: ``FIRST``, ``folder`` and the columns
            ``params.<name>`` and ``metrics.<name>`` of ``list_runs``. ``system`` and ``dataset``
            are empty where nothing tells them, ``state`` is finished, running or stopped.
        faults: a sentence for each folder whose run cannot be read.
        unread: these folders.
    """

    rows: pd.DataFrame
    faults: tuple[str, ...] = ()
    unread: tuple[Path, ...] = ()

    @cached_property
    def names(self) -> list[str]:
        """Columns of plain values by their short names, those of ``FIRST`` first."""
        plain = [name for name in self.rows if not self.rows[name].map(_is_group).any()]
        short = [name.partition(".")[2] for name in map(str, plain) if "." in name]
        return [*dict.fromkeys([*FIRST, *short])]

    def column(self, name: str) -> str:
        """Return the column of a short name: a metric where a parameter has the same name.

        Raises:
            ValueError: no run has it.
        """
        for known in (name, f"metrics.{name}", f"params.{name}"):
            if known in self.rows:
                return known
        raise ValueError(f"no run has {name!r}; known: {', '.join(self.names)}")

    def search(self, text: str) -> pd.DataFrame:
        """Return the rows that match all terms of a text, separated by spaces.

        A word is looked for in ``FIRST``; ``lr=0.001``, ``system!=jre`` and ``AP>=0.5``
        compare a column, and ``*`` stands for any text; runs that lack it match neither
        ``AP=*`` nor ``AP!=0.5``. A term without a value restricts nothing.

        Raises:
            ValueError: no run has a column that is named, or a quotation mark is not closed.
        """
        kept = pd.Series(True, self.rows.index)
        for term in _terms(text):
            stated = _TERM.fullmatch(term)
            if stated is None:
                kept &= self._words.str.contains(term.lower(), regex=False)
            elif stated["value"]:
                kept &= _fitting(self.rows[self.column(stated["name"])], *stated.group(2, 3))
        return self.rows[kept]

    def sort(self, rows: pd.DataFrame, name: str, descending: bool = False) -> pd.DataFrame:
        """Return rows by the values of a column, runs that lack it last.

        Raises:
            ValueError: no run has the column.
        """
        values = rows[self.column(name)]
        numbers = pd.to_numeric(values, errors="coerce")
        as_text = (numbers.isna() & values.notna()).any()
        keys = values.map(text_of).where(values.notna()) if as_text else numbers
        order = keys.sort_values(ascending=not descending, kind="stable", na_position="last")
        return rows.loc[order.index]

    @cached_property
    def _words(self) -> pd.Series:
        words: pd.Series = self.rows[list(FIRST)].astype(str).agg(" ".join, axis=1)
        return words.str.lower()


def read_table(runs_dir: Path | str) -> RunTable:
    """Read the runs of a folder; what cannot be read is said, and the rest is there."""
    found, faults = read_rows(runs_dir)
    rows, unread = rows_of(found), (tuple(faults.values()), tuple(faults))
    if not len(rows):
        return RunTable(pd.DataFrame(columns=[*FIRST, "folder"]), *unread)
    now = time.time()
    known: dict[str, str] = {}
    listed = sorted(found, key=lambda row: (row["started"], row["id"]))
    about = pd.DataFrame(
        {
            "run": rows["id"],
            "system": [_system(row, known) for row in listed],
            "dataset": [_dataset(row) for row in listed],
            "state": [_state(row, now) for row in listed],
        }
    )
    table = pd.concat([about, rows.drop(columns="finished")], axis=1).set_index("id")
    return RunTable(table[[*FIRST, *(n for n in table if n not in FIRST)]], *unread)


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> pd.DataFrame:
    """Return the values that differ, one row each by name; absent ones are None."""
    names = dict.fromkeys([*first, *second])
    rows = {n: (first.get(n), second.get(n)) for n in names if first.get(n) != second.get(n)}
    return pd.DataFrame(
        list(rows.values()), index=list(rows), columns=["first", "second"], dtype=object
    )


def numbers_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers among metrics, those of groups as ``<group>.<name>``."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": each for key, each in numbers_of(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
    return found


def text_of(value: Any) -> str:
    """Return a value of a run as text: numbers with four digits, nothing for what is absent."""
    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}" if abs(value) < 1e-3 or abs(value) >= 1e4 else f"{value:.4f}"
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def located(value: str, folder: Path) -> str:
    """Return a path that a run states, a relative one as found from where it may have run.

    Args:
        value: the path, or the name of a published model, which is returned as it is.
        folder: of the run.
    """
    if not value or value == "bundled" or value in PUBLISHED or Path(value).is_absolute():
        return value
    homes = [Path(), folder.parent, *folder.absolute().parents[1:3]]
    homes += [home / "notebooks" for home in homes]
    there = (str(home / value) for home in homes if os.path.exists(home / value))
    return next(there, value)


def weights_of(record: RunRecord) -> str:
    """Return what ``poselib.load`` takes for the model that a run trained or tested.

    Raises:
        ValueError: nothing tells it.
    """
    for name in ("model", "checkpoint"):
        if isinstance(stated := record.params.get(name), str) and stated:
            return "" if stated == "bundled" else located(stated, record.folder)
    found = visible_files(record.folder, "*.safetensors") or visible_files(record.folder, "*.pt")
    if not found:
        raise ValueError(f"{record.folder}: the run keeps no weights and names no model")
    return str(found[0])


def _terms(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ValueError(f"filter {text!r}: a quotation mark is not closed") from error


def _fitting(values: pd.Series, sign: str, wanted: str) -> pd.Series:
    """Return which values compare as wanted: as numbers where both are, or else as text."""
    numbers = pd.to_numeric(values.mask(values.map(_is_group)), errors="coerce")
    try:
        limit = float(wanted)
    except ValueError:
        limit = np.nan
    if sign in _ORDERS:
        return _ORDERS[sign](numbers, limit).fillna(False)
    pattern = wanted.lower().replace("[", "[[]")  # only * stands for others
    texts = values.map(lambda value: text_of(value).lower())
    # Nothing is no text that * could stand for.
    same = texts.map(lambda text: bool(text) and fnmatchcase(text, pattern)).astype(bool)
    same |= numbers == limit
    return same if sign == "=" else ~same & values.notna()


def _is_group(value: Any) -> bool:
    return isinstance(value, list | dict)


def _system(row: Mapping[str, Any], known: dict[str, str]) -> str:
    """Return the system that a run states, or that its weights or its model's name tell."""
    if isinstance(stated := row.get("params.system"), str) and stated:
        return stated
    for column in ("params.model", "params.checkpoint"):
        model = row.get(column)
        if isinstance(model, str) and model:
            return _system_of_model(model, Path(row["folder"]), known)
    return _stored_system(Path(row["folder"]), known)


def _system_of_model(model: str, folder: Path, known: dict[str, str]) -> str:
    entry = PUBLISHED.get(model)
    if entry is not None or model == "bundled":
        return entry.system if entry is not None else next(iter(SYSTEMS))
    stem = Path(model).stem.split("_")[0]
    return stem if stem in SYSTEMS else _stored_system(Path(located(model, folder)), known)


def _stored_system(path: Path, known: dict[str, str]) -> str:
    """Return the system in a folder or file of weights; empty if there is none, or several."""
    if str(path) not in known:
        files = visible_files(path, "*.safetensors") if path.is_dir() else [path]
        found = [_described(file) for file in files if file.suffix == ".safetensors"]
        known[str(path)] = found[0] if len(found) == 1 else ""
    return known[str(path)]


def _described(file: Path) -> str:
    try:
        with safe_open(file, framework="numpy") as content:
            about = (content.metadata() or {}).get("poselib", "{}")
        return str(parse_json(about, str(file)).get("system") or "")
    except (OSError, ValueError, AttributeError, SafetensorError):
        return ""


def _dataset(row: Mapping[str, Any]) -> str:
    """Return the name of a run's dataset: of files, the folder's or the file's."""
    commands = ("data",) if row["name"] in (TRAINING, EVALUATION) else ()  # else it is a sentence
    for name in ("annotations", "dataset", *commands):
        value = row.get(f"params.{name}")
        if isinstance(value, str) and value:
            return value if name == "dataset" else Path(value).stem
    return ""


def _state(row: Mapping[str, Any], now: float) -> str:
    if row["finished"]:
        return "finished"
    try:
        written = max(path.stat().st_mtime for path in Path(row["folder"]).iterdir())
    except (OSError, ValueError):
        return "stopped"
    return "running" if now - written < _FRESH else "stopped"

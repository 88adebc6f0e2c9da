"""Reads the runs of a folder, and of those that are chosen what a view is drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from poselib.experiments.own_results import RESULTS
from poselib.experiments.published_beside import PublishedBeside, published_beside
from poselib.experiments.resolved_parameters import PARAMS
from poselib.experiments.run_record import METRICS, RUN
from poselib.experiments.run_results import RunResults, open_results, pair_images
from poselib.experiments.run_table import RunTable, read_table
from poselib.experiments.runs import RunRecord, load_run
from poselib.ops.io import LineFollower
from poselib.widgets.latest import Kept

_FILES = (RUN, PARAMS, METRICS, RESULTS)


@dataclass(frozen=True)
class Found:
    """What the views are drawn from.

    Attributes:
        table: all runs.
        runs: the chosen one, and the one it is compared with, if there is one.
        curves: the lines of their trainings.
        results: the detections of both, as far as they were asked for and are there.
        pairs: the images of both, see ``pair_images``.
        beside: published tables.
        fault: a sentence on what cannot be shown.
    """

    table: RunTable
    runs: tuple[RunRecord, ...]
    curves: tuple[LineFollower, ...] = ()
    results: tuple[RunResults, ...] = ()
    pairs: pd.DataFrame | None = None
    beside: tuple[PublishedBeside, ...] = ()
    fault: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What the runs are called in pictures."""
        letters = ("A", "B") if len(self.runs) > 1 else ("",)
        return tuple(
            f"{letter} {run.id}".strip() for letter, run in zip(letters, self.runs, strict=True)
        )


class RunReader:
    """Reads the folder of runs when it is asked to, and keeps the detections that were opened.

    Args:
        runs_dir: the folder.

    Attributes:
        table: the runs as they were last read; None before.
    """

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self.table: RunTable | None = None
        self._results = Kept(4)  # datasets with the detections of a run
        self._written: dict[Path, tuple[int, ...]] = {}  # when what was read of a run was

    def changed(self, values: Mapping[str, Any]) -> bool:
        """Whether files were written since they were read: of the chosen runs, or unread ones."""
        if (table := self.table) is None:
            return False
        names = [n for n in (values["run"], values["against"]) if n in table.rows.index]
        folders = [*map(Path, table.rows.loc[names, "folder"]), *table.unread]
        now = {each: _times(each) for each in folders}
        return any(self._written.get(each, when) != when for each, when in now.items())

    def read(self, values: Mapping[str, Any]) -> Found:
        """Return what a view needs.

        Args:
            values: ``view``, ``run``, ``against``, ``min_score`` and ``data_dir``.

        Raises:
            ValueError: there is no run, or not the one that is chosen.
        """
        table = self.table
        asked = {values["run"], values["against"]} - {""}
        if table is None or not asked <= set(table.rows.index):  # a new one, or mended
            table = self.table = read_table(self.runs_dir)
            self._written |= {folder: _times(folder) for folder in table.unread}
        if not len(table.rows):
            why = table.faults[0] if table.faults else _why_no_run(self.runs_dir)
            said = f"{self.runs_dir} holds no run that can be read"
            raise ValueError(f"{said}: {why}" if why else said)
        first = values["run"] or str(table.rows.index[-1])
        second = {values["against"]} - {"", first}
        runs = tuple(self._open(table, name) for name in (first, *second))
        view, fault = values["view"], ""
        curves = tuple(LineFollower(run.folder / "metrics.jsonl") for run in runs)
        results: list[RunResults] = []
        pairs = None
        try:
            if view == "training":
                for each in curves:
                    each.read()
            if view in ("images", "comparison"):
                wanted = runs if view == "comparison" else runs[:1]
                results = [self._results_of(run, values) for run in wanted]
            if len(results) == 2:
                pairs = pair_images(*results)
        except (OSError, ValueError) as error:
            fault = str(error)
        system, dataset = (str(table.rows.at[first, name]) for name in ("system", "dataset"))
        beside = published_beside(first, system, dataset, runs[0].metrics)
        return Found(table, runs, curves, tuple(results), pairs, tuple(beside), fault)

    def _open(self, table: RunTable, name: str) -> RunRecord:
        if name not in table.rows.index:
            raise ValueError(f"{self.runs_dir} holds no run {name!r} that can be read")
        folder = Path(str(table.rows.at[name, "folder"]))
        self._written[folder] = _times(folder)
        return load_run(folder)

    def _results_of(self, run: RunRecord, values: Mapping[str, Any]) -> RunResults:
        path = run.folder / RESULTS
        written = path.stat().st_mtime if path.is_file() else 0.0
        key = (str(run.folder), written, values["data_dir"])
        if key not in self._results:
            self._results.put(key, open_results(run, values["data_dir"]))
        self._results.move_to_end(key)
        found: RunResults = self._results[key].above(values["min_score"])
        found.errors  # noqa: B018  counted here, in the thread, not while it is drawn
        return found


def _why_no_run(path: Path) -> str:
    """Say why there is no run in a folder, as far as can be told."""
    if (path / RUN).is_file():
        return f"it is a run itself: give the folder in which it lies, {path.resolve().parent}"
    if path.is_file():
        return "it is a file: give a folder of runs"
    return "" if path.is_dir() else "there is no such folder"


def _times(folder: Path) -> tuple[int, ...]:
    """Return when the files of a run were last written, ns; 0 for those that are absent."""
    paths = [folder / name for name in _FILES]
    return tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in paths)

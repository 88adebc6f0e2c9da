"""How long trainings, notebooks and commands took when they were last recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from poselib.experiments.parameters import LOCAL, notebook_parameters
from poselib.experiments.runs import KEPT, load_run
from poselib.experiments.sweep import PlannedRun
from poselib.ops.io import read_json

_SECONDS = "train_seconds"  # among the metrics of a run


class RecordedTimes:
    """Times of the figures and of the runs in some folders.

    Args:
        figures: holds figures with a JSON file each, and the runs that are kept.
        runs: holds the folders of runs.
    """

    def __init__(self, figures: Path, runs: Path) -> None:
        self._figures = figures
        self._trainings = [
            (params, metrics[_SECONDS])
            for params, metrics in (*_kept(figures / KEPT), *_finished(runs))
            if isinstance(metrics.get(_SECONDS), int | float)
        ]

    def making(self, figures: Iterable[str]) -> float | None:
        """Return the seconds after which the last of some figures was written."""
        paths = [(self._figures / name).with_suffix(".json") for name in figures]
        seconds = [read_json(path).get("seconds") for path in paths if path.is_file()]
        return max((each for each in seconds if each), default=None)

    def training(self, run: PlannedRun) -> float | None:
        """Return the mean seconds of trainings that differ from a run in their seed alone."""
        values = {**notebook_parameters(run.notebook), **run.parameters}
        counted = {k: v for k, v in values.items() if k not in LOCAL and k != "seed"}
        times = [
            seconds
            for params, seconds in self._trainings
            if all(params.get(name, value) == value for name, value in counted.items())
        ]
        return mean(times) if times else None


def _kept(folder: Path) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for path in folder.glob("*.json"):
        content = read_json(path)
        yield content.get("params", {}), content.get("metrics", {})


def _finished(folder: Path) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for path in folder.glob("*/run.json"):
        record = load_run(path.parent)
        yield record.params, record.metrics

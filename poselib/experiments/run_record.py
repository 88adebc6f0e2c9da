"""A run on disk: what it was, and what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poselib.experiments.former_names import convert_run
from poselib.experiments.identity import is_as_planned
from poselib.experiments.plain import plain
from poselib.experiments.resolved_parameters import PARAMS
from poselib.ops.io import append_line, is_finite, read_json, read_lines, write_json
from poselib.wording import shown

Params = Mapping[str, Any]
RUN, METRICS, LINES = "run.json", "metrics.json", "metrics.jsonl"
EVALUATIONS = "evaluations.json"
WEIGHTS_OF = "weights_of.json"  # of the run that trained, where another did
_NOT_LOSSES = ("seconds", "lr")


@dataclass(frozen=True)
class RunRecord:
    """A run on disk.

    Attributes:
        folder: the run's folder; its last part is the run's id.
        name: what was run, such as ``"quickstart"``.
        params: the parameters it was started with, as read back from JSON.
    """

    folder: Path
    name: str
    params: Params

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def finished(self) -> bool:
        return (self.folder / METRICS).exists()

    @property
    def metrics(self) -> dict[str, Any]:
        """Results of the run; empty while it is not finished."""
        return read_json(self.folder / METRICS) if self.finished else {}

    @property
    def about(self) -> dict[str, Any]:
        """What is recorded at its start: time, seed, code, commit, versions, machine.

        Where another run trained its weights, that one's are ``weights_of``.
        """
        return read_json(self.folder / RUN)

    @property
    def uncommitted(self) -> bool:
        """Whether it, or who trained its weights, was made from changes that no commit has."""
        about = self.about
        return any(each.get("git_changed") for each in (about, about.get("weights_of") or {}))

    @property
    def as_planned(self) -> bool:
        """Whether code, settings and files were those that its id states: see ``identity``."""
        return is_as_planned(self.id, self.params, self.about.get("code", {}))

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``, oldest first."""
        return read_lines(self.folder / LINES)

    @property
    def losses(self) -> list[dict[str, Any]]:
        """The training's loss and its terms by step; of a long one means of successive steps.

        Raises:
            ValueError: a line is no JSON object, or has a loss and no number named ``step``.
        """
        # Others are validations, or what a notebook that trains nothing noted.
        lines = [line for line in self.history if "loss" in line]
        if odd := [line for line in lines if not is_finite(line.get("step"))]:
            found = shown(odd[0].get("step"))
            raise ValueError(f"{self.folder / LINES}: step: expected a number, found {found}")
        terms = [
            {name: value for name, value in line.items() if name not in _NOT_LOSSES}
            for line in lines
        ]
        return thinned(terms)

    @property
    def evaluations(self) -> dict[str, Any]:
        """Evaluations of what it trained: see ``stored_evaluations``; empty if there are none."""
        path = self.folder / EVALUATIONS
        return read_json(path) if path.is_file() else {}

    def log(self, values: Params) -> None:
        """Append one line of measurements to ``metrics.jsonl``."""
        append_line(self.folder / LINES, plain(values, "metrics"))

    def finish(self, metrics: Params) -> None:
        """Write the results, which makes the run a finished one.

        Where another run trained its weights, the metrics of the training are those of that one.
        """
        found, origin = plain(metrics, "metrics"), self.folder / WEIGHTS_OF
        trained = read_json(origin).get("metrics", {}) if origin.is_file() else {}
        found |= {name: value for name, value in trained.items() if name in found}
        write_json(self.folder / METRICS, found)


def thinned(lines: Sequence[Mapping[str, Any]], most: int = 40) -> list[dict[str, Any]]:
    """Return lines of measurements, if they are many the means of as many successive ones each.

    The means have five digits; a value that is no number stays as it is.
    """
    if len(lines) <= most:
        return [dict(line) for line in lines]
    found = []
    for part in range(most):
        block = lines[part * len(lines) // most : (part + 1) * len(lines) // most]
        names = dict.fromkeys(name for line in block for name in line)
        found.append({name: _mean([line.get(name) for line in block]) for name in names})
    return found


def _mean(values: Sequence[Any]) -> Any:
    stated = [value for value in values if value is not None]
    if odd := [value for value in stated if not is_finite(value)]:
        return odd[0]
    return float(f"{sum(map(float, stated)) / len(stated):.5g}") if stated else None


def load_run(folder: Path | str) -> RunRecord:
    """Open the run in a folder.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: one of its files is not JSON, or lacks the run's name or start.
    """
    folder = Path(folder)
    if not (folder / RUN).exists():
        raise FileNotFoundError(f"{folder} holds no run: it has no {RUN}")
    about = read_json(folder / RUN)
    if lacking := [key for key in ("name", "started") if not isinstance(about.get(key), str)]:
        raise ValueError(f"{folder / RUN}: expected text named {lacking[0]!r}")
    return RunRecord(folder, about["name"], convert_run(about["name"], read_json(folder / PARAMS)))

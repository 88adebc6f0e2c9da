"""A run on disk: what it was, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poselib.experiments.former_names import convert_run
from poselib.experiments.identity import is_as_planned
from poselib.experiments.plain import plain
from poselib.ops.io import append_line, read_json, read_lines, write_json

Params = Mapping[str, Any]
PARAMS, RUN, METRICS, LINES = "params.json", "run.json", "metrics.json", "metrics.jsonl"


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
    def as_planned(self) -> bool:
        """Whether code, settings and files were those that its id states: see ``identity``."""
        code = read_json(self.folder / RUN).get("code", {})
        return is_as_planned(self.id, self.params, code)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``, oldest first."""
        return read_lines(self.folder / LINES)

    def log(self, values: Params) -> None:
        """Append one line of measurements to ``metrics.jsonl``."""
        append_line(self.folder / LINES, plain(values, "metrics"))

    def finish(self, metrics: Params) -> None:
        """Write the results, which makes the run a finished one."""
        write_json(self.folder / METRICS, plain(metrics, "metrics"))


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

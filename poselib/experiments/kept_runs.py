"""Runs that are kept in one small file each, ``figures/runs/<id>.json``, without their folders.

It has what ``run.json`` has, ``params``, ``metrics``, the ``evaluations`` of what was trained, and
the ``losses`` of the training, one list a term. So tables and figures can be made again from the
repository alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poselib.experiments.named_files import folders_read
from poselib.experiments.run_record import (
    EVALUATIONS,
    METRICS,
    RUN,
    Params,
    RunRecord,
    load_run,
)
from poselib.ops.io import atomic_write, read_json

KEPT = "runs"  # in the folder of figures
_DEFAULT = Path("../runs")  # of runs, from the notebooks


@dataclass(frozen=True)
class KeptRun(RunRecord):
    """A finished run that is kept; its folder, of the same name, need not exist.

    Attributes:
        content: of its file.
    """

    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        return True

    @property
    def metrics(self) -> dict[str, Any]:
        return dict(self.content.get("metrics", {}))

    @property
    def about(self) -> dict[str, Any]:
        others = ("params", "metrics", "losses", "evaluations")
        return {name: value for name, value in self.content.items() if name not in others}

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.losses

    @property
    def losses(self) -> list[dict[str, Any]]:
        columns = self.content.get("losses", {})
        lines = zip(*columns.values(), strict=True)
        pairs = (zip(columns, line, strict=True) for line in lines)
        return [{name: value for name, value in each if value is not None} for each in pairs]

    @property
    def evaluations(self) -> dict[str, Any]:
        return dict(self.content.get("evaluations", {}))

    def log(self, values: Params) -> None:
        raise ValueError(f"run {self.id!r} is kept and finished: nothing is logged any more")

    def finish(self, metrics: Params) -> None:
        raise ValueError(f"run {self.id!r} is kept and finished")


def load_kept(path: Path | str, runs_dir: Path | str = "runs") -> KeptRun:
    """Open a run that is kept.

    Args:
        path: its file.
        runs_dir: where the folder of the run would be.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, or lacks a field.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"run {path} does not exist")
    content = read_json(path)
    for name, kind in (("name", str), ("params", dict), ("metrics", dict)):
        if not isinstance(content.get(name), kind):
            raise ValueError(f"{path}: expected a {kind.__name__} named {name!r}")
    return KeptRun(Path(runs_dir) / path.stem, content["name"], content["params"], content)


def keep_run(run: RunRecord, figures_dir: Path | str) -> Path:
    """Write what a run was and what came out into one small file, and return its path.

    Args:
        run: a finished one, or one that is kept already.
        figures_dir: folder of figures, in whose ``runs`` it is kept.
    """
    lines = run.losses
    names = dict.fromkeys(name for line in lines for name in line)
    content = {
        **run.about,
        "params": dict(run.params),
        "metrics": run.metrics,
        "evaluations": run.evaluations,
        "losses": {name: [line.get(name) for line in lines] for name in names},
    }
    content = in_default_folder(content, trained_folders(run.params))
    path = Path(figures_dir) / KEPT / f"{run.id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    # One line a field: small, and yet a difference shows where it is.
    fields = (
        f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in content.items()
    )
    text = "{\n" + ",\n".join(fields) + "\n}\n"
    with atomic_write(path, durable=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def trained_folders(params: Params) -> list[Path]:
    """Return the folders of the runs whose trained systems parameters name."""
    return [folder for folder in folders_read(params) if (folder / RUN).is_file()]


def in_default_folder(content: dict[str, Any], folders: Iterable[Path]) -> dict[str, Any]:
    """Return what is kept with runs named as in the default folder: other paths are of one machine.

    Args:
        content: as JSON can hold it.
        folders: of the runs that it names, as it names them.
    """
    text = json.dumps(content)
    for folder in folders:
        here, default = (json.dumps(f"{each}/")[1:-1] for each in (folder, _DEFAULT / folder.name))
        text = text.replace(here, default)
    kept: dict[str, Any] = json.loads(text)
    return kept


def keep_finished(runs_dir: Path | str, figures_dir: Path | str, name: str = "train") -> list[Path]:
    """Keep all finished runs of a folder that are not kept yet, and return their new files.

    Runs of the preset smoke, whose numbers mean nothing, are left out, and so are those that are
    not what their ids say. A sweep may call it after each run.

    Args:
        runs_dir: holds the runs.
        figures_dir: see ``keep_run``.
        name: of the runs.
    """
    written = []
    for path in sorted(Path(runs_dir).glob(f"*/{METRICS}")):
        kept = Path(figures_dir) / KEPT / f"{path.parent.name}.json"
        evaluated = path.with_name(EVALUATIONS)
        newest = max(each.stat().st_mtime for each in (path, evaluated) if each.is_file())
        if not path.with_name(RUN).is_file() or (kept.is_file() and kept.stat().st_mtime >= newest):
            continue
        run = load_run(path.parent)
        if run.name == name and run.params.get("preset") != "smoke" and run.as_planned:
            written.append(keep_run(run, figures_dir))
    return written

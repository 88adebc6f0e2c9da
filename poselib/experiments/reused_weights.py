"""Weights of a finished training, used again where only its evaluation has changed.

The id of a run follows from all code that it executes: where a decoder or a metric has changed it
is a new run. Its weights follow from less, the code that trains (``fingerprint.weights_digest``).
So a new run takes up the checkpoint of an earlier one with the same parameters, settings, files and
training code. Its notebook resumes that training at its end and evaluates it by the code of now.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from poselib.experiments.identity import meaning
from poselib.experiments.run_record import LINES, METRICS, RUN, WEIGHTS_OF, RunRecord, load_run
from poselib.experiments.sweep import PlannedRun
from poselib.ops.io import atomic_write, write_json

# As in ``engine.trainer``, with which torch would be imported.
CHECKPOINT = "checkpoint.pt"
_ORIGIN = ("id", "started", "git_commit", "git_changed", "versions", "machine")


def earlier_training(run: PlannedRun, runs_dir: Path | str) -> RunRecord | None:
    """Return the newest finished run whose weights a planned run would train again, if any.

    One whose folder lacks its checkpoint is left out, and so is one that was made from changes that
    no commit has, unless there are such changes now.
    """
    params, code = meaning(run.notebook, run.parameters)
    if not code.get("weights"):
        return None
    wanted = _trained(params, code)
    found = [
        record
        for record in _same_parameters(run, Path(runs_dir))
        if _trained(record.params, record.about.get("code", {})) == wanted
        and (not record.about.get("git_changed") or _uncommitted())
    ]
    return max(found, key=lambda record: record.about["started"], default=None)


def take_up_weights(run: PlannedRun, runs_dir: Path | str) -> RunRecord | None:
    """Put the checkpoint of an earlier training into the folder of a run that has not begun.

    Its losses come with it. Validations on the way do not: they would be by other code.

    Returns:
        The earlier training, or None where there is nothing to take up.
    """
    folder = Path(runs_dir) / run.run_id
    if (folder / RUN).exists() or (folder / CHECKPOINT).exists():
        return None
    if (earlier := earlier_training(run, runs_dir)) is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    losses = [line for line in earlier.history if "loss" in line]
    with atomic_write(folder / LINES) as new:
        new.write_text("".join(f"{json.dumps(line)}\n" for line in losses), encoding="utf-8")
    about = earlier.about
    origin = about.get("weights_of") or {name: about.get(name) for name in _ORIGIN}
    write_json(folder / WEIGHTS_OF, origin)
    with atomic_write(folder / CHECKPOINT, durable=True) as new:
        shutil.copyfile(earlier.folder / CHECKPOINT, new)
    return earlier


def _same_parameters(run: PlannedRun, runs_dir: Path) -> Iterator[RunRecord]:
    """Yield the finished runs of other code with a checkpoint and the parameters of a run."""
    stem = run.run_id.rpartition("-")[0]
    for path in runs_dir.glob(f"{stem}-*/{METRICS}"):
        if path.parent.name != run.run_id and path.with_name(CHECKPOINT).is_file():
            try:
                record = load_run(path.parent)
            except (OSError, ValueError):
                continue
            if record.as_planned:
                yield record


def _uncommitted() -> bool:
    from poselib.experiments.provenance import provenance  # imports torch, and is seldom needed

    return bool(provenance()["git_changed"])


def _trained(params: Mapping[str, Any], code: Mapping[str, Any]) -> list[Any]:
    """Return what the weights follow from besides the parameters."""
    return [code.get("weights"), code.get("settings"), params.get("digests", {})]

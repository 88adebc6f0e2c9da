"""Weights of a finished training, used again where only its evaluation has changed.

The id of a run follows from all code that it executes: where a decoder or a metric has changed it
is a new run. Its weights follow from less, the code that trains (``fingerprint.weights_digest``).
So a new run takes up the checkpoint of an earlier one with the same parameters, settings, files and
training code. Its notebook resumes that training at its end and evaluates it by the code of now.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from poselib.experiments.identity import is_as_planned, meaning
from poselib.experiments.run_record import LINES, METRICS, RUN, WEIGHTS_OF, RunRecord, load_run
from poselib.experiments.sweep import PlannedRun
from poselib.ops.io import write_json

# As in ``engine.trainer``, with which torch would be imported.
CHECKPOINT = "checkpoint.pt"
_ABOUT = ("id", "started", "git_commit", "git_changed", "versions", "machine")
_TRAINED = ("train_seconds", "steps", "precision")  # metrics of the training itself


def weights_basis(run: PlannedRun) -> str:
    """Return what the weights of a planned run follow from besides its parameters, as text.

    It is empty for a run that trains nothing, and where code or files have changed since the plan.
    Ask the process that planned it: sources are read once in each.
    """
    params, code = meaning(run.notebook, run.parameters)
    return _basis(params, code) if is_as_planned(run.run_id, params, code) else ""


def earlier_training(run: PlannedRun, runs_dir: Path | str, basis: str) -> RunRecord | None:
    """Return the newest finished run whose weights a planned run would train again, if any.

    One whose folder lacks its checkpoint is left out, and so is one that was made from changes that
    no commit has, unless there are such changes now. There is none for a run that has begun.

    Args:
        basis: ``weights_basis`` of the run.
    """
    folder = Path(runs_dir) / run.run_id
    if not basis or ((folder / RUN).exists() and not (folder / METRICS).exists()):
        return None
    found = [
        record
        for record in _same_parameters(run, Path(runs_dir))
        if _basis(record.params, record.about.get("code")) == basis
        and (not record.uncommitted or _uncommitted())
    ]
    return max(found, key=lambda record: str(record.about["started"]), default=None)


def take_up_weights(run: PlannedRun, runs_dir: Path | str, basis: str) -> RunRecord | None:
    """Begin the folder of a run with the checkpoint of an earlier training.

    Its losses come with it. Validations on the way do not: they would be by other code.

    Args:
        basis: ``weights_basis`` of the run.

    Returns:
        The earlier training, or None where there is nothing to take up.

    Raises:
        OSError: a file cannot be read or written; then the run's folder is not there.
        ValueError: the losses cannot be read.
    """
    folder = Path(runs_dir) / run.run_id
    if folder.exists() or (earlier := earlier_training(run, runs_dir, basis)) is None:
        return None
    unfinished = folder.with_name(f".{folder.name}")  # a folder appears as a whole
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        kept = [line for line in earlier.history if "loss" in line or "lr" in line]
        text = "".join(f"{json.dumps(line)}\n" for line in kept)
        (unfinished / LINES).write_text(text, encoding="utf-8")
        write_json(unfinished / WEIGHTS_OF, _origin(earlier))
        _link(earlier.folder / CHECKPOINT, unfinished / CHECKPOINT)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return earlier


def _same_parameters(run: PlannedRun, runs_dir: Path) -> Iterator[RunRecord]:
    """Yield the finished runs of other code with a checkpoint and the parameters of a run."""
    stem = run.run_id.rpartition("-")[0]
    for path in runs_dir.glob(f"{stem}-*/{METRICS}"):
        if path.parent.name != run.run_id and path.with_name(CHECKPOINT).is_file():
            try:
                record = load_run(path.parent)
                if isinstance(record.about.get("code"), dict) and record.as_planned:
                    yield record
            except (OSError, ValueError):
                continue


def _basis(params: Mapping[str, Any], code: Any) -> str:
    if not code or not code.get("weights"):
        return ""
    content = [code["weights"], code.get("settings"), params.get("digests", {})]
    return json.dumps(content, sort_keys=True)


def _origin(earlier: RunRecord) -> dict[str, Any]:
    """Return who trained: not a run that took up weights itself."""
    about = earlier.about
    if "weights_of" in about:
        return dict(about["weights_of"])
    metrics = earlier.metrics
    trained = {name: metrics[name] for name in _TRAINED if name in metrics}
    named = {name: about.get(name) for name in _ABOUT}
    return {**named, "weights": about["code"]["weights"], "metrics": trained}


def _link(source: Path, target: Path) -> None:
    """Copy a checkpoint without its room on disk: it is replaced as a whole, and never changed."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _uncommitted() -> bool:
    from poselib.experiments.provenance import provenance  # imports torch, and is seldom needed

    return bool(provenance()["git_changed"])

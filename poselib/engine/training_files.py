"""The folder of a training: whose checkpoint it holds, what a kill left, what cannot be written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from poselib.engine.train_config import TrainConfig
from poselib.ops.io import TEMPORARY, append_line, atomic_write, drop_cut_line, read_lines
from poselib.skeletons import stored_form
from poselib.systems import System

_FREE = ("workers", "expected_seconds")  # settings that may change when a training goes on


def remove_abandoned(folder: Path, checkpoint: str) -> None:
    """Remove the temporary files that a killed training left in its folder."""
    for pattern in (f"{TEMPORARY}*", f".{checkpoint}.*"):  # the latter are of older versions
        for abandoned in folder.glob(pattern):
            if abandoned.is_file():
                abandoned.unlink(missing_ok=True)


def drop_later_lines(path: Path, step: int, measured: bool) -> None:
    """Drop lines of metrics that came after a state, and what of a line was written in part.

    Args:
        path: the file; it may be absent.
        step: of the state.
        measured: whether the state was validated. Else a validation of its step came after it;
            other than a line of losses, that has no ``lr``.

    Raises:
        ValueError: a line is no JSON object or has no step; the message names file and line.
    """
    drop_cut_line(path)
    lines = read_lines(path, "step")
    kept = [line for line in lines if (line["step"], "lr" not in line) <= (step, measured)]
    if len(kept) < len(lines):
        with atomic_write(path) as temporary:
            for line in kept:
                append_line(temporary, line)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file that cannot be written, and why; make no new folder in the place of a lost one.

    Raises:
        OSError: it cannot be written.
    """
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError("its folder is no longer there")
        yield
    except (OSError, RuntimeError) as error:
        # PyTorch's writer raises an error of its own in place of the file's.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise OSError(f"{path}: cannot be written: {cause.strerror or cause}") from error


def identity(system: System) -> dict[str, Any]:
    """Return what of a system a checkpoint keeps to know it by."""
    return {"name": system.name, "skeleton": stored_form(system.skeleton), **system.options}


def check_same_training(
    state: Mapping[str, Any], system: System, recipe: TrainConfig, path: Path
) -> None:
    """Check that a checkpoint is of this system and recipe.

    Raises:
        ValueError: it is not; the message names the file and the first difference.
    """
    for name, mine, usual in (
        ("system", identity(system), {}),
        ("recipe", asdict(recipe), asdict(TrainConfig())),
    ):
        theirs = {**usual, **state[name]}  # older ones lack what came later
        if isinstance(theirs.get("skeleton"), str):  # older ones have the name alone
            mine = {**mine, "skeleton": system.skeleton.name}
        if name == "recipe":
            mine |= {key: theirs[key] for key in _FREE}
        if different := _first_difference(theirs, mine):
            key, found, wanted = different
            raise ValueError(
                f"{path}: its {name} has {key}={found!r}, this one {wanted!r}; "
                f"use another folder or the same settings to resume"
            )


def _first_difference(
    theirs: Mapping[str, Any], mine: Mapping[str, Any]
) -> tuple[str, Any, Any] | None:
    """Return the first key of ours whose value differs, and both values."""
    for key in sorted(mine):
        found, wanted = theirs.get(key), mine[key]
        if isinstance(found, Mapping) and isinstance(wanted, Mapping):
            if inside := _first_difference(found, wanted):
                return f"{key}: {inside[0]}", *inside[1:]
        elif found != wanted:
            return key, found, wanted
    return None

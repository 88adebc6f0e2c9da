"""Faults of a sweep that would come up only in its runs, each of them after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from poselib.experiments.parameters import check_preset, notebook_parameters, parse_options
from poselib.experiments.path_parameters import is_skeleton_file
from poselib.experiments.sweep import PlannedRun, Sweep
from poselib.skeletons import get_skeleton

_TRAINING = ("preset", "system", "dataset", "options", "recipe")
# What a sweep sets of each run, or would have all runs write.
_OWN = {
    "seed": "each row is run with all seeds: --seeds",
    "runs_dir": "the folder of all runs is --runs",
    "run_id": "each run has an id of its own",
    "export": "each run has a file of its own, in its folder",
}


def check_parameters_of_sweep(sweep: Sweep, given: Mapping[str, Any] | None = None) -> None:
    """Refuse parameters that a sweep sets itself, in its file or beside it.

    Raises:
        ValueError: one of them is stated.
    """
    stated = [
        ("", sweep.parameters),
        *((f"row {row!r}: ", each) for row, each in sweep.rows.items()),
    ]
    for where, values in (*stated, ("", given or {})):
        if own := [name for name in _OWN if name in values]:
            raise ValueError(f"sweep {sweep.name!r}: {where}{own[0]} cannot be set: {_OWN[own[0]]}")


def shadowed(sweep: Sweep, given: Mapping[str, Any], rows: Iterable[str]) -> list[str]:
    """Return a sentence for each given parameter that some rows state, whose values count."""
    found = []
    for name in given:
        if own := [row for row in rows if name in sweep.rows[row]]:
            found.append(
                f"sweep {sweep.name!r}: {name} stays as it is in rows {own}, which state it"
            )
    return found


def check_runs_can_begin(
    runs: Iterable[PlannedRun], device: str = "", *, elsewhere: bool = False
) -> None:
    """Check what runs name before the first one begins: presets, systems, datasets, devices.

    Args:
        device: of all runs; by default what each of them states.
        elsewhere: whether they run on other machines, whose GPUs and folders are not looked for.

    Raises:
        ValueError: one of them is unknown or an option does not fit; or their notebook has no
            device to choose.
    """
    checked: set[tuple[Any, ...]] = set()
    for run in runs:
        defaults = notebook_parameters(run.notebook)
        if device and "device" not in defaults:
            raise ValueError(f"{run.notebook} has no parameter 'device'")
        values = {**defaults, **run.parameters, **({"device": device} if device else {})}
        values = {name: value for name, value in values.items() if name != "seed"}
        key = (run.notebook, *values.items())
        if key not in checked:
            checked.add(key)
            _check(values, run.notebook.parent, elsewhere)


def check_device(name: str, *, elsewhere: bool = False) -> None:
    """Raise ValueError for a device that is unknown or, unless runs are elsewhere, absent."""
    from poselib.engine.device import get_device

    if name and not (elsewhere and name.partition(":")[0] == "cuda"):
        get_device(name)


def _check(values: Mapping[str, Any], folder: Path, elsewhere: bool) -> None:
    if "preset" in values:
        check_preset(values["preset"])
    check_device(str(values.get("device") or ""), elsewhere=elsewhere)
    if not set(_TRAINING) <= values.keys():
        return
    from poselib.data.catalog import DATASETS
    from poselib.papers.presets import get_preset
    from poselib.systems import check_options

    system, dataset = str(values["system"]), str(values["dataset"])
    check_options(system, parse_options(str(values["options"])))
    sized: dict[str, Any] = {
        "size": values.get("size") or 0,
        "translation": values.get("translation"),
    }
    settings = get_preset(str(values["preset"]), dataset, system, **sized)
    recipe = parse_options(str(values["recipe"]))
    if "seed" in recipe:
        raise ValueError(f"recipe: seed cannot be set: {_OWN['seed']}")
    settings.with_recipe(**recipe)
    if skeleton := str(values.get("skeleton") or ""):
        file = is_skeleton_file("skeleton", skeleton)
        get_skeleton(folder / skeleton if file else skeleton)
    if dataset not in DATASETS:
        # Synthetic images are rendered when they are needed: nothing is opened here.
        settings.open_dataset(dataset, "test")
    elif not (place := values.get("data_dir")) or not (elsewhere or (folder / str(place)).is_dir()):
        raise ValueError(f"dataset {dataset!r} needs its folder: there is no data_dir {place!r}")

"""The trained systems that a notebook is given, or what to do where it is given none."""

from __future__ import annotations

from pathlib import Path

from poselib.data.catalog import training_dataset_for
from poselib.engine.checkpoints import Checkpoint, load_checkpoint
from poselib.experiments.parameters import parse_options
from poselib.experiments.training import init_system
from poselib.papers.presets import get_preset


def load_or_init(
    file: str,
    preset: str,
    dataset: str,
    folder: str = "",
    *,
    name: str,
    options: str = "",
    seed: int = 0,
    parameter: str = "checkpoint",
) -> Checkpoint:
    """Load a checkpoint for a notebook that trains nothing.

    Args:
        file: the notebook's parameter; if empty, ``preset`` must be ``"smoke"``, and the system is
            an untrained one.
        preset, dataset, folder: the notebook's; see ``get_preset`` and ``open_dataset``.
        name: of the system to train or to begin with, as in ``poselib.systems.SYSTEMS``.
        options: of that system, as in ``parse_options``.
        seed: of untrained weights.
        parameter: what the notebook calls ``file``.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: there is neither a file nor an untrained system to show; the message has the
            command that makes the file. Or it is not a checkpoint.
    """
    if file:
        return load_checkpoint(Path(file))
    if preset != "smoke":
        given = f" -p options '{options}'" if options else ""
        trained = training_dataset_for(dataset)
        raise ValueError(
            f"parameter {parameter!r} needs the file of a trained system, such as\n"
            f"python -m poselib.experiments.notebooks notebooks/03_train.ipynb --preset {preset} "
            f"-p system {name} -p dataset {trained}{given}\nleaves in the folder of its run"
        )
    settings = get_preset(preset, dataset, name)
    skeleton = settings.open_dataset(dataset, "test", folder).skeleton
    read = parse_options(options)
    return Checkpoint(init_system(settings, skeleton, seed, name, **read))  # type: ignore[arg-type]

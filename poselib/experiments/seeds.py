"""The same system as several trainings left it, each begun with another seed."""

from __future__ import annotations

from collections.abc import Sequence

from poselib.engine.checkpoints import Checkpoint
from poselib.experiments.given import load_or_init


def load_seeds(
    files: str,
    preset: str,
    dataset: str,
    folder: str = "",
    *,
    name: str,
    seed: int = 0,
    parameter: str = "checkpoints",
) -> list[Checkpoint]:
    """Load the checkpoints of a notebook that shows a spread over seeds.

    Args:
        files: the notebook's parameter, paths without spaces, separated by spaces; if empty,
            one untrained system is made, or refused, as ``load_or_init`` says.
        preset, dataset, folder, name, seed: see ``load_or_init``.
        parameter: what the notebook calls ``files``.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: as ``load_or_init``, a file is named twice, or the systems differ in more than
            their weights.
    """
    paths = files.split()
    if twice := sorted({path for path in paths if paths.count(path) > 1}):
        raise ValueError(f"parameter {parameter!r} names {twice} more than once")
    loaded = [
        load_or_init(path, preset, dataset, folder, name=name, seed=seed, parameter=parameter)
        for path in paths or [""]
    ]
    _check_alike(loaded, paths, parameter)
    return loaded


def _check_alike(loaded: Sequence[Checkpoint], paths: Sequence[str], parameter: str) -> None:
    first = loaded[0]
    for path, other in zip(paths[1:], loaded[1:], strict=True):
        pairs = {
            "system": (first.system.name, other.system.name),
            "keypoints": (first.system.skeleton.keypoints, other.system.skeleton.keypoints),
            "size": (first.system.input_size, other.system.input_size),
            "options": (dict(first.system.options), dict(other.system.options)),
        }
        if differing := [what for what, (one, two) in pairs.items() if one != two]:
            raise ValueError(
                f"parameter {parameter!r}: {path} and {paths[0]} are not trainings of one system; "
                f"they differ in {', '.join(differing)}"
            )

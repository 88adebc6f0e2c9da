"""Paths among the parameters of a notebook, as a command that is called elsewhere gives them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from pathlib import Path

from poselib.wording import shown

_WEIGHTS = r"checkpoint(_\w+)?|\w+_model|detector"
# Several files, as ``a.pt b.pt``; the first also with names of their own, ``A=a.pt B=b.pt``.
_NAMED = r"checkpoints|beside"
_LISTS = rf"{_NAMED}|rpstn|without_\w+|single_image(_\w+)?"
# Names of models are no paths, though files may be called like them.
_MODELS = rf"{_WEIGHTS}|{_LISTS}"
# What is read: without it the notebook would fail.
_READ = rf"{_MODELS}|images?|image_info|annotations|results|video"
# Others may be called like a folder by chance, as a system ``hae``.
_PATHS = re.compile(rf"{_READ}|\w+_dir|dataset|pretrained|export")


def is_skeleton_file(name: str, value: object) -> bool:
    """Whether a parameter is a skeleton that a file states."""
    return name == "skeleton" and str(value).lower().endswith((".toml", ".json"))


def resolve_paths(values: Mapping[str, object], folder: Path) -> dict[str, str]:
    """Return the parameters that hold paths as a notebook finds them, which runs in its folder.

    What exists from the notebook's folder stays as it was given, so that what a run records holds
    on other machines; what exists from the working directory alone becomes absolute. A file to be
    written, ``export``, lies in the working directory, unless only the notebook finds its folder.

    Args:
        values: parameters by name; those that hold no paths are left out.
        folder: of the notebook.

    Raises:
        FileNotFoundError: a file to be read is in neither folder.
        ValueError: the path of one of several files holds what separates them.
    """
    return {
        name: _resolved(name, value, folder)
        for name, value in values.items()
        if isinstance(value, str) and (is_skeleton_file(name, value) or _PATHS.fullmatch(name))
    }


def _resolved(name: str, value: str, folder: Path) -> str:
    """Return a value with its path, or each of its paths, as the notebook finds it."""
    if name != "pretrained" and not re.fullmatch(_LISTS, name):
        return _found(name, value, folder)
    separator = "," if name == "pretrained" else r"\s+"
    parts = re.split(f"({separator})", value)
    for number, part in enumerate(parts[::2]):
        named = re.fullmatch(_NAMED, name) and not (_exists(folder / part) or _exists(Path(part)))
        label, equals, path = part.partition("=") if named and "=" in part else ("", "", part)
        found = _found(name, path, folder)
        if re.search(separator, found):  # an absolute one, perhaps in what both folders share
            found = os.path.relpath(found, folder)
        if re.search(separator, found):
            raise ValueError(f"{name}: one of several files cannot be called {shown(found)}")
        parts[2 * number] = label + equals + found
    return "".join(parts)


def _found(name: str, path: str, folder: Path) -> str:
    """Return a path as it is found from the notebook's folder, or else an absolute one."""
    if name == "export" and path:
        only_there = (folder / path).parent.exists() and not Path(path).parent.exists()
        return path if only_there else str(Path(path).absolute())
    if not path or _exists(folder / path):
        return path
    if _exists(Path(path)):
        return path if name == "dataset" and _is_dataset(path) else str(Path(path).resolve())
    model = re.fullmatch(_MODELS, name) and _is_model(path)
    read = is_skeleton_file(name, path) or re.fullmatch(_READ, name)
    if read and not (model or glob.has_magic(path)):
        raise FileNotFoundError(f"{name} {path} does not exist in {Path.cwd()} or {folder}")
    return path


def _exists(path: Path) -> bool:
    """Whether there is a file, a folder, or what matches a pattern."""
    return path.exists() or (glob.has_magic(str(path)) and any(glob.iglob(str(path))))


def _is_model(name: str) -> bool:
    from poselib.engine.weights.open import HUB  # imports PyTorch

    return name.isidentifier() or name.startswith(HUB)


def _is_dataset(name: str) -> bool:
    from poselib.data.catalog import DATASETS, SYNTHETIC  # opens nothing, but imports all readers

    return name in DATASETS or name in SYNTHETIC

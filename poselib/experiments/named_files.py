"""Files that a notebook's parameters name, annotations of datasets and weights: their digests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import poselib
from poselib.ops.io import read_json, write_json

_PACKAGE = Path(poselib.__file__).resolve().parent
# Of larger files the digest is kept on disk, so that a file is read once for all processes.
_LARGE = 4_000_000  # bytes
_BLOCK = 1 << 20
_DIGITS = 12
_FILES = re.compile(r"checkpoints?(_\w+)?|pretrained|annotations|image_info|results")
_TRAINED = (".safetensors", ".pt")
_SEPARATORS = {"pretrained": ",", "checkpoints": None}  # None: white space


def files_of(notebook: Path, params: Mapping[str, Any]) -> list[Path]:
    """Return the files that a notebook of figures reads: of its study, and the published numbers.

    Args:
        notebook: its file.
        params: its parameters, such as ``study`` and ``paper``.
    """
    study, paper = params.get("study"), params.get("paper")
    sweep = notebook.parent / "sweeps" / f"{study}.json"
    found = [sweep] if study and sweep.is_file() else []
    if found and not paper:
        ablation: Any = read_json(sweep).get("ablation", {})
        paper = ablation.get("paper")
    published = _PACKAGE / "papers" / "published" / f"{paper}.csv"
    return [*found, published] if paper and published.is_file() else found


def folders_read(values: Mapping[str, Any]) -> list[Path]:
    """Return the folders of the trained systems that parameters name, such as ``checkpoints``."""
    return sorted({Path(each).parent for value in values.values() for each in trained_files(value)})


def trained_files(value: object) -> list[str]:
    """Return the files of trained systems that a parameter names, such as ``checkpoints``."""
    words = re.split(r"[\s=,]+", value) if isinstance(value, str) else []
    return [word for word in words if word.endswith(_TRAINED)]


def parameter_digests(values: Mapping[str, Any], folder: Path = Path()) -> dict[str, str]:
    """Return digests of the files that parameters name, by the name of the parameter.

    Args:
        values: a notebook's parameters. Of the ``data_dir`` of a real ``dataset`` the annotation
            files count, see ``DatasetEntry.files``; the images do not.
        folder: that relative paths are relative to.
    """
    found = {}
    for name, value in values.items():
        if isinstance(value, str) and value and _FILES.fullmatch(name):
            parts = value.split(_SEPARATORS[name]) if name in _SEPARATORS else [value]
            files = [path for part in parts if (path := folder / part).is_file()]
            if files:
                found[name] = _combined(map(file_digest, files))
    place, dataset = values.get("data_dir"), values.get("dataset")
    if place and dataset and (files := annotation_files(dataset, folder / str(place))):
        names = (file.relative_to(folder / str(place)).as_posix() for file in files)
        digests = map(file_digest, files)
        found["data_dir"] = _combined(f"{n} {d}" for n, d in zip(names, digests, strict=True))
    return found


def annotation_files(dataset: str, folder: Path) -> list[Path]:
    """Return the annotation files of a real dataset, sorted; of a synthetic one there are none."""
    from poselib.data.real_datasets import DATASETS  # opens nothing, but imports all readers

    if dataset not in DATASETS:
        return []
    patterns = DATASETS[dataset].files
    return sorted({path for each in patterns for path in folder.glob(each) if path.is_file()})


def file_digest(path: Path) -> str:
    """Return a digest of a file's content; one of the same size and time is not read again."""
    path = path.resolve()
    about = path.stat()
    return _digest(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _digest(path: Path, size: int, time: int) -> str:
    if size < _LARGE:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:_DIGITS]
    known = _known()
    if (entry := known.get(str(path))) and entry[:2] == [size, time]:
        return str(entry[2])
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            whole.update(block)
    digest = whole.hexdigest()[:_DIGITS]
    try:
        _store().parent.mkdir(parents=True, exist_ok=True)
        write_json(_store(), {**_known(), str(path): [size, time, digest]})
    except OSError:
        pass  # a cache that cannot be written costs time alone
    return digest


def _known() -> dict[str, Any]:
    try:
        return read_json(_store())
    except (OSError, ValueError):
        return {}


def _store() -> Path:
    from poselib.engine.weights.download import cache_folder

    return cache_folder() / "digests.json"


def _combined(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGITS]

"""The annotation files and the image folders of a COCO-format dataset, found by what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poselib.data.readers.json_fields import Entry, load_json
from poselib.ops.io import visible_files

# Words of a file's or folder's name that say which part of a dataset it is.
_ROLES = {
    "train": ("train", "training", "trainval"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
ALL = "all"
_TRIED = 20  # file names by which a folder of images is found
_LISTED = 8
_FOLDERS = 1000


@dataclass(frozen=True)
class CocoPart:
    """One part of a dataset: an annotation file, the folder of its images, and what it holds."""

    annotations: Path
    images: Path
    content: Entry


def find_coco(place: Path, images: Path | None = None) -> dict[str, CocoPart]:
    """Find the annotation files with keypoints in a folder, and the folders of their images.

    Annotation files lie in the folder or up to two folders below it. One whose own name or folder
    says ``train``, ``val`` or ``test`` is that part; the only one that says nothing is ``"all"``.

    Args:
        place: the folder of a dataset, or one annotation file.
        images: the folder of images; by default the one that ``info.images`` names, as predictions
            do, whose own folder has pictures of the same names, or the one that has most of the
            listed names.

    Returns:
        The parts by name, ``"train"``, ``"val"``, ``"test"`` or ``"all"``.

    Raises:
        FileNotFoundError: the place is absent, or no folder has the images.
        ValueError: it holds no annotation file with keypoints, or several of the same part, or
            one of a part is no JSON.
    """
    place = Path(place)
    if place.is_file():
        around = (place.parent, place.parent.parent)
        return {ALL: _part(place, load_json(place), around, images)}
    if not place.is_dir():
        raise FileNotFoundError(f"dataset {place} does not exist: a COCO-format folder is wanted")
    patterns = ("*.json", "*/*.json", "*/*/*.json")
    files = [path for pattern in patterns for path in visible_files(place, pattern)]
    named = [path for path in files if "keypoints" in path.stem.lower()]
    chosen: dict[str, dict[Path, Any]] = {}
    unreadable: list[str] = []
    for path in named or files:
        try:
            content = load_json(path)
        except (OSError, ValueError) as error:
            if _role(path.relative_to(place)) != ALL:
                raise  # without it images of another part would be held out
            unreadable.append(f"; {error}")
            continue
        if _with_keypoints(content):
            chosen.setdefault(_role(path.relative_to(place)), {})[path] = content
    if not chosen:
        raise ValueError(
            f"{place}: none of its {len(files)} JSON files{_some(files, place)} is a COCO-format "
            f"file with images and annotated keypoints{''.join(unreadable[:1])}"
        )
    for role, several in chosen.items():
        if len(several) > 1:
            kind = "that say neither train, val nor test" if role == ALL else f"of part {role!r}"
            raise ValueError(
                f"{place}: {len(several)} annotation files {kind}{_some([*several], place)}: "
                "give one of them instead of the folder"
            )
    parts = {}
    for role, ((path, content),) in ((role, several.items()) for role, several in chosen.items()):
        homes = [home for home in (path.parent, *path.parents[1:3]) if home.is_relative_to(place)]
        parts[role] = _part(path, content, [place, *homes], images)
    return parts


def _some(paths: Sequence[Path], place: Path) -> str:
    if not paths:
        return ""
    listed = ", ".join(str(path.relative_to(place)) for path in paths[:_LISTED])
    return f" ({listed}{', ...' if len(paths) > _LISTED else ''})"


def _role(path: Path) -> str:
    """Return which part of a dataset a file is, by the words of its name, else of its folders."""
    for name in (path.stem, *reversed(path.parts[:-1])):
        words = re.findall(r"[a-z]+", name.lower())
        for role, known in _ROLES.items():
            if any(word in known for word in words):
                return role
    return ALL


def _with_keypoints(content: Any) -> bool:
    """Return whether what a JSON file holds is of COCO's format and annotates keypoints."""
    if not isinstance(content, dict):
        return False
    people = content.get("annotations")
    found = isinstance(people, list) and any(
        isinstance(person, dict) and person.get("keypoints") for person in people
    )
    return bool(found and content.get("images"))


def _part(path: Path, content: Any, homes: Sequence[Path], images: Path | None) -> CocoPart:
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in lists):
        raise ValueError(f"{path}: not COCO's format: the lists {', '.join(lists)} are wanted")
    for name in lists:
        if any(not isinstance(row, dict) for row in content[name]):
            raise ValueError(f"{path}: {name}: expected a list of objects")
    listed = [image.get("file_name") for image in content["images"]]
    names = [name.replace("\\", "/") for name in listed if isinstance(name, str) and name]
    if not names:
        raise ValueError(f"{path}: images: no entry has a file_name")
    if images is not None:
        if not images.is_dir():
            raise FileNotFoundError(f"image folder {images} does not exist")
        return CocoPart(path, images, content)
    info = content.get("info")
    stated = info.get("images") if isinstance(info, dict) else None
    if isinstance(stated, str) and Path(stated).is_dir():
        return CocoPart(path, Path(stated), content)
    step = max(1, len(names) // _TRIED)
    return CocoPart(path, _image_folder(path, homes, names[::step][:_TRIED]), content)


def _image_folder(path: Path, homes: Sequence[Path], names: Sequence[str]) -> Path:
    """Return the folder that has most of the named images, the first of equal ones."""
    best, most = None, 0
    for folder in dict.fromkeys(_folders(path, homes)):
        found = sum((folder / name).is_file() for name in names)
        if found > most:
            best, most = folder, found
    if best is None:
        raise FileNotFoundError(
            f"{path}: no folder at {homes[0]} has its images, such as {names[0]}: name theirs"
        )
    return best


def _folders(path: Path, homes: Sequence[Path]) -> Iterable[Path]:
    """Yield where the images of a file may be, the usual places first."""
    role, year = _role(Path(path.name)), path.stem.rpartition("_")[2]
    for base in homes:
        for name in (f"images/{role}", f"images/{year}", role, year, "images", ""):
            yield base / name
    for pattern in ("*/", "*/*/"):
        yield from sorted(homes[0].glob(pattern))[:_FOLDERS]

"""Files of bare weights become systems: recognized, or like an entry of the catalog."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from poselib.engine.checkpoints import Checkpoint
from poselib.engine.weights.open import find_published, provenance_of, system_of
from poselib.engine.weights.recognize import Recognized, recognize
from poselib.skeletons import SKELETONS
from poselib.systems.published import PUBLISHED, PublishedWeights


def import_weights(path: Path, like: str = "") -> tuple[Checkpoint, str]:
    """Load a file of weights that others published, whose network is told by what it holds.

    Args:
        path: of ``torch.save`` or safetensors.
        like: entry of the catalog that the file is another one of: of the same network, input
            and decoding. Needed where the weights do not tell these.

    Returns:
        The system and its origin, and in words what the file is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no weights of a network here, or does not tell enough.
    """
    found = recognize(path)
    if found.source == "poselib":
        raise ValueError(f"{path}: a checkpoint of poselib already, which loads as it is")
    if not found.system:
        raise ValueError(
            f"{path}: {found.family}, which finds no people yet; a training begins with it"
        )
    if not like and found.published is None and (found.unknown or not _entries(found)):
        raise ValueError(f"{path}: {_told(found)}; {_wanted(found)}")
    entry = find_published(like) if like else found.published or _entries(found)[0]
    system = system_of(replace(entry, maps=0) if like else entry, path)
    known = provenance_of(entry) if found.published else {"imported": path.name, "like": entry.name}
    sure = ", by its SHA-256" if found.verified else ", by its name" if found.published else ""
    origin = f"{entry.name}{sure}" if found.published else f"like {entry.name}"
    return Checkpoint(system, known), f"{_told(found)}: {origin}"


def _told(found: Recognized) -> str:
    layout = found.source.replace("_", " ").replace("official", "its authors")
    return f"{found.family} for {found.keypoints} keypoints in the layout of {layout}"


def _entries(found: Recognized) -> list[PublishedWeights]:
    """Return the entries of the catalog with the network of a file, of its layout first."""
    told = ("backbone", "host")
    same = [
        row
        for row in PUBLISHED.values()
        if row.system == found.system
        and not row.unsupported
        and len(SKELETONS[row.skeleton]) == found.keypoints
        and all(row.options.get(name) == found.options.get(name) for name in told)
    ]
    return sorted(same, key=lambda row: row.layout != found.source)


def _wanted(found: Recognized) -> str:
    names = ", ".join(row.name for row in _entries(found))
    if not names:
        return (
            "the catalogue has no such network; build its system and load the file with "
            "poselib.models.pretrained.load_official"
        )
    hidden = ", ".join(found.unknown)
    return (
        f"it does not tell {hidden}: name the entry whose these are with poselib weights import "
        f"--like, of {names}"
    )

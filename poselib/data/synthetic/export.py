"""Synthetic scenes as a COCO-format folder: ``images/`` and ``annotations.json``."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from poselib.data.coco_export import coco_category, coco_people
from poselib.data.readers.json_fields import Entry
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.scene import Scene, keypoint_columns, render_scene
from poselib.skeletons import Skeleton

# Raised whenever the same recipe and seed give other scenes than before.
VERSION = 1
FORMATS = {"png": [cv2.IMWRITE_PNG_COMPRESSION, 1], "jpg": [cv2.IMWRITE_JPEG_QUALITY, 95]}


def entries(scene: Scene, skeleton: Skeleton, index: int, suffix: str) -> tuple[Entry, list[Entry]]:
    """Describe a scene in COCO's terms: its image and its people, without their ids."""
    image: Entry = {
        "id": index,
        "file_name": f"{index:06d}.{suffix}",
        "width": scene.image.shape[1],
        "height": scene.image.shape[0],
        "crowdIndex": round(scene.crowd_index, 4),
    }
    keypoints = scene.keypoints_of(skeleton)
    kept = (keypoints[..., 2] > 0).any(axis=1)
    people = coco_people(keypoints[kept], scene.boxes[kept], scene.areas[kept])
    return image, [{"image_id": index, "category_id": 1, **person} for person in people]


def document(
    described: Iterable[tuple[Entry, list[Entry]]],
    recipe: SceneConfig,
    count: int,
    seed: int,
    skeleton: Skeleton,
) -> Entry:
    """Gather scenes into one COCO-format document that says how they were made."""
    images, people = [], []
    for image, here in described:
        images.append(image)
        people.extend(here)
    return {
        "info": _info(recipe, count, seed, skeleton),
        "images": images,
        # The evaluation takes an id of 0 for no match, so ids start at 1.
        "annotations": [{"id": number, **person} for number, person in enumerate(people, 1)],
        "categories": [coco_category(skeleton)],
    }


def _info(recipe: SceneConfig, count: int, seed: int, skeleton: Skeleton) -> Entry:
    return {
        "description": "synthetic scenes of poselib",
        "version": VERSION,
        "recipe": recipe.as_dict(),
        "seed": seed,
        "count": count,
        "skeleton": skeleton.name,
        "keypoints": list(skeleton.keypoints),
    }


def write(
    folder: Path,
    recipe: SceneConfig,
    count: int,
    seed: int,
    skeleton: Skeleton,
    image_format: str = "png",
    processes: int = 1,
    progress: bool = False,
) -> Path:
    """Write scenes as a COCO-format folder: ``images/000000.png`` ... and ``annotations.json``.

    The folder appears whole or not at all. If it already holds these very scenes, nothing is
    done.

    Args:
        folder: where to write.
        recipe, count, seed, skeleton: which scenes; see ``synthetic.SyntheticScenes``.
        image_format: ``"png"`` or ``"jpg"``.
        processes: how many processes draw; the result does not depend on it.
        progress: show a progress bar.

    Returns:
        The folder.

    Raises:
        ValueError: an argument is out of range, or the folder holds something else.
    """
    check(count, seed, skeleton, image_format)
    folder = Path(folder)
    wanted = {**_info(recipe, count, seed, skeleton), "image_format": image_format}
    if _holds(folder, wanted):
        return folder
    with _filling(folder) as temporary:
        (temporary / "images").mkdir()
        one = partial(_write_image, temporary / "images", recipe, seed, skeleton, image_format)
        with _mapped(one, count, processes) as described:
            shown = tqdm(described, total=count, disable=not progress, desc=folder.name)
            content = document(shown, recipe, count, seed, skeleton)
        content["info"] = wanted
        (temporary / "annotations.json").write_text(json.dumps(content) + "\n")
    return folder


def _holds(folder: Path, wanted: Entry) -> bool:
    """Whether the folder holds these very scenes; raises ValueError if it holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    file = folder / "annotations.json"
    try:
        found = json.loads(file.read_text())["info"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder} exists and is no folder of synthetic scenes ({file.name}: {error}); "
            "choose another folder"
        ) from error
    other = sorted(
        key for key in wanted if not isinstance(found, dict) or found.get(key) != wanted[key]
    )
    if other:
        raise ValueError(
            f"{folder} already holds scenes that differ in {', '.join(other)}; remove it or "
            "choose another folder"
        )
    return True


@contextmanager
def _filling(folder: Path) -> Iterator[Path]:
    """Give a new folder beside ``folder`` that takes its place when the block succeeds."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as holder:
        # The holder itself is one that only its owner may enter.
        temporary = Path(holder) / folder.name
        temporary.mkdir()
        yield temporary
        os.replace(temporary, folder)


@contextmanager
def _mapped(one: Any, count: int, processes: int) -> Iterator[Iterable[tuple[Entry, list[Entry]]]]:
    """Describe scenes in order, here or in other processes."""
    if processes <= 1:
        yield map(one, range(count))
        return
    # Fork is unsafe once threads or an accelerator are in use.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield pool.imap(one, range(count), chunksize=16)


def _write_image(
    folder: Path, recipe: SceneConfig, seed: int, skeleton: Skeleton, suffix: str, index: int
) -> tuple[Entry, list[Entry]]:
    scene = render_scene(recipe, seed, index)
    image, people = entries(scene, skeleton, index, suffix)
    path = folder / image["file_name"]
    bgr = cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), bgr, FORMATS[suffix]):
        raise OSError(f"cannot write {path}")
    return image, people


def check(count: int, seed: int, skeleton: Skeleton, image_format: str = "png") -> None:
    """Raise ValueError for a data set that cannot be made."""
    if count < 0 or seed < 0:
        raise ValueError(f"count and seed must not be negative, got {count} and {seed}")
    if image_format not in FORMATS:
        raise ValueError(f"image_format must be one of {sorted(FORMATS)}, got {image_format!r}")
    keypoint_columns(skeleton)

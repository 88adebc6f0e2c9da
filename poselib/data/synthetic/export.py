"""Writing synthetic scenes as a COCO-format folder: ``images/`` and ``annotations.json``."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
from tqdm import tqdm

from poselib.data.coco_export import coco_category, coco_people
from poselib.data.image_io import encode_image
from poselib.data.readers.json_fields import Entry
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.scene import Scene, keypoint_indices, render_scene
from poselib.ops.io import TEMPORARY, check_output, parse_json
from poselib.skeletons import Skeleton

# Incremented whenever the same configuration and seed give other scenes than before.
VERSION = 1
SceneEntries = tuple[Entry, list[Entry]]
Entries = TypeVar("Entries")
DOCUMENT = "annotations.json"
CLIP_DOCUMENTS = ("clips_train.json", "clips_val.json")  # of clips, by split
_PATIENCE = 50  # tenths of a second
FORMATS = {"png": [cv2.IMWRITE_PNG_COMPRESSION, 1], "jpg": [cv2.IMWRITE_JPEG_QUALITY, 95]}


def scene_entries(scene: Scene, skeleton: Skeleton, index: int, suffix: str) -> SceneEntries:
    """Return the COCO entries of a scene: its image and its people, without annotation ids."""
    image: Entry = {
        "id": index,
        "file_name": f"{index:06d}.{suffix}",
        "width": scene.image.shape[1],
        "height": scene.image.shape[0],
        "crowdIndex": round(scene.crowd_index, 4),
    }
    people = coco_people(*scene.labeled_people(skeleton))
    return image, [{"image_id": index, "category_id": 1, **person} for person in people]


def dataset_document(scenes: Iterable[SceneEntries], info: Entry, skeleton: Skeleton) -> Entry:
    """Gather scenes into one COCO-format document."""
    images, people = [], []
    for image, entries in scenes:
        images.append(image)
        people.extend(entries)
    return {
        "info": info,
        "images": images,
        # COCO's evaluation takes an id of 0 for no match, so ids start at 1.
        "annotations": [{"id": number, **person} for number, person in enumerate(people, 1)],
        "categories": [coco_category(skeleton)],
    }


def write_scenes(
    folder: Path,
    config: SceneConfig,
    count: int,
    seed: int,
    skeleton: Skeleton,
    image_format: str = "png",
    processes: int = 1,
    progress: bool = False,
) -> Path:
    """Write scenes as a COCO-format folder, and return it.

    The folder appears complete or not at all. If it already holds the same scenes, nothing is done.

    Args:
        config, count, seed, skeleton: see ``SyntheticScenes``.
        image_format: ``"png"`` or ``"jpg"``.
        processes: number of processes that render; the result does not depend on it.
        progress: show a bar.

    Raises:
        ValueError: an argument is out of range, or the folder holds other files.
    """
    check_arguments(count, seed, skeleton, image_format)
    expected: Entry = {
        "description": "synthetic scenes of poselib",
        "version": VERSION,
        # The key of folders that exist already.
        "recipe": config.as_dict(),
        "seed": seed,
        "count": count,
        "skeleton": skeleton.name,
        "keypoints": list(skeleton.keypoints),
        "image_format": image_format,
    }

    def finish(temporary: Path, scenes: Iterable[SceneEntries]) -> None:
        content = dataset_document(scenes, expected, skeleton)
        (temporary / DOCUMENT).write_text(json.dumps(content) + "\n")

    render = partial(_write_image, config, seed, skeleton, image_format)
    parts = ("images", DOCUMENT)
    return write_folder(Path(folder), parts, expected, render, finish, processes, progress)


def write_folder(
    folder: Path,
    parts: Sequence[str],
    expected: Entry,
    render: Callable[[Path, int], Entries],
    finish: Callable[[Path, Iterable[Entries]], None],
    processes: int,
    progress: bool,
    *,
    beside: bool = False,
) -> Path:
    """Write what is rendered from numbers to a folder that appears complete or not at all.

    Args:
        folder: it, which is returned.
        parts: what is written, relative to it; the last one is a document.
        expected: what is written, with ``count``; the document has it as ``info``.
        render: writes the images of a number below a folder and returns their entries.
        finish: takes the entries and writes the rest, the document included, to a folder.
        processes: that render.
        progress: show a bar.
        beside: other files may be in the folder.

    Raises:
        ValueError: a part exists and is something else, or, unless ``beside``, any file does.
    """
    if processes < 1:
        raise ValueError(f"processes must be 1 or more, not {processes}")
    place = folder.resolve()  # of a link, the folder that it leads to
    document = place / parts[-1]
    if _is_complete(document, expected, [place / each for each in parts] if beside else [place]):
        return folder
    for part in parts:
        check_output((place / part).parent, folder=True)
    count = expected["count"]
    try:
        with (
            _atomic_folder(place, parts) as temporary,
            _map_scenes(partial(render, temporary), count, processes) as scenes,
        ):
            bar = tqdm(scenes, total=count, disable=not progress, desc=folder.name)
            finish(temporary, bar)
    except OSError:
        # Perhaps another process has just written the same scenes.
        if not (_appears(document) and _is_complete(document, expected, [place])):
            raise
    return folder


def _is_complete(file: Path, expected: Entry, places: Sequence[Path]) -> bool:
    """Return whether a document is of these scenes; raises ValueError if it is of anything else.

    Args:
        file: the document.
        expected: its ``info``.
        places: where there is no document if none of them holds a file.
    """
    taken = next((each for each in places if _holds_files(each)), None)
    if taken is None:
        return False
    try:
        info = parse_json(file.read_bytes(), file.name)["info"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{file.name}: {error.strerror}" if isinstance(error, OSError) else error
        raise ValueError(
            f"{taken} exists and is not a folder of synthetic scenes "
            f"({'it is a file' if taken.is_file() and taken != file else reason}); "
            "choose another folder"
        ) from error
    different = sorted(
        key for key in expected if not isinstance(info, dict) or info.get(key) != expected[key]
    )
    if different:
        raise ValueError(
            f"{file.parent} already holds scenes that differ in {', '.join(different)} from these "
            f"({file.name}); remove them or choose another folder"
        )
    return True


def _holds_files(place: Path) -> bool:
    """Whether there is more than what another process is about to write there."""
    if not place.is_dir():
        return place.exists()
    return any(not path.name.startswith(TEMPORARY) for path in place.iterdir())


def _appears(file: Path) -> bool:
    """Whether a file exists, or another process that writes its folder adds it within seconds."""
    for _ in range(_PATIENCE):
        if file.exists() or not file.parent.exists():
            break
        time.sleep(0.1)
    return file.exists()


@contextmanager
def _atomic_folder(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield a temporary folder whose ``parts`` become those of ``folder`` when the block succeeds.

    A folder that exists may be mounted, be the working directory or hold other parts, and is
    filled; another is renamed.
    """
    exists = folder.is_dir()
    parent = folder if exists else folder.parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=TEMPORARY) as holder:
        # The holder itself can be entered by its owner only.
        temporary = Path(holder) / "new"
        temporary.mkdir()
        yield temporary
        if exists:
            for part in parts:  # the document is the last
                if (temporary / part).exists():
                    (folder / part).parent.mkdir(exist_ok=True)
                    os.replace(temporary / part, folder / part)
        else:
            os.replace(temporary, folder)


@contextmanager
def _map_scenes(
    render: Callable[[int], Entries], count: int, processes: int
) -> Iterator[Iterable[Entries]]:
    """Render scenes in order, in this process or in others."""
    if min(processes, count) <= 1:
        yield map(render, range(count))
        return
    # Fork is unsafe once threads or an accelerator are in use.
    with multiprocessing.get_context("spawn").Pool(min(processes, count)) as pool:
        yield pool.imap(render, range(count), chunksize=16)


def _write_image(
    config: SceneConfig, seed: int, skeleton: Skeleton, suffix: str, folder: Path, index: int
) -> SceneEntries:
    scene = render_scene(config, seed, index)
    image, people = scene_entries(scene, skeleton, index, suffix)
    path = folder / "images" / image["file_name"]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode_image(scene.image, path.suffix, FORMATS[suffix]))
    return image, people


def check_arguments(count: int, seed: int, skeleton: Skeleton, image_format: str = "png") -> None:
    """Raise ValueError for arguments that no dataset can be made of."""
    if count < 0 or seed < 0:
        raise ValueError(f"count and seed must not be negative, got {count} and {seed}")
    if image_format not in FORMATS:
        raise ValueError(f"image_format must be one of {sorted(FORMATS)}, got {image_format!r}")
    keypoint_indices(skeleton)


def is_rendered(path: Path) -> bool:
    """Whether an image or video lies in a folder of synthetic scenes or clips."""
    for folder in path.absolute().parents[:4]:
        # By their names: to list a folder for each of its images would take long.
        for document in (folder / name for name in (DOCUMENT, *CLIP_DOCUMENTS)):
            if document.is_file():
                with document.open("rb") as file:
                    head = file.read(200)
                return b'"description": "synthetic ' in head and b' of poselib"' in head
    return False

"""Prediction of image files to files: poses as COCO's JSON and as CSV, and the images drawn."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from poselib.data.coco_export import coco_poses
from poselib.data.image_folder import ImageFiles
from poselib.data.image_io import encode_image
from poselib.data.readers.coco import write_results
from poselib.engine.prefetch import Background
from poselib.engine.stage_times import StageTimes, timed
from poselib.ops.console import complain
from poselib.ops.io import atomic_write, write_json
from poselib.plots.poses import paint_poses
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.wording import counted

RESULTS = ("images.json", "results.json", "coco.json", "poses.csv")
# Bytes of a drawing's name before the ending, and a number where names repeat.
_LONGEST = 240
# Images that may wait in memory to be drawn.
_WAITING = 8


class Find(Protocol):
    """Finds the people of images, and says what it found of each at once."""

    def __call__(
        self, samples: Any, /, *, on_found: Callable[[int, Poses], object], progress: bool
    ) -> object: ...


def unique_names(paths: Iterable[Path], taken: Iterable[str] = ()) -> list[str]:
    """Return a name without ending for each file: its own, with _2, _3, ... where names repeat.

    Args:
        paths: the files.
        taken: names that none may get.
    """
    used, names = {name.lower() for name in taken}, []
    for path in paths:
        whole = os.fsdecode(os.fsencode(path.stem)[:_LONGEST])
        choices = (whole if n == 1 else f"{whole}_{n}" for n in count(1))
        # File systems may not tell capitals from small letters.
        name = next(choice for choice in choices if choice.lower() not in used)
        used.add(name.lower())
        names.append(name)
    return names


@contextmanager
def csv_of_poses(path: Path, skeleton: Skeleton) -> Iterator[Callable[..., None]]:
    """Yield a function that appends poses to a CSV file, which appears whole or not at all.

    Each person and keypoint is a row, see ``Poses.to_dataframe``; keywords of the function are
    further columns before those.
    """
    started = False
    with (
        atomic_write(path) as temporary,
        # File names that are no text keep their bytes.
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):

        def append(poses: Poses, **columns: str | float | None) -> None:
            nonlocal started
            table = poses.to_dataframe(skeleton)
            for place, (name, value) in enumerate(columns.items()):
                table.insert(place, name, value)
            table.to_csv(file, index=False, header=not started, lineterminator="\n")
            started = True

        yield append


class _Kept:
    """Samples that stay in memory from when they are read until they are taken."""

    def __init__(self, files: ImageFiles) -> None:
        self.files, self.image_ids = files, files.image_ids
        self._samples: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        self._samples[index] = self.files[index]
        return self._samples[index]

    def take(self, index: int) -> Sample:
        return self._samples.pop(index)


def predict_images(
    find: Find,
    files: ImageFiles,
    drawings: Sequence[Path],
    skeleton: Skeleton,
    *,
    min_score: float = 0.0,
    draw_score: float = 0.0,
    workers: int = 1,
    timing: StageTimes | None = None,
    progress: bool = False,
) -> list[tuple[int, int]]:
    """Find the people of image files; write the images with poses drawn, and their poses.

    Beside the drawings, ``results.json`` has the poses in COCO's results format, ``images.json`` is
    a COCO document of the images and their ids, and ``poses.csv`` has a row for each person and
    keypoint. ``coco.json`` has the images, by names relative to their common folder, and the people
    that are drawn, as annotation tools import them. Images are drawn and written while the next
    ones are predicted. If the prediction is interrupted, the files hold the images that were
    predicted until then, which is said, and ``info.complete`` of both documents is false.

    Args:
        find: calls ``on_found`` with the index and the people of each image, in any order.
        files: the images.
        drawings: for each the file to write, all in one folder.
        skeleton: the keypoints that are predicted.
        min_score: people below it are left out.
        draw_score: people whose score is below it are not drawn.
        workers: threads that draw and write; 0 for none.
        timing: receives the times of drawing and writing, as stage ``"draw"``.
        progress: show a bar.

    Returns:
        Of each image, how many people are drawn and how many are in ``results.json``.
    """
    samples, found = _Kept(files), dict[int, tuple[Poses, Poses]]()
    written = set[Path]()

    def draw(image: NDArray[np.uint8], drawn: Poses, path: Path) -> None:
        with timed(timing, "draw"):
            content = encode_image(paint_poses(image, drawn, skeleton), path.suffix)
            with atomic_write(path) as temporary:
                temporary.write_bytes(content)
            written.add(path)

    try:
        with (
            nullcontext() if timing is None else timing.whole(),
            Background(workers, _WAITING) as background,
        ):

            def on_found(number: int, poses: Poses) -> None:
                kept = poses.above(min_score)
                found[number] = drawn = kept, kept.above(draw_score)
                background.submit(draw, samples.take(number).image, drawn[1], drawings[number])

            find(samples, on_found=on_found, progress=progress)
    except BaseException:
        if found:
            kept = f"{len(found)} of {counted(len(files), 'image')}"
            try:
                _write_poses(files, drawings, skeleton, found, written)
            except (OSError, ValueError) as error:  # what ended the prediction is more important
                complain(f"the poses of {kept} are lost: {error}")
            else:
                complain(f"the poses of {kept} are in {drawings[0].parent}")
        raise
    _write_poses(files, drawings, skeleton, found, written)
    return [(len(drawn), len(kept)) for _, (kept, drawn) in sorted(found.items())]


def _write_poses(
    files: ImageFiles,
    drawings: Sequence[Path],
    skeleton: Skeleton,
    found: Mapping[int, tuple[Poses, Poses]],
    written: Collection[Path],
) -> None:
    """Write the files of ``RESULTS`` of the images that were predicted.

    Args:
        found: by the number of an image, the people kept and those drawn.
        written: the drawings that there are.
    """
    images_file, results_file, coco_file, csv_file = (drawings[0].parent / n for n in RESULTS)
    numbers, document = sorted(found), files.document(skeleton)
    images = document["images"] = [document["images"][number] for number in numbers]
    document["info"] = {"complete": len(images) == len(files)}
    names = (drawings[number] for number in numbers)
    shown = [{"drawing": path.name} if path in written else {} for path in names]
    listed = [{**image, **drawing} for image, drawing in zip(images, shown, strict=True)]
    # First what says that the others are not complete.
    write_json(images_file, {**document, "images": listed})
    results: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with csv_of_poses(csv_file, skeleton) as add_rows:
        for image, number in zip(images, numbers, strict=True):
            kept, drawn = found[number]
            results += kept.to_coco(image["id"], files.category_id)
            add_rows(kept, image_id=image["id"], file_name=image["file_name"])
            ids = {"image_id": image["id"], "category_id": files.category_id}
            annotations += [
                {"id": n, **ids, **person}
                for n, person in enumerate(coco_poses(drawn), start=len(annotations) + 1)
            ]
    _write_coco(coco_file, {**document, "annotations": annotations})
    write_results(results, results_file)


def _write_coco(path: Path, document: dict[str, Any]) -> None:
    """Write a document of images and people, with file names relative to a folder it names."""
    paths = [os.path.abspath(image["file_name"]) for image in document["images"]]
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    images = [
        {**image, "file_name": os.path.relpath(path, folder)}
        for image, path in zip(document["images"], paths, strict=True)
    ]
    info = {"description": "poses predicted by poselib", "images": folder, **document["info"]}
    write_json(path, {**document, "info": info, "images": images}, indent=None)

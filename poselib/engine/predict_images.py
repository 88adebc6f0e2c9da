"""Prediction of image files to files: poses in COCO's results format, and the images drawn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from tqdm import tqdm

from poselib.data.image_folder import ImageFiles
from poselib.data.image_io import encode_image
from poselib.data.readers.coco import write_results
from poselib.ops.io import atomic_write, write_json
from poselib.plots.poses import paint_poses
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample

RESULTS = ("images.json", "results.json")
# Bytes of a drawing's name before the ending, and a number where names repeat.
_LONGEST = 240
# Images that are held in memory together, unless a batch has more.
_IN_MEMORY = 8


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


def predict_images(
    find: Callable[[list[Sample]], list[Poses]],
    files: ImageFiles,
    drawings: Sequence[Path],
    skeleton: Skeleton,
    *,
    batch_size: int = 1,
    min_score: float = 0.0,
    draw_score: float = 0.0,
    progress: bool = False,
) -> list[tuple[int, int]]:
    """Find the people of image files; write the images with poses drawn, and their poses.

    Beside the drawings, ``results.json`` has the poses in COCO's results format, and
    ``images.json`` is a COCO document of the images and their ids.

    Args:
        find: returns the people of each of several images.
        files: the images.
        drawings: for each the file to write, all in one folder.
        skeleton: the keypoints that are predicted.
        batch_size: images of one size that ``find`` takes at a time.
        min_score: people below it are left out.
        draw_score: people whose score is below it are not drawn.
        progress: show a bar.

    Returns:
        Of each image, how many people are drawn and how many are in ``results.json``.
    """
    results: list[dict[str, Any]] = []
    counts, at_once = [], max(_IN_MEMORY, batch_size)
    with tqdm(total=len(files), disable=not progress, desc="predict") as bar:
        for first in range(0, len(files), at_once):
            numbers = range(first, min(first + at_once, len(files)))
            samples = [files[number] for number in numbers]
            for number, sample, poses in zip(numbers, samples, find(samples), strict=True):
                kept = poses.above(min_score)
                drawn = kept.above(draw_score)
                picture = paint_poses(sample.image, drawn, skeleton)
                content = encode_image(picture, drawings[number].suffix)
                with atomic_write(drawings[number]) as temporary:
                    temporary.write_bytes(content)
                results += kept.to_coco(sample.image_id, files.category_id)
                counts.append((len(drawn), len(kept)))
                bar.update()
    document = files.document(skeleton)
    for image, path in zip(document["images"], drawings, strict=True):
        image["drawing"] = path.name
    images_file, results_file = (drawings[0].parent / name for name in RESULTS)
    write_json(images_file, document)
    write_results(results, results_file)
    return counts

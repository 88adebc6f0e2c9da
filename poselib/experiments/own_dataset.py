"""A dataset that a command is given: opened by its folder or name, checked as a whole, split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poselib.data.catalog import DATASETS, SYNTHETIC, open_dataset
from poselib.data.coco_folder import ALL, CocoPart, find_coco
from poselib.data.dataset_check import DatasetReport, check_dataset
from poselib.data.keypoint_dataset import KeypointImages
from poselib.data.readers.coco import CocoKeypoints
from poselib.data.readers.json_fields import load_json
from poselib.ops.console import complain
from poselib.ops.io import read_json, write_json
from poselib.plots.poses import contact_sheet
from poselib.skeletons import Skeleton, get_skeleton, skeleton_of_categories
from poselib.typing import IntArray
from poselib.wording import counted, meant

CHECK, SPLIT, ANNOTATED = "check.json", "split.json", "annotations.png"
_HELD_OUT = 0.1
_PICTURES = 8


@dataclass(frozen=True)
class OwnData:
    """A dataset to train on and the images that are held out.

    Attributes:
        name: in one or two words.
        train, val: the images; those to train on have people.
        about: where the held-out images come from, in words.
        reports: of the check, one for each annotation file.
        drawn: ids of the held-out images, if they were drawn here.
    """

    name: str
    train: KeypointImages
    val: KeypointImages
    about: str
    reports: tuple[DatasetReport, ...] = ()
    drawn: tuple[int, ...] = ()


def find_parts(data: str, images: str = "") -> dict[str, CocoPart]:
    """Return the parts of a COCO-format folder or file that a command is given.

    Raises:
        FileNotFoundError, ValueError: as ``find_coco``; or there is no such folder, and the message
            names the datasets that are known by name.
    """
    if not Path(data).exists():
        raise FileNotFoundError(f"--data {data}: {_reason_of_absence(data)}")
    return find_coco(Path(data), Path(images) if images else None)


def _reason_of_absence(data: str) -> str:
    """Say why a command finds no dataset of a name, and what it must be given."""
    if data in DATASETS:
        return (
            f"the dataset of this name needs the folder where it lies, --data-dir, as in --data "
            f"{data} --data-dir data/{data}"
        )
    if data in SYNTHETIC:
        return (
            "the dataset of this name has no files; poselib synthetic, whose --help says how, "
            "writes images like its own, for --data FOLDER"
        )
    like = meant(data, DATASETS) or ";"
    return (
        f"there is no such folder or file, and no dataset of this name{like} known with "
        f"--data-dir: {', '.join(DATASETS)}"
    )


def known_parts(data: OwnData) -> dict[str, CocoPart]:
    """Return the annotation files in COCO's format of a dataset that was opened by its name."""
    sets = {"train": data.train, "val": data.val}
    return {
        split: CocoPart(
            images.annotation_file, images.image_folder, load_json(images.annotation_file)
        )
        for split, images in sets.items()
        if isinstance(images, CocoKeypoints)
    }


def skeleton_for(parts: dict[str, CocoPart], given: str = "") -> Skeleton:
    """Return the skeleton that is named, or that of the annotation files.

    Raises:
        ValueError: it is unknown, or the files have the keypoints of different ones.
    """
    if given:
        return get_skeleton(given)
    first, *others = (
        skeleton_of_categories(part.content, str(part.annotations)) for part in parts.values()
    )
    if any(other.keypoints != first.keypoints for other in others):
        files = ", ".join(str(part.annotations) for part in parts.values())
        raise ValueError(f"the keypoints of {files} differ")
    return first


def check_parts(parts: dict[str, CocoPart], skeleton: Skeleton) -> tuple[DatasetReport, ...]:
    """Check every part of a dataset."""
    return tuple(check_dataset(part, skeleton) for part in parts.values())


def write_check(reports: tuple[DatasetReport, ...], folder: Path) -> Path:
    """Write all places of all faults as JSON, and return the file."""
    write_json(folder / CHECK, {"files": [report.as_dict() for report in reports]})
    return folder / CHECK


def draw_annotated(dataset: KeypointImages, path: Path) -> None:
    """Write a picture of the first images with annotated people."""
    chosen = np.flatnonzero(dataset.table.has_people)[:_PICTURES].tolist()
    samples = [dataset[index] for index in chosen]
    title = f"The first annotated images of {dataset.table.source}"
    figure = contact_sheet(samples, dataset.skeleton, title=title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")


def open_own(parts: dict[str, CocoPart], skeleton: Skeleton, seed: int) -> OwnData:
    """Open a dataset that was checked; hold images out if it has none for validation.

    Raises:
        ValueError: a file has a fault, has no images to train on, or too few to hold some out.
    """
    training = parts.get("train") or parts.get(ALL)
    held_out = (
        parts.get("val") or parts.get("test") or (parts.get(ALL) if "train" in parts else None)
    )
    if training is None:
        files = ", ".join(f"{part.annotations} ({name})" for name, part in parts.items())
        raise ValueError(f"{files}: none of the parts is to train on")
    name = training.annotations.resolve().parent.name
    if held_out is not None:
        train = CocoKeypoints(training.annotations, training.images, skeleton, keep_empty=False)
        val = CocoKeypoints(held_out.annotations, held_out.images, skeleton)
        return OwnData(name, train, val, f"{counted(len(val), 'image')} of {held_out.annotations}")
    every = CocoKeypoints(training.annotations, training.images, skeleton)
    rest, drawn = split_images(every, seed)
    about = f"{len(drawn)} of the {counted(len(every), 'image')}, drawn by seed {seed}"
    return OwnData(name, rest, drawn, about, drawn=drawn.image_ids)


def open_known(name: str, folder: str) -> OwnData:
    """Open a dataset that is known by name.

    Raises:
        FileNotFoundError, ValueError: as ``open_dataset``; or it has no images.
    """
    opened = {split: open_dataset(name, split, folder) for split in ("train", "val")}
    train, val = opened["train"], opened["val"]
    if not isinstance(train, KeypointImages) or not isinstance(val, KeypointImages):
        raise ValueError(f"--data {name}: synthetic images have no files; train by notebook 03")
    return OwnData(name, train, val, f"{counted(len(val), 'image')} of {val.table.source}")


def open_labeled(
    options: Mapping[str, Any], skeleton: Skeleton | None = None
) -> tuple[KeypointImages, str]:
    """Open the images that a command evaluates on; return them and what they are, in words.

    Args:
        options: of the command: ``data``, ``split``, and if given ``data_dir``, ``images``,
            ``skeleton``, ``limit`` and ``model``, whose training may have held images out.
        skeleton: of the model, taken where the annotated one has the same keypoints.

    Raises:
        FileNotFoundError, ValueError: the dataset, or the split, is absent or has a fault.
    """
    dataset, name = _open_split(options, skeleton)
    limit = options.get("limit")
    if not limit or limit >= len(dataset):
        return dataset, name
    few = np.linspace(0, len(dataset) - 1, limit).astype(np.int64)
    return subset(dataset, few), f"{limit} of {counted(len(dataset), 'image')}: {name}"


def _open_split(
    options: Mapping[str, Any], skeleton: Skeleton | None
) -> tuple[KeypointImages, str]:
    data, split = str(options["data"]), options["split"]
    if options.get("data_dir"):
        dataset = open_dataset(data, split, options["data_dir"])
        if not isinstance(dataset, KeypointImages):
            raise ValueError(f"--data {data}: synthetic images need no --data-dir")
        return dataset, f"{data} {split}"
    parts = find_parts(data, options.get("images") or "")
    part = parts.get(split) or (parts.get(ALL) if len(parts) == 1 else None)
    if part is None:
        raise ValueError(
            f"{data} has no part {split!r}; it has {', '.join(parts)}: give --split, or one "
            "annotation file"
        )
    wanted = skeleton_for({split: part}, options.get("skeleton") or "")
    if skeleton is not None and wanted.keypoints == skeleton.keypoints:
        wanted = skeleton
    dataset = CocoKeypoints(part.annotations, part.images, wanted)
    if split in parts:
        return dataset, str(part.annotations)
    drawn = held_out(Path(options.get("model") or ""), part.annotations)
    chosen = positions_of(dataset, drawn)
    if not len(chosen):
        return dataset, str(part.annotations)
    if split == "test":
        raise ValueError(f"{data} has no part 'test': --split val takes what training held out")
    if split == "train":
        rest = np.setdiff1d(np.arange(len(dataset)), chosen)
        return subset(dataset, rest), f"the images of {part.annotations} that were not held out"
    return subset(dataset, chosen), f"the held-out images of {part.annotations}"


def split_images(dataset: KeypointImages, seed: int) -> tuple[KeypointImages, KeypointImages]:
    """Split a dataset by image; images without people are held out or left out with the others.

    Returns:
        The images to train on, which have people, and a tenth of all, at least one of two with
        people, in their order.

    Raises:
        ValueError: fewer than two images have people.
    """
    table = dataset.table
    people = np.flatnonzero(table.has_people)
    if len(people) < 2:
        raise ValueError(
            f"{table.source}: {counted(len(people), 'image')} with people, too few to hold some out"
        )
    rng = np.random.default_rng(seed)
    count = max(1, round(_HELD_OUT * len(people)))
    drawn = rng.permutation(people)[:count]
    empty = np.setdiff1d(np.arange(len(table.image_ids)), people)
    drawn = np.concatenate([drawn, rng.permutation(empty)[: round(_HELD_OUT * len(empty))]])
    rest = np.setdiff1d(people, drawn)
    return subset(dataset, rest), subset(dataset, np.sort(drawn))


def subset(dataset: KeypointImages, positions: IntArray) -> KeypointImages:
    """Return some of the images of a dataset, by their positions."""
    table = dataset.table.at(positions)
    return KeypointImages(table, dataset.image_folder, dataset.skeleton)


def from_anywhere(value: Any) -> Any:
    """Return a path that exists as an absolute one, so that it is found from any folder."""
    there = isinstance(value, str) and value and Path(value).exists()
    return str(Path(value).resolve()) if there else value


def held_out(training: Path, annotations: Path) -> list[int]:
    """Return the ids of the images of a file that a training drew for its validation; or none.

    Args:
        training: its folder, or its checkpoint.
        annotations: the file.

    Raises:
        ValueError: what the training noted cannot be read.
    """
    split = (training if training.is_dir() else training.parent) / SPLIT
    if not split.is_file():
        return []
    stated = read_json(split)
    name, ids = stated.get("annotations"), stated.get("val")
    if not isinstance(name, str) or "\0" in name or not isinstance(ids, list):
        raise ValueError(
            f"{split}: expected the name of a file, annotations, and a list of ids, val"
        )
    if Path(name).resolve() == annotations.resolve():
        return ids
    complain(f"{split}: the training held out images of {name}; of {annotations} all are taken")
    return []


def positions_of(dataset: KeypointImages, ids: Sequence[int]) -> IntArray:
    """Return the positions of the images with some ids, in the order of the dataset."""
    return np.flatnonzero(np.isin(np.array(dataset.image_ids), list(ids)))

"""The datasets that experiments name, in the folder layouts that their own pages give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from poselib.data.coco import CocoKeypoints
from poselib.data.synthetic import SyntheticScenes
from poselib.engine.evaluate import LabelledImages
from poselib.experiments.presets import Preset
from poselib.skeleton import Skeleton
from poselib.skeletons import COCO, CROWDPOSE, skeleton_named

Split = Literal["train", "test"]

# Scenes of different seeds are unrelated: nothing of the test set is ever trained on.
_SCENE_SEEDS: dict[Split, int] = {"train": 1, "test": 2}


class NamedDataset(LabelledImages, Protocol):
    """Labelled images that know their skeleton."""

    skeleton: Skeleton


def open_dataset(name: str, split: Split, preset: Preset, folder: Path | str = "") -> NamedDataset:
    """Open a split of a dataset.

    Args:
        name: ``"synthetic"``, drawn by the preset's recipe; ``"coco"`` (train2017 and val2017) or
            ``"crowdpose"`` (trainval and test).
        split: ``"train"`` or ``"test"``.
        preset: tells what synthetic scenes are like and how many there are.
        folder: where a real dataset lies; the README shows the layout.

    Raises:
        FileNotFoundError: a file of the dataset is absent.
        ValueError: the dataset is unknown, or a real one was named without its folder.
    """
    if name == "synthetic":
        count = preset.train_scenes if split == "train" else preset.test_scenes
        if not count:
            raise ValueError("this preset is for real data: name a dataset and its data_dir")
        return SyntheticScenes(preset.scenes, count, _SCENE_SEEDS[split], COCO)
    if name not in _REAL:
        raise ValueError(f"unknown dataset {name!r}; known: synthetic, {', '.join(_REAL)}")
    if not str(folder):
        raise ValueError(f"dataset {name!r} needs the folder it lies in, parameter data_dir")
    return _REAL[name](Path(folder), split)


def open_files(annotations: Path | str, images: Path | str, skeleton: str) -> CocoKeypoints:
    """Open any COCO-format keypoint file.

    Args:
        annotations: the JSON file.
        images: the folder that its file names are relative to.
        skeleton: name of the skeleton that it annotates.

    Raises:
        FileNotFoundError: the file, the folder or an image is absent.
        ValueError: the skeleton is unknown, no folder is given, or the file does not fit.
    """
    known = skeleton_named(skeleton)
    if not str(images):
        raise ValueError(f"{annotations} needs the folder of its images, parameter images")
    return CocoKeypoints(Path(annotations), Path(images), known)


def in_memory(dataset: NamedDataset) -> NamedDataset:
    """Return synthetic scenes drawn once and kept; real images stay where they are."""
    return dataset.cached() if isinstance(dataset, SyntheticScenes) else dataset


def _coco(folder: Path, split: Split) -> CocoKeypoints:
    part = "train2017" if split == "train" else "val2017"
    annotations = folder / "annotations" / f"person_keypoints_{part}.json"
    return CocoKeypoints(annotations, folder / part, COCO, keep_empty=split == "test")


def _crowdpose(folder: Path, split: Split) -> CocoKeypoints:
    part = "trainval" if split == "train" else "test"
    annotations = folder / "json" / f"crowdpose_{part}.json"
    return CocoKeypoints(annotations, folder / "images", CROWDPOSE, keep_empty=split == "test")


_REAL: dict[str, Callable[[Path, Split], CocoKeypoints]] = {
    "coco": _coco,
    "crowdpose": _crowdpose,
}

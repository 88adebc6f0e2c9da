"""Datasets by name, synthetic and real ones; and COCO-format files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from poselib.annotations import AnnotationTable
from poselib.data.loaders import SampleSource
from poselib.data.readers.coco import CocoKeypoints
from poselib.data.real_datasets import DATASETS as DATASETS
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import (
    CROWD_CLIPS,
    CROWD_SCENES,
    GROUP_SCENES,
    ClipConfig,
    SceneConfig,
)
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.skeletons import COCO, CROWDPOSE, MPII, POSETRACK18, Skeleton, get_skeleton

Split = Literal["train", "val", "test"]


class KeypointDataset(SampleSource, Protocol):
    """A sequence of images with annotated people that knows their skeleton."""

    skeleton: Skeleton

    def annotations(self) -> AnnotationTable: ...


@dataclass(frozen=True)
class SyntheticEntry:
    """A synthetic dataset of the catalog.

    Attributes:
        scenes: default configuration of the scenes or clips.
        skeleton: default skeleton.
        counts: default number of scenes or clips by split.
        seeds: seed by split. Scenes of different seeds are unrelated, so training and held-out
            scenes differ.
    """

    scenes: SceneConfig
    skeleton: Skeleton
    counts: Mapping[str, int]
    seeds: Mapping[str, int]


def open_dataset(
    name: str,
    split: Split = "val",
    folder: Path | str = "",
    *,
    skeleton: Skeleton | str = "",
    scenes: SceneConfig | None = None,
    count: int | None = None,
) -> KeypointDataset:
    """Open one split of a dataset as a sequence of samples.

    Args:
        name: a synthetic dataset, ``"synthetic"``, ``"crowd"`` (the crowd benchmark) or
            ``"groups"`` (groups of people, measured in head sizes as MPII's are), or clips of one
            person, ``"clips"``, or of several, ``"clip_crowd"``; or a real one:
            ``"coco"``, ``"coco_testdev"``, ``"crowdpose"``, ``"ochuman"``, ``"ochuman_val"``,
            ``"mpii"``, ``"aic"``, ``"lsp"``, ``"flic"``, ``"hieve"`` or ``"uav_human"``, or of
            videos, whose frames are the samples: ``"penn_action"``, ``"sub_jhmdb_1"``,
            ``"sub_jhmdb_2"``, ``"sub_jhmdb_3"``, ``"posetrack18"`` or ``"hieve_clips"``.
        split: ``"train"``, ``"val"`` or ``"test"``. The last two are the held-out images with
            public labels, and the same ones (such as COCO's val2017) except for OCHuman, which
            publishes a validation and a test set. Two special cases: as in the papers, ``"train"``
            of CrowdPose is trainval, so ``"val"`` is its test set; OCHuman has no training set, and
            ``"train"`` is its validation set.
        folder: the folder of a real dataset, laid out as on the dataset's web page.
        skeleton: skeleton of synthetic people, or its name or file, by default COCO's, in the crowd
            benchmark CrowdPose's, in groups MPII's and in clips PoseTrack18's. A real dataset has
            its own.
        scenes, count: what synthetic scenes or clips are like and how many there are; by default
            those of the entry in ``SYNTHETIC``.

    Raises:
        FileNotFoundError: a file of the dataset is missing.
        ValueError: the dataset is unknown, lacks the split, was named without its folder, or is
            real and was given what only synthetic ones take; or a file has a fault.

    Example:
        >>> scenes = open_dataset("synthetic", "val", count=8)
        >>> len(scenes), scenes[0].image.shape, scenes.skeleton.name
        (8, (3, 128, 128), 'coco')
    """
    if name not in SYNTHETIC and name not in DATASETS:
        known = ", ".join([*SYNTHETIC, *DATASETS])
        raise ValueError(f"unknown dataset {name!r}; known: {known}")
    if name in SYNTHETIC:
        entry = SYNTHETIC[name]
        _check_split(name, split, entry.counts)
        config, seed = scenes or entry.scenes, entry.seeds[split]
        count = entry.counts[split] if count is None else count
        wanted = _skeleton(skeleton) if skeleton else entry.skeleton
        if isinstance(entry.scenes, ClipConfig):
            if not isinstance(config, ClipConfig):
                raise ValueError(f"dataset {name!r}: scenes must be a ClipConfig, not {config!r}")
            return SyntheticClips(config, count, seed, wanted)
        return SyntheticScenes(config, count, seed, wanted)
    if skeleton:
        raise ValueError(
            f"dataset {name!r} has a skeleton of its own; {_skeleton(skeleton).name!r} does not "
            "apply"
        )
    if scenes is not None or count is not None:
        raise ValueError(f"dataset {name!r} is real: scenes and count are for synthetic ones")
    real = DATASETS[name]
    _check_split(name, split, real.splits)
    if not str(folder):
        raise ValueError(f"dataset {name!r} needs its folder: pass folder (in notebooks data_dir)")
    return real.open(Path(folder), real.splits[split], split != "train")


def open_files(
    annotations: Path | str, images: Path | str, skeleton: Skeleton | str | Path | None = None
) -> CocoKeypoints:
    """Open any COCO-format keypoint file as a sequence of samples.

    Args:
        annotations: the JSON file.
        images: the folder that its file names are relative to.
        skeleton: the skeleton that it annotates, its name, or a file that states it, see
            ``get_skeleton``. By default, or if empty, the known one whose names the file's
            categories have, or else the file's own, see ``Skeleton.from_coco``.

    Raises:
        FileNotFoundError: the file, the folder or an image is missing.
        ValueError: the skeleton is unknown, no folder is given, or the file has a fault.
    """
    known = _skeleton(skeleton) if skeleton else None
    if not str(images):
        raise ValueError(f"{annotations} needs the folder of its images, parameter images")
    return CocoKeypoints(Path(annotations), Path(images), known)


def training_dataset_for(name: str) -> str:
    """Return the dataset to train on for evaluation on another.

    COCO's test-dev has no training images and OCHuman is for testing only: both use COCO's.
    """
    return "coco" if name in ("coco_testdev", "ochuman", "ochuman_val") else name


def cache_in_memory(dataset: KeypointDataset) -> KeypointDataset:
    """Render synthetic scenes once and keep them in memory; return real datasets unchanged."""
    return dataset.cached() if isinstance(dataset, SyntheticScenes | SyntheticClips) else dataset


def _skeleton(skeleton: Skeleton | str | Path) -> Skeleton:
    return skeleton if isinstance(skeleton, Skeleton) else get_skeleton(skeleton)


def _check_split(name: str, split: str, splits: Mapping[str, object]) -> None:
    if split not in splits:
        advice = f"; train on {training_dataset_for(name)}" if split == "train" else ""
        listed = ", ".join(f"{known} ({of})" for known, of in splits.items())
        raise ValueError(f"dataset {name!r} has no split {split!r}{advice}; it has {listed}")


_COUNTS = {"train": 6000, "val": 200, "test": 200}
_CLIP_COUNTS = {"train": 400, "val": 20, "test": 20}
_SEEDS = {"train": 1, "val": 2, "test": 2}

SYNTHETIC: dict[str, SyntheticEntry] = {
    "synthetic": SyntheticEntry(SceneConfig(), COCO, _COUNTS, _SEEDS),
    "crowd": SyntheticEntry(CROWD_SCENES, CROWDPOSE, _COUNTS, _SEEDS),
    "groups": SyntheticEntry(GROUP_SCENES, MPII, _COUNTS, _SEEDS),
    "clips": SyntheticEntry(ClipConfig(), POSETRACK18, _CLIP_COUNTS, _SEEDS),
    "clip_crowd": SyntheticEntry(CROWD_CLIPS, POSETRACK18, _CLIP_COUNTS, _SEEDS),
}

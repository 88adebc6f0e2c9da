"""Datasets by name, in the folder layouts of their own web pages; and COCO-format files.

To add a dataset, write its reader in ``data/readers/`` (a subclass of ``KeypointImages``), give its
skeleton a name in ``skeletons.py``, and add an entry to ``DATASETS`` at the end of this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from poselib.annotations import AnnotationTable
from poselib.data.keypoint_dataset import KeypointImages
from poselib.data.loaders import SampleSource
from poselib.data.readers.aic import AicKeypoints
from poselib.data.readers.coco import CocoImages, CocoKeypoints
from poselib.data.readers.flic import FlicImages
from poselib.data.readers.hieve import HieveKeypoints, hieve_videos
from poselib.data.readers.lsp import LspImages
from poselib.data.readers.mpii import MpiiImages
from poselib.data.readers.ochuman import OcHumanKeypoints
from poselib.data.readers.uav_human import UavHumanKeypoints
from poselib.data.synthetic.config import CROWD_SCENES, GROUP_SCENES, SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.skeletons import COCO, CROWDPOSE, MPII, OCHUMAN, Skeleton, get_skeleton

Split = Literal["train", "val", "test"]
TrainTest = Literal["train", "test"]

_MPII_CROP = 384  # px
_HIEVE_VAL_VIDEOS = 3


class KeypointDataset(SampleSource, Protocol):
    """A sequence of images with annotated people that knows their skeleton."""

    skeleton: Skeleton

    def annotations(self) -> AnnotationTable: ...


@dataclass(frozen=True)
class SyntheticEntry:
    """A synthetic dataset of the catalog.

    Attributes:
        scenes: default configuration of the scenes.
        skeleton: default skeleton.
        counts: default number of scenes by split.
        seeds: seed by split. Scenes of different seeds are unrelated, so training and held-out
            scenes differ.
    """

    scenes: SceneConfig
    skeleton: Skeleton
    counts: Mapping[str, int]
    seeds: Mapping[str, int]


@dataclass(frozen=True)
class DatasetEntry:
    """A real dataset of the catalog.

    Attributes:
        open: opens a part of the dataset, from its folder, the name that the dataset itself gives
            the part, and whether images without people are kept, as evaluation must.
        splits: the dataset's own name of the part behind each split it has.
    """

    open: Callable[[Path, Any, bool], KeypointImages]
    splits: Mapping[str, str]


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
            ``"groups"`` (groups of people, measured in head sizes as MPII's are), or a real one:
            ``"coco"``, ``"coco_testdev"``, ``"crowdpose"``, ``"ochuman"``, ``"ochuman_val"``,
            ``"mpii"``, ``"aic"``, ``"lsp"``, ``"flic"``, ``"hieve"`` or ``"uav_human"``.
        split: ``"train"``, ``"val"`` or ``"test"``. The last two are the held-out images with
            public labels, and the same ones (such as COCO's val2017) except for OCHuman, which
            publishes a validation and a test set. Two special cases: as in the papers, ``"train"``
            of CrowdPose is trainval, so ``"val"`` is its test set; OCHuman has no training set, and
            ``"train"`` is its validation set.
        folder: the folder of a real dataset, laid out as on the dataset's web page.
        skeleton: skeleton of synthetic people, by default COCO's, in the crowd benchmark
            CrowdPose's and in groups MPII's. A real dataset has its own.
        scenes, count: what synthetic scenes are like and how many there are; by default those of
            the entry in ``SYNTHETIC``.

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
        return SyntheticScenes(
            scenes or entry.scenes,
            entry.counts[split] if count is None else count,
            entry.seeds[split],
            _skeleton(skeleton) if skeleton else entry.skeleton,
        )
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
    annotations: Path | str, images: Path | str, skeleton: Skeleton | str
) -> CocoKeypoints:
    """Open any COCO-format keypoint file as a sequence of samples.

    Args:
        annotations: the JSON file.
        images: the folder that its file names are relative to.
        skeleton: the skeleton that it annotates, or its name.

    Raises:
        FileNotFoundError: the file, the folder or an image is missing.
        ValueError: the skeleton is unknown, no folder is given, or the file has a fault.
    """
    known = _skeleton(skeleton)
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
    return dataset.cached() if isinstance(dataset, SyntheticScenes) else dataset


def _skeleton(skeleton: Skeleton | str) -> Skeleton:
    return get_skeleton(skeleton) if isinstance(skeleton, str) else skeleton


def _check_split(name: str, split: str, splits: Mapping[str, object]) -> None:
    if split not in splits:
        advice = f"; train on {training_dataset_for(name)}" if split == "train" else ""
        listed = ", ".join(f"{known} ({of})" for known, of in splits.items())
        raise ValueError(f"dataset {name!r} has no split {split!r}{advice}; it has {listed}")


def _coco(folder: Path, part: str, keep_empty: bool) -> KeypointImages:
    annotations = folder / "annotations" / f"person_keypoints_{part}.json"
    return CocoKeypoints(annotations, folder / part, COCO, keep_empty=keep_empty)


def _coco_testdev(folder: Path, part: str, keep_empty: bool) -> KeypointImages:
    annotations = folder / "annotations" / f"image_info_{part}.json"
    return CocoImages(annotations, folder / "test2017", COCO)


def _crowdpose(folder: Path, part: str, keep_empty: bool) -> KeypointImages:
    annotations = folder / "json" / f"crowdpose_{part}.json"
    return CocoKeypoints(annotations, folder / "images", CROWDPOSE, keep_empty=keep_empty)


def _ochuman(folder: Path, part: Literal["val", "test"], keep_empty: bool) -> KeypointImages:
    """Read the annotations in COCO's format where they are, else ``ochuman.json``."""
    images = folder / "images"
    annotations = folder / "annotations" / f"ochuman_coco_format_{part}_range_0.00_1.00.json"
    own = folder / "annotations" / "ochuman.json"
    if own.is_file() and not annotations.is_file():
        return OcHumanKeypoints(own, images, part, keep_empty)
    return CocoKeypoints(annotations, images, OCHUMAN, keep_empty)


def _aic(folder: Path, part: str, keep_empty: bool) -> KeypointImages:
    day, shot = {"train": ("20170909", "20170902"), "validation": ("20170911", "20170911")}[part]
    # The training archive is found under either date.
    homes = sorted(folder.glob(f"ai_challenger_keypoint_{part}_*"))
    home = homes[0] if homes else folder / f"ai_challenger_keypoint_{part}_{day}"
    return AicKeypoints(
        home / f"keypoint_{part}_annotations_{day}.json",
        home / f"keypoint_{part}_images_{shot}",
        keep_empty=keep_empty,
    )


def _hieve(folder: Path, part: str, keep_empty: bool) -> KeypointImages:
    """Hold back the last training videos, as the labels of the test videos are not public."""
    labels = folder / "labels" / "train" / "track2&3"
    videos = hieve_videos(labels)
    if len(videos) <= _HIEVE_VAL_VIDEOS:
        raise ValueError(
            f"{labels}: {len(videos)} videos, but {_HIEVE_VAL_VIDEOS} are held back for testing"
        )
    held_back = slice(-_HIEVE_VAL_VIDEOS, None)
    training = slice(None, -_HIEVE_VAL_VIDEOS)
    chosen = videos[training if part == "training videos" else held_back]
    return HieveKeypoints(labels, folder / "images" / "train", chosen, keep_empty=keep_empty)


def _uav_human(folder: Path, part: TrainTest, keep_empty: bool) -> KeypointImages:
    return UavHumanKeypoints(folder / "annotations", folder / "frames", part, keep_empty)


def _mpii(folder: Path, part: TrainTest, keep_empty: bool) -> KeypointImages:
    """Read the original annotations where they are, else those of HRNet's code.

    With the groups of MPII's evaluation, tests are on crops around them, as in HAE, Sec. IV-B.
    """
    original, groups = folder / "mpii_human_pose_v1_u12_1.mat", folder / "groups_v12.mat"
    images = folder / "images"
    if original.is_file() and part == "test" and groups.is_file():
        return MpiiImages.from_mat(
            original, images, "test", "group", groups=groups, crop_size=_MPII_CROP
        )
    if original.is_file():
        return MpiiImages.from_mat(original, images, part)
    annotations = folder / "annot" / f"{'valid' if part == 'test' else 'train'}.json"
    if not annotations.is_file():
        raise FileNotFoundError(f"neither {original} nor {annotations} exists")
    boxes = folder / "annot" / "gt_valid.mat"
    heads = boxes if part == "test" and boxes.is_file() else None
    return MpiiImages.from_json(annotations, images, head_boxes=heads)


def _lsp(folder: Path, part: TrainTest, keep_empty: bool) -> KeypointImages:
    return LspImages(folder / "joints.mat", folder / "images", part)


def _flic(folder: Path, part: TrainTest, keep_empty: bool) -> KeypointImages:
    return FlicImages(folder / "examples.mat", folder / "images", part)


_COUNTS = {"train": 6000, "val": 200, "test": 200}
_SEEDS = {"train": 1, "val": 2, "test": 2}

SYNTHETIC: dict[str, SyntheticEntry] = {
    "synthetic": SyntheticEntry(SceneConfig(), COCO, _COUNTS, _SEEDS),
    "crowd": SyntheticEntry(CROWD_SCENES, CROWDPOSE, _COUNTS, _SEEDS),
    "groups": SyntheticEntry(GROUP_SCENES, MPII, _COUNTS, _SEEDS),
}


def _held_out(train: str, test: str) -> dict[str, str]:
    return {"train": train, "val": test, "test": test}


DATASETS: dict[str, DatasetEntry] = {
    "coco": DatasetEntry(_coco, _held_out("train2017", "val2017")),
    "coco_testdev": DatasetEntry(_coco_testdev, {"test": "test-dev2017"}),
    "crowdpose": DatasetEntry(_crowdpose, _held_out("trainval", "test")),
    "ochuman": DatasetEntry(_ochuman, {"train": "val", "val": "val", "test": "test"}),
    "ochuman_val": DatasetEntry(_ochuman, {"val": "val", "test": "val"}),
    "mpii": DatasetEntry(_mpii, _held_out("train", "test")),
    "aic": DatasetEntry(_aic, _held_out("train", "validation")),
    "lsp": DatasetEntry(_lsp, _held_out("train", "test")),
    "flic": DatasetEntry(_flic, _held_out("train", "test")),
    "hieve": DatasetEntry(_hieve, _held_out("training videos", "last training videos")),
    "uav_human": DatasetEntry(_uav_human, _held_out("train", "test")),
}

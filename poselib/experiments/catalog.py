"""The datasets that experiments name, in the folder layouts that their own pages give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from poselib.data.keypoint_dataset import KeypointImages
from poselib.data.readers.aic import AicKeypoints
from poselib.data.readers.coco import CocoImages, CocoKeypoints
from poselib.data.readers.flic import FlicImages
from poselib.data.readers.hieve import HieveKeypoints, hieve_videos
from poselib.data.readers.lsp import LspImages
from poselib.data.readers.mpii import MpiiImages
from poselib.data.readers.ochuman import OcHumanKeypoints
from poselib.data.readers.uav_human import UavHumanKeypoints
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.engine.evaluate import LabeledImages
from poselib.papers.preset import Preset
from poselib.skeletons import COCO, CROWDPOSE, OCHUMAN, Skeleton, get_skeleton

Split = Literal["train", "test"]

_DRAWN: dict[str, Skeleton] = {"synthetic": COCO, "crowd": CROWDPOSE}
# Scenes of different seeds are unrelated: nothing of the test set is ever trained on.
_SCENE_SEEDS: dict[Split, int] = {"train": 1, "test": 2}
_MPII_CROP = 384  # px
_HIEVE_HELD_BACK = 3


class KeypointDataset(LabeledImages, Protocol):
    """Labeled images that know their skeleton."""

    skeleton: Skeleton


def open_dataset(
    name: str,
    split: Split,
    preset: Preset,
    folder: Path | str = "",
    skeleton: str = "",
) -> KeypointDataset:
    """Open a split of a dataset.

    Args:
        name: ``"synthetic"``, drawn by the preset's recipe; ``"crowd"``, the crowd benchmark, drawn
            by the recipe of ``get_preset(..., "crowd")``; or a real dataset: ``"coco"``,
            ``"coco_testdev"``, ``"crowdpose"``, ``"ochuman"``, ``"ochuman_val"``, ``"mpii"``,
            ``"aic"``, ``"lsp"``, ``"flic"``, ``"hieve"`` or ``"uav_human"``.
        split: ``"train"`` or ``"test"``. Tested is what has public labels: val2017, AIC's
            validation set, the last three of HiEve's training videos; OCHuman's test set has its
            validation set to train on, which ``"ochuman_val"`` tests.
        preset: tells what synthetic scenes are like and how many there are.
        folder: where a real dataset lies; the README shows the layout.
        skeleton: name of the skeleton that drawn people get, by default COCO's and in the crowd
            benchmark CrowdPose's; real people have their dataset's.

    Raises:
        FileNotFoundError: a file of the dataset is absent.
        ValueError: the dataset is unknown, has no such split, was named without its folder, or
            is real and was given a skeleton; or a file does not fit.
    """
    if name in _DRAWN:
        count = preset.train_scenes if split == "train" else preset.test_scenes
        if not count:
            raise ValueError("this preset is for real data: name a dataset and its data_dir")
        drawn = get_skeleton(skeleton) if skeleton else _DRAWN[name]
        return SyntheticScenes(preset.scenes, count, _SCENE_SEEDS[split], drawn)
    if name not in _REAL:
        raise ValueError(f"unknown dataset {name!r}; known: {', '.join([*_DRAWN, *_REAL])}")
    if skeleton:
        raise ValueError(f"dataset {name!r} has a skeleton of its own; {skeleton!r} does not apply")
    if not str(folder):
        raise ValueError(f"dataset {name!r} needs the folder it lies in, parameter data_dir")
    return _REAL[name](Path(folder), split)


def training_dataset_for(name: str) -> str:
    """Return the dataset that networks to be tested on a dataset are trained on.

    Test-dev has no training images, and OCHuman is for testing alone: both are COCO's otherwise.
    """
    return "coco" if name in ("coco_testdev", "ochuman", "ochuman_val") else name


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
    known = get_skeleton(skeleton)
    if not str(images):
        raise ValueError(f"{annotations} needs the folder of its images, parameter images")
    return CocoKeypoints(Path(annotations), Path(images), known)


def cache_in_memory(dataset: KeypointDataset) -> KeypointDataset:
    """Return synthetic scenes drawn once and kept; real images stay where they are."""
    return dataset.cached() if isinstance(dataset, SyntheticScenes) else dataset


def _coco(folder: Path, split: Split) -> KeypointImages:
    part = "train2017" if split == "train" else "val2017"
    annotations = folder / "annotations" / f"person_keypoints_{part}.json"
    return CocoKeypoints(annotations, folder / part, COCO, keep_empty=split == "test")


def _coco_testdev(folder: Path, split: Split) -> KeypointImages:
    if split == "train":
        raise ValueError("coco_testdev has no training images; train on coco")
    annotations = folder / "annotations" / "image_info_test-dev2017.json"
    return CocoImages(annotations, folder / "test2017", COCO)


def _crowdpose(folder: Path, split: Split) -> KeypointImages:
    part = "trainval" if split == "train" else "test"
    annotations = folder / "json" / f"crowdpose_{part}.json"
    return CocoKeypoints(annotations, folder / "images", CROWDPOSE, keep_empty=split == "test")


def _ochuman(folder: Path, split: Split) -> KeypointImages:
    """Its validation set is what there is to train on; most train on COCO and test on both."""
    return _ochuman_part(folder, "val" if split == "train" else "test", split == "test")


def _ochuman_val(folder: Path, split: Split) -> KeypointImages:
    if split == "train":
        raise ValueError("ochuman_val has no training images; train on coco")
    return _ochuman_part(folder, "val", keep_empty=True)


def _ochuman_part(folder: Path, part: Literal["val", "test"], keep_empty: bool) -> KeypointImages:
    images = folder / "images"
    annotations = folder / "annotations" / f"ochuman_coco_format_{part}_range_0.00_1.00.json"
    own = folder / "annotations" / "ochuman.json"
    if own.is_file() and not annotations.is_file():
        return OcHumanKeypoints(own, images, part, keep_empty)
    return CocoKeypoints(annotations, images, OCHUMAN, keep_empty)


def _aic(folder: Path, split: Split) -> KeypointImages:
    part, day, shot = (
        ("train", "20170909", "20170902")
        if split == "train"
        else ("validation", "20170911", "20170911")
    )
    # The training archive is found under either date.
    homes = sorted(folder.glob(f"ai_challenger_keypoint_{part}_*"))
    home = homes[0] if homes else folder / f"ai_challenger_keypoint_{part}_{day}"
    return AicKeypoints(
        home / f"keypoint_{part}_annotations_{day}.json",
        home / f"keypoint_{part}_images_{shot}",
        keep_empty=split == "test",
    )


def _hieve(folder: Path, split: Split) -> KeypointImages:
    """Labels of its test videos are not public: the last training videos are held back."""
    labels = folder / "labels" / "train" / "track2&3"
    videos = hieve_videos(labels)
    if len(videos) <= _HIEVE_HELD_BACK:
        raise ValueError(
            f"{labels}: {len(videos)} videos, but {_HIEVE_HELD_BACK} are held back for testing"
        )
    part = videos[-_HIEVE_HELD_BACK:] if split == "test" else videos[:-_HIEVE_HELD_BACK]
    return HieveKeypoints(labels, folder / "images" / "train", part, keep_empty=split == "test")


def _uav_human(folder: Path, split: Split) -> KeypointImages:
    return UavHumanKeypoints(
        folder / "annotations", folder / "frames", split, keep_empty=split == "test"
    )


def _mpii(folder: Path, split: Split) -> KeypointImages:
    """The original annotations where they are, or else those of HRNet's code.

    With the groups of MPII's evaluation, tests are on crops around them, as in HAE, Sec. IV-B.
    """
    original, groups = folder / "mpii_human_pose_v1_u12_1.mat", folder / "groups_v12.mat"
    if original.is_file() and split == "test" and groups.is_file():
        images = folder / "images"
        return MpiiImages.from_mat(
            original, images, split, "group", groups=groups, crop_size=_MPII_CROP
        )
    if original.is_file():
        return MpiiImages.from_mat(original, folder / "images", split)
    part = "train" if split == "train" else "valid"
    annotations = folder / "annot" / f"{part}.json"
    if not annotations.is_file():
        raise FileNotFoundError(f"neither {original} nor {annotations} exists")
    boxes = folder / "annot" / "gt_valid.mat"
    heads = boxes if split == "test" and boxes.is_file() else None
    return MpiiImages.from_json(annotations, folder / "images", head_boxes=heads)


def _lsp(folder: Path, split: Split) -> KeypointImages:
    return LspImages(folder / "joints.mat", folder / "images", split)


def _flic(folder: Path, split: Split) -> KeypointImages:
    return FlicImages(folder / "examples.mat", folder / "images", split)


_REAL: dict[str, Callable[[Path, Split], KeypointImages]] = {
    "coco": _coco,
    "coco_testdev": _coco_testdev,
    "crowdpose": _crowdpose,
    "ochuman": _ochuman,
    "ochuman_val": _ochuman_val,
    "mpii": _mpii,
    "aic": _aic,
    "lsp": _lsp,
    "flic": _flic,
    "hieve": _hieve,
    "uav_human": _uav_human,
}

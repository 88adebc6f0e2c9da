"""Real datasets by name, in the folder layouts of their own web pages.

To add one, write its reader in ``data/readers/`` (a subclass of ``KeypointImages``), give its
skeleton a name in ``skeletons.py``, and add an entry to ``DATASETS`` at the end of this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from poselib.data.keypoint_dataset import KeypointImages
from poselib.data.readers.aic import AicKeypoints
from poselib.data.readers.coco import CocoImages, CocoKeypoints
from poselib.data.readers.flic import FlicImages
from poselib.data.readers.hieve import HieveKeypoints, hieve_videos
from poselib.data.readers.lsp import LspImages
from poselib.data.readers.mpii import MpiiImages
from poselib.data.readers.ochuman import OcHumanKeypoints
from poselib.data.readers.penn_action import PennActionFrames
from poselib.data.readers.posetrack18 import PoseTrack18Keypoints
from poselib.data.readers.sub_jhmdb import SubJhmdbFrames
from poselib.data.readers.uav_human import UavHumanKeypoints
from poselib.skeletons import COCO, CROWDPOSE, OCHUMAN

TrainTest = Literal["train", "test"]

_MPII_CROP = 384  # px
_HIEVE_VAL_VIDEOS = 3
_HIEVE_HELD_BACK = ("3", "7", "8", "17")


@dataclass(frozen=True)
class DatasetEntry:
    """A real dataset of the catalog.

    Attributes:
        open: opens a part of the dataset, from its folder, the name that the dataset itself gives
            the part, and whether images without people are kept, as evaluation must.
        splits: the dataset's own name of the part behind each split it has.
        files: patterns of its annotation files in its folder, which the results depend on.
    """

    open: Callable[[Path, Any, bool], KeypointImages]
    splits: Mapping[str, str]
    files: tuple[str, ...]


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


def _hieve_clips(folder: Path, part: str, keep_empty: bool) -> KeypointImages:
    """Hold back the training videos that RPSTN, Sec. IV, is validated on."""
    labels = folder / "labels" / "train" / "track2&3"
    held_back = part != "training videos"
    chosen = [v for v in hieve_videos(labels) if (v in _HIEVE_HELD_BACK) == held_back]
    if not chosen:
        raise ValueError(f"{labels}: none of its videos are {part}")
    images = folder / "images" / "train"
    return HieveKeypoints(labels, images, chosen, keep_empty=keep_empty, tracks=True)


def _penn_action(folder: Path, part: TrainTest, keep_empty: bool) -> KeypointImages:
    return PennActionFrames(folder / "labels", folder / "frames", part, keep_empty)


def _sub_jhmdb(number: Literal[1, 2, 3]) -> Callable[[Path, Any, bool], KeypointImages]:
    """Read the original annotations where their splits are, else those converted to JSON."""

    def read(folder: Path, part: TrainTest, keep_empty: bool) -> KeypointImages:
        annotations = folder / "annotations" / f"Sub{number}_{part}.json"
        if (folder / "sub_splits").is_dir() or not annotations.is_file():
            return SubJhmdbFrames(folder, number, part, keep_empty)
        return SubJhmdbFrames.from_json(annotations, folder, keep_empty)

    return read


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


def _posetrack18(folder: Path, part: str, keep_empty: bool) -> KeypointImages:
    return PoseTrack18Keypoints(folder / "annotations" / part, folder, keep_empty)


def _held_out(train: str, test: str) -> dict[str, str]:
    return {"train": train, "val": test, "test": test}


_HIEVE_LABELS = ("labels/train/track2&3/*.json",)
_SUB_JHMDB = ("sub_splits/*.txt", "joint_positions/**/*.mat", "puppet_mask/**/*.mat")


DATASETS: dict[str, DatasetEntry] = {
    "coco": DatasetEntry(
        _coco, _held_out("train2017", "val2017"), ("annotations/person_keypoints_*2017.json",)
    ),
    "coco_testdev": DatasetEntry(
        _coco_testdev, {"test": "test-dev2017"}, ("annotations/image_info_test-dev2017.json",)
    ),
    "crowdpose": DatasetEntry(
        _crowdpose, _held_out("trainval", "test"), ("json/crowdpose_*.json",)
    ),
    "ochuman": DatasetEntry(
        _ochuman, {"train": "val", "val": "val", "test": "test"}, ("annotations/ochuman*.json",)
    ),
    "ochuman_val": DatasetEntry(
        _ochuman, {"val": "val", "test": "val"}, ("annotations/ochuman*.json",)
    ),
    "mpii": DatasetEntry(
        _mpii, _held_out("train", "test"), ("*.mat", "annot/*.json", "annot/*.mat")
    ),
    "aic": DatasetEntry(
        _aic,
        _held_out("train", "validation"),
        ("ai_challenger_keypoint_*/keypoint_*_annotations_*.json",),
    ),
    "lsp": DatasetEntry(_lsp, _held_out("train", "test"), ("joints.mat",)),
    "flic": DatasetEntry(_flic, _held_out("train", "test"), ("examples.mat",)),
    "hieve": DatasetEntry(
        _hieve, _held_out("training videos", "last training videos"), _HIEVE_LABELS
    ),
    "uav_human": DatasetEntry(_uav_human, _held_out("train", "test"), ("annotations/**/*.json",)),
    "hieve_clips": DatasetEntry(
        _hieve_clips, _held_out("training videos", "videos 3, 7, 8, 17"), _HIEVE_LABELS
    ),
    "penn_action": DatasetEntry(_penn_action, _held_out("train", "test"), ("labels/*.mat",)),
    "sub_jhmdb_1": DatasetEntry(
        _sub_jhmdb(1), _held_out("train", "test"), (*_SUB_JHMDB, "annotations/Sub1_*.json")
    ),
    "sub_jhmdb_2": DatasetEntry(
        _sub_jhmdb(2), _held_out("train", "test"), (*_SUB_JHMDB, "annotations/Sub2_*.json")
    ),
    "sub_jhmdb_3": DatasetEntry(
        _sub_jhmdb(3), _held_out("train", "test"), (*_SUB_JHMDB, "annotations/Sub3_*.json")
    ),
    "posetrack18": DatasetEntry(_posetrack18, _held_out("train", "val"), ("annotations/*/*.json",)),
}

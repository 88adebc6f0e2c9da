"""Corpora of annotations of videos: PoseTrack18, Penn Action, Sub-JHMDB, HiEve, boxes of people."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from poselib.data.catalog import open_dataset
from poselib.data.clips import VideoClips
from poselib.data.readers.detections import read_detections
from poselib.data.readers.hieve import HieveKeypoints
from poselib.data.readers.posetrack18 import PoseTrack18Keypoints
from poselib.data.readers.sub_jhmdb import SubJhmdbFrames
from poselib.skeletons import SUB_JHMDB
from tests.data.factories import hieve, posetrack18
from tests.data.factories.images import images
from tests.data.factories.mat import save
from tests.fuzz.arrays import odd_fields
from tests.fuzz.corpus import Corpus, Rng
from tests.fuzz.datasets import hieve_folder, json_corpus, mat_corpus, several_files, use
from tests.fuzz.raw_bytes import damage


def posetrack_folder(folder: Path) -> None:
    posetrack18.write(folder, posetrack18.labels())


def read_posetrack(folder: Path) -> None:
    frames = PoseTrack18Keypoints(folder / "annotations" / "val", folder)
    use(frames)
    clips = VideoClips(frames)
    for n in range(min(len(clips), 2)):
        assert all(np.isfinite(frame.keypoints).all() for frame in clips[n].frames)


def penn_action() -> dict[str, Any]:
    joints, frames = np.arange(13), np.arange(3)[:, None]
    return {
        **{"x": 10.0 + joints + frames, "y": 2.0 * joints + 1 + 0 * frames},
        **{"visibility": 1.0 + 0 * joints + 0 * frames, "train": np.array([[1.0]])},
        **{"bbox": np.array([[5, 3, 24, 30.0]] * 3), "action": np.array(["jump"], object)},
        **{"dimensions": np.array([[40.0, 60, 3]]), "nframes": np.array([[3.0]])},
    }


def penn_folder(folder: Path) -> None:
    (folder / "labels").mkdir()
    images(folder, [f"frames/0001/{n:06d}.jpg" for n in (1, 2, 3)])


def sub_jhmdb() -> dict[str, dict[str, Any]]:
    """The variables of the two files of MATLAB of a clip of three frames."""
    joints, frames = np.arange(15)[:, None], np.arange(3)
    position = np.stack([20.0 + joints + frames, joints + 1.0 + 0 * frames])
    mask = np.zeros((40, 60, 3), np.uint8)
    mask[2:30, 10:41] = 1
    return {"joint_positions": {"pos_img": position}, "puppet_mask": {"part_mask": mask}}


def sub_jhmdb_folder(folder: Path) -> None:
    images(folder, [f"Rename_Images/walk/a/{n:05d}.png" for n in (1, 2, 3)])
    for name in (*(f"{kind}/walk/a" for kind in sub_jhmdb()), "sub_splits"):
        (folder / name).mkdir(parents=True)


def write_sub_jhmdb(rng: Rng, folder: Path) -> None:
    """Write the clip and the list of clips, one of which is changed or damaged."""
    changed = str(rng.choice([*sub_jhmdb(), "sub_splits"]))
    for kind, variables in sub_jhmdb().items():
        path = folder / kind / "walk" / "a" / f"{kind}.mat"
        save(path, **variables)
        if kind == changed:
            (name,) = variables
            holder = np.array([None])  # so that all of the variable may be replaced
            holder[0] = variables[name]
            odd_fields(rng, holder if rng.random() < 0.5 else holder[0])
            with contextlib.suppress(TypeError, ValueError):  # what cannot be written
                save(path, **{name: holder[0]})
            if rng.random() < 0.5:
                path.write_bytes(damage(rng, path.read_bytes()))
    data = b"a.avi 1\nb.avi 2\n"
    if changed == "sub_splits":
        data = damage(rng, data)
    (folder / "sub_splits" / "walk_test_split_1.txt").write_bytes(data)


def sub_jhmdb_json() -> dict[str, Any]:
    """The same clip in the converted files."""
    points = [value for k in range(15) for value in (20 + k, k + 1, 2)]
    person = {"category_id": 1, "track_id": 0, "keypoints": points, "bbox": [10, 2, 30, 28]}
    names = [name if name != "face" else "head" for name in SUB_JHMDB.keypoints]
    listed = [
        {"id": n, "file_name": f"Rename_Images/walk/a/{n:05d}.png", "height": 40, "width": 60}
        for n in (1, 2, 3)
    ]
    people = [{**person, "id": n, "image_id": n} for n in (1, 2, 3)]
    category = {"id": 1, "name": "person", "keypoints": names}
    return {"images": listed, "annotations": people, "categories": [category]}


def hieve_videos() -> dict[str, Any]:
    content = hieve.labels()
    content["10"]["annolist"][0]["annorect"][1]["track_id"] = [8]
    return content


def detections() -> list[dict[str, Any]]:
    """Boxes of people of the two images of ``coco_content``."""
    box = {"category_id": 1, "bbox": [2.0, 2.0, 20.0, 20.0]}
    return [{**box, "image_id": 1 + n % 2, "score": 0.9 - 0.1 * n} for n in range(4)]


def read_boxes(folder: Path) -> None:
    for boxes in read_detections(folder / "a.json", (1, 2), 0.1).values():
        assert (boxes.corners[:, 2:] > boxes.corners[:, :2]).all(), "boxes without area"
        assert np.isfinite(boxes.corners).all() and np.isfinite(boxes.scores).all()


VIDEOS: dict[str, Corpus] = {
    "posetrack18": several_files(
        0.04,
        {posetrack18.VIDEO: posetrack18.labels()},
        "annotations/val/{}.json",
        read_posetrack,
        posetrack_folder,
    ),
    "penn_action": mat_corpus(
        0.02,
        penn_action,
        lambda f: use(open_dataset("penn_action", "train", f)),
        penn_folder,
        "labels/0001.mat",
    ),
    "sub_jhmdb": Corpus(
        0.02,
        sub_jhmdb_folder,
        write_sub_jhmdb,
        lambda f: use(open_dataset("sub_jhmdb_1", "train", f)),
    ),
    "sub_jhmdb_json": json_corpus(
        0.01,
        sub_jhmdb_json,
        lambda f: use(SubJhmdbFrames.from_json(f / "a.json", f)),
        sub_jhmdb_folder,
    ),
    "hieve_clips": several_files(
        0.01,
        hieve_videos(),
        "labels/{}.json",
        lambda f: use(HieveKeypoints(f / "labels", f / "images", tracks=True)),
        hieve_folder,
    ),
    "detections": json_corpus(0.01, detections, read_boxes, lambda folder: None),
}

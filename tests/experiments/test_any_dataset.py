"""Whatever holds annotated images is opened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poselib.data.catalog import open_dataset
from poselib.data.clips import PersonClips, VideoClips
from poselib.data.readers.coco import CocoImages
from poselib.data.synthetic.config import ClipConfig, SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes, write_scenes
from poselib.experiments.any_dataset import annotations_of, open_any
from poselib.skeletons import COCO, CROWDPOSE, POSETRACK18

SCENES = SyntheticScenes(SceneConfig(size=64), 3, 5, COCO).cached()


def test_names_folders_files_and_datasets(tmp_path: Path) -> None:
    named, skeleton, name = open_any("crowd", count=2)
    assert len(named) == 2 and (skeleton, name) == (CROWDPOSE, "crowd")
    assert open_any(SCENES) == (SCENES, COCO, "")
    folder = write_scenes(tmp_path / "scenes", SceneConfig(size=64), 3, 5, COCO)
    (file,) = folder.glob("**/*.json")
    for place in (str(folder), file):
        opened, skeleton, _ = open_any(place)
        assert skeleton.keypoints == COCO.keypoints
        assert np.array_equal(opened[1].image, SCENES[1].image)
    with pytest.raises(FileNotFoundError, match="no folder, file or dataset moon; known: synthet"):
        open_any("moon")
    with pytest.raises(ValueError, match="needs its folder"):
        open_any("coco")
    with pytest.raises(ValueError, match="a dataset is wanted, a name, a folder or samples, not 5"):
        open_any(5)


def test_images_without_public_annotations_have_no_people(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "scenes", SceneConfig(size=64), 2, 5, COCO)
    (file,) = folder.glob("**/*.json")
    listed = CocoImages(file, folder / "images", COCO)
    assert len(annotations_of(listed, COCO).image_ids) == 2
    assert len(annotations_of(listed, COCO)) == 0


def test_frames_take_the_place_of_clips() -> None:
    frames = open_dataset("clips", "val", scenes=ClipConfig(size=64, frames=4), count=1)
    for clips in (VideoClips(frames, 2), PersonClips(frames, 2)):
        opened, skeleton, _ = open_any(clips)
        assert opened is frames and skeleton is POSETRACK18


def test_samples_are_counted_as_they_are() -> None:
    samples = [replace(SCENES[n], image_id=0) for n in range(3)]
    table, own = annotations_of(samples, COCO), SCENES.annotations()
    assert np.array_equal(table.images, own.images)
    assert np.allclose(table.keypoints, own.keypoints, atol=1e-3)
    assert np.allclose(table.boxes, own.boxes, atol=1e-2)
    assert annotations_of(SCENES, COCO).source == own.source
    pictures = annotations_of([SCENES[0].image.transpose(1, 2, 0)] * 2, COCO)
    assert len(pictures.image_ids) == 2 and len(pictures) == 0
    with pytest.raises(ValueError, match="sample 0: 17 keypoints, but skeleton 'crowdpose' has 14"):
        annotations_of(samples, CROWDPOSE)

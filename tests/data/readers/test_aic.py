"""AI Challenger's own files, written here as its task description lays them out, and a sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poselib.data.readers.aic import AicKeypoints
from poselib.data.readers.coco import CocoKeypoints
from poselib.ops.oks import object_keypoint_similarity
from poselib.skeletons import AIC, CROWDPOSE
from tests.data.factories.aic import NAMES, content, write
from tests.data.factories.images import perfect_results
from tests.metrics.factories import ap_of


def test_keypoints_and_areas(tmp_path: Path) -> None:
    dataset = AicKeypoints(write(tmp_path, content()), tmp_path)
    assert dataset.skeleton is AIC and dataset.image_ids == (1, 2, 3)
    first = dataset[0]
    assert dataset.image_path(0).name == f"{NAMES[0]}.jpg"
    # Boxes and keypoints meet by the person's name, not by their order.
    assert first.keypoints[0, 0].tolist() == [3.5, 6.5, 2]
    assert first.keypoints[1, 1].tolist() == [23.5, 14.5, 2]
    # Mark 1 is visible, 2 is hidden and 3 is not labeled.
    assert first.keypoints[1, 0].tolist() == [22.5, 12.5, 1]
    assert first.keypoints[1, 5].tolist() == [0, 0, 0] == first.keypoints[1, 13].tolist()
    # The whole box, as the dataset's own evaluation has it.
    assert first.areas.tolist() == [40 * 40, 30 * 34]


def test_people_without_keypoints_are_ignored(tmp_path: Path) -> None:
    sample = AicKeypoints(write(tmp_path, content()), tmp_path)[1]
    assert len(sample.keypoints) == 0
    assert sample.ignore_mask[2:8, 4:10].all() and sample.ignore_mask.sum() == 36


def test_images_without_people_can_be_left_out(tmp_path: Path) -> None:
    dataset = AicKeypoints(write(tmp_path, content()), tmp_path, keep_empty=False)
    assert dataset.image_ids == (1,)


def aic_similarity(people: np.ndarray, found: np.ndarray, box: list[float]) -> float:
    """What the dataset's evaluation computes for a person, written from its description.

    Only visible keypoints count there; the constants are ``2 * sigma`` and the scale is the box.
    """
    visible = people[:, 2] == 2
    distance = ((people[:, :2] - found)[visible] ** 2).sum(axis=1)
    delta = 2 * np.array(AIC.sigmas)[visible]
    scale = (box[2] - box[0]) * (box[3] - box[1])
    return float(np.exp(-distance / 2 / delta**2 / (scale + 1)).mean())


def test_oks_equals_the_official_evaluation(tmp_path: Path) -> None:
    """Ours and its differ by the hidden keypoints, and by 1 px² in the scale."""
    sample = AicKeypoints(write(tmp_path, content()), tmp_path)[0]
    found = sample.keypoints[:1, :, :2] + np.linspace(0, 3, 14)[None, :, None].astype(np.float32)
    ours = object_keypoint_similarity(found, sample.keypoints[:1], sample.areas[:1], AIC.sigmas)
    theirs = aic_similarity(sample.keypoints[0], found[0], [0, 5, 40, 45])
    assert 0.1 < theirs < 0.9
    assert float(ours[0, 0]) == pytest.approx(theirs, rel=1e-3)


def test_ground_truth_evaluates_to_ap_one(tmp_path: Path) -> None:
    dataset = AicKeypoints(write(tmp_path, content()), tmp_path)
    truth = dataset.annotations()
    assert dataset.sizes()[0] == (50, 60)
    assert truth.keypoints[0, 0].tolist() == [3, 6, 2]
    assert ap_of(truth, perfect_results(dataset), AIC).AP > 1 - 1e-9


# Bad input

Change = Callable[[list[dict[str, Any]]], object]


def in_keypoints(index: int, value: object) -> Change:
    return lambda data: data[0]["keypoint_annotations"]["human1"].__setitem__(index, value)


BAD: list[tuple[Change, str]] = [
    (lambda d: d[0].pop("image_id"), "image_id: expected text"),
    (lambda d: d[0].pop("human_annotations"), "human_annotations: expected an object"),
    (lambda d: d[0].pop("keypoint_annotations"), "keypoint_annotations: expected an object"),
    (
        lambda d: d[0]["human_annotations"].pop("human2"),
        r"\['human2'\] have keypoints, but no box",
    ),
    (
        lambda d: d[0]["human_annotations"].update(human1=[1, 2, 3]),
        "human_annotations: human1: expected 4 numbers, found 3",
    ),
    (
        lambda d: d[0]["keypoint_annotations"].update(human1=[1, 2, 1]),
        "keypoint_annotations: human1: expected 42 numbers, found 3",
    ),
    (in_keypoints(4, None), "human1: expected finite numbers"),
    (in_keypoints(2, 0), "human1: visibility must be 1, 2 or 3"),
    (in_keypoints(2, 1.5), "human1: visibility must be 1, 2 or 3"),
    (lambda d: d.append(4), r"\[3\]: expected an object, found int"),
    (lambda d: d.clear(), "empty dataset: it lists no images"),
]


@pytest.mark.parametrize(("change", "words"), BAD, ids=[words[-28:] for _, words in BAD])
def test_bad_files_are_refused_by_name(change: Change, words: str, tmp_path: Path) -> None:
    data = content()
    change(data)
    with pytest.raises(ValueError, match=rf"people\.json.*{words}"):
        AicKeypoints(write(tmp_path, data), tmp_path)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"people\.json: expected a list of objects, found dict"):
        AicKeypoints(write(tmp_path, {"images": [], "annotations": []}), tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist"):
        AicKeypoints(tmp_path / "none.json", tmp_path)
    path = write(tmp_path, content())
    (tmp_path / f"{NAMES[1]}.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 3 images: a1\.jpg"):
        AicKeypoints(path, tmp_path)


# The converted sample, in COCO's format


@pytest.mark.samples
def test_converted_sample(samples_dir: Path) -> None:
    folder = samples_dir / "aic"
    dataset = CocoKeypoints(folder / "test_aic.json", folder, AIC)
    people = [sample.keypoints for sample in dataset]
    assert len(dataset) == 3 and sum(map(len, people)) == 9
    # The first person annotated: a visible right shoulder at pixel (313, 201), a hidden left one.
    first = next(p for sample in people for p in sample if p[0].tolist() == [313.5, 201.5, 2])
    assert first[AIC.index("left_shoulder")].tolist() == [406.5, 197.5, 1]
    assert first[AIC.index("head_top")].tolist() == [395.5, 74.5, 2]
    for sample in dataset:
        limits = np.array(sample.size[::-1])
        assert ((sample.keypoints[..., :2] >= 0) & (sample.keypoints[..., :2] <= limits)).all()
    # Heads are above hips, in every person with both.
    whole = np.concatenate(people)
    head, hip = whole[:, AIC.index("head_top")], whole[:, AIC.index("left_hip")]
    both = (head[:, 2] > 0) & (hip[:, 2] > 0)
    assert both.sum() >= 3 and (head[both, 1] < hip[both, 1]).all()
    with pytest.raises(ValueError, match=r"keypoints are .*Right Shoulder.*'crowdpose' expects"):
        CocoKeypoints(folder / "test_aic.json", folder, CROWDPOSE)


@pytest.mark.parametrize("keypoints", ["absent", None, []])
def test_who_has_only_a_box_is_ignored_there(keypoints: object, tmp_path: Path) -> None:
    data = content()
    listed = data[0]["keypoint_annotations"]
    listed.pop("human2") if keypoints == "absent" else listed.update(human2=keypoints)
    sample = AicKeypoints(write(tmp_path, data), tmp_path)[0]
    assert len(sample.keypoints) == 1
    assert sample.ignore_mask[10:44, 20:50].all() and sample.ignore_mask.sum() == 34 * 30

"""Evaluation of a system that outputs the ground truth, and of given poses."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from poselib.annotations import AnnotationTable
from poselib.data.catalog import open_dataset
from poselib.data.readers.coco import CocoKeypoints, read_annotations
from poselib.data.readers.mpii import MpiiImages
from poselib.data.synthetic.dataset import SceneConfig, SyntheticScenes
from poselib.engine.evaluate import HeadSizedImages, LabeledImages, evaluate, evaluate_poses
from poselib.engine.inference import PredictOptions
from poselib.engine.predict import predict
from poselib.engine.train import train
from poselib.engine.train_config import TrainConfig
from poselib.metrics.pck import multi_person_ap, single_person_pckh
from poselib.skeletons import COCO, CROWDPOSE, MPII, Skeleton, get_skeleton
from poselib.structures import Poses, Sample
from poselib.systems import System, build
from tests.engine.factories import Marked, truth_system
from tests.metrics.factories import ap_of, coco_document

SMALL = PredictOptions(size=128, batch_size=8, flip=False)


def scenes(skeleton: Skeleton = COCO, count: int = 60) -> SyntheticScenes:
    return drawn(skeleton.name, count)


@cache
def drawn(skeleton: str, count: int) -> SyntheticScenes:
    recipe = SceneConfig(size=128, people=(1, 3))
    return SyntheticScenes(recipe, count, 7, get_skeleton(skeleton)).cached()


def perfect(dataset: LabeledImages, skeleton: Skeleton, options: PredictOptions, **changes):
    system = truth_system(dataset, options, skeleton, **changes)
    return evaluate(system, Marked(dataset), options)


@pytest.mark.slow
@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE])
@pytest.mark.parametrize("progressive", [True, False])
def test_ground_truth_as_outputs_gives_a_perfect_ap(skeleton: Skeleton, progressive: bool) -> None:
    dataset = scenes(skeleton)
    evaluated = perfect(dataset, skeleton, SMALL, progressive=progressive)
    assert evaluated.ap.AP >= 0.98 and evaluated.ap.AP50 >= 0.99
    assert len(evaluated.poses) == len(dataset)
    assert sum(map(len, evaluated.poses)) == len(evaluated.comparison.found)


@pytest.mark.parametrize("changes", [{"flip": True}, {"scales": (1.0, 0.5)}, {"size": 192}])
def test_flips_scales_and_sizes_keep_a_perfect_ap(changes: dict) -> None:
    evaluated = perfect(scenes(count=12), COCO, replace(SMALL, **changes))
    assert evaluated.ap.AP >= 0.98


@pytest.mark.samples
@pytest.mark.parametrize("progressive", [True, False])
@pytest.mark.parametrize(
    ("name", "file", "skeleton"),
    [("coco", "test_coco.json", COCO), ("crowdpose", "test_crowdpose.json", CROWDPOSE)],
)
def test_ground_truth_of_real_samples_gives_a_perfect_ap(
    samples_dir: Path, name: str, file: str, skeleton: Skeleton, progressive: bool
) -> None:
    dataset = CocoKeypoints(samples_dir / name / file, samples_dir / name, skeleton)
    options = PredictOptions(size=512, flip=False)
    evaluated = perfect(dataset, skeleton, options, progressive=progressive)
    assert evaluated.ap.AP >= 0.98


def test_missing_annotations_are_refused_before_prediction() -> None:
    class Bare(Marked):
        def annotations(self) -> AnnotationTable:
            raise ValueError("has no annotations")

        def __getitem__(self, index: int) -> Sample:
            raise AssertionError("read an image")

    with pytest.raises(ValueError, match="has no annotations"):
        evaluate(any_system(COCO), Bare(scenes(count=2)))


def test_poses_of_other_images_have_a_low_ap() -> None:
    dataset = scenes(count=6)
    system = truth_system(dataset, SMALL, COCO)
    poses = predict(system, Marked(dataset), SMALL)
    good, shuffled = (evaluate_poses(dataset, each, COCO) for each in (poses, poses[::-1]))
    assert good.ap.AP > 0.95 and shuffled.ap.AP < 0.2


def test_shifted_poses_have_a_lower_ap() -> None:
    dataset = scenes(count=6)
    system = truth_system(dataset, SMALL, COCO)
    poses = predict(system, Marked(dataset), SMALL)
    moved = [replace(p, keypoints=p.keypoints + np.float32(3)) for p in poses]
    good, shifted = (evaluate_poses(dataset, each, COCO).ap.AP for each in (poses, moved))
    assert shifted < good - 0.05


def test_no_poses_have_an_ap_of_zero() -> None:
    dataset = scenes(count=3)
    assert evaluate_poses(dataset, [Poses.empty(17)] * 3, COCO).ap.AP == 0


def test_one_prediction_per_image_is_required() -> None:
    dataset = scenes(count=3)
    with pytest.raises(ValueError, match="2 predictions for 3 images"):
        evaluate_poses(dataset, [Poses.empty(17)] * 2, COCO)


def true_poses(dataset: LabeledImages) -> list[Poses]:
    """Return the annotated people with scores of 1."""
    poses = []
    for i in range(len(dataset)):
        keypoints = dataset[i].keypoints
        scores = (keypoints[..., 2] > 0).astype(np.float32)
        xy = np.where(scores[..., None] > 0, keypoints[..., :2], np.float32(0))
        poses.append(Poses(xy, scores, np.ones(len(keypoints), np.float32)))
    return poses


def any_system(skeleton: Skeleton) -> System:
    return build("hae", skeleton, backbone="hrnet_tiny")


def test_crowd_indices_add_three_numbers() -> None:
    dataset = scenes(CROWDPOSE, 12)
    poses = true_poses(dataset)
    found = evaluate_poses(dataset, poses, CROWDPOSE)
    results = [r for n, each in enumerate(poses) for r in each.to_coco(n)]
    expected = ap_of(coco_document(dataset), results, CROWDPOSE, by_crowding=True)
    assert found.ap.as_dict() == pytest.approx(expected.as_dict(), nan_ok=True)
    assert found.ap.AP_crowd_easy == pytest.approx(1)
    plain = evaluate_poses(WithoutIndices(dataset), poses, CROWDPOSE)
    assert plain.ap.AP == found.ap.AP and plain.ap.AP_crowd_easy is None
    assert len(plain.ap.as_dict()) == 10


def test_each_keypoint_has_its_own_ap() -> None:
    dataset = scenes(count=12)
    poses = true_poses(dataset)
    wrist = COCO.index("left_wrist")
    for one in poses:
        one.keypoints[:, wrist] += 30
    found = evaluate_poses(dataset, poses, COCO)
    assert found.keypoint_ap["left_wrist"] < 0.1
    assert found.keypoint_ap["right_wrist"] == pytest.approx(1)
    assert found.reasons == ()


def test_reasons_for_a_low_ap_are_given_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    dataset = scenes(count=12)
    poses = true_poses(dataset)
    turned = [replace(p, keypoints=p.keypoints[..., ::-1].copy()) for p in poses]
    with caplog.at_level(logging.WARNING):
        found = evaluate_poses(dataset, turned, COCO)
    assert found.ap.AP < 0.05
    assert len(found.reasons) == 1 and "x and y are exchanged" in found.reasons[0]
    assert [r.getMessage() for r in caplog.records] == [
        f"AP is {found.ap.AP:.3f}: {found.reasons[0]}"
    ]
    caplog.clear()
    assert evaluate_poses(dataset, poses, COCO).reasons == () and not caplog.records
    assert not evaluate_poses(dataset, turned, COCO, explain=False).reasons and not caplog.records
    assert evaluate_poses(dataset, [Poses.empty(17)] * 12, COCO).reasons == (
        "there are no detections in the evaluated images",
    )


def test_annotations_alone_suffice_and_the_result_is_readable() -> None:
    annotations = scenes(count=3).annotations()
    found = evaluate_poses(annotations, true_poses(scenes(count=3)), COCO)
    people = len(annotations)
    first, numbers = repr(found).splitlines()
    assert first == f"Evaluation of {people} detections of {people} people in 3 images"
    assert numbers.split()[:2] == ["AP", "1.000"]
    table = found.to_dataframe()
    assert table.loc["AP", "value"] == found.ap.AP and table.loc["AP nose", "value"] == 1
    assert len(table) == len(found.as_dict()) + len(COCO)
    empty = evaluate_poses(annotations, [Poses.empty(17)] * 3, COCO)
    assert repr(empty).endswith("there are no detections in the evaluated images")
    assert repr(annotations).startswith(f"AnnotationTable of {people} people with 17 keypoints")


class WithoutIndices:
    """A dataset without crowd indices."""

    def __init__(self, dataset: LabeledImages) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[index]

    def annotations(self) -> AnnotationTable:
        return replace(self.dataset.annotations(), crowd_indices={})


class WithHeads:
    """People with head sizes, the i-th image's of 8 + i px; some crowds between them."""

    def __init__(self, unit: str, counts: list[int]) -> None:
        self.unit, self.counts = unit, counts
        rng = np.random.default_rng(0)
        self.people = [rng.uniform(5, 120, (n, len(MPII), 3)) for n in counts]
        for people in self.people:
            people[..., 2] = rng.random(people.shape[:2]) < 0.9

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, index: int) -> Sample:
        raise AssertionError("images are not needed")

    def head_sizes(self, index: int) -> np.ndarray:
        return np.full(self.counts[index], 8.0 + index)

    def annotations(self) -> AnnotationTable:
        crowd = {"keypoints": [0] * 48, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 1}
        rows = []
        for image, people in enumerate(self.people):
            rows.append({"image_id": image, **crowd})
            for one in people - (0.5, 0.5, 0):
                box = [0, 0, 120, 120]
                rows.append({"image_id": image, "keypoints": one.ravel().tolist(), "bbox": box})
        content = {
            "images": [{"id": i} for i in range(len(self))],
            "annotations": [{"id": n, "category_id": 1, **row} for n, row in enumerate(rows, 1)],
            "categories": [{"id": 1}],
        }
        return read_annotations(content, MPII)

    def poses(self) -> list[Poses]:
        """Everyone, up to 6 px beside the truth."""
        rng = np.random.default_rng(1)
        found = []
        for people in self.people:
            xy = (people[..., :2] + rng.uniform(-6, 6, people[..., :2].shape)).astype(np.float32)
            scores = rng.random(xy.shape[:2]).astype(np.float32)
            found.append(Poses(xy, scores, scores.mean(axis=1)))
        return found


def test_groups_with_head_sizes_have_the_ap_of_mpii() -> None:
    dataset = WithHeads("group", [2, 0, 3, 1])
    poses, sizes = dataset.poses(), [dataset.head_sizes(i) for i in range(4)]
    assert isinstance(dataset, HeadSizedImages)
    found = evaluate_poses(dataset, poses, MPII)
    assert found.pckh_ap == multi_person_ap(poses, dataset.people, sizes, MPII)
    assert found.pckh_ap is not None and 0.2 < found.pckh_ap.total < 0.9
    assert found.pckh is None and found.pckh_tenth is None
    numbers = found.as_dict()
    assert numbers["pckh_ap_wrist"] == found.pckh_ap.wrist and numbers["AP"] == found.ap.AP
    assert len(numbers) == 10 + 8


def test_single_people_with_head_sizes_have_pckh() -> None:
    dataset = WithHeads("person", [1, 1, 0, 1])
    poses = dataset.poses()
    found = evaluate_poses(dataset, poses, MPII)
    kept = [poses[n] for n in (0, 1, 3)]
    people, sizes = np.concatenate(dataset.people), np.array([8.0, 9.0, 11.0])
    assert found.pckh == single_person_pckh(kept, people, sizes, MPII)
    assert found.pckh_tenth == single_person_pckh(kept, people, sizes, MPII, 0.1)
    assert found.pckh_ap is None and found.pckh.total > found.pckh_tenth.total
    assert found.as_dict()["pckh_tenth_total"] == found.pckh_tenth.total
    empty = WithHeads("person", [0, 0])
    assert evaluate_poses(empty, empty.poses(), MPII).pckh is None


@pytest.mark.samples
@pytest.mark.parametrize("unit", ["person", "image"])
def test_real_mpii_samples_have_head_sizes(samples_dir: Path, unit: str) -> None:
    folder = samples_dir / "mpii"
    dataset = MpiiImages.from_json(folder / "test_mpii.json", folder, unit)  # type: ignore[arg-type]
    found = evaluate_poses(dataset, true_poses(dataset), MPII)
    assert found.ap.AP > 0.999
    parts = found.pckh if unit == "person" else found.pckh_ap
    assert parts is not None and parts.total == 1


def test_other_datasets_have_no_head_sizes() -> None:
    dataset = scenes(count=2)
    assert dataset.unit == ""


def test_synthetic_groups_are_measured_in_head_sizes() -> None:
    """HAE, Table V: keypoints count up to half a head size from the annotated ones."""
    dataset = scenes(MPII, 6)
    assert dataset.unit == "group"
    for off, total in ((0.0, 1), (0.48, 1), (0.52, 0)):
        shifts = [np.nan_to_num(dataset.head_sizes(i))[:, None, None] * off for i in range(6)]
        moved = [
            replace(
                poses, keypoints=poses.keypoints + np.float32([0, 1]) * shift.astype(np.float32)
            )
            for poses, shift in zip(true_poses(dataset), shifts, strict=True)
        ]
        found = evaluate_poses(dataset, moved, MPII, explain=False)
        assert found.pckh is None and found.pckh_ap is not None
        assert found.pckh_ap.total == pytest.approx(total, abs=0.05)


def test_a_dataset_of_other_keypoints_is_refused_before_the_network_runs(tmp_path: Path) -> None:
    system = build("jre", "coco", backbone="hrnet_tiny", height=64, width=64)
    clips = open_dataset("clips", "val", count=1)
    message = "annotates the 15 keypoints of 'posetrack18'; the system predicts the 17 of 'coco'"
    with pytest.raises(ValueError, match=message):
        evaluate(system, clips)
    with pytest.raises(ValueError, match=message):
        train(system, clips, TrainConfig(steps=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()

"""Every system is built, trained, evaluated and taken up again with 1, 5, 21 and 133 keypoints."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poselib.analysis.dataset_statistics import annotation_statistics
from poselib.annotations import PIXEL_CENTER, AnnotationTable
from poselib.data.augmentation import Augment
from poselib.data.collation import collate
from poselib.data.readers.coco import CocoKeypoints
from poselib.data.transforms import letterbox
from poselib.decoders.associative import find_candidates
from poselib.decoders.progressive import progressive_steps
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.evaluate import evaluate, evaluate_poses
from poselib.engine.inference import PredictOptions
from poselib.engine.seed import seed_everything
from poselib.engine.train import train
from poselib.engine.train_config import TrainConfig
from poselib.metrics.localization_errors import classify_localization, error_rates
from poselib.plots.heatmaps import show_targets
from poselib.plots.poses import draw_poses, draw_truth
from poselib.plots.relations import show_matrices
from poselib.plots.statistics import show_statistics
from poselib.structures import Poses, Sample
from poselib.systems import build
from poselib.typing import IntArray
from tests.engine.own_skeletons import COUNTS, own_files
from tests.engine.person_factories import TINY
from tests.strategies import quick
from tests.systems.test_systems_random import outputs_with_tags

CROP = {"backbone": "hrnet_tiny", "height": 64, "width": 64}
REGRESSION = {"width": 2, "shared_width": 8, "blocks": 1}
TAGS = {"progressive": False, "detection_threshold": 2.0}  # what is not trained finds nothing
HOURGLASS = {"host": "hourglass", "stacks": 1, "features": 8, "depth": 1}
SYSTEMS: list[tuple[str, dict[str, Any]]] = [
    ("hae", {"backbone": "hrnet_tiny", "deconv_blocks": 0, **TAGS}),
    ("hae", {**HOURGLASS, "hierarchy": "limbs", **TAGS}),
    ("dekr", {"backbone": "hrnet_tiny", **REGRESSION}),
    ("dekr", {"backbone": "hrnet_tiny", **REGRESSION, "branches": "limbs", "adaptive": False}),
    ("grm", {"backbone": "hrnet_tiny_light", **REGRESSION}),
    ("grm", {"backbone": "hrnet_tiny_light", "head": "associative", **TAGS}),
    ("logocap", {"backbone": "hrnet_tiny", "offset_width": 8, "embedding": 4, "message_width": 8}),
    ("jre", CROP),
    ("jre", {**CROP, "relation": "nonlocal", "frame": "aligned", "subpixel": "taylor"}),
]  # fmt: skip
KEYPOINTS = pytest.mark.parametrize("count", COUNTS)
RECIPE = TrainConfig(steps=2, batch_size=2, checkpoint_every=0, log_every=1)


@cache
def files(count: int) -> CocoKeypoints:
    return own_files(Path(mkdtemp(prefix="poselib-")), count)


@pytest.mark.slow
@KEYPOINTS
@pytest.mark.parametrize(("name", "options"), SYSTEMS, ids=lambda value: str(value)[:60])
def test_systems_take_any_number_of_keypoints(
    name: str, options: dict[str, Any], count: int, tmp_path: Path
) -> None:
    data = files(count)
    seed_everything(0)
    system = build(name, data.skeleton, **options)
    augment = None if system.crop else Augment(data.skeleton, 64)
    result = train(system, data, RECIPE, tmp_path, augment=augment, progress=False)
    assert all(np.isfinite(line["loss"]) for line in result.history)
    presented = PredictOptions(size=None if system.crop else 64, flip=True)
    found = evaluate(result.system, data, presented, device="cpu", explain=count == 1)
    assert list(found.keypoint_ap) == list(data.skeleton.keypoints) and repr(found)
    assert all(poses.keypoints.shape[1:] == (count, 2) for poses in found.poses)
    loaded = load_checkpoint(tmp_path).system
    assert loaded.skeleton == data.skeleton and len(loaded.skeleton) == count


class OneVideo:
    """The images as frames of one video, whose people keep their order."""

    def __init__(self, images: CocoKeypoints) -> None:
        self.images, self.skeleton = images, images.skeleton
        self.videos = ("one",) * len(images)
        self.times = tuple(n / 10 for n in range(len(images)))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        return replace(self.images[index], tracks=self.track_ids(index))

    def track_ids(self, index: int) -> IntArray:
        return np.arange(2)

    def annotations(self) -> AnnotationTable:
        return replace(self.images.annotations(), tracks=np.tile(np.arange(2), len(self)))


@KEYPOINTS
def test_systems_of_clips_take_any_number_of_keypoints(count: int, tmp_path: Path) -> None:
    video = OneVideo(files(count))
    system = build("rpstn", video.skeleton, **{**TINY["rpstn"], "frames": 2})
    result = train(system, video, RECIPE, tmp_path, progress=False)
    found = evaluate(result.system, video, device="cpu", explain=False)
    assert all(poses.keypoints.shape[1:] == (count, 2) for poses in found.poses)
    assert load_checkpoint(tmp_path).system.skeleton == video.skeleton


@pytest.mark.slow
@KEYPOINTS
def test_encoded_people_are_decoded_and_drawn(count: int) -> None:
    data = files(count)
    sample = letterbox(data[0], 64, 64)
    system = build("hae", data.skeleton, backbone="hrnet_tiny", sigma=0.5, tag_threshold=0.5)
    targets = system.encode(collate([sample]))
    outputs, decoding = outputs_with_tags(targets, np.random.default_rng(0)), system.decode_options
    steps = progressive_steps(find_candidates(outputs, decoding)[0], decoding.grouping)
    assert sorted(step.keypoint for step in steps) == list(range(count))
    (poses,) = system.decode(outputs)
    for figure in (
        show_targets(sample.image, targets.heatmaps[-1][0], sample.keypoints, data.skeleton),
        draw_poses(sample.image, poses, data.skeleton),
        draw_truth(sample.image, sample.keypoints, data.skeleton),
        show_statistics(annotation_statistics(data.annotations()), data.skeleton),
        show_matrices({"": np.eye(count)}, data.skeleton),
    ):
        figure.draw_without_rendering()


@KEYPOINTS
def test_true_poses_are_right_by_every_measure(count: int) -> None:
    """And those of a mirrored image are the mirrored ones, with left and right exchanged."""
    data = files(count)
    table = data.annotations()
    poses = [
        Poses(
            points[..., :2] + PIXEL_CENTER,
            np.ones(points.shape[:2], np.float32),
            np.linspace(1, 0.9, len(points), dtype=np.float32),
        )
        for points in (table.keypoints[table.rows(n)].astype(np.float32) for n in range(len(data)))
    ]
    found = evaluate_poses(table, poses, data.skeleton)
    assert found.ap.AP == 1 and set(found.keypoint_ap.values()) == {1.0} and not found.reasons
    errors = error_rates(classify_localization(found.comparison))
    assert errors.loc["all", "good"] == 100


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("jre", {**CROP, "relation": "graph"}, "relation='graph' needs a skeleton with limbs"),
        ("dekr", {"backbone": "hrnet_tiny", "scoring": True}, "'ball' has no limbs to be scored"),
        (
            "dekr",
            {"backbone": "hrnet_tiny", "branches": "head"},
            "'ball' has no hierarchy 'head'",
        ),
        ("hae", {"order": "top_down"}, "'top_down' needs the heights of its .* 'ball'; take order"),
        ("hae", {"mining": "ohkm"}, "hardest must be less than 1 keypoints, not 8"),
    ],
)
def test_what_a_skeleton_lacks_is_said(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, files(1).skeleton, **options)


def test_systems_are_built_from_files(tmp_path: Path) -> None:
    skeleton = files(5).skeleton
    skeleton.to_toml(tmp_path / "face.toml")
    options = {"backbone": "hrnet_tiny", **REGRESSION}
    for file in (tmp_path / "face.toml", str(tmp_path / "face.toml"), files(5).annotation_file):
        assert build("dekr", file, **options).skeleton == skeleton
    with pytest.raises(FileNotFoundError, match=r"skeleton file .*hand\.toml does not exist"):
        build("dekr", tmp_path / "hand.toml", **options)


@settings(quick, max_examples=10)
@given(st.sampled_from(COUNTS), st.integers(0, 1000))
def test_two_mirrors_are_none(count: int, seed: int) -> None:
    order = files(count).skeleton.flip_indices
    points = np.random.default_rng(seed).random((3, count, 3))
    assert np.array_equal(points[:, order][:, order], points)

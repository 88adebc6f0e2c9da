"""PCK over thresholds: of joints that are a known part of a torso off, and of networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from poselib.analysis.threshold_curves import (
    measure_thresholds,
    official_clip_pck,
    summarize_thresholds,
    threshold_curves,
)
from poselib.annotations import AnnotationTable
from poselib.data.clips import PersonClips
from poselib.data.collation import collate
from poselib.data.crops import crop_person
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import AnnotatedBoxes
from poselib.engine.predict import predict
from poselib.ops.normalization import normalize
from poselib.outputs import HeatmapOutputs
from poselib.skeletons import COCO, POSETRACK18
from poselib.structures import Clip, Poses
from poselib.systems import System, build
from tests.analysis.clips import CLIPS, poses_of

LEVELS = [0.1, 0.2, 0.3, 1.0]
WRISTS = [POSETRACK18.index(f"{side}_wrist") for side in ("left", "right")]


@pytest.fixture(scope="module")
def table() -> AnnotationTable:
    return CLIPS.annotations()


def with_wrists_off(table: AnnotationTable, part: float) -> list[Poses]:
    """Return the annotated people, their wrists off by a part of the torso."""
    shoulder, hip = (POSETRACK18.index(name) for name in ("left_shoulder", "right_hip"))
    moved = []
    for frame, poses in enumerate(poses_of(table)):
        people, _ = table.people(frame)
        torso = np.linalg.norm(people[:, shoulder, :2] - people[:, hip, :2], axis=1)
        keypoints = poses.keypoints.copy()
        keypoints[:, WRISTS, 0] += part * torso[:, None]
        moved.append(replace(poses, keypoints=keypoints))
    return moved


def curve(curves: pd.DataFrame, part: str, reference: str = "torso") -> list[float]:
    chosen = curves[(curves["part"] == part) & (curves["reference"] == reference)]
    assert chosen["threshold"].tolist() == LEVELS
    return chosen["PCK"].tolist()


class Targeted(nn.Module):
    """Returns the targets of the clips that it is shown, wrists up to ``off`` cells away."""

    def __init__(self, system: System, clips: list[Clip], off: int) -> None:
        super().__init__()
        self.system, self.clips, self.off = system, list(clips), off

    def forward(self, images: torch.Tensor) -> HeatmapOutputs:
        clip = crop_person(self.clips.pop(0), self.system.crop, self.system.crop_rule)
        batch = collate([clip])
        assert torch.equal(normalize(batch.images), images)
        maps = self.system.encode(batch).heatmaps[0].clone()
        maps[:, WRISTS] = maps[:, WRISTS].roll((self.off, self.off), (2, 3))
        return HeatmapOutputs(maps, (64, 64))


def test_the_published_measure_is_of_the_first_clip_of_each_video() -> None:
    """Joints are right in the targets themselves, where torsos are longer than what is added."""
    system = build("jre", CLIPS.skeleton, backbone="hrnet_tiny", height=64, width=64)
    people = PersonClips(CLIPS, 3)
    starts = [people.clips.windows[window].start % 6 for window, _ in people.people]
    firsts = [people[index] for index, start in enumerate(starts) if start == 0]
    assert len(firsts) == 4 < len(people)
    for off, wrist in ((0, 1.0), (8, 0.0)):
        network = Targeted(system, firsts, off)
        rates = official_clip_pck(replace(system, model=network), CLIPS, frames=3, threshold=1.0)
        assert not network.clips and rates["elbow"] == 1 and rates["wrist"] == wrist
    with pytest.raises(ValueError, match="'dekr': a system of one person, with "):
        official_clip_pck(build("dekr", CLIPS.skeleton, backbone="hrnet_tiny", width=4), CLIPS)


def test_a_joint_counts_from_the_threshold_of_its_distance_on(table: AnnotationTable) -> None:
    curves = threshold_curves(table, with_wrists_off(table, 0.21), POSETRACK18, LEVELS)
    assert curve(curves, "wrist") == [0, 0, 100, 100]
    assert curve(curves, "elbow") == [100] * 4
    assert curve(curves, "total") == pytest.approx([100 * 13 / 15, 100 * 13 / 15, 100, 100])
    nearer = threshold_curves(table, with_wrists_off(table, 0.19), POSETRACK18, LEVELS)
    assert curve(nearer, "wrist") == [0, 100, 100, 100]
    # A person is longer than the torso.
    assert curve(curves, "wrist", "person")[1] == 100


def tiny(name: str, **options: int | str) -> System:
    backbone = {"backbone": "hrnet_tiny"}
    if name == "rpstn":
        backbone |= {"initializer_backbone": "hrnet_tiny"}
        options["channels"] = 8
    return build(name, POSETRACK18, height=64, width=64, **backbone, **options)


def test_networks_are_measured_in_annotated_boxes(table: AnnotationTable) -> None:
    methods = {"video": [tiny("rpstn"), tiny("rpstn")], "image": [tiny("jre")]}
    options = PredictOptions(flip=False, batch_size=2, renew=3)
    curves = measure_thresholds(methods, CLIPS, LEVELS, options)
    groups = curves.groupby(["method", "seed"], sort=False)
    assert list(groups.groups) == [("video", 0), ("video", 1), ("image", 0)]
    for (method, seed), part in groups:
        each = methods[method][seed]
        poses = predict(each, CLIPS, options.for_system(each), boxes=AnnotatedBoxes())
        expected = threshold_curves(table, poses, POSETRACK18, LEVELS)
        own = part.drop(columns=["method", "seed"]).reset_index(drop=True)
        pd.testing.assert_frame_equal(own, expected)


def test_a_network_for_other_keypoints_is_refused() -> None:
    other = build("jre", COCO, backbone="hrnet_tiny", height=64, width=64)
    with pytest.raises(ValueError, match="sbl: the system predicts the keypoints of 'coco'"):
        measure_thresholds({"sbl": [other]}, CLIPS, LEVELS)


def test_the_summary_says_means_over_seeds() -> None:
    lines = [
        {
            "method": m,
            "seed": s,
            "reference": r,
            "part": p,
            "threshold": t,
            "PCK": 100 * t - s - lost,
        }
        for m, lost in (("b", 0), ("a", 5))
        for s in (0, 2)
        for r, p in (("torso", "total"), ("person", "total"), ("torso", "wrist"))
        for t in (0.1, 0.3, 1.0)
    ]
    said = summarize_thresholds(pd.DataFrame(lines))
    assert said == "mean PCK in % at 0.1, 1 of the torso: b 9.0, 99.0; a 4.0, 94.0"

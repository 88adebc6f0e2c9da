"""The empirical upper bound on people whose places are known, and on whole systems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from poselib.analysis.oracle_search import (
    WINDOWS,
    measure_oracle_search,
    published_bound,
    search_step,
    search_table,
    steps_to_ground_truth,
    summarize_search,
    window_fractions,
)
from poselib.annotations import AnnotationTable
from poselib.data.readers.coco import read_annotations
from poselib.engine.evaluate import evaluate, evaluate_poses
from poselib.engine.inference import PredictOptions, present
from poselib.metrics.oracle_search import candidate_spacing, oracle_search
from poselib.skeletons import COCO
from poselib.structures import AffineTransform, Poses, Sample
from tests.analysis.factories import (
    STANDING,
    build_tiny,
    labeled,
    moved,
    poses_at,
    sample_of,
)
from tests.engine.factories import scenes
from tests.metrics.factories import ap_of, person, truth_of

OPTIONS = PredictOptions(size=64, multiple=32, flip=False)
SYSTEM = build_tiny()


class Files:
    """Images of several sizes; samples may be smaller than their files."""

    def __init__(self, *samples: Sample) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def annotations(self) -> AnnotationTable:
        people = []
        for number, sample in enumerate(self.samples, start=1):
            for row, area in zip(sample.keypoints, sample.areas, strict=True):
                xy = sample.to_original(row[:, :2]) - 0.5
                size = float(area) * sample.to_original.scale**2
                people.append(person(np.column_stack([xy, row[:, 2]]), size, image_id=number))
        return read_annotations(truth_of(people, len(self.samples)), COCO)


def at_size(height: int, width: int, shrunk: float = 1.0) -> Sample:
    """Somebody in an image of this size, which may have been shrunk from its file."""
    frame = AffineTransform(
        np.array([[shrunk, 0, 3.0], [0, shrunk, 5.0]]) if shrunk != 1 else np.eye(2, 3)
    )
    blank = np.zeros((3, height, width), np.uint8)
    standing = sample_of(np.stack([labeled(STANDING), labeled(moved(60, 4))]), frame)
    return replace(standing, image=blank, ignore_mask=np.zeros((height, width), bool))


FILES = Files(at_size(160, 200), at_size(320, 240), at_size(128, 190, shrunk=2.0))


def found_in(dataset: Files, off: float, seed: int = 0) -> list[Poses]:
    """Everyone, with keypoints as far off as normal noise of ``off`` px of the files."""
    rng, each = np.random.default_rng(seed), []
    for sample in (dataset[index] for index in range(len(dataset))):
        points = sample.to_original(sample.keypoints[..., :2])
        each.append(poses_at(*(points + off * rng.normal(size=points.shape))))
    return each


def test_published_numbers_and_their_gains() -> None:
    table = published_bound()
    assert table["AP"].tolist() == [60.1, 88.9, 70.0]
    assert table["window"].tolist()[:2] == [1, 11] and np.isnan(table["window"][2])
    # "an absolute increase of 9.9 AP compared to the vanilla center-offset method"
    assert table["AP"][2] - table["AP"][0] == pytest.approx(9.9)


def test_search_step_is_a_fraction_of_the_oks_tolerance() -> None:
    """A keypoint a whole tolerance off has a similarity of exp(-1/2), whatever its type."""
    people = [replace(each, areas=np.array([100.0**2, 0.0])) for each in FILES.samples[1:2]]
    files = Files(*people)  # 240 px, of which the network sees 480
    step = search_step(files, COCO, 480)
    assert step == pytest.approx(0.2 * 2 * 0.025 * 200)
    assert search_step(files, COCO, 240) == pytest.approx(1.0)  # as published
    spread = candidate_spacing(COCO.sigmas, step / 0.2)
    near = np.exp(-(spread**2) / (2 * (2 * np.array(COCO.sigmas)) ** 2 * 200**2))
    np.testing.assert_allclose(near, np.exp(-0.5))
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="a positive fraction of their tolerance"):
            search_step(files, COCO, 480, bad)
    nobody = Files(replace(people[0], areas=np.zeros(2)))
    with pytest.raises(ValueError, match=r"not 0 people and 0\.2"):
        search_step(nobody, COCO, 480)


def test_search_step_is_in_px_of_the_network_input() -> None:
    """Each image is searched by a step that is found by letting the network's view be made."""
    poses, step = found_in(FILES, 4.0), 0.5
    table, _ = measure_oracle_search(SYSTEM, FILES, {"it": poses}, OPTIONS, step=step, windows=[5])
    assert table["window"].tolist() == [1, 5]
    results, steps = [], []
    for index, found in enumerate(poses):
        sample = FILES[index]
        steps.append(step * present(SYSTEM, sample, OPTIONS)[0].to_original.scale)
        people = sample.keypoints.astype(np.float64)
        people[..., :2] = sample.to_original(people[..., :2])
        areas = sample.areas * sample.to_original.scale**2
        after = oracle_search(found, people, areas, COCO.sigmas, 5, steps[-1])
        results += after.to_coco(index + 1)
    assert steps == pytest.approx([0.5 * 160 / 64, 0.5 * 240 / 64, 2 * 0.5 * 128 / 64])
    expected = ap_of(FILES.annotations(), results, COCO)
    assert table["AP"][1] == expected.AP > table["AP"][0] > 0.1
    assert table["AP75"][1] == expected.AP75
    assert table["AP_gain"].tolist() == pytest.approx([0, expected.AP - table["AP"][0]])


def test_larger_windows_gain_more() -> None:
    poses = found_in(FILES, 6.0)
    sides = [1, 3, 7, 11, 201]
    both = {"found": poses, "exact": found_in(FILES, 0.0)}
    table, shares = measure_oracle_search(SYSTEM, FILES, both, OPTIONS, step=0.25, windows=sides)
    assert table["row"].tolist() == ["found"] * 5 + ["exact"] * 5
    assert table["AP"][5:].tolist() == [1.0] * 5 and not table["AP_gain"][5:].any()
    assert shares["row"].unique().tolist() == ["found", "exact"]
    table, shares = table[:5], shares[shares["row"] == "found"]
    ap = table["AP"].tolist()
    assert ap == sorted(ap) and ap[0] < 0.8 and ap[-1] == pytest.approx(1.0)
    inside = shares.set_index("keypoint").loc["all", [f"within_{side}" for side in sides]]
    assert inside.tolist() == sorted(inside) and inside.iloc[-1] == 100


def test_window_one_equals_the_evaluation() -> None:
    dataset = scenes(3)
    system = build_tiny(nms_kernel=1, nms_distance=0.0)
    whole = evaluate(system, dataset, OPTIONS, explain=False)
    exact = [poses_at(*dataset[i].keypoints[..., :2]) for i in range(len(dataset))]
    more = {"step": 1.0, "windows": (3,)}
    table, _ = measure_oracle_search(system, dataset, {"it": whole.poses}, OPTIONS, **more)
    first = table.iloc[0][list(whole.ap.as_dict())].to_dict()
    np.testing.assert_equal(first, whole.ap.as_dict())
    table, shares = measure_oracle_search(system, dataset, {"it": exact}, OPTIONS, **more)
    assert table["row"].tolist() == ["it", "it"] and table["AP"].tolist() == [1, 1]
    all_exact = shares.set_index("keypoint").loc["all"]
    assert all_exact["within_1"] == 100 and all_exact["missing"] == 0
    assert all_exact["counted"] == sum((s.keypoints[..., 2] > 0).sum() for s in map(
        dataset.__getitem__, range(len(dataset))))  # fmt: skip


def test_distances_are_in_spacings_of_each_keypoint() -> None:
    """One person; 2 px a step; the nose has a sigma of 0.026 and the least one, eyes', 0.025."""
    truth = labeled(STANDING)
    truth[3, 2] = 0
    dataset = Files(sample_of(truth[None]))
    people = poses_at(moved(0, -3.0))
    scores = people.scores.copy()
    scores[0, 5] = 0
    people = replace(people, scores=scores, keypoints=people.keypoints * (scores > 0)[..., None])
    found = evaluate_poses(dataset, [people], COCO, explain=False)
    steps = steps_to_ground_truth(found, [2.0], COCO)
    assert steps.shape == (1, 17)
    assert steps[0, 0] == pytest.approx(1.5 * 0.025 / 0.026, rel=1e-5)
    assert steps[0, 1] == pytest.approx(1.5, rel=1e-5)
    assert np.isnan(steps[0, 3]) and np.isinf(steps[0, 5])
    far = evaluate_poses(dataset, [poses_at(moved(500, 0))], COCO, explain=False)
    assert steps_to_ground_truth(far, [2.0], COCO).shape == (0, 17)


def test_window_fractions_by_hand() -> None:
    steps = np.full((4, 17), np.nan)
    steps[:, 0] = [0.2, 1.5, 1.6, np.inf]
    steps[0, 1] = 0.5
    table = window_fractions(steps, COCO, [1, 3]).set_index("keypoint")
    assert list(table) == ["counted", "within_1", "within_3", "missing"]
    assert table.loc["nose"].tolist() == [4, 25, 50, 25]
    assert table.loc["left_eye"].tolist() == [1, 100, 100, 0]
    assert table.loc["all"].tolist() == [5, 40, 60, 20]
    assert table.loc["right_eye", "counted"] == 0 and np.isnan(table.loc["right_eye", "within_1"])
    assert pd.api.types.is_integer_dtype(table["counted"])
    nobody = window_fractions(np.zeros((0, 17)), COCO, [1])
    assert nobody["counted"].sum() == 0 and nobody["within_1"].isna().all()


def test_search_table_separates_published_and_measured() -> None:
    table = pd.DataFrame({"row": "it", "window": [1, 11], "AP": [50.0, 80.0], "AP_gain": [0, 30.0]})
    lines = search_table(table, "3 scenes")
    assert lines["published_AP"].tolist()[:3] == [60.1, 88.9, 70.0]
    assert lines["published_AP"][3:].isna().all() and lines["AP"][:3].isna().all()
    assert lines["measured_on"].tolist()[3:] == ["3 scenes"] * 2
    assert lines["window"].tolist() == [1, 11, pd.NA, 1, 11]


def test_search_summary_names_the_extreme_keypoints() -> None:
    table = pd.DataFrame({"row": "it", "window": [1, 11], "AP": [50.0, 80.04]})
    names, inside = ["nose", "hip", "tail", "all"], [90.0, 60.0, np.nan, 75.0]
    shares = pd.DataFrame({"row": "it", "keypoint": names, "within_11": inside})
    assert summarize_search(table, shares, 11) == (
        "it: AP 50.0, 80.0 at best within 11x11; truth inside for 75.0 % of the keypoints of "
        "matched people, from 60.0 % (hip) to 90.0 % (nose)"
    )
    nothing = shares.assign(within_11=np.nan)
    assert summarize_search(table, nothing, 11) == "it: AP 50.0, 80.0 at best within 11x11"


def test_oracle_search_without_detections() -> None:
    nobody = [Poses.empty(17)] * 3
    table, shares = measure_oracle_search(SYSTEM, FILES, {"it": nobody}, OPTIONS, step=1.0)
    assert table["AP"].tolist() == [0] * len(WINDOWS) and shares["counted"].sum() == 0


def test_oracle_search_refuses_wrong_input() -> None:
    poses = found_in(FILES, 0.0)
    with pytest.raises(ValueError, match="2 predictions for 3 images"):
        measure_oracle_search(SYSTEM, FILES, {"it": poses[:2]}, OPTIONS, step=1.0)
    with pytest.raises(ValueError, match=r"odd positive sides, not \[-1, 4\]"):
        measure_oracle_search(SYSTEM, FILES, {"it": poses}, OPTIONS, step=1.0, windows=[4, -1])
    with pytest.raises(ValueError, match="must be positive"):
        measure_oracle_search(SYSTEM, FILES, {"it": poses}, OPTIONS, step=0.0)
    with pytest.raises(ValueError, match="at least one system"):
        measure_oracle_search(SYSTEM, FILES, {}, OPTIONS, step=1.0)

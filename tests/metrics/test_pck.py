"""PCKh and MPII's average precision: by hand, against loops, and what has no effect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poselib.metrics.pck import PartAP, joint_ap, multi_person_ap, pckh, single_person_pckh
from poselib.skeletons import COCO, LSP, MPII
from poselib.structures import Poses

K = len(MPII)
COUNTED = [k for k, name in enumerate(MPII.keypoints) if name not in ("pelvis", "thorax")]
HEAD, NECK, PELVIS = MPII.index("head_top"), MPII.index("upper_neck"), MPII.index("pelvis")
WRIST, KNEE = MPII.index("left_wrist"), MPII.index("right_knee")


def person(x: float, y: float = 0.0) -> np.ndarray:
    grid = np.stack([x + 10.0 * (np.arange(K) % 4), y + 10.0 * (np.arange(K) // 4)], axis=1)
    return np.column_stack([grid, np.ones(K)])


def found(*people: tuple[np.ndarray, float]) -> Poses:
    """Poses from (keypoints, score); all keypoints of a person have its score."""
    if not people:
        return Poses.empty(K)
    xy = np.stack([p[:, :2] for p, _ in people]).astype(np.float32)
    scores = np.array([s for _, s in people], np.float32)
    return Poses(xy, np.repeat(scores[:, None], K, axis=1), scores)


def without(poses: Poses, row: int, keypoint: int) -> Poses:
    scores, keypoints = poses.scores.copy(), poses.keypoints.copy()
    scores[row, keypoint], keypoints[row, keypoint] = 0, 0
    return replace(poses, scores=scores, keypoints=keypoints)


def by_name(values: np.ndarray) -> dict[str, float]:
    return dict(zip([MPII.keypoints[k] for k in COUNTED], values.tolist(), strict=True))


def moved(keypoints: np.ndarray, k: int, dx: float) -> np.ndarray:
    copy = keypoints.copy()
    copy[k, 0] += dx
    return copy


# Average precision of groups


def test_ground_truth_is_perfect() -> None:
    a, b = person(0), person(200)
    people, sizes = [np.stack([a, b]), np.stack([b])], [np.array([20.0, 30.0]), np.array([9.0])]
    scores = multi_person_ap([found((b, 0.4), (a, 0.9)), found((b, 0.1))], people, sizes, MPII)
    assert scores == PartAP(*[1.0] * 8)


def test_one_group_by_hand() -> None:
    a, b, false = person(0), person(200), person(500)
    wrong_wrist = moved(a, WRIST, 10.1)  # more than half a head size of 20 px
    poses = found((false, 0.9), (wrong_wrist, 0.8), (b, 0.7))
    values = joint_ap([poses], [np.stack([a, b])], [np.array([20.0, 20.0])], MPII)
    ap = by_name(values[0])
    # Wrong, right, right: precision 0, 1/2, 2/3 is made to fall: 2/3 at both recalls.
    assert ap["head_top"] == pytest.approx(2 / 3)
    # Wrong, wrong, right: 1/3 up to recall 1/2, then nothing.
    assert ap["left_wrist"] == pytest.approx(1 / 3 * 1 / 2)
    parts = multi_person_ap([poses], [np.stack([a, b])], [np.array([20.0, 20.0])], MPII)
    assert parts.wrist == pytest.approx((2 / 3 + 1 / 6) / 2) and parts.head == pytest.approx(2 / 3)
    assert parts.total == pytest.approx((13 * 2 / 3 + 1 / 6) / 14)


@pytest.mark.parametrize(("dx", "right"), [(9.99, 1.0), (10.0, 1.0), (10.01, 0.0)])
def test_half_a_head_size_is_correct(dx: float, right: float) -> None:
    a = person(0)
    poses = [found((moved(a, KNEE, dx), 1.0))]
    values = joint_ap(poses, [a[None]], [np.array([20.0])], MPII)
    assert by_name(values[0])["right_knee"] == right
    thresholds = [0.1, 0.5, 0.6]
    values = joint_ap(poses, [a[None]], [np.array([20.0])], MPII, thresholds)
    assert values.shape == (3, 14)
    assert [by_name(v)["right_knee"] for v in values] == [0.0, right, 1.0]


def test_a_second_detection_of_a_person_is_a_false_positive() -> None:
    a = person(0)
    values = joint_ap(
        [found((moved(a, KNEE, 50), 0.9), (a, 0.8))], [a[None]], [np.array([20.0])], MPII
    )
    ap = by_name(values[0])
    # The second has the greater share right and is the match; the first ranks before it.
    assert ap["left_ankle"] == 0.5 and ap["right_knee"] == 0.5


def test_a_detected_joint_without_annotation_is_wrong() -> None:
    a, b = person(0), person(200)
    a[HEAD, 2] = 0
    ap = by_name(
        joint_ap([found((a, 0.9), (b, 0.8))], [np.stack([a, b])], [np.array([20, 20])], MPII)[0]
    )
    assert ap["head_top"] == 0.5 and ap["upper_neck"] == 1


def test_a_missing_joint_is_no_false_positive() -> None:
    a, b = person(0), person(200)
    poses = without(found((a, 0.9), (b, 0.8)), 0, WRIST)
    ap = by_name(joint_ap([poses], [np.stack([a, b])], [np.array([20, 20])], MPII)[0])
    assert ap["left_wrist"] == 0.5 and ap["right_wrist"] == 1


def test_groups_without_detections_or_without_people() -> None:
    a = person(0)
    people, sizes = [a[None], a[None]], [np.array([20.0]), np.array([20.0])]
    half = multi_person_ap([found((a, 0.5)), found()], people, sizes, MPII)
    assert half.total == pytest.approx(0.5)
    no_people = np.zeros((0, K, 3))
    poses = [found((a, 0.5)), found((a, 0.9))]
    half = multi_person_ap(poses, [a[None], no_people], [np.array([20.0]), np.zeros(0)], MPII)
    assert half.total == pytest.approx(0.5)
    nothing = multi_person_ap([found()], [no_people], [np.zeros(0)], MPII)
    assert np.isnan(list(nothing.as_dict().values())).all()
    none = multi_person_ap([found()], [a[None]], [np.array([20.0])], MPII)
    assert set(none.as_dict().values()) == {0.0}


def test_pelvis_and_thorax_have_no_effect() -> None:
    a = person(0)
    lost = a.copy()
    lost[[PELVIS, MPII.index("thorax")], 0] += 400
    sizes = [np.array([20.0])]
    assert multi_person_ap([found((lost, 1))], [a[None]], sizes, MPII).total == 1
    assert single_person_pckh([found((lost, 1))], a[None], np.array([20.0]), MPII).total == 1


def test_people_without_a_head_size_are_left_out() -> None:
    a, b = person(0), person(200)
    sizes = [np.array([20.0, np.nan])]
    assert multi_person_ap([found((a, 0.9))], [np.stack([a, b])], sizes, MPII).total == 1
    sizes = np.array([20.0, np.nan])
    poses = [found((a, 0.9)), found((a, 0.9))]
    assert single_person_pckh(poses, np.stack([a, b]), sizes, MPII).total == 1


def slow(groups: list[tuple[Poses, np.ndarray, np.ndarray]], threshold: float) -> np.ndarray:
    """MPII's evaluation, one joint after the other."""
    ranked: dict[int, list[tuple[float, bool]]] = {k: [] for k in COUNTED}
    annotated = dict.fromkeys(COUNTED, 0)
    for poses, people, sizes in groups:
        right = np.zeros((len(poses), len(people), K), bool)
        for p in range(len(poses)):
            for n, one in enumerate(people):
                for k in COUNTED:
                    if poses.scores[p, k] > 0 and one[k, 2] > 0:
                        apart = np.hypot(*(poses.keypoints[p, k] - one[k, :2]))
                        right[p, n, k] = apart / sizes[n] <= threshold
        for one in people:
            for k in COUNTED:
                annotated[k] += int(one[k, 2] > 0)
        match: dict[int, int] = {}
        best: dict[int, float] = {}
        for p in range(len(poses)):
            shares = [
                right[p, n].sum() / max((one[COUNTED, 2] > 0).sum(), 1)
                for n, one in enumerate(people)
            ]
            if not shares or max(shares) == 0:
                continue
            n = shares.index(max(shares))
            if shares[n] > best.get(n, 0):
                match[n], best[n] = p, shares[n]
        owner = {p: n for n, p in match.items()}
        for p in range(len(poses)):
            for k in COUNTED:
                if poses.scores[p, k] > 0:
                    hit = p in owner and right[p, owner[p], k]
                    ranked[k].append((float(poses.scores[p, k]), bool(hit)))
    areas = []
    for k in COUNTED:
        marks = sorted(ranked[k], key=lambda mark: -mark[0])
        area, last, hits = 0.0, 0.0, 0
        points = []
        for number, (_, hit) in enumerate(marks, start=1):
            hits += hit
            points.append((hits / annotated[k], hits / number))
        for i, (recall, _) in enumerate(points):
            area += (recall - last) * max(precision for _, precision in points[i:])
            last = recall
        areas.append(area)
    return np.array(areas)


def random_groups(seed: int) -> list[tuple[Poses, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(25):
        n = int(rng.integers(0, 5))
        people = np.stack([person(*rng.uniform(0, 120, 2)) for _ in range(n)] or [person(0)])[:n]
        people[..., 2] = rng.random((n, K)) < 0.8
        sizes = rng.uniform(8, 30, n)
        rows = [(p + rng.normal(0, rng.choice([2, 8]), p.shape), 0.5) for p in people]
        rows += [(person(*rng.uniform(0, 120, 2)), 0.5) for _ in range(rng.integers(0, 3))]
        rows = [rows[i] for i in rng.permutation(len(rows))[: rng.integers(0, 7)]]
        poses = found(*rows)
        # Some equal, some absent.
        scores = rng.choice([0.0, 0.2, 0.5, 0.7], poses.scores.shape).astype(np.float32)
        groups.append((replace(poses, scores=scores), people, sizes))
    return groups


@pytest.mark.parametrize("seed", range(6))
def test_random_groups_equal_loops(seed: int) -> None:
    groups = random_groups(seed)
    poses, people, sizes = (list(column) for column in zip(*groups, strict=True))
    thresholds = (0.2, 0.5, 1.0)
    values = joint_ap(poses, people, sizes, MPII, thresholds)
    for threshold, row in zip(thresholds, values, strict=True):
        expected = slow(groups, threshold)
        assert 0.02 < expected.mean() < 0.95
        np.testing.assert_allclose(row, expected, atol=1e-12)


def test_scale_and_location_have_no_effect() -> None:
    poses, people, sizes = (list(column) for column in zip(*random_groups(7), strict=True))
    expected = joint_ap(poses, people, sizes, MPII)
    larger = joint_ap(
        [replace(p, keypoints=p.keypoints * 4 + 8) for p in poses],
        [p * (4, 4, 1) + (8, 8, 0) for p in people],
        [s * 4 for s in sizes],
        MPII,
    )
    np.testing.assert_allclose(larger, expected, atol=1e-12)


# PCKh of single people


def test_single_people_by_hand() -> None:
    a, b, c, d = (person(100 * n) for n in range(4))
    d[WRIST, 2] = 0
    sizes = np.array([20.0, 20.0, 40.0, 20.0])
    poses = [
        found((moved(a, WRIST, 15), 0.9)),  # 0.75 head sizes
        found((person(900), 0.2), (moved(b, HEAD, 4), 0.8)),  # 0.2, by the better score
        found((moved(c, WRIST, 15), 0.9)),  # 0.375
        found(),
    ]
    half = single_person_pckh(poses, np.stack([a, b, c, d]), sizes, MPII)
    assert half.wrist == pytest.approx((2 / 3 + 3 / 4) / 2) and half.head == 0.75
    # 14 joints of four people but one; of three people all but one are right.
    assert half.total == pytest.approx((3 * 14 - 1) / (4 * 14 - 1))
    tenth = single_person_pckh(poses, np.stack([a, b, c, d]), sizes, MPII, 0.1)
    assert tenth.wrist == pytest.approx((1 / 3 + 3 / 4) / 2) and tenth.head == 0.5
    assert tenth.total == pytest.approx((3 * 14 - 3) / (4 * 14 - 1))


def test_the_head_is_its_top_alone_but_the_neck_counts_in_the_total() -> None:
    a = person(0)
    scores = single_person_pckh([found((moved(a, NECK, 99), 1))], a[None], np.array([20.0]), MPII)
    assert scores.head == 1 and scores.total == pytest.approx(13 / 14)


def test_a_missing_keypoint_is_wrong() -> None:
    a = person(0)
    a[0, :2] = 0, 0  # where missing keypoints are written
    poses = without(found((a, 1)), 0, 0)
    scores = single_person_pckh([poses], a[None], np.array([20.0]), MPII)
    assert scores.ankle == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_rates_rise_with_the_threshold_and_equal_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    distances, labeled = rng.exponential(0.5, (30, K)), rng.random((30, K)) < 0.7
    labeled[:, 3] = False
    thresholds = np.linspace(0, 2, 9)
    shares = pckh(distances, labeled, thresholds)
    assert np.isnan(shares[:, 3]).all()
    for t, threshold in enumerate(thresholds):
        for k in set(range(K)) - {3}:
            counted = [d for d, there in zip(distances[:, k], labeled[:, k], strict=True) if there]
            assert shares[t, k] == sum(d <= threshold for d in counted) / len(counted)
    rest = np.delete(shares, 3, axis=1)
    assert (np.diff(rest, axis=0) >= 0).all() and (rest[0] == 0).all()


# Bad input


def test_inconsistent_shapes_are_refused() -> None:
    a, sizes = person(0), [np.array([20.0])]
    with pytest.raises(ValueError, match="2 images of detections, 1 of annotated people and 1"):
        joint_ap([found(), found()], [a[None]], sizes, MPII)
    with pytest.raises(ValueError, match=r"image 0: .* K = 16, not \(0, 17, 2\)"):
        joint_ap([Poses.empty(17)], [a[None]], sizes, MPII)
    with pytest.raises(ValueError, match=r"\(2, 16, 3\) and \(1,\)"):
        joint_ap([found()], [np.stack([a, a])], sizes, MPII)
    with pytest.raises(ValueError, match="image 0: head sizes must be positive"):
        joint_ap([found()], [a[None]], [np.array([0.0])], MPII)
    with pytest.raises(ValueError, match=r"lacks \['head_top', 'upper_neck'\]"):
        multi_person_ap([Poses.empty(17)], [np.zeros((0, 17, 3))], [np.zeros(0)], COCO)
    with pytest.raises(ValueError, match=r"lacks \['upper_neck'\]"):
        multi_person_ap([Poses.empty(14)], [np.zeros((0, 14, 3))], [np.zeros(0)], LSP)

"""PCK of single people: by hand at the threshold, against loops, and as the published code."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poselib.metrics.person_pck import official_pck, part_rates, person_pck, reference_lengths
from poselib.skeletons import PENN_ACTION, SUB_JHMDB, Skeleton
from tests.strategies import generators, quick

K = len(PENN_ACTION)


def upright(people: int = 1) -> np.ndarray:
    """Torsos from (0, 0) to (30, 40): 50 px."""
    points = np.full((people, K, 3), 2.0)
    points[:, PENN_ACTION.index("left_shoulder"), :2] = 0
    points[:, PENN_ACTION.index("right_hip"), :2] = 30, 40
    return points


def test_a_joint_is_right_up_to_the_threshold_in_image_pixels() -> None:
    truth = np.repeat(upright(), 3, axis=0)
    lengths = reference_lengths(truth, np.zeros((3, 4)), PENN_ACTION, "torso")
    assert lengths.tolist() == [50, 50, 50]
    found = truth.copy()
    found[:, 0, 0] += [0.21 * 50, 0.19 * 50, 0.2 * 50]
    found[2, 0, 0] -= 1e-9
    rates = person_pck(found, truth, lengths, [0.1, 0.2])
    assert rates[:, 0] == pytest.approx([0, 2 / 3]) and (rates[:, 1:] == 1).all()


def test_what_does_not_count_and_what_is_wrong() -> None:
    truth, boxes = upright(3), np.array([[0, 0, 10, 40], [0, 0, 10, 40], [5, 5, 5, 9.0]])
    truth[0, 3, 2] = 0  # not labeled
    lengths = reference_lengths(truth, boxes, PENN_ACTION)
    assert lengths[:2].tolist() == [40, 40] and lengths[2] == 4
    found = truth.copy()
    found[..., 2] = 0.5
    found[1, :2, 2] = 0  # not found
    rates = person_pck(found, truth, lengths, [0.2])[0]
    assert rates[:2].tolist() == [pytest.approx(2 / 3)] * 2 and (rates[2:] == 1).all()
    truth[:, PENN_ACTION.index("right_hip"), 2] = 0
    assert np.isnan(reference_lengths(truth, boxes, PENN_ACTION, "torso")).all()
    assert np.isnan(person_pck(found, truth, [np.nan] * 3, [0.2])).all()


@quick
@given(generators, st.integers(1, 6))
def test_it_equals_loops(rng: np.random.Generator, people: int) -> None:
    truth = np.dstack([rng.uniform(0, 50, (people, K, 2)), rng.integers(0, 3, (people, K))])
    found = np.dstack([rng.uniform(0, 50, (people, K, 2)), rng.integers(0, 2, (people, K))])
    lengths = rng.uniform(20, 90, people)
    rates = person_pck(found, truth, lengths, [0.2, 0.5])
    for row, threshold in enumerate((0.2, 0.5)):
        for k in range(K):
            outcomes = [
                found[n, k, 2] > 0
                and np.hypot(*(found[n, k, :2] - truth[n, k, :2])) <= threshold * lengths[n]
                for n in range(people)
                if truth[n, k, 2] > 0
            ]
            assert np.isnan(rates[row, k]) if not outcomes else rates[row, k] == np.mean(outcomes)


def test_parts_and_total() -> None:
    rates = np.linspace(0, 1, len(SUB_JHMDB))
    rates[SUB_JHMDB.index("left_knee")] = np.nan
    parts = part_rates(rates, SUB_JHMDB)
    assert list(parts)[:5] == ["head", "neck", "belly", "face", "shoulder"] and len(parts) == 11
    assert parts["head"] == rates[SUB_JHMDB.index("face")], "it has no joint of that name"
    assert parts["shoulder"] == pytest.approx((rates[3] + rates[4]) / 2)
    assert parts["knee"] == rates[SUB_JHMDB.index("right_knee")]
    assert parts["total"] == pytest.approx(np.nanmean(rates))


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="must be person or torso, not 'head'"):
        reference_lengths(upright(), np.zeros((1, 4)), PENN_ACTION, "head")  # type: ignore[arg-type]
    wanted = "needs left_shoulder and right_hip, but skeleton 'face' lacks .*; take ref"
    with pytest.raises(ValueError, match=wanted):
        face = Skeleton("face", ("nose", "right_hip"), (0.1, 0.1), (), ())
        reference_lengths(np.zeros((1, 2, 3)), np.zeros((1, 4)), face, "torso")
    with pytest.raises(ValueError, match=r"must be \(N, K, 3\), \(N, K, 3\) and \(N,\)"):
        person_pck(upright(2), upright(1), [1.0], [0.2])


@pytest.mark.golden
def test_the_published_code_is_matched(golden_dir: Path) -> None:
    arrays = np.load(golden_dir / "rpstn_funcs.npz")
    found, targets = (arrays[f"{name}_heat_f16"].astype(np.float32) for name in ("pred", "gt"))
    for threshold in (0.2, 0.1, 0.05):
        rates = official_pck(found, targets, PENN_ACTION, threshold)
        np.testing.assert_allclose(rates, arrays[f"AS_CODED_PCK_thr{threshold}"], atol=1e-9)
    # By the paper's definition a joint is right within 0.2 torsos of its frame.
    truth = np.concatenate([arrays["gt_xy"], arrays["gt_max"]], axis=-1)
    pred = np.concatenate([arrays["pred_xy"], arrays["pred_max"]], axis=-1)
    lengths = np.linalg.norm(truth[:, 2, :2] - truth[:, 7, :2], axis=-1)
    for k, rate in enumerate(person_pck(pred, truth, lengths, [0.2])[0]):
        labeled = [t for t in range(len(truth)) if truth[t, k, 2] > 0]
        apart = [math.dist(pred[t, k, :2], truth[t, k, :2]) / float(lengths[t]) for t in labeled]
        np.testing.assert_allclose(rate, np.mean(np.array(apart) <= 0.2) if apart else np.nan)

"""Adaptation of poses by a network that predicts known people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from poselib.analysis import local_filters
from poselib.analysis.local_filters import (
    adapted_person,
    before_and_after,
    can_adapt,
    extreme_people,
    measure_adaptation,
    person_gains,
    summarize_filters,
)
from poselib.engine.predict import predict_variants
from poselib.ops.keypoint_expansion import expansion_rates
from poselib.ops.oks import object_keypoint_similarity
from poselib.plots.local_filters import show_local_filters
from poselib.skeletons import COCO
from poselib.structures import Poses
from poselib.systems import System, build
from tests.analysis.factories import (
    OPTIONS,
    STANDING,
    TINY,
    build_tiny,
    known_people_system,
    moved,
    poses_at,
    standing,
)


@pytest.fixture
def adapting(monkeypatch: pytest.MonkeyPatch) -> System:
    """A system whose network is kept where another one would be built."""

    def kept(system: System, **changes: object) -> System:
        other = build(system.name, system.skeleton, **{**system.options, **changes})  # type: ignore[arg-type]
        return replace(other, model=system.model)

    monkeypatch.setattr(local_filters, "with_options", kept)
    return known_people_system()


def test_systems_that_can_adapt_poses() -> None:
    assert can_adapt(build("logocap", COCO, **TINY))
    for other in (build("logocap", COCO, adaptation=False, **TINY), build_tiny()):
        assert not can_adapt(other)
        with pytest.raises(ValueError, match="without adaptation"):
            before_and_after(other)


def test_before_and_after_are_the_same_people_with_the_same_scores(adapting: System) -> None:
    ways = before_and_after(adapting)
    assert list(ways) == ["regressed", "adapted"]
    (before,), (after,) = predict_variants(list(ways.values()), [standing()], OPTIONS)
    assert len(before) == len(after) == 1
    np.testing.assert_array_equal(before.scores, after.scores)
    np.testing.assert_array_equal(before.person_scores, after.person_scores)
    np.testing.assert_allclose(before.keypoints[0], moved(3.0, 0.0), atol=0.01)
    # Reweighing keeps them from reaching the heat.
    assert (np.linalg.norm(after.keypoints[0] - STANDING, axis=1) < 2.5).all()


def test_adaptation_that_is_off_is_switched_on(adapting: System) -> None:
    asleep = known_people_system(adapt=False)
    (_,), (after,) = predict_variants(
        list(before_and_after(asleep).values()), [standing()], OPTIONS
    )
    (expected,) = adapting.decode(adapting.model(torch.zeros(1, 3, 128, 128)))
    np.testing.assert_array_equal(after.keypoints, expected.keypoints)


def test_gains_are_of_the_person_to_whom_the_adapted_pose_is_matched() -> None:
    other = STANDING * 0.5 + 60
    sample = standing(STANDING, other)
    before, after = poses_at(other + 2, moved(3, 0)), poses_at(other + 1, moved(1, 0))
    table = person_gains([sample, standing()], [before, Poses.empty(17)],
                         [after, Poses.empty(17)], COCO)  # fmt: skip
    assert table[["index", "person"]].to_numpy().tolist() == [[0, 0], [0, 1]]
    for name, poses in (("before", before), ("after", after)):
        similar = object_keypoint_similarity(
            poses.keypoints, sample.keypoints, sample.areas, COCO.sigmas
        )
        assert table[name].tolist() == pytest.approx([similar[0, 1], similar[1, 0]])
    assert (table["gain"] == table["after"] - table["before"]).all() and (table["gain"] > 0).all()
    with pytest.raises(ValueError, match="1 and 2 predictions for 2 images"):
        person_gains([sample, sample], [before], [after, after], COCO)


def gains(before: list[float], gain: list[float]) -> pd.DataFrame:
    table = pd.DataFrame({"index": range(len(gain)), "person": 0, "before": before, "gain": gain})
    return table.assign(after=table["before"] + table["gain"])


def chosen(table: pd.DataFrame) -> dict[str, int]:
    return {reason: int(line["index"]) for reason, line in extreme_people(table).items()}


def test_extreme_people_by_gain() -> None:
    table = gains([0.6, 0.7, 0.8, 0.5, 0.2], [0.1, -0.2, 0.05, 0.3, 0.7])
    assert chosen(table) == {"largest gain": 3, "median gain": 0, "largest loss": 1}
    assert chosen(gains([0.6, 0.7, 0.6], [0.1, 0.2, 0.3])) == {"largest gain": 2, "median gain": 1}


def test_extreme_people_of_few() -> None:
    assert chosen(gains([0.9], [-0.1])) == {"largest loss": 0}
    assert chosen(gains([0.1, 0.2], [0.3, 0.1])) == {"largest gain": 0, "median gain": 1}
    with pytest.raises(ValueError, match="no annotated person has a detection"):
        extreme_people(gains([], []))


def test_adapted_person(adapting: System) -> None:
    one = adapted_person(adapting, standing(), OPTIONS, 0)
    np.testing.assert_allclose(one.poses[0], moved(3.0, 0.0), atol=0.01)
    assert one.filters.shape == (17, 11, 11)
    np.testing.assert_allclose(one.filters[:, 5, 5], np.linspace(0.5, 1, 17), rtol=1e-6)
    rates = expansion_rates(COCO.sigmas).numpy()
    np.testing.assert_allclose(one.places[:, 0], -3 / rates, atol=0.01)
    table = person_gains([standing()], *predict_variants(
        list(before_and_after(adapting).values()), [standing()], OPTIONS), COCO)  # fmt: skip
    assert table.loc[0, ["before", "after"]].tolist() == pytest.approx(one.oks)
    assert one.gain > 0


def test_unlabeled_keypoints_have_no_cell(adapting: System) -> None:
    sample = standing()
    sample.keypoints[0, 4, 2] = 0
    places = adapted_person(adapting, sample, OPTIONS, 0).places
    assert np.isnan(places[4]).all() and np.isfinite(np.delete(places, 4, axis=0)).all()


def test_cells_are_px_of_the_network_input(adapting: System) -> None:
    one = adapted_person(adapting, standing(), OPTIONS, 0)
    twice = standing()
    large = replace(
        twice,
        image=np.repeat(np.repeat(twice.image, 2, axis=1), 2, axis=2),
        ignore_mask=np.repeat(np.repeat(twice.ignore_mask, 2, axis=0), 2, axis=1),
        keypoints=twice.keypoints * np.float32([2, 2, 1]),
        areas=4 * twice.areas,
    )
    same = adapted_person(adapting, large, OPTIONS, 0)
    assert same.image.shape == (3, 128, 128)
    np.testing.assert_allclose(same.places, one.places, atol=1e-3)
    assert same.oks == pytest.approx(one.oks, abs=1e-4)


def test_a_person_without_detection_is_refused(adapting: System) -> None:
    away = STANDING + 5000
    with pytest.raises(ValueError, match="person 1 has no detection"):
        adapted_person(adapting, standing(STANDING, away), OPTIONS, 1)


def test_whole_datasets_are_measured_and_drawn(adapting: System) -> None:
    panels, table = measure_adaptation(adapting, [standing(), standing()], OPTIONS)
    titles = ["largest gain, image 0", "median gain, image 0"]
    assert [panel.title for panel in panels] == titles[: len(panels)] and len(table) == 2
    assert show_local_filters(panels, COCO).axes
    words = summarize_filters(panels, table)
    assert "image 0: OKS {:.3f}, adapted {:.3f}".format(*panels[0].oks) in words
    assert "of 2 people detected 2 gain and 0 lose" in words

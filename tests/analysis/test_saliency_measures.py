"""Measures of saliency maps made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poselib.analysis.saliency import analyze_center
from poselib.analysis.saliency_measures import (
    activation_panels,
    energy_within,
    measure_saliency,
    saliency_panels,
    select_visible_people,
)
from poselib.structures import Sample
from tests.analysis.factories import (
    SMALL_OPTIONS,
    LinearRegressor,
    around,
    image_of,
    linear_regressor,
)
from tests.toy_people import TOY


def test_energy_within_by_hand() -> None:
    maps = np.zeros((4, 8, 8))
    maps[0, 2, 5] = 3.0  # one pixel, whose middle is (5.5, 2.5)
    maps[1, 2, 5], maps[1, 7, 0] = 1.0, 3.0
    maps[2] = 1.0
    points = np.array([[5.5, 2.5], [5.5, 3.5], [4.0, 4.0], [4.0, 4.0]])
    assert energy_within(maps, points, 1.0).tolist()[:2] == [1.0, 0.25]
    # within 1 px of (4, 4) lie the middles of the four pixels around it
    assert energy_within(maps, points, 1.0)[2] == 4 / 64
    assert np.isnan(energy_within(maps, points, 1.0)[3])
    assert energy_within(maps, points, 20.0).tolist()[:3] == [1, 1, 1]
    assert energy_within(maps, points + 0.1, 0.0).tolist()[:3] == [0, 0, 0]


def test_energy_within_is_mirrored_with_the_map() -> None:
    maps = np.random.default_rng(0).random((3, 10, 12))
    points = np.array([[1.0, 2.0], [11.5, 9.0], [6.2, 4.4]])
    turned = points * [-1, 1] + [12, 0]
    found = energy_within(maps, points, 2.5)
    np.testing.assert_allclose(energy_within(maps[..., ::-1], turned, 2.5), found)
    assert ((found > 0) & (found < 1)).all()


class Pointer(LinearRegressor):
    """Offsets follow from the pixels of the cell itself alone, all alike; taps go to one side."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__(shift)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[:, :, 4:8, 4:8] = 1.0


def test_saliency_of_a_network_that_uses_the_center() -> None:
    """It looks at the cell of 16 px around (30, 22); the person is 10 px large."""
    person = [(30, 22, 2), (34, 22, 1), (26, 22, 2), (0, 0, 0)]
    (center, right, left) = measure_saliency(
        linear_regressor(Pointer()), [image_of(person)], SMALL_OPTIONS, count=1, radius=0.3
    ).to_dict("records")
    assert [row["keypoint"] for row in (center, right, left)] == list(TOY.keypoints[:3])
    assert {row["index"] for row in (center, right, left)} == {0}
    # 3 px around the center lie all of them, around keypoints 4 px beside it some
    assert center["near"] == center["at_center"] == right["at_center"] == pytest.approx(1.0)
    middles = np.stack(np.meshgrid(np.arange(28.5, 32), np.arange(20.5, 24)), axis=-1)
    beside = (np.linalg.norm(middles - [34, 22], axis=-1) <= 3).mean()
    assert 0 < beside < 0.5
    assert right["near"] == left["near"] == pytest.approx(beside)
    everywhere = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5), axis=-1)
    chance = (np.linalg.norm(everywhere - [34, 22], axis=-1) <= 3).mean()
    assert right["chance"] == pytest.approx(chance)
    assert right["taps"] == pytest.approx(right["regular_taps"]) == pytest.approx(left["taps"])


def test_taps_moved_to_a_keypoint_are_nearer() -> None:
    person = [(30, 22, 2), (42, 34, 2), (18, 10, 2), (0, 0, 0)]  # 12 px away, as taps move
    table = measure_saliency(
        linear_regressor(Pointer(shift=1.5)), [image_of(person)], SMALL_OPTIONS, count=1, radius=0.3
    ).set_index("keypoint")
    steps = np.array([-8, -4, -4, 0, 0, 0, 4, 4, 8])
    spread = np.hypot(*np.meshgrid(steps, steps)).mean() / 10
    assert table.loc["left_hand", "taps"] == pytest.approx(spread, rel=1e-5)
    assert table.loc["left_hand", "regular_taps"] == pytest.approx(
        table.loc["right_hand", "regular_taps"]
    )
    assert table.loc["left_hand", "taps"] < table.loc["left_hand", "regular_taps"]
    assert table.loc["right_hand", "taps"] > table.loc["right_hand", "regular_taps"]


def test_the_first_images_with_people_are_measured() -> None:
    images = [image_of(around(30, 22), around(44, 44)), image_of(), image_of(around(20, 20))]
    table = measure_saliency(linear_regressor(), images, SMALL_OPTIONS, count=3, radius=0.5)
    people = [(0, 0), (0, 1), (2, 0)]
    expected = [[*person, name] for person in people for name in TOY.keypoints]
    assert table[["index", "person", "keypoint"]].values.tolist() == expected
    shares = table[["near", "at_center", "chance"]]
    assert ((shares >= 0) & (shares <= 1)).all(axis=None)
    empty = measure_saliency(linear_regressor(), images[1:], SMALL_OPTIONS, count=1, radius=0.5)
    assert list(empty.columns) == list(table.columns) and len(empty) == 0


def with_areas(sample: Sample, *areas: float) -> Sample:
    sample.areas[:] = areas
    return sample


def test_the_largest_person_of_each_image_with_all_keypoints_is_shown() -> None:
    hidden = [*around(20, 20)[:3], (26, 22, 1)]  # its tail
    images = [
        with_areas(image_of(around(20, 20), around(44, 44)), 90, 100),
        image_of(hidden),
        with_areas(image_of(around(44, 44), around(20, 20)), 120, 100),
        image_of(around(30, 30)),
    ]
    arguments = (linear_regressor(), images, SMALL_OPTIONS)
    assert select_visible_people(*arguments, ["nose", "tail"], 2) == [(0, 1), (2, 0)]
    assert select_visible_people(*arguments, ["tail"], 9) == [(0, 1), (2, 0), (3, 0)]


def test_panel_titles_give_the_measures() -> None:
    view = analyze_center(
        linear_regressor(Pointer(shift=1.5)), image_of(around(30, 22)), SMALL_OPTIONS
    )
    near, tail = saliency_panels(view, 0, ["nose", "tail"], radius=2.0, title="ours")
    assert near.title == "ours\nnose: 100%" and near.radius == 20
    assert near.center.tolist() == [30, 22] and near.keypoints.tolist() == [[24, 20]]
    assert np.asarray(near.saliency).argmax() == 20 * 64 + 28
    assert tail.keypoints.tolist() == [[36, 24]]
    (panel,) = activation_panels(view, 0, ["tail"], title="ours")
    measured = measure_saliency(view.system, [view.sample], SMALL_OPTIONS, count=1, radius=1)
    distance = measured.set_index("keypoint").loc["tail", "taps"]
    assert panel.title == f"ours\ntail: {distance:.2f} sizes away"
    assert panel.activated.shape == (81, 2) and panel.saliency is None

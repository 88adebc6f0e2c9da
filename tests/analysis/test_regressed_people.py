"""Poses regressed from any cell, compared with the decoders and with networks of known people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from poselib.analysis.regressed_people import RegressedImage, regress_image
from poselib.analysis.saliency import analyze_center
from poselib.decoders.local_global import attraction_maps_of_detections, decode_without_adaptation
from poselib.decoders.regression import RegressionOptions
from poselib.ops.dynamic_convolution import soft_argmax_top2
from poselib.skeletons import COCO
from poselib.systems import System, build
from tests.analysis.factories import (
    OPTIONS,
    SMALL_OPTIONS,
    STANDING,
    around,
    image_of,
    known_people_system,
    linear_regressor,
    standing,
)

PEOPLE = (STANDING * 0.7, STANDING * 0.7 + np.array([40.0, 8.0], np.float32))


def toy() -> System:
    return replace(linear_regressor(), decode_options=RegressionOptions())


@pytest.fixture(scope="module")
def adapting() -> RegressedImage:
    return regress_image(known_people_system(*PEOPLE), standing(*PEOPLE), OPTIONS)


@pytest.fixture(scope="module", params=["both", "attraction", "expansion", "box", "match"])
def image(request: pytest.FixtureRequest) -> RegressedImage:
    """Known people, decoded by each way of moving keypoints."""
    system = known_people_system(*PEOPLE)
    if request.param == "match":
        other = build("dekr", COCO, backbone="hrnet_tiny", width=4, heatmap_width=8, match=True)
        system = replace(other, model=system.model)
    else:
        system = replace(system, decode_options=replace(system.decode_options, prior=request.param))
    return regress_image(system, standing(*PEOPLE), OPTIONS)


def test_people_are_those_of_the_decoder(image: RegressedImage) -> None:
    options = image.system.decode_options
    people = image.people(options)
    decode = build(image.system.name, COCO, **image.system.options).decode
    if hasattr(options, "prior"):
        decode = build("logocap", COCO, **{**image.system.options, "prior": options.prior}).decode
    (expected,) = decode(image.outputs)
    order = np.argsort(-expected.person_scores, kind="stable")
    np.testing.assert_array_equal(people.poses.keypoints, expected.keypoints[order])
    np.testing.assert_array_equal(people.poses.person_scores, expected.person_scores[order])
    assert len(people.poses) == 2 and len(people.regressed) == 2
    after, scores = image.adapted(people.regressed, options)
    np.testing.assert_allclose(after, people.poses.keypoints, atol=1e-5)
    np.testing.assert_allclose(scores, people.scores, atol=1e-6)


def test_the_cell_of_a_person_regresses_its_pose(image: RegressedImage) -> None:
    people = image.people(image.system.decode_options)
    for row, cell in enumerate(people.cells):
        pose = image.pose_of(cell)
        np.testing.assert_allclose(pose.points[0], people.regressed.points[row], atol=1e-5)
        assert float(pose.centers[0]) == image.score_of(cell)
        assert image.cell_at(*image.px_of(cell)) == cell
    best = people.cells[int(people.regressed.centers.argmax())]
    assert image.score_of(image.highest_cell) == image.score_of(best)


def test_poses_before_adaptation(adapting: RegressedImage) -> None:
    options = adapting.system.decode_options
    people = adapting.people(options)
    (expected,) = decode_without_adaptation(adapting.outputs, options)
    order = np.argsort(-expected.person_scores, kind="stable")
    np.testing.assert_allclose(
        adapting.px(people.regressed.points), expected.keypoints[order], atol=1e-5
    )


def test_a_local_filter_moves_its_keypoint(adapting: RegressedImage) -> None:
    options = adapting.system.decode_options
    people = adapting.people(options)
    person, keypoint = people.regressed[:1], 9
    found = adapting.local_filter(person, keypoint, adapting.attraction(person, options), options)
    maps = attraction_maps_of_detections(adapting.outputs, options)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.attraction, maps[0, keypoint])
    shift, _ = soft_argmax_top2(torch.from_numpy(found.response)[None, None], options.top_weight)
    expected = people.poses.keypoints[0, keypoint] - adapting.px(person.points)[0, keypoint]
    np.testing.assert_allclose(found.step * shift[0, 0], expected, atol=1e-4)
    wrists, eyes = options.expansion.rates[keypoint], options.expansion.rates[1]
    assert found.spacing == pytest.approx(float(wrists)) and wrists > eyes


def test_saliency_and_taps_are_those_of_the_persons_cell() -> None:
    sample = image_of(around(20.1, 31.9))
    view = analyze_center(linear_regressor(), sample, SMALL_OPTIONS)
    image = regress_image(toy(), sample, SMALL_OPTIONS)
    cell = image.cell_at(20.1, 31.9)
    assert list(cell) == view.cells[0].tolist()
    np.testing.assert_array_equal(image.saliency(cell, 2), view.saliency(0, [2])[0])
    np.testing.assert_array_equal(image.sampling_points(cell, 2), view.sampling_points()[0, 2])
    np.testing.assert_array_equal(image.regular_points(cell), view.regular_points()[0, 0])


def test_people_with_other_keypoints_are_dropped(adapting: RegressedImage) -> None:
    sample = standing()
    other = replace(sample, keypoints=sample.keypoints[:, :5])
    assert regress_image(adapting.system, other, OPTIONS).sample.keypoints.shape == (0, 17, 3)


def test_what_cannot_be_looked_into() -> None:
    with pytest.raises(ValueError, match="'toy' does not regress poses from centers"):
        regress_image(linear_regressor(), image_of(around(20, 30)), SMALL_OPTIONS)
    image = regress_image(known_people_system(), standing(), OPTIONS)
    with pytest.raises(ValueError, match="no offset head"):
        image.sampling_points((3, 4), 0)
    toys = regress_image(toy(), image_of(around(20, 30)), SMALL_OPTIONS)
    options = known_people_system().decode_options
    with pytest.raises(ValueError, match="without adaptation"):
        toys.attraction(toys.pose_of((3, 4)), options)

"""Test variants are evaluated as if each were alone, and detections are compared by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from poselib.analysis.association_errors import association_errors
from poselib.analysis.compare import (
    ASSOCIATION,
    LOCALIZATION,
    Comparison,
    compare_detections,
    comparison_panels,
    evaluate_decoders,
    evaluate_variants,
)
from poselib.analysis.select_images import rank_images
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.engine.evaluate import Evaluation, evaluate, evaluate_poses
from poselib.engine.inference import PredictOptions
from poselib.engine.variants import Variant, with_options
from poselib.metrics.localization_errors import classify_localization, error_rates
from poselib.skeletons import COCO
from poselib.structures import Poses
from poselib.systems import System, build
from tests.analysis.factories import eager_regressor
from tests.engine.factories import scenes
from tests.toy_people import ANN, BOB, TOY, at, poses, sample

OPTIONS = PredictOptions(size=64, multiple=32, flip=False, batch_size=4)
SCALES = (1.0, 2.0)
MATCHED = Variant("several, matched", {"match": True}, scales=SCALES)
VARIANTS = (
    MATCHED,
    Variant("one", off=("match", "refine")),
    Variant("several", off=("match",), scales=SCALES),
)


@pytest.fixture(scope="module")
def dataset() -> SyntheticScenes:
    return scenes(3)


@pytest.fixture(scope="module")
def regressor() -> System:
    return eager_regressor()


@pytest.fixture(scope="module")
def grouping() -> System:
    return build("hae", COCO, backbone="hrnet_tiny", deconv_channels=8, detection_threshold=0.0)


def assert_same_poses(found: list[Poses], expected: list[Poses]) -> None:
    assert sum(map(len, found))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
        np.testing.assert_array_equal(one.person_scores, other.person_scores)


@pytest.mark.slow
def test_each_variant_is_evaluated_as_if_alone(regressor: System, dataset: SyntheticScenes) -> None:
    results = evaluate_variants(regressor, dataset, VARIANTS, OPTIONS)
    assert results.variants == VARIANTS
    assert list(results.evaluations) == list(results.table.index) == [v.name for v in VARIANTS]
    # 75 px of 512 are 9.375 of 64: see ``match_distance_for``.
    alone = {
        "one": (with_options(regressor, match=False), OPTIONS),
        "several": (with_options(regressor, match=False), replace(OPTIONS, scales=SCALES)),
        "several, matched": (
            with_options(regressor, match=True, match_distance=75 * 64 / 512),
            replace(OPTIONS, scales=SCALES),
        ),
    }
    keypoints = set()
    for name, (system, options) in alone.items():
        expected = evaluate(system, dataset, options)
        assert_same_poses(results.evaluations[name].poses, expected.poses)
        np.testing.assert_equal(results.table.loc[name].to_dict(), expected.as_dict())
        keypoints.add(np.concatenate([p.keypoints for p in expected.poses]).tobytes())
    assert len(keypoints) == 3


def test_variants_of_the_same_scales_share_a_forward_pass(dataset: SyntheticScenes) -> None:
    system, widths = eager_regressor(1), []
    system.model.register_forward_hook(lambda _, inputs, __: widths.append(inputs[0].shape[-1]))
    evaluate_variants(system, dataset, VARIANTS, replace(OPTIONS, batch_size=1))
    assert sorted(widths) == [64] * 6 + [128] * 3


def test_variants_that_are_not_supported_are_left_out(
    grouping: System, dataset: SyntheticScenes
) -> None:
    results = evaluate_variants(grouping, dataset, VARIANTS[:2], OPTIONS)
    assert [variant.name for variant in results.variants] == ["one"]
    with pytest.raises(ValueError, match=r"'hae' supports none of .* 'several, matched'"):
        evaluate_variants(grouping, dataset, VARIANTS[:1], OPTIONS)


@pytest.mark.slow
def test_association_errors_are_counted_before_refinement(
    grouping: System, dataset: SyntheticScenes
) -> None:
    variants = [Variant("fixed", {"progressive": False}), Variant("ours", {"progressive": True})]
    results = evaluate_variants(grouping, dataset, variants, OPTIONS, errors=True)
    for variant in variants:
        row = results.table.loc[variant.name]
        unrefined = with_options(grouping, refine=False, **variant.options)
        expected = evaluate(unrefined, dataset, OPTIONS).poses
        assert_same_poses(results.unrefined[variant.name], expected)
        errors = association_errors(dataset, expected, COCO).loc["all"]
        np.testing.assert_equal(row[list(ASSOCIATION)].tolist(), errors[list(ASSOCIATION)].tolist())
        evaluation = results.evaluations[variant.name]
        classified = classify_localization(evaluation.comparison)
        np.testing.assert_allclose(
            100 * row[list(LOCALIZATION)].astype(float),
            error_rates(classified).loc["all", list(LOCALIZATION)],
        )


def test_without_refinement_errors_are_those_of_the_detections(
    regressor: System, dataset: SyntheticScenes
) -> None:
    results = evaluate_variants(regressor, dataset, [MATCHED], OPTIONS, errors=True)
    found = results.evaluations[MATCHED.name].poses
    assert_same_poses(results.unrefined[MATCHED.name], found)
    errors = association_errors(dataset, found, COCO).loc["all", list(ASSOCIATION)]
    np.testing.assert_equal(results.table[list(ASSOCIATION)].iloc[0].tolist(), errors.tolist())


def test_decoders_of_one_network_are_evaluated_as_if_alone(dataset: SyntheticScenes) -> None:
    system = eager_regressor(1)
    decoders = {"all": system, "few": with_options(system, nms_kernel=3)}
    for name, evaluation in evaluate_decoders(decoders, dataset, OPTIONS).items():
        assert_same_poses(evaluation.poses, evaluate(decoders[name], dataset, OPTIONS).poses)
    with pytest.raises(ValueError, match="share one network"):
        evaluate_decoders({"a": system, "b": eager_regressor(1)}, dataset, OPTIONS)


def test_detections_are_compared_image_by_image(dataset: SyntheticScenes) -> None:
    evaluations = {
        n: evaluate(eager_regressor(s), dataset, OPTIONS) for n, s in (("a", 0), ("b", 1))
    }
    scores = [p.person_scores for each in evaluations.values() for p in each.poses]
    min_score = float(np.median(np.concatenate(scores)))
    compared = compare_detections(dataset, evaluations, COCO, min_score=min_score)
    assert list(compared.totals.index) == list(compared.poses) == ["a", "b"]
    for name, evaluation in evaluations.items():
        kept = [each.above(min_score) for each in evaluation.poses]
        assert 0 < sum(map(len, kept)) < sum(map(len, evaluation.poses))
        assert_same_poses(compared.poses[name], kept)
        ranked = rank_images(dataset, kept, COCO)
        expected = ranked.set_index("index")["oks"].sort_index()
        assert compared.images[name].to_dict() == expected.to_dict()
        row = compared.totals.loc[name]
        assert (row["AP"], row["AR"]) == (evaluation.ap.AP, evaluation.ap.AR)
        assert row["detections"] == sum(map(len, kept))
        weighted = np.average(ranked["oks"], weights=ranked["people"])
        assert row["OKS"] == pytest.approx(weighted)
    assert (compared.images["a"] != compared.images["b"]).any()
    assert compared.totals["better"].tolist() == [
        (compared.images["a"] > compared.images["b"]).sum(),
        (compared.images["b"] > compared.images["a"]).sum(),
    ]


def ground_truth_evaluation(dataset: SyntheticScenes, scores: list[float]) -> Evaluation:
    """Return an evaluation of the annotated people, who have one score per image."""
    found = []
    for index, value in enumerate(scores):
        people = dataset[index].keypoints
        there = (people[..., 2] > 0).astype(np.float32)
        found.append(Poses(people[..., :2], there, np.full(len(people), value, np.float32)))
    return evaluate_poses(dataset, found, COCO)


def test_low_scores_count_for_average_precision_alone(dataset: SyntheticScenes) -> None:
    evaluation = ground_truth_evaluation(dataset, [0.05, 0.9, 0.9])
    compared = compare_detections(dataset, {"a": evaluation, "b": evaluation}, COCO, min_score=0.1)
    assert compared.totals["AP"].tolist() == [1, 1]
    assert compared.images["a"].tolist() == pytest.approx([0, 1, 1])
    assert compared.totals["better"].tolist() == [0, 0]
    people = compared.images["people"]
    assert compared.totals["detections"].tolist() == [people.loc[1:].sum()] * 2


def test_other_detections_can_be_compared(dataset: SyntheticScenes) -> None:
    evaluation = ground_truth_evaluation(dataset, [1.0] * 3)
    evaluations = {"a": evaluation, "b": evaluation}
    others = {"a": evaluation.poses, "b": [Poses.empty(17)] * 3}
    compared = compare_detections(dataset, evaluations, COCO, poses=others)
    assert compared.images["b"].tolist() == [0, 0, 0] and compared.totals.loc["b", "AP"] == 1
    assert compared.totals["better"].tolist() == [3, 0]
    with pytest.raises(ValueError, match="one or two evaluations can be compared, not 3"):
        compare_detections(dataset, {**evaluations, "c": evaluation}, COCO)


def test_a_single_system_has_no_gain(dataset: SyntheticScenes) -> None:
    evaluation = ground_truth_evaluation(dataset, [1.0] * 3)
    compared = compare_detections(dataset, {"a": evaluation}, COCO)
    assert "better" not in compared.totals and compared.totals.loc["a", "OKS"] == 1
    table = compared.as_table()
    assert list(table) == ["image", "people", "OKS a", "AP a"]
    assert table["image"].tolist() == ["all", 0, 1, 2] and table["OKS a"].tolist() == [1] * 4


IMAGES = pd.DataFrame(
    {"people": [2, 1, 1], "first": [0.5, 0.6, 0.2], "second": [0.9, 0.6, 0.1]}, index=[0, 2, 5]
)
TOTALS = pd.DataFrame({"AP": [0.3, 0.4], "OKS": [0.45, 0.625]}, index=["first", "second"])


def comparison(**found: list[Poses]) -> Comparison:
    return Comparison(TOTALS, found or {"first": [], "second": []}, IMAGES)


def test_gain_is_the_second_minus_the_first_and_ties_keep_their_order() -> None:
    gain = comparison().gain
    assert list(gain.index) == [5, 2, 0] and gain.tolist() == pytest.approx([-0.1, 0, 0.4])
    same = pd.DataFrame({"a": [0.5, 0.5, 0.5, 0.9], "b": [0.6, 0.5, 0.5, 0.1]})
    assert list(Comparison(TOTALS, {"a": [], "b": []}, same).gain.index) == [3, 1, 2, 0]


def test_the_table_has_a_row_for_all_images_and_one_for_each() -> None:
    table = comparison().as_table()
    assert list(table["image"]) == ["all", 0, 2, 5] and list(table["people"]) == [4, 2, 1, 1]
    assert table["OKS first"].tolist() == [0.45, 0.5, 0.6, 0.2]
    assert table["gain"].tolist() == pytest.approx([0.175, 0.4, 0.0, -0.1])
    assert table.loc[0, ["AP first", "AP second"]].tolist() == [0.3, 0.4]
    assert table.loc[1:, ["AP first", "AP second"]].isna().all(axis=None)


def test_panels_show_the_annotated_people_and_both_sets_of_detections() -> None:
    images = [sample(ANN, BOB), sample(), sample(ANN)]
    weak = poses(at(BOB), [(60, 60)] * 4)
    weak = replace(weak, scores=weak.scores * np.float32(0.01))
    compared = comparison(first=[weak] * 3, second=[poses(at(ANN))] * 3)
    panels = comparison_panels(images, compared, {"largest gain": [0], "x": [2]}, TOY)
    assert [panel.title for panel in panels] == [
        "image 0, largest gain: +0.40",
        "first: OKS 0.50",
        "second: OKS 0.90",
        "image 2, x: +0.00",
        "first: OKS 0.60",
        "second: OKS 0.60",
    ]
    annotated, first, second = panels[:3]
    assert annotated.poses is None and len(annotated.truth) == 2
    assert first.partners.tolist() == [1, -1] and second.partners.tolist() == [0]
    assert first.poses is not None and (first.poses.scores == 1).all()  # or they are not drawn

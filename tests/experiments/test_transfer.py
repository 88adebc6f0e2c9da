"""Domain shift."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from poselib.analysis.association_errors import association_errors
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import write_scenes
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.evaluate import evaluate
from poselib.experiments.transfer import (
    RATES,
    real_domain,
    shifted_scenes,
    synthetic_domains,
    transfer,
)
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO, CROWDPOSE
from poselib.systems import build

SMOKE = replace(get_preset("smoke"), test_scenes=2)
LOOK = replace(SMOKE.predict, flip=False)


def test_each_kind_differs_from_the_first_and_from_the_others() -> None:
    recipes = shifted_scenes(SMOKE.scenes)
    assert next(iter(recipes.values())) == SMOKE.scenes
    assert len({str(recipe) for recipe in recipes.values()}) == len(recipes)


def test_drawn_people_are_as_large_for_the_network_in_larger_scenes() -> None:
    domains = {domain.name: domain for domain in synthetic_domains(SMOKE, CROWDPOSE, 96)}
    wide, usual = domains["wide scenes of many"], domains["as trained"]
    assert (usual.size, wide.size) == (96, 192)
    assert usual.images[0].image.shape[-1] * 2 == wide.images[0].image.shape[-1]
    assert all(domain.labels is domain.images for domain in domains.values())
    assert usual.images[0].keypoints.shape[1] == len(CROWDPOSE)


def test_a_labeled_domain_has_the_numbers_of_an_evaluation() -> None:
    system = load_checkpoint().system
    domain = synthetic_domains(SMOKE, system.skeleton, 128)[0]
    found = transfer(system, domain, LOOK)
    assert domain.labels is not None
    ap = evaluate(system, domain.labels, LOOK).ap
    assert (found.numbers["AP"], found.numbers["AR"]) == (ap.AP, ap.AR)
    assert (found.numbers["images"], found.numbers["px"]) == (2, 128) and len(found.poses) == 2
    surely = [int((poses.person_scores >= 0.3).sum()) for poses in found.poses]
    assert found.numbers["found"] == sum(surely) / 2
    assert set(RATES) <= set(found.numbers)


def test_a_system_without_refinement_is_measured_as_it_is() -> None:
    system = build("dekr", COCO, backbone="hrnet_tiny_light")
    domain = synthetic_domains(SMOKE, COCO, 64)[0]
    found = transfer(system, domain, LOOK)
    assert domain.labels is not None
    errors = association_errors(domain.labels, found.poses, COCO).T["all"]
    rates = {rate: found.numbers[rate] for rate in RATES}
    assert rates == pytest.approx({rate: float(errors[rate]) for rate in RATES}, nan_ok=True)


def test_coco_files_with_the_same_keypoints_are_measured_and_others_only_looked_at(
    tmp_path: Path,
) -> None:
    system = load_checkpoint().system
    recipe = SceneConfig(size=96, people=(1, 1))
    for skeleton, fits in ((COCO, True), (CROWDPOSE, False)):
        folder = write_scenes(tmp_path / skeleton.name, recipe, 2, 3, skeleton)
        domain = real_domain(SMOKE, system.skeleton, 96, images=str(folder / "images"),
                             annotations=str(folder / "annotations.json"),
                             annotated=skeleton.name)  # fmt: skip
        assert domain.about == "2 images of annotations" and (domain.labels is not None) == fits
        assert ("AP" in transfer(system, domain, LOOK).numbers) == fits


def test_any_folder_of_images_is_looked_at(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "b.png"), np.full((40, 60, 3), 90, np.uint8))
    domain = real_domain(SMOKE, COCO, 64, images=str(tmp_path))
    assert domain.about == f"1 image of {tmp_path.name}" and domain.labels is None
    found = transfer(load_checkpoint().system, domain, LOOK)
    assert set(found.numbers) == {"images", "px", "found"}


def test_something_must_be_named() -> None:
    with pytest.raises(ValueError, match="name a dataset, annotations or images"):
        real_domain(SMOKE, COCO, 64)
    with pytest.raises(ValueError, match="unknown dataset 'nothing'"):
        real_domain(SMOKE, COCO, 64, dataset="nothing", data_dir=".")

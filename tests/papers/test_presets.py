"""Presets: complete, and as the paper has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poselib.data.augmentation import Augment
from poselib.engine.schedule import learning_rate_factor
from poselib.experiments.training import init_system
from poselib.papers.catalog import PAPERS
from poselib.papers.common_presets import COMMON_PRESETS
from poselib.papers.presets import PRESETS, get_preset
from poselib.skeletons import COCO
from poselib.systems import SYSTEMS, known_options


def test_presets_are_complete() -> None:
    for name in PRESETS:
        preset = get_preset(name)
        init_system(preset, COCO, 0) if name != "paper" else None
        assert preset.recipe_for(1000).steps > 0
    assert get_preset("paper").recipe_for(6400).steps == 300 * 200
    with pytest.raises(ValueError, match="unknown preset 'big'; known: smoke"):
        get_preset("big")


def test_a_recipe_has_settings_of_ones_own() -> None:
    smoke = get_preset("smoke")
    changed = smoke.with_recipe(precision="float16", compile=True, workers=2)
    assert (
        changed.recipe == replace(smoke.recipe, precision="float16", compile=True, workers=2)
        and replace(changed, recipe=smoke.recipe) == smoke
    )
    assert smoke.with_recipe() == smoke
    for wrong, message in (
        ({"rate": 1.0}, "no 'rate'; known: steps"),
        ({"steps": "x"}, "recipe {"),
    ):
        with pytest.raises(ValueError, match=message):
            smoke.with_recipe(**wrong)


def test_scenes_are_those_of_the_preset() -> None:
    smoke = get_preset("smoke", "crowd")
    train, test = (smoke.open_dataset("crowd", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (smoke.train_scenes, smoke.test_scenes)
    with pytest.raises(ValueError, match="for real data"):
        get_preset("paper").open_dataset("synthetic", "train")
    with pytest.raises(ValueError, match="'coco' needs its folder"):
        smoke.open_dataset("coco", "train")


def test_a_preset_follows_its_dataset() -> None:
    assert get_preset("paper", "coco") == get_preset("paper", "crowdpose") == get_preset("paper")
    assert get_preset("small", "mpii") == get_preset("small") != get_preset("small", "crowd")
    assert get_preset("paper", "mpii") != get_preset("paper")


def test_papers_override_what_they_share() -> None:
    assert list(PAPERS) == list(SYSTEMS)
    for paper in PAPERS.values():
        assert set(paper.options) == set(PRESETS)
        for name, dataset in [*paper.presets, *paper.dataset_options, *COMMON_PRESETS]:
            assert name in PRESETS and dataset in (
                "",
                "crowd",
                "groups",
                "coco",
                "crowdpose",
                "mpii",
                "clips",
                "clip_crowd",
            )
    assert get_preset("small", "crowd", "grm").pretrained_stages == 3


def test_studies_are_alike() -> None:
    """Their trainings are short, start from one backbone, and see each crowded scene twice."""
    for system in ("hae", "dekr", "grm", "logocap"):
        for dataset in ("crowd", "groups") if system == "hae" else ("crowd",):
            preset = get_preset("small", dataset, system)
            recipe = preset.recipe
            assert preset.pretrained == "bundled" and recipe.seconds is None
            steps = 500 if system in ("dekr", "grm") else 400
            assert (recipe.steps, recipe.batch_size) == (steps, 16)
            assert recipe.steps * recipe.batch_size == 2 * preset.train_scenes
            assert preset.scenes == COMMON_PRESETS["small", dataset].scenes
    clips = [get_preset("small", "clips", system) for system in ("rpstn", "jre")]
    assert {(clip.pretrained, clip.recipe.steps) for clip in clips} == {("bundled", 300)}


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_every_system_has_presets(system: str) -> None:
    for name in PRESETS:
        preset = get_preset(name, "crowd", system)
        assert preset.options.keys() <= known_options(system).keys()
    assert init_system(get_preset("smoke", "", system), COCO, 0, system).name == system
    with pytest.raises(ValueError, match="unknown paper 'hal'; known: hae"):
        get_preset("small", "", "hal")


@pytest.mark.parametrize("system", ["dekr", "grm"])
def test_regression_as_published(system: str) -> None:
    """DEKR, Secs. 4.1 and 4.4; GRM/MFA, Sec. IV-A."""
    coco, crowd = (get_preset("paper", dataset, system) for dataset in ("coco", "crowdpose"))
    assert (coco.epochs, crowd.epochs) == (140, 300)
    assert coco.recipe.learning_rate == crowd.recipe.learning_rate == 1e-3
    assert np.allclose(np.array(coco.recipe.milestones) * 140, [90, 120])
    assert np.allclose(np.array(crowd.recipe.milestones) * 300, [200, 260])
    assert coco.options["min_area"] == 32**2 and "min_area" not in crowd.options
    assert coco.input_size == 512 and coco.pretrained == "imagenet"


def test_another_head_leaves_out_what_it_has_no_use_for() -> None:
    preset = get_preset("smoke", "", "grm")
    system = init_system(preset, COCO, 0, "grm", head="associative")
    assert system.options["backbone"] == preset.options["backbone"]
    assert "radius" in preset.options and "radius" not in system.options


@pytest.mark.parametrize(
    ("dataset", "rates"),
    [
        # HAE, Sec. IV-B; the paper prints MPII's last rate as 1.5e4
        ("coco", {0: 1.5e-3, 199: 1.5e-3, 200: 1.5e-4, 259: 1.5e-4, 260: 1.5e-5, 299: 1.5e-5}),
        ("crowdpose", {0: 1.5e-3, 200: 1.5e-4, 260: 1.5e-5}),
        (
            "mpii",
            {0: 3e-3, 99: 3e-3, 100: 1.5e-3, 149: 1.5e-3, 150: 7.5e-4, 169: 7.5e-4, 170: 3e-4}
            | {199: 3e-4, 200: 1.5e-4, 299: 1.5e-4},
        ),
    ],
)
def test_the_published_learning_rates(dataset: str, rates: dict[int, float]) -> None:
    batches = 123
    recipe = get_preset("paper", dataset).recipe_for(32 * batches + 7)
    assert recipe.steps == 300 * batches and recipe.batch_size == 32
    assert recipe.optimizer == "adam" and recipe.warmup == 0
    for epoch, rate in rates.items():
        for step in (epoch * batches, (epoch + 1) * batches - 1):
            factor = learning_rate_factor(
                recipe.schedule,
                step / recipe.steps,
                recipe.warmup,
                recipe.milestones,
                recipe.decay,
            )
            assert recipe.learning_rate * factor == pytest.approx(rate)


@pytest.mark.parametrize(
    ("dataset", "size", "rotation", "scale"),
    [
        ("coco", 512, 30, (0.75, 1.5)),
        ("crowdpose", 512, 30, (0.75, 1.5)),
        ("mpii", 384, 40, (0.7, 1.3)),
    ],
)
def test_the_published_sizes_and_augmentation(
    dataset: str, size: int, rotation: float, scale: tuple[float, float]
) -> None:
    preset = get_preset("paper", dataset)
    augment = Augment(COCO, preset.input_size, **preset.augment)
    assert preset.input_size == size and preset.predict.flip
    assert augment.rotation == rotation and augment.scale == scale and augment.flip == 0.5
    assert augment.translation * size == pytest.approx(40)  # px of the input
    assert preset.options["backbone"] == "hrnet_w32" and preset.pretrained == "imagenet"


def test_another_size_and_translation() -> None:
    """DEKR, Sec. 4.1, and LOGO-CAP's official configuration: HRNet-W48 at 640 px."""
    usual = get_preset("paper", "coco", "logocap")
    larger = get_preset("paper", "coco", "logocap", size=640, translation=0.2)
    assert (usual.input_size, larger.input_size) == (512, 640)
    assert Augment(COCO, larger.input_size, **larger.augment).translation == 0.2
    assert usual.recipe.batch_size == 12 and usual.recipe.warmup == 0 and usual.epochs == 140
    assert larger.recipe == usual.recipe and usual.at_size(None) == usual.at_size(0) == usual
    crowd = get_preset("smoke", "crowd", "logocap", size=64)
    assert crowd.open_dataset("crowd", "test")[0].size == (64, 64)
    assert init_system(crowd, COCO, 0, "logocap").input_size == 64
    for size in (-64, 600):
        with pytest.raises(ValueError, match=f"size must be a positive multiple of 64 .* {size}"):
            usual.at_size(size)

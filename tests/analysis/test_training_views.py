"""What is shown of a training is what its loader and its encoder give."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from poselib.analysis.training_views import TrainingViews, offset_arrows
from poselib.data.clips import PersonImages
from poselib.data.collation import collate
from poselib.data.loaders import make_loader
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO
from poselib.systems import SYSTEMS, build

SCENES = SyntheticScenes(SceneConfig(people=(2, 3)), 3, 5, COCO).cached()


def views(system: str = "") -> TrainingViews:
    return TrainingViews.of("smoke", "synthetic", COCO, system)


@pytest.mark.parametrize("epoch", [0, 2])
def test_augmentation_is_that_of_the_training(epoch: int) -> None:
    augment = get_preset("smoke", "synthetic").augmentation(COCO)
    loader = make_loader(SCENES, 1, augment=augment, seed=4)
    for index, batch in enumerate(loader.epoch(epoch)):
        shown = views("dekr").augmented(SCENES[index], seed=4, epoch=epoch, index=index)
        assert np.array_equal(batch.images[0].numpy(), shown.image)
        assert np.array_equal(batch.keypoints[0].numpy(), shown.keypoints)


def test_crops_are_those_of_the_training() -> None:
    people, shown = PersonImages(SCENES), views("jre")
    assert shown.one_person and shown.system is not None
    augment = get_preset("smoke", "synthetic", "jre").augmentation(COCO, shown.system)
    item = people.people.index((0, 1))
    assert item == 1  # so that its number in a training is that of an image
    (batch,) = list(make_loader([people[0], people[1]], 2, augment=augment).epoch(3))
    found = shown.augmented(SCENES[0], seed=0, epoch=3, index=1, person=1)
    assert np.array_equal(batch.images[1].numpy(), found.image)
    assert shown.plain(SCENES[0], 1).size == shown.system.crop
    with pytest.raises(ValueError, match=r"id 0: there is no person 7 to crop, [0-9] are labeled"):
        shown.plain(SCENES[0], 7)


@pytest.mark.parametrize("name", ["hae", "grm", "rpstn"])
def test_targets_are_those_of_the_system(name: str) -> None:
    before = torch.random.get_rng_state()
    shown = views(name)
    assert torch.equal(before, torch.random.get_rng_state())
    sample = shown.plain(SCENES[0])
    system = build(name, COCO, **get_preset("smoke", "synthetic", name).options)
    loader = make_loader([replace(sample, boxes=None, tracks=None)], 1)
    expected = system.encode(next(iter(loader)))
    for one, other in zip(shown.targets(sample).heatmaps, expected.heatmaps, strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="targets need a system"):
        views().targets(sample)


@pytest.mark.usefixtures("undrawn_weights")
@pytest.mark.parametrize("name", SYSTEMS)
def test_targets_are_those_of_the_network_of_the_paper(name: str) -> None:
    found = TrainingViews.of("paper", "", COCO, name)
    assert found.system is not None
    whole = build(name, COCO, **found.preset.options)
    assert found.system.options == whole.options
    assert (found.system.crop, found.system.crop_rule) == (whole.crop, whole.crop_rule)
    sample = found.plain(SCENES[0])
    expected = whole.encode(collate([replace(sample, boxes=None, tracks=None)]))
    for value, other in zip(
        vars(found.targets(sample)).values(), vars(expected).values(), strict=True
    ):
        if isinstance(other, str):
            assert value == other
        else:
            torch.testing.assert_close(value, other, rtol=0, atol=0, equal_nan=True)


def test_no_weight_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: nullcontext())
    before = torch.random.get_rng_state()
    for name in ("hae", "dekr", "rpstn"):
        views(name)
        assert torch.equal(before, torch.random.get_rng_state())


def test_arrows_end_at_labeled_keypoints() -> None:
    shown = views("dekr")
    sample = shown.plain(SCENES[1])
    targets = shown.targets(sample)
    starts, ends, people = offset_arrows(targets)
    labeled = sample.keypoints[..., 2] > 0
    assert len(starts) == labeled.sum()
    assert np.allclose(ends, sample.keypoints[labeled][:, :2])
    means = [person[person[:, 2] > 0, :2].mean(0) for person in sample.keypoints]
    assert np.allclose(starts, np.array(means)[people], atol=1e-4)
    starts, ends, people = offset_arrows(targets, 5)
    assert set(people) == set(np.flatnonzero(labeled[:, 5]))
    assert np.allclose(ends, sample.keypoints[people, 5, :2])
    radius = 4 * 4.0  # cells of the region times the stride
    assert (np.linalg.norm(starts - np.array(means)[people], axis=1) <= radius + 1e-3).all()
    assert np.allclose(starts % 4, 2)  # the middles of cells

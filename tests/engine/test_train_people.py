"""Training of systems of one person: items, crops, resume, checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poselib.data.augmentation import Augment
from poselib.data.clips import PersonClips, PersonImages
from poselib.data.crops import CropRule
from poselib.engine.checkpoints import load_checkpoint, save_system
from poselib.engine.person_boxes import AnnotatedBoxes
from poselib.engine.predict import predict
from poselib.engine.seed import seed_everything
from poselib.engine.train import CHECKPOINT, train, training_items
from poselib.engine.train_config import TrainConfig
from poselib.skeletons import POSETRACK18
from poselib.structures import Batch, Clip
from poselib.systems import System, build
from tests.engine.factories import scenes, toy_system
from tests.engine.person_factories import TINY, tiny, walkers

RECIPE = TrainConfig(
    steps=4, batch_size=4, learning_rate=1e-3, average=0.5, log_every=1, checkpoint_every=2
)
REFINED = {"refine": True, "refine_depth": 18}
AUGMENT = Augment(POSETRACK18, (64, 64), rotation=40, scale=(0.8, 1.4), crop=CropRule())


def fresh(name: str, **options: Any) -> System:
    seed_everything(4)
    return build(name, POSETRACK18, **{**TINY[name], **options})


def test_clips_begin_at_every_frame_and_photographs_are_given_as_they_are() -> None:
    dataset = walkers(7)
    items = training_items(tiny("rpstn"), dataset)
    assert isinstance(items, PersonClips)
    assert len(items) == 2 * 2 * 5 and {len(items[n]) for n in (0, 19)} == {3}
    starts = [window.start for window in items.clips.windows]
    assert starts == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    assert training_items(tiny("rpstn"), items) is items
    images = training_items(tiny("jre"), dataset)
    assert isinstance(images, PersonImages)
    assert len(images) == sum(len(dataset[n].keypoints) for n in range(14))
    assert isinstance(training_items(tiny("rpstn"), scenes()), PersonImages)  # T = 1
    assert training_items(toy_system(), dataset) is dataset
    with pytest.raises(ValueError, match="no video has 3 frames: the longest has 2"):
        training_items(tiny("rpstn"), walkers(2))


class Seen:
    """Keeps the batches that a system encodes."""

    def __init__(self, system: System) -> None:
        self.batches: list[Batch] = []
        self.system = replace(system, encode=self._encode)
        self._given = system.encode

    def _encode(self, batch: Batch) -> Any:
        self.batches.append(batch)
        return self._given(batch)


def shift(item: Any, rng: np.random.Generator) -> Any:
    """Exchange the colors: an augmentation that does not crop."""
    if isinstance(item, Clip):
        return item.each(lambda frame, _: shift(frame, rng))
    return replace(item, image=item.image[::-1])


@pytest.mark.slow
@pytest.mark.parametrize("augment", [None, shift, AUGMENT])
def test_the_network_is_shown_crops(tmp_path: Path, augment: Any) -> None:
    """Whatever the augmentation; one that crops by itself crops once, with one draw a clip."""
    seen = Seen(fresh("rpstn"))
    recipe = replace(RECIPE, steps=2)
    train(seen.system, walkers(5), recipe, tmp_path, augment=augment, progress=False)
    for batch in seen.batches:
        assert batch.size == (64, 64) and batch.frames == 3 and len(batch.images) == 12
        assert (batch.keypoints[..., 2] > 0).any(dim=(1, 2)).all()
        warps = np.array([warp.matrix for warp in batch.to_original]).reshape(4, 3, 6)
        np.testing.assert_allclose(warps, warps[:, :1].repeat(3, axis=1), atol=1e-9)
        turned = np.abs(warps[:, 0, 1]) > 1e-3
        assert turned.all() == (augment is AUGMENT) and turned.any() == turned.all()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [("rpstn", {}), ("jre", REFINED)])
def test_a_resumed_training_equals_one_sitting(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """Chance included: that of augmentation, and of the errors that refinement is shown."""

    recipe = replace(RECIPE, steps=2, batch_size=2, checkpoint_every=0)

    def sitting(folder: Path, stop: int | None = None) -> dict[str, Any]:
        calls = []
        system = fresh(name, **options)

        def encode(batch: Batch) -> Any:
            calls.append(None)
            if len(calls) == stop:
                raise KeyboardInterrupt
            return system.encode(batch)

        crop = replace(AUGMENT, size=system.crop)
        watched = replace(system, encode=encode)
        train(watched, walkers(5), recipe, folder, augment=crop, progress=False)
        state: dict[str, Any] = torch.load(folder / CHECKPOINT, weights_only=True)
        return state

    whole = sitting(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        sitting(tmp_path / "parts", stop=2)
    parts = sitting(tmp_path / "parts")
    assert parts["step"] == whole["step"] == 2
    for key, value in whole["average"].items():
        assert torch.equal(value, parts["average"][key]), key


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [("rpstn", {"margin": 1.1, "per_frame": True}), ("jre", REFINED | {"frame": "aligned"})],
)
def test_a_checkpoint_predicts_as_the_system_did(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    system = tiny(name, **options)
    save_system(tmp_path / "a.safetensors", system, provenance={})
    loaded = load_checkpoint(tmp_path / "a.safetensors").system
    for field in ("name", "options", "crop", "crop_rule", "clips", "frames", "flip_shift"):
        assert getattr(loaded, field) == getattr(system, field), field
    dataset = walkers(4, count=1)
    pairs = zip(
        *(predict(s, dataset, boxes=AnnotatedBoxes()) for s in (system, loaded)), strict=True
    )
    for one, other in pairs:
        assert len(one) and np.array_equal(one.keypoints, other.keypoints)
        assert np.array_equal(one.person_scores, other.person_scores)

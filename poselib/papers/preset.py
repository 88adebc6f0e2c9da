"""The settings of a training and its evaluation, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from poselib.data.augmentation import Augment
from poselib.data.catalog import SYNTHETIC, KeypointDataset, Split, open_dataset
from poselib.data.synthetic.config import SceneConfig
from poselib.engine.inference import PredictOptions
from poselib.engine.train_config import TrainConfig
from poselib.skeletons import Skeleton
from poselib.systems import OptionValue, System

Options = Mapping[str, OptionValue]


@dataclass(frozen=True)
class Preset:
    """Settings of a training and its evaluation.

    Attributes:
        recipe: training configuration; with ``epochs``, its steps follow from the dataset's length.
        input_size: side of the training crops, px.
        augment: keyword arguments of ``data.augmentation.Augment`` besides skeleton and size.
        multiple: images to predict are padded to a multiple of this many px.
        predict: how images are presented in evaluation, besides their size.
        options: of the system.
        pretrained: source of the backbone's initial weights: ``"imagenet"``, those that timm or
            torchvision has under its name; ``"bundled"``, the model that comes with poselib, which
            has those of ``hrnet_tiny``; empty for random ones. Networks without a backbone, or
            with one that the source does not have, always get random ones.
        pretrained_stages: how many of the backbone's stages get them.
        epochs: passes over the dataset, or None to use the steps of ``recipe``.
        scenes: configuration of the synthetic scenes.
        train_scenes, test_scenes: number of synthetic scenes.
    """

    recipe: TrainConfig
    input_size: int
    augment: Mapping[str, Any]
    predict: PredictOptions
    options: Options = field(default_factory=dict)
    multiple: int = 64
    pretrained: str = ""
    pretrained_stages: int = 4
    epochs: int | None = None
    scenes: SceneConfig = field(default_factory=SceneConfig)
    train_scenes: int = 0
    test_scenes: int = 0

    def at_size(self, size: int | None) -> Preset:
        """Return the preset for images of another size: training crops and synthetic scenes.

        Args:
            size: side, px; 0 or None for the preset's own.

        Raises:
            ValueError: the size is not a positive multiple of ``multiple``.
        """
        if not size:
            return self
        if size < 0 or size % self.multiple:
            raise ValueError(
                f"size must be a positive multiple of {self.multiple} px, to which images of this "
                f"preset are padded, not {size}"
            )
        return replace(self, input_size=size, scenes=replace(self.scenes, size=size))

    def augmentation(self, skeleton: Skeleton, system: System | None = None) -> Augment:
        """Return the random transform of training images.

        Args:
            skeleton: what they are annotated with.
            system: what is trained; one that sees one person at a time is shown crops.
        """
        if system is None or system.crop is None:
            return Augment(skeleton, self.input_size, **self.augment)
        return Augment(skeleton, system.crop, crop=system.crop_rule, **self.augment)

    def with_recipe(self, **changes: OptionValue) -> Preset:
        """Return the preset with other settings of the training.

        Raises:
            ValueError: a name or a value is not one of ``TrainConfig``.
        """
        known = [each.name for each in fields(TrainConfig)]
        if unknown := sorted(set(changes) - set(known)):
            raise ValueError(f"a recipe has no {unknown[0]!r}; known: {', '.join(known)}")
        try:
            recipe = replace(self.recipe, **changes)  # type: ignore[arg-type]
        except TypeError as error:  # of a comparison with text
            raise ValueError(f"recipe {changes}: {error}") from error
        return replace(self, recipe=recipe)

    def recipe_for(self, samples: int) -> TrainConfig:
        """Return the recipe with the steps that ``epochs`` passes over ``samples`` take."""
        if self.epochs is None:
            return self.recipe
        batches = max(1, samples // self.recipe.batch_size)
        return replace(self.recipe, steps=self.epochs * batches)

    def open_dataset(
        self, name: str, split: Split, folder: Path | str = "", skeleton: Skeleton | str = ""
    ) -> KeypointDataset:
        """Open a split of a dataset; synthetic scenes are as the preset says.

        Arguments and errors are those of ``data.catalog.open_dataset``.

        Raises:
            ValueError: synthetic scenes are asked of a preset for real data.
        """
        if name not in SYNTHETIC:
            return open_dataset(name, split, folder, skeleton=skeleton)
        count = self.train_scenes if split == "train" else self.test_scenes
        if not count:
            raise ValueError("this preset is for real data: name a dataset and its data_dir")
        return open_dataset(name, split, skeleton=skeleton, scenes=self.scenes, count=count)

"""Complete settings of a training and its evaluation, by the name that notebooks take.

``smoke`` takes seconds and only shows that everything runs; ``demo`` trains for five minutes on
two cores; ``small`` trains for an hour or two and made the bundled checkpoint; ``paper`` is the
recipe of the paper, on the real dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from poselib.data.recipe import SceneRecipe
from poselib.engine.predict import PredictOptions
from poselib.engine.recipe import Recipe
from poselib.systems import Switch


@dataclass(frozen=True)
class Preset:
    """Settings of a training and its evaluation.

    Attributes:
        switches: of the system.
        recipe: of the training; with ``epochs``, its steps follow from the dataset's length.
        input_size: side of the training crops, px.
        augment: keyword arguments of ``data.transforms.Augment`` besides skeleton and size.
        predict: how images are presented in evaluation.
        imagenet: where the backbone's first weights come from, timm's name of a classifier or a
            file; empty for weights drawn at random.
        epochs: passes over the dataset, or None to take the recipe's steps.
        scenes: what synthetic scenes are like.
        train_scenes, test_scenes: how many of them.
    """

    switches: Mapping[str, Switch]
    recipe: Recipe
    input_size: int
    augment: Mapping[str, Any]
    predict: PredictOptions
    imagenet: str = ""
    epochs: int | None = None
    scenes: SceneRecipe = field(default_factory=SceneRecipe)
    train_scenes: int = 0
    test_scenes: int = 0

    def recipe_for(self, samples: int) -> Recipe:
        """Return the recipe with the steps that ``epochs`` passes over ``samples`` take."""
        if self.epochs is None:
            return self.recipe
        batches = max(1, samples // self.recipe.batch_size)
        return replace(self.recipe, steps=self.epochs * batches)


# A network for CPUs has minutes, not days: what differs from the paper is there to be quick. Cells
# near no keypoint count a tenth, or the maps stay at zero for most of the time; push counts more
# than pull, or the tags first collapse to one value and have no gradient there to part again; the
# bends of the Gaussians are fitted (parabola), which matters where a cell is 2 of 128 px; and weak
# peaks, of which a short training leaves many, do not start people.
_TINY: dict[str, Switch] = {
    "backbone": "hrnet_tiny",
    "deconv_blocks": 1,
    "deconv_channels": 16,
    "sigma": 2.0,
    "background": 0.1,
    "push_weight": 1e-2,
    "pull_weight": 3e-3,
    "subpixel": "parabola",
    "detection_threshold": 0.3,
}
_TINY_AUGMENT = {"rotation": 15.0, "scale": (0.8, 1.25), "translation": 0.05}
_TINY_RECIPE = Recipe(
    steps=1_000_000,
    batch_size=32,
    learning_rate=4e-3,
    precision="bfloat16",
    log_every=20,
    checkpoint_every=200,
)
_TINY_PREDICT = PredictOptions(size=128, multiple=32, flip=True, batch_size=50)

_DEMO = Preset(
    switches=_TINY,
    recipe=replace(_TINY_RECIPE, seconds=270.0),
    input_size=128,
    augment=_TINY_AUGMENT,
    predict=_TINY_PREDICT,
    scenes=SceneRecipe(size=128, people=(1, 3)),
    train_scenes=6000,
    test_scenes=200,
)
_SMALL = replace(
    _DEMO,
    switches={**_TINY, "deconv_channels": 32},
    recipe=replace(_TINY_RECIPE, seconds=3600.0, average=0.999, checkpoint_every=500),
    scenes=SceneRecipe(size=128, people=(1, 4)),
    train_scenes=24000,
)
_SMOKE = replace(
    _DEMO,
    recipe=replace(
        _TINY_RECIPE, steps=4, batch_size=4, log_every=1, checkpoint_every=2, precision="float32"
    ),
    train_scenes=8,
    test_scenes=4,
)
# HAE, Sec. IV-B; weights of the losses are those of the official configuration.
_PAPER = Preset(
    switches={"backbone": "hrnet_w32"},
    recipe=Recipe(
        batch_size=32,
        optimiser="adam",
        learning_rate=1.5e-3,
        weight_decay=0.0,
        schedule="steps",
        warmup=0.0,
        milestones=(200 / 300, 260 / 300),
        average=0.0,
        workers=8,
        log_every=50,
        checkpoint_every=2000,
    ),
    input_size=512,
    augment={},
    predict=PredictOptions(size=512, multiple=64, flip=True),
    imagenet="hrnet_w32",
    epochs=300,
)

PRESETS: dict[str, Preset] = {
    "smoke": _SMOKE,
    "demo": _DEMO,
    "small": _SMALL,
    "paper": _PAPER,
}


def preset_named(name: str) -> Preset:
    """Return a preset; raises ValueError that lists the known ones."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]

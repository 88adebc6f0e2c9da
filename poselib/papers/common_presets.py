"""Presets that all papers share: smoke, demo, small, and the crowd benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from poselib.data.synthetic.config import (
    CROWD_CLIPS,
    CROWD_SCENES,
    GROUP_SCENES,
    ClipConfig,
    SceneConfig,
)
from poselib.engine.inference import PredictOptions
from poselib.engine.train_config import TrainConfig
from poselib.papers.preset import Preset

_TINY_RECIPE = TrainConfig(
    steps=1_000_000,
    batch_size=32,
    learning_rate=4e-3,
    precision="auto",
    log_every=20,
    checkpoint_every=200,
)
_TINY = Preset(
    recipe=_TINY_RECIPE,
    input_size=128,
    augment={"rotation": 15.0, "scale": (0.8, 1.25), "translation": 0.05},
    multiple=32,
    predict=PredictOptions(flip=True, batch_size=50),
    scenes=SceneConfig(size=128, people=(1, 3)),
    train_scenes=4000,
    test_scenes=200,
)
# The same work on every machine: four minutes of two quiet cores in float32. Muon needs fewer
# steps than AdamW, a step at half size takes a third of the time, and images like those of the test
# are learned sooner than strongly augmented ones.
DEMO = replace(
    _TINY,
    recipe=replace(
        _TINY_RECIPE,
        steps=1150,
        half_size=0.56,
        expected_seconds=240.0,
        batch_size=16,
        optimizer="muon",
        learning_rate=3e-3,
    ),
    augment={"rotation": 5.0, "scale": (0.9, 1.1), "translation": 0.02},
)
SMALL = replace(
    _TINY,
    recipe=replace(_TINY_RECIPE, seconds=3600.0, average=0.999, checkpoint_every=500),
    scenes=SceneConfig(size=128, people=(1, 4)),
    train_scenes=24000,
)
SMOKE = replace(
    _TINY,
    recipe=replace(
        _TINY_RECIPE, steps=4, batch_size=4, log_every=1, checkpoint_every=2, precision="float32"
    ),
    train_scenes=8,
    test_scenes=4,
)


# On the crowd benchmark and in groups, steps are counted, not seconds, so that all rows of a table
# are trained alike whatever else the machine does.
def _counted(
    preset: Preset, scenes: SceneConfig, steps: int, train_scenes: int, test_scenes: int
) -> Preset:
    return replace(
        preset,
        recipe=replace(preset.recipe, steps=steps, seconds=None),
        scenes=scenes,
        train_scenes=train_scenes,
        test_scenes=test_scenes,
    )


# The trainings of studies, some 110 of them with three seeds or more, get about three minutes of
# one core each. So all rows start from the backbone of the bundled model, as the papers' start from
# ImageNet's weights. A scene that must meet a crowd index takes 8 ms, a quarter of a step's image:
# each is seen twice.
_STUDY_STEPS, _STUDY_BATCH = 400, 16
_STUDY = replace(
    SMALL,
    recipe=replace(
        _TINY_RECIPE,
        batch_size=_STUDY_BATCH,
        optimizer="muon",
        learning_rate=3e-3,
        average=0.98,
    ),
    pretrained="bundled",
)


def _study(scenes: SceneConfig) -> Preset:
    return _counted(_STUDY, scenes, _STUDY_STEPS, _STUDY_STEPS * _STUDY_BATCH // 2, 300)


# Clips: a batch has as many images as one of four clips of five frames.
_CLIPS = replace(
    _TINY,
    recipe=replace(
        _TINY_RECIPE, steps=600, batch_size=20, optimizer="muon", learning_rate=3e-3, average=0.98
    ),
    augment={"rotation": 15.0, "scale": (0.85, 1.2), "translation": 0.05},
    predict=PredictOptions(flip=False, batch_size=10),
)
_SMOKE_CLIPS = replace(_CLIPS, recipe=SMOKE.recipe)


def _clips(clips: ClipConfig) -> Mapping[str, Preset]:
    """Return the presets of clips; the number of frames of each suits networks of 5 and 10."""
    started = replace(_CLIPS, pretrained="bundled")
    return {
        "smoke": _counted(_SMOKE_CLIPS, replace(clips, frames=6), 4, 2, 1),
        "demo": _counted(_CLIPS, replace(clips, frames=10), 300, 60, 20),
        "small": _counted(started, replace(clips, frames=10), 300, 120, 40),
    }


SMALL_CROWD = _study(CROWD_SCENES)

# By preset and dataset; an empty name stands for every other dataset.
COMMON_PRESETS: Mapping[tuple[str, str], Preset] = {
    ("smoke", ""): SMOKE,
    ("demo", ""): DEMO,
    ("small", ""): SMALL,
    ("smoke", "crowd"): _counted(SMOKE, CROWD_SCENES, 4, 8, 4),
    ("demo", "crowd"): _counted(_TINY, CROWD_SCENES, 1000, 4000, 200),
    ("small", "crowd"): SMALL_CROWD,
    ("smoke", "groups"): _counted(SMOKE, GROUP_SCENES, 4, 8, 4),
    ("demo", "groups"): _counted(_TINY, GROUP_SCENES, 1000, 4000, 200),
    ("small", "groups"): _study(GROUP_SCENES),
    **{(name, "clips"): preset for name, preset in _clips(ClipConfig()).items()},
    **{(name, "clip_crowd"): preset for name, preset in _clips(CROWD_CLIPS).items()},
}

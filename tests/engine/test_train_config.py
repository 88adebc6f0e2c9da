from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest

from poselib.engine.train_config import TrainConfig


def test_the_defaults_are_valid_and_every_field_is_documented() -> None:
    recipe = TrainConfig()
    assert TrainConfig(**asdict(recipe)) == recipe
    documented = (TrainConfig.__doc__ or "").split("Attributes:")[1]
    assert not [f.name for f in fields(TrainConfig) if f.name not in documented]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, 0) for name in ("steps", "batch_size", "learning_rate", "seconds", "clip")],
        *[(name, -1) for name in ("steps", "weight_decay", "seed", "workers", "decay")],
        *[(name, -1) for name in ("log_every", "checkpoint_every", "validate_every")],
        *[(name, value) for name in ("average", "warmup") for value in (-0.1, 1.0)],
        *[(name, float("nan")) for name in ("learning_rate", "weight_decay", "average", "clip")],
        ("decay", (0.5, 0.0)),
        ("decay", (0.5,)),
        ("milestones", (200, 260)),
        ("optimizer", "sgd"),
        ("schedule", "linear"),
        ("precision", "half"),
    ],
)
def test_a_bad_setting_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^TrainConfig: {name} must be") as error:
        replace(TrainConfig(milestones=(0.5, 0.8)), **{name: value})
    assert repr(value) in str(error.value)

"""The examples in docstrings do what they show."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import poselib.decoders
import poselib.encoders
import poselib.losses
import poselib.ops

ROOMS = (poselib.decoders, poselib.encoders, poselib.losses, poselib.ops)


def modules_of(room: ModuleType) -> list[str]:
    return [f"{room.__name__}.{module.name}" for module in pkgutil.iter_modules(room.__path__)]


@pytest.mark.parametrize("name", [name for room in ROOMS for name in modules_of(room)])
def test_docstring_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", modules_of(poselib.losses))
def test_losses_have_a_docstring_example(name: str) -> None:
    if not name.endswith("_options"):
        assert doctest.testmod(importlib.import_module(name)).attempted > 0

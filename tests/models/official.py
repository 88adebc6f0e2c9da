"""Weights that the rule of the golden arrays gives to official networks."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor


def weights_rule(folder: Path) -> ModuleType:
    """Return the module beside the golden arrays that fills weights by their names."""
    spec = importlib.util.spec_from_file_location("weights_rule", folder / "weights_rule.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def official_weights(folder: Path, network: str) -> dict[str, Tensor]:
    """Return a network's weights by their official names; constants beside them are 0."""
    keys = json.loads((folder / f"{network}.keys.json").read_text())
    filled = {
        name: torch.from_numpy(value) for name, value in weights_rule(folder).fill(keys).items()
    }
    return {
        name: filled.get(name, torch.zeros(shape, dtype=getattr(torch, kind)))
        for name, shape, kind in keys
    }


def relative(got: Tensor, expected: np.ndarray) -> float:
    """Return the largest difference, as a share of the largest value expected."""
    assert got.shape == expected.shape
    return float(np.abs(got.numpy() - expected).max() / np.abs(expected).max())

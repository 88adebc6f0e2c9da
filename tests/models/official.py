"""Weights that the rule of the golden arrays gives to official networks."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def official_weights(folder: Path, network: str) -> dict[str, Tensor]:
    """Return a network's weights by their official names; constants beside them are 0."""
    spec = importlib.util.spec_from_file_location("weights_rule", folder / "weights_rule.py")
    assert spec is not None and spec.loader is not None
    rule = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule)
    keys = json.loads((folder / f"{network}.keys.json").read_text())
    filled = {name: torch.from_numpy(value) for name, value in rule.fill(keys).items()}
    return {
        name: filled.get(name, torch.zeros(shape, dtype=getattr(torch, kind)))
        for name, shape, kind in keys
    }


def relative(got: Tensor, expected: np.ndarray) -> float:
    """Return the largest difference, as a share of the largest value expected."""
    assert got.shape == expected.shape
    return float(np.abs(got.numpy() - expected).max() / np.abs(expected).max())

"""Propagation of pose semantics, cell by cell from the paper's equations.

Maps are (C, h, w) arrays of float64, one image; weights come from the modules under test.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from torch import nn

from poselib.models.pose_propagation import PropagationNetwork
from poselib.models.propagator import Propagator
from tests.references.plain_attention import Floats, convolved, normalized, numbers


def pooled(x: Floats) -> Floats:
    """Return the maximum of each square of four cells; an odd last row or column is left out."""
    y = np.zeros((len(x), x.shape[1] // 2, x.shape[2] // 2))
    for c, i, j in np.ndindex(*y.shape):
        y[c, i, j] = x[c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max()
    return y


def kernels(features: Floats, heatmaps: Floats, module: Propagator) -> Floats:
    """Return S(Conv_a(f + M')), layer by layer: Eq. 2 and Fig. 5."""
    x = convolved(np.concatenate([heatmaps, features]), module.fusion)
    layers = list(zip(module.convolutions, module.norms, strict=True))
    for number, (convolution, norm) in enumerate(layers):
        y = convolved(x, convolution)
        if number == 0:  # without padding
            y = y[:, 1:-1, 1:-1]
        x = normalized(y, norm)
        if number < len(layers) - 1:
            x = np.maximum(x, 0)
        if number < 3:
            x = pooled(x)
    return x


def matched(features: Floats, kernel: Floats) -> Floats:
    """Return the convolution of each channel with its own kernel, zeros outside: Eq. 3."""
    _, height, width = features.shape
    _, rows, columns = kernel.shape
    y = np.zeros_like(features)
    for c, i, j in np.ndindex(*y.shape):
        for di, dj in np.ndindex(rows, columns):
            row, column = i + di - rows // 2, j + dj - columns // 2
            if 0 <= row < height and 0 <= column < width:
                y[c, i, j] += kernel[c, di, dj] * features[c, row, column]
    return y


def related(maps: Floats, module: nn.Module) -> Floats:
    """Return the joint relation extractor's Z: Eqs. 6 to 9."""
    flat = maps.reshape(len(maps), -1)
    scores = np.exp(flat @ flat.T - (flat @ flat.T).max(axis=1, keepdims=True))
    weights = scores / scores.sum(axis=1, keepdims=True)
    gathered = convolved(maps, module.g).reshape(len(maps), -1)
    mixed = (weights @ gathered).reshape(maps.shape)
    return normalized(convolved(mixed, module.W[0]), module.W[1]) + maps


def propagated(
    features: list[Floats], initial: Floats, network: PropagationNetwork
) -> list[Floats]:
    """Return M' of every frame from the features of each and the initializer's maps: Eqs. 1-4."""
    module = network.propagator
    assert module is not None
    maps = [related(initial, network.relation)]
    for before, after in pairwise(features):
        pseudo = convolved(matched(after, kernels(before, maps[-1], module)), network.head)
        if network.config.normalize_pseudo:
            pseudo = normalized(pseudo, network.pseudo_norm)
        maps.append(normalized(related(pseudo, network.relation), network.output_norm))
    return maps


__all__ = ["kernels", "matched", "numbers", "propagated"]

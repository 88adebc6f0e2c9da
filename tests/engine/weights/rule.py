"""Weights by a rule of their names, for networks here and those of others, and what comes out.

``published_outputs.json`` holds outputs of the public code for each network and layout of the
catalogue: the network definitions of mmpose 0.29.0 and 1.3.2, built from the configuration of each
entry, and of the repositories DEKR, HigherHRNet and LOGO-CAP, built from theirs. They got the
weights of ``ruled`` under their own names and the image of ``image``; ``sampled`` took values of
their outputs, which were first put into the form of those here: maps of centers apart from
heatmaps, offsets as the cell less the keypoint, in cells.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from poselib.structures import Size

_GAIN = 0.5  # of the variance that a convolution keeps
_ROW, _COLUMN = 4, 11  # further in the numbers of a layer
_VALUES = 16
_GOLDEN = (5**0.5 - 1) / 2


def ruled(name: str, shape: Sequence[int], kind: torch.dtype = torch.float32) -> Tensor:
    """Return the weights that a name stands for: normal numbers on the scale of their kind.

    Kernels of a convolution are overlapping stretches of one sequence of numbers, so that files of
    large networks are small and take no time.
    """
    leaf, rng = name.rpartition(".")[2], np.random.default_rng(zlib.crc32(name.encode()))
    if not kind.is_floating_point:
        return torch.zeros(tuple(shape), dtype=kind)
    if len(shape) == 4:
        rows, columns, height, width = shape
        count = _ROW * (rows - 1) + _COLUMN * (columns - 1) + height * width
        scale = (_GAIN / (columns * height * width)) ** 0.5
        if "transform_matrix_conv" in name or "translation_conv" in name:
            scale /= 2
        numbers = torch.from_numpy((rng.standard_normal(count) * scale).astype(np.float32))
        return numbers.as_strided(tuple(shape), (_ROW, _COLUMN, width, 1))
    x = rng.standard_normal(tuple(shape))
    if leaf == "running_var":
        x = 1 + 0.1 * np.abs(x)
    elif leaf == "weight" and len(shape) == 2:
        x = x * (2 / shape[1]) ** 0.5
    elif leaf in ("weight", "weight_"):
        x = 1 + 0.1 * x
    else:
        x = 0.1 * x
    return torch.from_numpy(x.astype(np.float32))


def image(size: Size) -> Tensor:
    """Return a normalized image (1, 3, H, W) of noise."""
    return torch.from_numpy(_noise("image", 1, 3, *size))


def poses(keypoints: int) -> tuple[Tensor, Tensor]:
    """Return keypoints (5, K, 2), px, and scores (5, K) of poses to be rated."""
    points = 40 * _noise("poses", 5, keypoints, 2) + 100
    return torch.from_numpy(points), torch.from_numpy(_noise("scores", 5, keypoints)).sigmoid()


def context(channels: int, side: int = 11) -> Tensor:
    """Return what message passing reads of three poses (3, C, side, side)."""
    return torch.from_numpy(_noise("context", 3, channels, side, side)).relu()


def sampled(outputs: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Return the largest absolute value of each output, and values of it at fixed places."""
    found = {}
    for name, output in outputs.items():
        flat = output.detach().flatten().double()
        places = [int(n * _GOLDEN % 1 * len(flat)) for n in range(1, _VALUES + 1)]
        values = [float(flat.abs().max()), *flat[places].tolist()]
        found[name] = [float(f"{value:.6g}") for value in values]
    return found


def _noise(name: str, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.standard_normal(shape).astype(np.float32)

"""Synthetic network outputs whose regressed poses are off, to measure refinement with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poselib.benchmarks.workloads import as_float32, random_people
from poselib.models.local_global import MessagePassing
from poselib.ops.gaussians import gaussian_heatmaps
from poselib.outputs import LocalGlobalOutputs
from poselib.structures import Size

_SIGMA = 2.0  # of the Gaussians of keypoints, cells; a center's is half as wide
_NOISE = 0.02  # background heat lies between 0 and this
_CALM = 0.005  # that of the center map, below what counts as a center
_APART = 6  # cells between one center and the next at least


def adapt_inputs(
    people: int,
    size: Size = (512, 704),
    *,
    keypoints: int = 17,
    images: int = 1,
    embedding: int = 64,
    stride: int = 4,
    error: float = 4.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> LocalGlobalOutputs:
    """Make the outputs of a local-global network for scenes with people.

    Heatmaps have a Gaussian of two cells at each keypoint over noise of up to 0.02, the center map
    has one of a cell at each person, and the offsets there lead to poses whose keypoints are up
    to ``error`` px off. The embedding is noise, and ``attraction_network`` the published
    message passing with random weights, which do not change the time that it takes.

    Args:
        people, keypoints, images, embedding: N in each image, K, B and D channels.
        stride: px a cell.
        error: px, of each coordinate.

    Raises:
        ValueError: the size is no multiple of the stride, or so many centers do not fit.
    """
    if size[0] % stride or size[1] % stride:
        raise ValueError(f"size must be multiples of {stride} px, not {size}")
    rng = np.random.default_rng(seed)
    cells = (size[0] // stride, size[1] // stride)
    points = random_people(rng, images, people, keypoints, size, missing=0.0)
    spots = _spots(rng, images, people, cells)
    middles = np.concatenate([(spots + 0.5) * stride, np.full_like(spots[..., :1], 2)], axis=-1)
    wrong = points[..., :2] + rng.uniform(-error, error, points[..., :2].shape)
    heat = gaussian_heatmaps(torch.from_numpy(points), size, cells, _SIGMA)
    marks = gaussian_heatmaps(as_float32(middles)[:, :, None], size, cells, _SIGMA / 2)
    noise = torch.from_numpy(rng.random((images, keypoints + 1, *cells), dtype=np.float32))
    return LocalGlobalOutputs(
        (heat + _NOISE * noise[:, 1:]).to(device),
        (marks + _CALM * noise[:, :1]).to(device),
        _offsets(spots, wrong / stride, cells).to(device),
        size,
        embedding=torch.from_numpy(
            rng.standard_normal((images, embedding, *cells), dtype=np.float32)
        ).to(device),
        attraction_network=_message_passing(keypoints, embedding, seed).to(device),
    )


def _spots(rng: np.random.Generator, images: int, people: int, cells: Size) -> NDArray[np.float64]:
    """Return cells (B, N, 2), (column, row), of a coarse grid, each at most once an image."""
    rows, columns = (max(1, length // _APART) for length in cells)
    if people > rows * columns:
        raise ValueError(f"{people} centers do not fit into maps of {cells} cells")
    chosen = np.array([rng.permutation(rows * columns)[:people] for _ in range(images)])
    places = np.stack([chosen % columns, chosen // columns], axis=-1)
    return _APART * places + _APART // 2.0


def _offsets(spots: NDArray[np.float64], points: NDArray[np.float64], cells: Size) -> Tensor:
    """Return (B, K, 2, h, w) cells: the distance of each cell's center from the keypoints."""
    images, _, kinds, _ = points.shape
    offsets = torch.zeros(images, kinds, 2, *cells)
    apart = as_float32(spots[:, :, None] + 0.5 - points)
    column, row = torch.from_numpy(spots).long().unbind(dim=-1)
    for image, each in enumerate(apart):
        offsets[image, :, :, row[image], column[image]] = each.permute(1, 2, 0)
    return offsets


def _message_passing(keypoints: int, embedding: int, seed: int) -> MessagePassing:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MessagePassing(keypoints, embedding, attentive=True)
    return network.eval().requires_grad_(False)

"""Regression testing as published, photograph by photograph: in px indices, with flip and scales.

Written from the description of the official code, with loops over scales and poses. It shares the
network with the library, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from poselib.outputs import RegressionOutputs

Network = Callable[[Tensor], RegressionOutputs]
Floats = NDArray[np.float64]

STRIDE, PADDING, CANDIDATES, THRESHOLD = 4, 64, 30, 0.01
DECREASE, NEAR, NEAR_COUNT = 0.9, 0.05, 8  # of the official settings for COCO
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def canvas(height: int, width: int, size: int, scale: float) -> tuple[tuple[int, int], Floats]:
    """Return the (H, W) of the input and the 2x3 matrix to it, between px indices."""
    short = size * scale
    ratio = short / min(height, width)
    sides = [
        int(int((size / min(height, width) * side + PADDING - 1) // PADDING * PADDING) * scale)
        for side in (height, width)
    ]
    middle = int(width / 2 + 0.5), int(height / 2 + 0.5)
    shift = sides[1] / 2 - ratio * middle[0], sides[0] / 2 - ratio * middle[1]
    return (sides[0], sides[1]), np.array([[ratio, 0, shift[0]], [0, ratio, shift[1]]])


def poses_in_cells(offsets: Tensor) -> Tensor:
    """Return the pose at each cell (K, 2, h, w) for offsets (K, 2, h, w) or (2 K, h, w)."""
    y, x = torch.meshgrid(*map(torch.arange, offsets.shape[-2:]), indexing="ij")
    return torch.stack([x, y]).float() - offsets.reshape(-1, 2, *offsets.shape[-2:])


def maps_of(network: Network, image: Tensor, order: Sequence[int], flip: bool) -> list[Tensor]:
    """Return heatmaps with that of centers, and poses in cells (K, 2, h, w), of a batch of one."""

    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        outputs = network(x)
        heat = torch.cat([outputs.heatmaps, outputs.centers], dim=1)[0]
        return heat, poses_in_cells(outputs.offsets[0])

    heat, poses = forward(image)
    if flip:
        moved = image.flip(-1)
        moved = torch.cat([moved[..., 3:], moved[..., -3:]], dim=-1)  # 3 px to the left
        heat2, poses2 = forward(moved)
        heat2, poses2 = heat2.flip(-1)[[*order, len(order)]], poses2.flip(-1)[list(order)]
        poses2[:, 0] = heat.shape[-1] - 1 - poses2[:, 0]
        heat, poses = (heat + heat2) / 2, (poses + poses2) / 2
    return [heat, poses]


def enlarged(heat: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge maps (K, h, w): first and last cell stay the first and last px but a rest."""
    rest = [whole // part - 1 for whole, part in zip(size, heat.shape[-2:], strict=True)]
    inner = [whole - each for whole, each in zip(size, rest, strict=True)]
    grown = F.interpolate(heat[None], inner, mode="bilinear", align_corners=True)
    return F.pad(grown, (0, rest[1], 0, rest[0]), mode="replicate")[0]


def candidates(heat: Tensor, poses: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """Return the poses (n, K, 2) at the highest peaks of the center map, in px of the base."""
    centers = heat[-1]
    mean = sum(centers.shape) / 2
    side = 7 if mean > 300 else 5 if mean > 200 else 3
    peaks = F.max_pool2d(centers[None], side, 1, side // 2)[0] == centers
    values, where = (centers * peaks).flatten().topk(min(CANDIDATES, centers.numel()))
    kept = where[values > THRESHOLD]
    found = poses.flatten(2)[:, :, kept].permute(2, 0, 1) * factor
    return found, values[values > THRESHOLD]


def without_duplicates(poses: Tensor, scores: Tensor, distance: float, count: int) -> list[int]:
    """Return the rows kept: of poses near the first, in order, the one with the best score."""
    kept: list[int] = []
    gone: set[int] = set()
    for n, pose in enumerate(poses):
        if n in gone:
            continue
        box = pose.amax(dim=0) - pose.amin(dim=0)
        near = (poses - pose).norm(dim=-1) < distance * box.norm()
        rows = torch.nonzero(near.sum(dim=1) > count)[:, 0].tolist()
        if not rows:
            continue
        best = rows[int(scores[rows].argmax())]
        if best not in gone:
            kept.append(best)
            gone.update(rows)
    return kept


def merged(
    heats: Sequence[Tensor], poses: Sequence[Tensor], centers: Sequence[Tensor], first: int
) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """Return the poses of all scales, the heat (n, K) at their keypoints, that of their centers,
    and the rows that are kept.

    Args:
        heats: (K + 1, H, W) of each scale, enlarged to the input.
        poses, centers: (n, K, 2) px, and (n,), of each scale.
        first: the scale 1, to whose highest center those of the others are scaled.
    """
    highest = [each.max() if len(each) else 1.0 for each in centers]
    scaled = [
        each if n == first else each / highest[n] * highest[first] * DECREASE
        for n, each in enumerate(centers)
    ]
    pool, mean = torch.cat(list(poses)), torch.stack(list(heats)).mean(dim=0)
    x, y = (pool[..., a].floor().clamp(0, mean.shape[2 - a] - 1).long() for a in (0, 1))
    heat = mean[torch.arange(pool.shape[1]), y, x]
    kept = without_duplicates(pool, heat.mean(dim=1), NEAR, NEAR_COUNT)
    if len(kept) > CANDIDATES:
        kept = [kept[i] for i in heat[kept].mean(dim=1).topk(CANDIDATES).indices.tolist()]
    return pool, heat, torch.cat(scaled), kept


@torch.no_grad()
def predict_plainly(
    network: Network,
    photograph: NDArray[np.uint8],
    order: Sequence[int],
    size: int,
    scales: Sequence[float],
    flip: bool,
) -> tuple[Floats, Floats]:
    """Return the poses (N, K, 2), px indices of an (H, W, 3) photograph, and their scores (N,)."""
    heats, poses, values = [], [], []
    base, to_base = canvas(*photograph.shape[:2], size, 1.0)
    for scale in sorted(scales, reverse=True):
        (height, width), matrix = canvas(*photograph.shape[:2], size, scale)
        image = cv2.warpAffine(photograph, matrix, (width, height)).astype(np.float32) / 255
        x = torch.from_numpy(((image - MEAN) / STD).astype(np.float32)).permute(2, 0, 1)[None]
        heat, regressed = maps_of(network, x, order, flip)
        heats.append(enlarged(heat, base))
        found, value = candidates(heat, regressed, STRIDE / scale)
        poses.append(found)
        values.append(value)
    first = sorted(scales, reverse=True).index(1.0)
    pool, heat, centers, kept = merged(heats, poses, values, first)
    scores = (heat * centers[:, None]).mean(dim=1)[kept].numpy()
    back = (pool[kept].double().numpy() - to_base[:, 2]) / to_base[0, 0]
    return back, scores

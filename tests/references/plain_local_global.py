"""Plain references of LOGO-CAP's decoding: reading of a map at one place, proposal of poses."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.benchmarks.references.plain_adaptation import (
    adapt_plainly,
    convolved_each,
    global_heat,
    local_codes,
    local_mesh,
    two_highest,
)
from poselib.decoders.local_global import LocalGlobalOptions
from poselib.ops.center_poses import CenterPoses
from poselib.outputs import LocalGlobalOutputs
from poselib.structures import Size


def read_between(table: list[list[float]], x: float, y: float) -> float:
    """Return the value of a map at (x, y) cells, (0, 0) being the first one's; the border's beyond.

    What is not finite is 0.
    """
    height, width = len(table), len(table[0])
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            share = (1 - abs(x - column)) * (1 - abs(y - row))
            if share > 0 and math.isfinite(table[row][column]):
                total += share * table[row][column]
    return total


def read_at(
    table: list[list[float]], x: float, y: float, image_size: Size, frame: str, enlarged: bool
) -> float:
    """Return the value of a map at (x, y) px of the frame; see ``bilinear_windows`` for both."""
    down, across = image_size[0] / len(table), image_size[1] / len(table[0])
    if frame == "center":
        return read_between(table, x / across - 0.5, y / down - 0.5)
    if not enlarged:
        return read_between(table, x / across, y / down)
    # Between the four pixels around the place, each read between cells where its middle is.
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            share = (1 - abs(x - column)) * (1 - abs(y - row))
            px = min(max(column, 0), image_size[1] - 1), min(max(row, 0), image_size[0] - 1)
            at = (px[0] + 0.5) / across - 0.5, (px[1] + 0.5) / down - 0.5
            total += share * read_between(table, *at)
    return total


def propose_plainly(outputs: LocalGlobalOutputs, options: LocalGlobalOptions) -> CenterPoses:
    """Find the poses at the centers of one image as the published code does, the highest first.

    Centers are the highest of their window in maps enlarged to the image. Of equal ones any may
    come first.
    """
    size, stride = outputs.image_size, outputs.image_size[0] // outputs.centers.shape[2]
    maps = F.interpolate(outputs.centers, size, mode="bilinear", align_corners=False)
    highest = F.max_pool2d(maps.clamp(min=0), options.nms_kernel, 1, options.nms_kernel // 2)
    values, index = ((highest == maps) * maps).flatten().topk(options.max_people)
    values, index = (
        values[values >= options.center_threshold],
        index[values >= options.center_threshold],
    )
    centers = torch.stack([index % size[1], index // size[1]], dim=1) / stride
    offsets = outputs.offsets[0, :, :, centers[:, 1].long(), centers[:, 0].long()]
    points = (centers[:, None] - offsets.permute(2, 0, 1)) * stride
    return CenterPoses(torch.zeros_like(index), values, points)


def adapted_heat(
    outputs: LocalGlobalOutputs,
    people: CenterPoses,
    options: LocalGlobalOptions,
    slip: bool = False,
) -> Tensor:
    """Return the maps (n, K, places) whose highest places a prior of the options takes."""
    expansion, points = options.expansion, people.points
    if options.prior == "expansion":
        return global_heat(outputs, points, expansion, slip).flatten(2)
    codes = local_codes(outputs, points, expansion, slip)
    attraction = outputs.attraction_network(codes).clamp(0, 1)
    if options.prior == "attraction":
        return attraction.flatten(2)
    return convolved_each(global_heat(outputs, points, expansion, slip), attraction).flatten(2)


def decided(
    outputs: LocalGlobalOutputs,
    people: CenterPoses,
    options: LocalGlobalOptions,
    slip: bool = False,
) -> Tensor:
    """Say where (n, K) more than rounding decides which places are the highest.

    That is where those taken, and the next one, are apart by a ten-thousandth of the highest: maps
    of networks agree to a millionth of their maximum.
    """
    if not options.adapt:
        return torch.ones(people.points.shape[:2], dtype=torch.bool)
    taken = 1 if options.prior == "attraction" or options.top_weight == 1 else 2
    top = adapted_heat(outputs, people, options, slip).topk(taken + 1).values
    return (-top.diff(dim=-1) > 1e-4 * top[..., :1]).all(dim=-1)


def adapt_by_prior(
    outputs: LocalGlobalOutputs,
    people: CenterPoses,
    options: LocalGlobalOptions,
    slip: bool = False,
) -> tuple[Tensor, Tensor]:
    """Adapt the poses of one image by the prior of the options; see ``adapt_plainly``."""
    expansion, points = options.expansion, people.points
    if not options.adapt:
        alone = replace(expansion, local_window=1, global_window=1, reweigh=False)
        return points, global_heat(outputs, points, alone, slip).flatten(1)
    if options.prior == "both":
        return adapt_plainly(outputs, people, options, slip)
    if options.prior == "expansion":
        heat = global_heat(outputs, points, expansion, slip)
        moved, scores = two_highest(heat, options.top_weight)
        return points + expansion.step * moved, scores
    codes = local_codes(outputs, points, expansion, slip)
    scores, best = outputs.attraction_network(codes).clamp(0, 1).flatten(2).max(dim=2)
    places = local_mesh(points, expansion).flatten(2, 3)
    return places.gather(2, best[..., None, None].expand(-1, -1, 1, 2)).squeeze(2), scores

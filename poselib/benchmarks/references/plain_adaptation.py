"""Local-global adaptation of the poses of one image, step by step as LOGO-CAP's code takes it.

Maps are read by gathering the four cells around each place, windows are convolved by a grouped
convolution, and the message passing is asked once for the people of the image.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.decoders.local_global import LocalGlobalOptions
from poselib.ops.center_poses import CenterPoses
from poselib.ops.keypoint_expansion import KeypointExpansion
from poselib.outputs import LocalGlobalOutputs
from poselib.structures import Size


def taps(x: Tensor, cells: int, slip: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the cells on either side of coordinates, and their weights.

    With ``slip``, the weights of the published code: the right one of a place in the last cell or
    beyond is the last cell too, and both weights are measured from it, so that they are 0 in its
    middle and sum up to 1 a whole cell further on only.
    """
    if not slip:
        x = x.clamp(0, cells - 1)
    first = x.floor().clamp(0, cells - 1)
    second = (first + 1).clamp(0, cells - 1)
    right = (x - first).clamp(0, 1)
    left = (second - x).clamp(0, 1) if slip else 1 - right
    return first.long(), second.long(), left, right


def bilinear(
    maps: Tensor,
    x: Tensor,
    y: Tensor,
    slip: bool = False,
    kinds: Tensor | slice = slice(None),
) -> Tensor:
    """Read (C, h, w) maps at places (...) in cells: all (C, ...), or ``kinds`` (...) of them."""
    x0, x1, left, right = taps(x, maps.shape[2], slip)
    y0, y1, upper, lower = taps(y, maps.shape[1], slip)
    return (
        maps[kinds, y0, x0] * upper * left
        + maps[kinds, y0, x1] * upper * right
        + maps[kinds, y1, x0] * lower * left
        + maps[kinds, y1, x1] * lower * right
    )


def local_mesh(points: Tensor, expansion: KeypointExpansion) -> Tensor:
    """Algorithm 1: the places around (n, K, 2) keypoints, (n, K, r, r, 2)."""
    reach = expansion.local_window // 2
    along = torch.arange(-reach, reach + 1, dtype=torch.float32)
    dy, dx = torch.meshgrid(along, along, indexing="ij")
    dxy = torch.stack([dx, dy], dim=-1) * expansion.rates.view(1, -1, 1, 1, 1) * expansion.step
    return points[:, :, None, None] + dxy


def local_codes(
    outputs: LocalGlobalOutputs, points: Tensor, expansion: KeypointExpansion, slip: bool = False
) -> Tensor:
    """The embedding at all places of the local meshes: (n, K * D, r, r)."""
    places, embedding = local_mesh(points, expansion), outputs.embedding[0]
    x, y = _in_cells(places, outputs.image_size, embedding, 0.5 * (expansion.frame == "center"))
    codes = bilinear(embedding, x, y, slip)  # (D, n, K, r, r)
    return codes.permute(1, 2, 0, 3, 4).flatten(1, 2)


def global_heat(
    outputs: LocalGlobalOutputs, points: Tensor, expansion: KeypointExpansion, slip: bool = False
) -> Tensor:
    """Heatmaps in the global window of each keypoint, weighed (Eq. 1): (n, K, a, a)."""
    reach, size = expansion.global_window // 2, outputs.image_size
    along = torch.arange(-reach, reach + 1, dtype=torch.float32) * expansion.step
    dy, dx = torch.meshgrid(along, along, indexing="ij")
    places = points[:, :, None, None] + torch.stack([dx, dy], dim=-1)
    heatmaps, shift = outputs.heatmaps, 0.5
    if expansion.frame == "index":
        heatmaps, shift = F.interpolate(heatmaps, size, mode="bilinear", align_corners=False), 0.0
    x, y = _in_cells(places, size, heatmaps[0], shift)
    kinds = torch.arange(x.shape[1]).view(1, -1, 1, 1).expand(x.shape)
    heat = bilinear(heatmaps[0], x, y, slip, kinds)
    if expansion.reweigh:
        gaussian = torch.exp(-(dx**2 + dy**2) / (2 * expansion.sigma**2))
        heat = heat * (gaussian * (gaussian >= 1e-4))
    return heat


def convolved_each(heat: Tensor, kernels: Tensor) -> Tensor:
    """Eq. (2): each window of (n, K, a, a) convolved with its own of (n, K, r, r) kernels."""
    side = kernels.shape[-1]
    flipped = (kernels / side**2).reshape(-1, 1, side, side).flip(2, 3)
    flat = heat.reshape(1, -1, *heat.shape[2:])
    return F.conv2d(flat, flipped, padding=side // 2, groups=len(flipped)).reshape(heat.shape)


def two_highest(heat: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Eq. (3): the mean of the two highest places, from the middle, and of their values."""
    side = heat.shape[-1]
    value, index = heat.flatten(2).topk(2)
    y, x = torch.div(index, side, rounding_mode="trunc"), index % side
    first, second = (torch.stack([x[..., i], y[..., i]], dim=-1).float() for i in (0, 1))
    moved = share * first + (1 - share) * second - side // 2
    return moved, share * value[..., 0] + (1 - share) * value[..., 1]


def adapt_plainly(
    outputs: LocalGlobalOutputs,
    people: CenterPoses,
    options: LocalGlobalOptions,
    slip: bool = False,
) -> tuple[Tensor, Tensor]:
    """Adapt the poses of one image with both priors.

    Args:
        outputs: of one image at one scale, finite.
        people: of that image, px of the frame.
        options: meshes.
        slip: read the last row and column as the published code does; see ``taps``.

    Returns:
        (n, K, 2) px of the frame and (n, K) adapted heat. Where it is not above 0 the place means
        nothing.
    """
    expansion, points = options.expansion, people.points
    codes = local_codes(outputs, points, expansion, slip)
    attraction = outputs.attraction_network(codes).clamp(0, 1)
    heat = convolved_each(global_heat(outputs, points, expansion, slip), attraction)
    moved, scores = two_highest(heat, options.top_weight)
    return points + expansion.step * moved, scores


def _in_cells(
    places: Tensor, image_size: Size, maps: Tensor, shift: float
) -> tuple[Tensor, Tensor]:
    """Return the x and the y of places (..., 2) px among the cells of (C, h, w) maps."""
    x = places[..., 0] / (image_size[1] / maps.shape[2]) - shift
    y = places[..., 1] / (image_size[0] / maps.shape[1]) - shift
    return x, y

"""What maps say in windows around the keypoints of poses.

The places of a window form a grid, so that bilinear reading, and a Gaussian around the middle, are
products of a factor along x and one along y: the few cells under a window are cut out and
multiplied with a matrix on either side. Gradients flow to the maps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from poselib.ops.expansion import window_steps
from poselib.ops.frames import Frame
from poselib.structures import Size

# Poses that are looked at together, on a CPU and elsewhere.
_FEW, _MANY = 16, 512


def sample_windows(
    maps: Tensor,
    images: Tensor,
    points: Tensor,
    window: int,
    image_size: Size,
    *,
    step: float = 1.0,
    sigma: float | None = None,
    frame: Frame = "centre",
) -> Tensor:
    """Read each of K maps in a window around its keypoint, weighed by a Gaussian (LOGO-CAP, Eq. 1).

    Args:
        maps: (B, K, h, w) float; values that are not finite count as 0.
        images: (n,) int64, the image of each pose.
        points: (n, K, 2) float, finite, px of the frame: the middles of the windows.
        window: odd side of a window, in places.
        image_size: (H, W) of the network input that the maps cover, px.
        step: px between neighbouring places.
        sigma: standard deviation of the Gaussian around the middle, px; none if not given. The
            official code makes weights below 1e-4 zero; three deviations to either side, as in the
            paper, have none.
        frame: of the points. In ``"index"`` the maps are enlarged to the image first and read
            between its pixels, as in the published code.

    Returns:
        (n, K, window, window) float32, or float64 as the maps, rows first. Beyond the image the
        border's value is read.

    Raises:
        ValueError: the window is not odd and positive.
    """
    steps = step * window_steps(window, points.device)
    gaussian = None if sigma is None else torch.exp(-steps.square() / (2 * sigma**2))
    (height, width), reach = maps.shape[-2:], step * (window - 1)
    parts = []
    for axis, (length, cells) in enumerate(zip(image_size[::-1], (width, height), strict=True)):
        px = points[..., axis, None] + steps
        where = (_enlarged if frame == "index" else _between_cells)(px, length, cells)
        parts.append(_reading(where, (reach + 1) * cells / length, cells, gaussian))
    (columns, across), (rows, down) = parts
    # The narrow side first: fewer numbers pass through the second product.
    under = _finite(_cut(maps, images, rows, columns))
    return down.to(under) @ (under @ across.to(under).mT)


def sample_features(
    maps: Tensor,
    images: Tensor,
    points: Tensor,
    rates: Tensor,
    window: int,
    image_size: Size,
    *,
    step: float = 1.0,
    frame: Frame = "centre",
) -> Tensor:
    """Read all channels of maps in a window around each keypoint (LOGO-CAP, Sec. 3.1).

    Args:
        maps: (B, D, h, w) float; values that are not finite count as 0.
        images: (n,) int64, the image of each pose.
        points: (n, K, 2) float, finite, px of the frame: the middles of the windows.
        rates: (K,), how far apart the places of each keypoint lie, in steps.
        window: odd side of a window, in places.
        image_size: (H, W) of the network input that the maps cover, px.
        step: px between neighbouring places of a keypoint whose rate is 1.
        frame: of the points. In ``"index"`` cell i has its value at pixel i * stride.

    Returns:
        (n, K * D, window, window) float32, or float64 as the maps, keypoint after keypoint, rows
        first. Beyond the image the border's value is read.

    Raises:
        ValueError: the window is not odd and positive.
    """
    # Rows of a table are read faster than channels that lie apart.
    table = _finite(maps.permute(0, 2, 3, 1).contiguous())
    steps = step * rates.to(points)[:, None] * window_steps(window, points.device)
    reach, shift = float(rates.max()) * step * (window - 1), 0.5 if frame == "index" else 0.0

    def along(px: Tensor, length: int, cells: int) -> tuple[Tensor, Tensor]:
        where = _between_cells(px[..., None] + steps + shift * length / cells, length, cells)
        return _reading(where, reach * cells / length, cells)

    def read(rows: slice, into: Tensor | None = None) -> Tensor:
        x, y = points[rows].unbind(dim=-1)
        across = along(x, image_size[1], maps.shape[3])
        down = along(y, image_size[0], maps.shape[2])
        return _read_channels(table, images[rows], across, down, into)

    parts = in_parts(points)
    if len(parts) == 1:
        return read(parts[0])
    if torch.is_grad_enabled():
        return torch.cat([read(rows) for rows in parts])
    # Parts beside the whole are more memory than a process keeps, and to ask the system for it
    # again takes longer than reading.
    found = table.new_empty((*points.shape[:2], maps.shape[1], window, window)).flatten(1, 2)
    for rows in parts:
        read(rows, found[rows])
    return found


def in_parts(points: Tensor) -> list[slice]:
    """Return which poses (n, ...) are to be looked at together, all of them in order.

    On a CPU few at once are quicker: what is read around them stays in caches, and a process keeps
    the memory for the next ones instead of giving it back. A GPU has work for many.
    """
    most = _FEW if points.device.type == "cpu" else _MANY
    parts = max(1, math.ceil(len(points) / most))
    count = max(1, math.ceil(len(points) / parts))
    return [slice(part * count, (part + 1) * count) for part in range(parts)]


def _cut(maps: Tensor, images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Cut rows (n, K, s) and columns (n, K, t) out of (B, K, h, w): (n, K, s, t)."""
    _, kinds, height, width = maps.shape
    each = images[:, None] * kinds + torch.arange(kinds, device=maps.device)
    lines = (each[..., None] * height + rows) * width
    chosen = lines[..., :, None] + columns[..., None, :]
    # One index into all numbers is three times as fast as one for each dimension.
    return maps.reshape(-1).index_select(0, chosen.flatten()).view(chosen.shape)


def _read_channels(
    table: Tensor,
    images: Tensor,
    along_x: tuple[Tensor, Tensor],
    along_y: tuple[Tensor, Tensor],
    into: Tensor | None,
) -> Tensor:
    """Read (B, h, w, D) at places of windows, each axis as ``_reading`` says: (n, K * D, r, r)."""
    (columns, across), (rows, down) = along_x, along_y
    (people, kinds, span), (height, width, channels) = columns.shape, table.shape[1:]
    window, deep = across.shape[2], rows.shape[2]
    lines = (images[:, None, None] * height + rows) * width
    chosen = lines[..., None, :] + columns[..., :, None]  # column after column
    # Down each column first: then channels, rows and columns come out in the order of maps.
    down = down.mT[:, :, None].expand(-1, -1, span, -1, -1).reshape(-1, deep, window)
    read = _read_columns(table.reshape(-1, channels), chosen.view(-1, deep), down)
    read = read.view(people * kinds, span, channels * window).mT
    out = None if into is None else into.view(people * kinds, channels * window, window)
    read = torch.bmm(read, across.to(table).mT.flatten(0, 1), out=out)
    return read.view(people, kinds * channels, window, window)


def _read_columns(table: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
    """Weigh chosen rows (m, s) of a table (cells, D), by (m, s, r) for r places: (m, D, r)."""
    under = table.index_select(0, chosen.flatten()).view(*chosen.shape, table.shape[1])
    return under.mT @ weights.to(table)


Places = list[tuple[Tensor, Tensor | int]]  # coordinates among the cells, and the weight of each


def _cell(px: Tensor, length: int, cells: int) -> Tensor:
    """Return where coordinates along an axis lie among the cells, 0 being the first one's value."""
    return (px * (cells / length) - 0.5).clamp(0, cells - 1)


def _between_cells(px: Tensor, length: int, cells: int) -> Places:
    return [(_cell(px, length, cells), 1)]


def _enlarged(px: Tensor, length: int, cells: int) -> Places:
    """Return the two pixels on either side, as coordinates among the cells, and their weights.

    Pixel i of a map that is enlarged to the image lies at (i + 0.5) / stride - 0.5.
    """
    low = px.floor()
    share = px - low
    beside = [_cell((low + more).clamp(0, length - 1) + 0.5, length, cells) for more in (0, 1)]
    return list(zip(beside, (1 - share, share), strict=True))


def _reading(
    where: Places, reach: float, cells: int, gaussian: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return which cells of an axis the places of windows read, and with which weights.

    Args:
        where: coordinates (n, K, r) among the cells, clamped to them, the lowest first; what is
            read is the weighted sum of all of these.
        reach: how many cells the places of a window span at most.
        cells: of the axis.
        gaussian: (r,), factors of the places.

    Returns:
        (n, K, s) int64 cells of the axis, the same s for all, and (n, K, r, s) float32.
    """
    first = where[0][0].amin(dim=-1, keepdim=True).floor()
    span = torch.arange(min(int(reach + 1) + 2, cells + 1), device=first.device)
    index, weight = [], []
    for place, share in where:
        share = share if gaussian is None else share * gaussian
        low = place.floor()
        right = place - low
        index += [low - first, low - first + 1]
        weight += [(1 - right) * share, right * share]
    weights = first.new_zeros((*where[0][0].shape, len(span)))
    weights.scatter_add_(-1, torch.stack(index, dim=-1).long(), torch.stack(weight, dim=-1))
    return (first.long() + span).clamp(max=cells - 1), weights


def _finite(maps: Tensor) -> Tensor:
    maps = maps if maps.dtype == torch.float64 else maps.float()
    return maps.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)

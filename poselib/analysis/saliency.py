"""Saliency and sampling points of the regression of keypoints from a person's center.

For the cell from which a pose is regressed: the gradient of the offset to a keypoint by each pixel
(DEKR, Fig. 1), and the locations that the adaptive convolutions sample (DEKR, Fig. 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from poselib.data.collation import collate
from poselib.encoders.regression import mean_positions
from poselib.engine.inference import PredictOptions, device_of, present
from poselib.ops.map_coordinates import FRAMES, Frame, cell_to_px, half_pixel
from poselib.ops.normalization import normalize
from poselib.structures import Sample, Size
from poselib.systems import System
from poselib.typing import FloatArray


@dataclass(frozen=True)
class CenterAnalysis:
    """The regression of poses from the centers of people in one image.

    Attributes:
        system: regresses the poses; its model is in evaluation mode.
        sample: image and people in px of the network input.
        image: (1, 3, H, W) float, normalized, on the network's device.
        frame: of the network's maps, see ``poselib.ops.map_coordinates``.
        taps: sampling locations of its convolutions, see ``RegressionHRNet.taps``; (K, 9, 2, h, w)
            each.
    """

    system: System
    sample: Sample
    image: Tensor
    frame: Frame
    taps: tuple[Tensor, ...]

    @property
    def size(self) -> Size:
        """(h, w) of the network's maps."""
        height, width = self.taps[0].shape[-2:]
        return height, width

    @property
    def centers(self) -> FloatArray:
        """(N, 2) px, mean of each person's labeled keypoints; 0 without any."""
        return mean_positions(torch.from_numpy(self.sample.keypoints)).double().numpy()

    @property
    def cells(self) -> NDArray[np.int64]:
        """(N, 2) column and row of the cell that regresses each person; -1 for none.

        It is the cell nearest to the person's center, unless the center of another person is nearer
        to that cell (DEKR, Sec. 4.1, footnote 2). People without a labeled keypoint have none.
        """
        step = np.array([self.sample.size[1] / self.size[1], self.sample.size[0] / self.size[0]])
        first = to_sample_px(torch.zeros(2), self.sample.size, self.size, self.frame)
        last = np.array(self.size)[::-1] - 1
        cells = np.rint((self.centers - first) / step).clip(0, last).astype(np.int64)
        apart = np.linalg.norm((cells * step + first)[:, None] - self.centers, axis=-1)
        labeled = self.sample.keypoints[..., 2].any(axis=-1)
        nearest = np.where(labeled, apart, np.inf).min(axis=1, initial=np.inf)
        return np.where((labeled & (apart.diagonal() <= nearest))[:, None], cells, -1)

    @property
    def people(self) -> list[int]:
        """Indices of the people that a cell regresses."""
        return np.flatnonzero(self.cells[:, 0] >= 0).tolist()

    def saliency(
        self, person: int, keypoints: Sequence[int], *, guided: bool = False
    ) -> NDArray[np.float32]:
        """Return the gradient of the offset to a keypoint by each pixel (DEKR, Fig. 1).

        The paper used a collection of tools and does not say which of them. The default here is the
        plain gradient, which follows from the weights alone. Guided backpropagation gives cleaner
        pictures, but is known to show the edges of an image almost independently of the weights
        (Adebayo et al., 2018).

        Args:
            person: one of ``people``.
            keypoints: J of the skeleton's keypoints.
            guided: pass only positive gradients back through each ReLU.

        Returns:
            (J, H, W): at each pixel the norm of the derivatives of the offset's two coordinates, in
            cells, by the three normalized colors.
        """
        column, row = self.cells[person].tolist()
        cell = (column, row)
        return offset_saliency(self.system, self.image, cell, keypoints, guided=guided)

    def sampling_points(self) -> FloatArray:
        """Return the locations that the regression of each keypoint samples (DEKR, Fig. 4).

        Returns:
            (N, K, P, 2) px of the sample, possibly outside it: P = 9 for one convolution, 81 for
            two in a row; NaN for people that no cell regresses.
        """
        return self._points(self.taps)

    def regular_points(self) -> FloatArray:
        """Return (N, 1, P, 2) ``sampling_points`` of ordinary convolutions, px of the sample."""
        return self._points([regular_taps(self.size)] * len(self.taps))

    def _points(self, taps: Sequence[Tensor]) -> FloatArray:
        points = points_of_cells(taps, self.cells, self.sample.size, self.frame)
        points[self.cells[:, 0] < 0] = np.nan
        return points


def offset_saliency(
    system: System,
    image: Tensor,
    cell: tuple[int, int],
    keypoints: Sequence[int],
    *,
    guided: bool = False,
) -> NDArray[np.float32]:
    """Return the gradient of the offsets in one cell by each pixel; see ``CenterAnalysis``.

    Args:
        system: regresses poses; its model is in evaluation mode.
        image: (1, 3, H, W) float, normalized.
        cell: column and row.
        keypoints: J of the skeleton's keypoints.
        guided: see ``CenterAnalysis.saliency``.

    Returns:
        (J, H, W), as ``CenterAnalysis.saliency``.
    """
    column, row = cell
    image = image.clone().requires_grad_()
    maps = []
    with guided_backpropagation(system.model) if guided else nullcontext():
        offsets = system.model(image).offsets[0, list(keypoints), :, row, column]
        for both in offsets:
            derivatives = [torch.autograd.grad(one, image, retain_graph=True) for one in both]
            maps.append(torch.cat([d for (d,) in derivatives]).square().sum((0, 1)).sqrt())
    return torch.stack(maps).float().cpu().numpy()


def points_of_cells(
    taps: Sequence[Tensor], cells: NDArray[np.int64], image_size: Size, frame: Frame
) -> FloatArray:
    """Return the locations (M, K, P, 2), px, that convolutions sample for M cells.

    Args:
        taps, cells: see ``compose_taps``.
        image_size: (H, W) of the network input, px.
        frame: of the network's maps.
    """
    size = (taps[0].shape[-2], taps[0].shape[-1])
    found = compose_taps(taps, torch.from_numpy(cells).to(taps[0].device))
    return to_sample_px(found - 0.5, image_size, size, frame)


def to_sample_px(locations: Tensor, image_size: Size, size: Size, frame: Frame) -> FloatArray:
    """Convert (..., 2) cells, whole numbers at cell centers, to px of the network input."""
    px = cell_to_px(locations, image_size, size, frame)
    return px.double().cpu().numpy() + half_pixel(frame)


def analyze_center(system: System, sample: Sample, options: PredictOptions) -> CenterAnalysis:
    """Run the network of a system that regresses poses on one image.

    Args:
        system: its model is put into evaluation mode.
        sample: image and people; keypoints that are not labeled do not count.
        options: how the image is presented, at one scale and not mirrored.

    Raises:
        ValueError: the system does not regress poses from centers, or the people have another
            number of keypoints.
    """
    frame = system.options.get("frame")
    if frame not in FRAMES or not hasattr(system.model, "taps"):
        raise ValueError(f"system {system.name!r} does not regress poses from centers")
    if sample.keypoints.shape[1] != len(system.skeleton):
        raise ValueError(
            f"people with {sample.keypoints.shape[1]} keypoints for a system that regresses the "
            f"{len(system.skeleton)} of skeleton {system.skeleton.name!r}"
        )
    system.model.eval()
    view = present(system, sample, options)[0]
    image = normalize(collate([view]).images.to(device_of(system)))
    with torch.no_grad():
        taps = tuple(block[0].float() for block in system.model.taps(image))  # type: ignore[operator]
    return CenterAnalysis(system, view, image, frame, taps)


@contextmanager
def guided_backpropagation(model: nn.Module) -> Iterator[None]:
    """Pass only positive gradients back through the ReLU modules of a model, within the context."""

    def positive_only(_: nn.Module, __: object, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: gradient.clamp(min=0))

    hooks = [
        module.register_forward_hook(positive_only)
        for module in model.modules()
        if isinstance(module, nn.ReLU)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def compose_taps(taps: Sequence[Tensor], cells: Tensor) -> Tensor:
    """Return the locations that consecutive convolutions sample for a cell of the output.

    The last convolution samples nine taps; the value at each of them was computed from nine taps of
    the convolution before, which are interpolated between those of the four surrounding cells.

    Args:
        taps: of each convolution, first to last, (K, 9, 2, h, w), (x, y) in cells, with the center
            of the first cell at 0.5.
        cells: (M, 2) int64, columns and rows.

    Returns:
        (M, K, 9 ** convolutions, 2), in the same cells. Beyond the map, taps move as at its border.
    """
    size = torch.tensor(taps[0].shape[:-3:-1], device=taps[0].device)
    points = (cells + 0.5).to(taps[0]).expand(len(taps[0]), -1, -1)[:, :, None]
    for block in reversed(taps):
        moves = (block - _cell_centers(block)).flatten(1, 2)
        grid = points.flatten(1, 2)[:, None] / size * 2 - 1
        read = F.grid_sample(moves, grid, padding_mode="border", align_corners=False)
        read = read.view(len(block), 9, 2, *points.shape[1:3]).permute(0, 3, 4, 1, 2)
        points = (points[..., None, :] + read).flatten(2, 3)
    return points.transpose(0, 1)


def regular_taps(size: Size) -> Tensor:
    """Return the taps of an ordinary 3x3 convolution, (1, 9, 2, h, w) as in ``compose_taps``."""
    steps = torch.cartesian_prod(torch.arange(-1.0, 2.0), torch.arange(-1.0, 2.0)).flip(1)
    return (_cell_centers(torch.empty(size)) + steps[..., None, None])[None]


def _cell_centers(maps: Tensor) -> Tensor:
    """Return the centers (2, h, w) of the cells of maps (..., h, w)."""
    y, x = (torch.arange(n, device=maps.device) + 0.5 for n in maps.shape[-2:])
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))

"""Which part of an image the regression of a keypoint looks at.

Two answers for the cell of a person's center, from which its pose is regressed: saliency, how much
each pixel changes the offset to a keypoint (DEKR, Fig. 1), and activated pixels, where the taps of
the adaptive convolutions lie (DEKR, Fig. 4).
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

from poselib.data.loaders import collate
from poselib.encoders.regression import mean_positions
from poselib.engine.predict import PredictOptions, device_of, present
from poselib.ops.map_coordinates import FRAMES, Frame, cell_to_px, half_pixel
from poselib.ops.normalization import normalize
from poselib.structures import Sample, Size
from poselib.systems import System
from poselib.typing import FloatArray


@dataclass(frozen=True)
class CenterAnalysis:
    """An image as a network sees it that regresses poses from the centers of people.

    Attributes:
        system: whose network looks; in evaluation mode.
        sample: image and people in px of the network input.
        image: (1, 3, H, W) float, normalized, on the network's device.
        frame: what a cell of the network's maps stands for, see ``poselib.ops.map_coordinates``.
        taps: where its convolutions look, see ``RegressionHRNet.taps``; (K, 9, 2, h, w) each.
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
        """(N, 2) px, the mean of each person's labeled keypoints; 0 without any."""
        return mean_positions(torch.from_numpy(self.sample.keypoints)).double().numpy()

    @property
    def cells(self) -> NDArray[np.int64]:
        """(N, 2) column and row of the cell that regresses each person; -1 where none does.

        It is the one nearest to the person's center, unless another person's is nearer to it, whom
        it regresses then (DEKR, Sec. 4.1, footnote 2). Who has no labeled keypoint has none.
        """
        step = np.array([self.sample.size[1] / self.size[1], self.sample.size[0] / self.size[0]])
        first = self._px(torch.zeros(2))
        last = np.array(self.size)[::-1] - 1
        cells = np.rint((self.centers - first) / step).clip(0, last).astype(np.int64)
        apart = np.linalg.norm((cells * step + first)[:, None] - self.centers, axis=-1)
        labeled = self.sample.keypoints[..., 2].any(axis=-1)
        nearest = np.where(labeled, apart, np.inf).min(axis=1, initial=np.inf)
        return np.where((labeled & (apart.diagonal() <= nearest))[:, None], cells, -1)

    @property
    def people(self) -> list[int]:
        """The people whom a cell regresses."""
        return np.flatnonzero(self.cells[:, 0] >= 0).tolist()

    def _px(self, places: Tensor) -> FloatArray:
        """Bring places (..., 2), where a cell's own is whole numbers, to px of the sample."""
        px = cell_to_px(places, self.sample.size, self.size, self.frame)
        return px.double().cpu().numpy() + half_pixel(self.frame)

    def saliency(
        self, person: int, keypoints: Sequence[int], *, guided: bool = False
    ) -> NDArray[np.float32]:
        """Return how much each pixel changes the offset from a person's center (DEKR, Fig. 1).

        The paper used a collection of tools and does not say which of them. Here it is the plain
        gradient: it is what "depends on" means, and follows from the weights alone. Guided
        backpropagation, whose pictures are cleaner, is known to show edges of the image almost
        whatever the weights are (Adebayo et al., 2018).

        Args:
            person: one of ``people``.
            keypoints: J of the skeleton's keypoints.
            guided: let positive gradients alone pass back through each ReLU.

        Returns:
            (J, H, W): at each pixel the norm of the derivatives of the offset's two coordinates,
            cells, by the pixel's three normalized colors.
        """
        column, row = self.cells[person]
        image = self.image.clone().requires_grad_()
        maps = []
        with guided_backpropagation(self.system.model) if guided else nullcontext():
            offsets = self.system.model(image).offsets[0, list(keypoints), :, row, column]
            for both in offsets:
                derivatives = [torch.autograd.grad(one, image, retain_graph=True) for one in both]
                maps.append(torch.cat([d for (d,) in derivatives]).square().sum((0, 1)).sqrt())
        return torch.stack(maps).float().cpu().numpy()

    def activated(self) -> FloatArray:
        """Return the places that the regression of each person and keypoint reads (DEKR, Fig. 4).

        Returns:
            (N, K, P, 2) px of the sample, some of them perhaps outside it: P = 9 for each
            convolution in a row, 81 for two; NaN for people whom no cell regresses.
        """
        return self._placed(self.taps)

    def unmoved(self) -> FloatArray:
        """Return what ``activated`` would if the convolutions were ordinary: (N, 1, P, 2) px."""
        return self._placed([regular_taps(self.size)] * len(self.taps))

    def _placed(self, taps: Sequence[Tensor]) -> FloatArray:
        cells = torch.from_numpy(self.cells).to(taps[0].device)
        places = self._px(compose_taps(taps, cells) - 0.5)
        places[self.cells[:, 0] < 0] = np.nan
        return places


def analyze_center(system: System, sample: Sample, options: PredictOptions) -> CenterAnalysis:
    """Let a system that regresses poses look at one image.

    Args:
        system: its model is put into evaluation mode.
        sample: image and people; keypoints that are not labeled do not count.
        options: how the image is presented; one scale, not mirrored.

    Raises:
        ValueError: the system does not regress poses from centers, or the people have another
            number of keypoints.
    """
    frame = system.options.get("frame")
    if frame not in FRAMES:
        raise ValueError(f"system {system.name!r} does not regress poses from centers")
    if sample.keypoints.shape[1] != len(system.skeleton):
        raise ValueError(
            f"people with {sample.keypoints.shape[1]} keypoints for a system that regresses the "
            f"{len(system.skeleton)} of skeleton {system.skeleton.name!r}"
        )
    system.model.eval()
    seen = present(system, sample, options)[0]
    image = normalize(collate([seen]).images.to(device_of(system)))
    with torch.no_grad():
        taps = tuple(block[0].float() for block in system.model.taps(image))  # type: ignore[operator]
    return CenterAnalysis(system, seen, image, frame, taps)


@contextmanager
def guided_backpropagation(model: nn.Module) -> Iterator[None]:
    """Within it, positive gradients alone pass back through the ReLU modules of what is computed.

    Afterwards the model is as it was.
    """

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
    """Return the places that convolutions in a row read for one cell of the last one's output.

    The last convolution reads its nine taps; at each of them, what the one before has to offer
    comes from nine taps of its own, interpolated between those of the four cells around.

    Args:
        taps: of each convolution, first to last, (K, 9, 2, h, w), (x, y) in cells, the first of
            which has its middle at 0.5.
        cells: (M, 2) int64, columns and rows.

    Returns:
        (M, K, 9 ** convolutions, 2), in the same cells. Beyond the map, taps are moved as at its
        border.
    """
    size = torch.tensor(taps[0].shape[:-3:-1], device=taps[0].device)
    places = (cells + 0.5).to(taps[0]).expand(len(taps[0]), -1, -1)[:, :, None]
    for block in reversed(taps):
        moves = (block - _middles(block)).flatten(1, 2)
        grid = places.flatten(1, 2)[:, None] / size * 2 - 1
        read = F.grid_sample(moves, grid, padding_mode="border", align_corners=False)
        read = read.view(len(block), 9, 2, *places.shape[1:3]).permute(0, 3, 4, 1, 2)
        places = (places[..., None, :] + read).flatten(2, 3)
    return places.transpose(0, 1)


def regular_taps(size: Size) -> Tensor:
    """Return where an ordinary 3x3 convolution looks, (1, 9, 2, h, w) as ``compose_taps`` says."""
    steps = torch.cartesian_prod(torch.arange(-1.0, 2.0), torch.arange(-1.0, 2.0)).flip(1)
    return (_middles(torch.empty(size)) + steps[..., None, None])[None]


def _middles(maps: Tensor) -> Tensor:
    """Return the middles (2, h, w) of the cells of maps (..., h, w)."""
    y, x = (torch.arange(n, device=maps.device) + 0.5 for n in maps.shape[-2:])
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))

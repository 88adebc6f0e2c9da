"""The pose semantics propagator: from the features and heatmaps of a frame to dynamic kernels.

RPSTN/JRE, Eq. 2 and Fig. 5. A convolution fuses features and heatmaps; 3x3 convolutions, of which
the first is not padded, and max pooling behind the first three make of them one kernel a channel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poselib.models.folding import fold_norm
from poselib.models.residual import initialize
from poselib.structures import Size

LAYERS = (3, 4, 5)
_POOLS = 3
# Features that are propagated at once on a CPU: kernels and pseudo heatmaps of 10 people with
# 256 x 64 x 64 take 1.4 times as long together as one after the other.
_AT_ONCE = 256 * 64 * 64
LEAST_CELLS = 2 + 2**_POOLS  # along a side of maps, which give kernels of one cell


def kernel_size(size: Size) -> Size:
    """Return the (h, w) of the kernels that maps of (h, w) cells give: 7x5 for 64x48."""
    return (size[0] - 2) // 2**_POOLS, (size[1] - 2) // 2**_POOLS


def receptive_field(layers: int) -> int:
    """Return how many cells along an axis a cell of a kernel depends on: 38 for four layers."""
    field, jump = 1, 1
    for layer in range(layers):
        field += 2 * jump
        if layer < _POOLS:
            field, jump = field + jump, 2 * jump
    return field


def check_kernel_size(image: Size, size: Size, multiple: int) -> None:
    """Raise ValueError unless maps give kernels with odd sides, which have a center.

    Args:
        image: (H, W) of the images, px.
        size: (h, w) of their maps.
        multiple: of px, of image sides.
    """
    kernel = kernel_size(size)
    if min(kernel) > 0 and all(side % 2 for side in kernel):
        return
    stride = image[0] // size[0]
    nearest = [_fitting(side, stride, multiple) for side in image]
    fitting = [f"{h}x{w}" for h in nearest[0] for w in nearest[1]]
    raise ValueError(
        f"images of {image[0]}x{image[1]} px give propagated kernels of {kernel[0]}x{kernel[1]} "
        f"cells, whose sides must be odd; images of {', '.join(fitting)} px fit"
    )


def distinct_size(stride: int, multiple: int) -> Size:
    """Return (H, W), px, of the smallest images that give kernels with two sides, odd and above 1.

    A graph is traced with them, in which a length of 1 would remain one.

    Args:
        stride: px a cell of the maps.
        multiple: of px, of image sides.
    """
    sides: dict[int, int] = {}
    for px in count(multiple, multiple):
        kernel = kernel_size((px // stride, 1))[0]
        if kernel > 1 and kernel % 2:
            sides.setdefault(kernel, px)
        if len(sides) == 2:
            break
    first, second = sides.values()
    return first, second


def _fitting(side: int, stride: int, multiple: int) -> list[int]:
    """Return the nearest image sides, up and down, that give odd kernels; the side itself if so."""

    def odd(px: int) -> bool:
        kernel = kernel_size((px // stride, 1))[0]
        return kernel > 0 and kernel % 2 == 1

    start = max(multiple, round(side / multiple) * multiple)
    if odd(start):
        return [start]
    down = [px for px in range(start, 0, -multiple) if odd(px)][:1]
    up = next(px for px in range(start, start + 64 * multiple, multiple) if odd(px))
    return [*down, up]


def in_parts(compute: Callable[..., Tensor], features: Tensor, *others: Tensor) -> Tensor:
    """Return what a function gives for features (B, C, h, w) and more of B people, few at a time.

    On a CPU what is computed of a part stays in the cache. Elsewhere, and in a graph, which may be
    of any number of people, there is one part.
    """
    if not features.is_cpu or torch.compiler.is_compiling():
        return compute(features, *others)
    people = max(1, _AT_ONCE // max(1, features[:1].numel()))
    parts = (each.split(people) for each in (features, *others))
    return torch.cat([compute(*part) for part in zip(*parts, strict=True)])


@dataclass(frozen=True)
class PropagationState:
    """What a frame hands on to the next, of B people.

    Attributes:
        heatmaps: (B, K, h, w).
        features: (B, C, ...), of the frame, prepared for the propagator.
    """

    heatmaps: Tensor
    features: Tensor

    @classmethod
    def join(cls, states: Sequence[PropagationState]) -> PropagationState:
        """Return the state of the people of all states, in order, to step them in one batch."""
        return cls(
            torch.cat([each.heatmaps for each in states]),
            torch.cat([each.features for each in states]),
        )

    def split(self) -> list[PropagationState]:
        """Return a state for each person."""
        return [
            PropagationState(heatmaps[None], features[None])
            for heatmaps, features in zip(self.heatmaps, self.features, strict=True)
        ]


class Propagator(nn.Module):
    """Fuse the features and heatmaps of a frame and make a kernel for each channel of them.

    Nothing but linear layers lies between the features and the first ReLU. So a frame's features
    contribute a sum of their own, for which no heatmaps are needed: ``prepare`` computes it for all
    frames of a clip at once, by one convolution that is the 1x1 of Eq. 2 and the first 3x3 at once,
    and ``forward`` adds that of the heatmaps, which has K channels instead of C + K.

    Args:
        channels: C.
        keypoints: K.
        layers: convolutions of Fig. 5: 4; 3, the kernel distillator of DKD; or 5. A receptive field
            of 38, 22 and 54 cells.

    Raises:
        ValueError: there is no network of so many layers.
    """

    def __init__(self, channels: int, keypoints: int, layers: int = 4) -> None:
        super().__init__()
        if layers not in LAYERS:
            raise ValueError(f"propagator_layers must be 0, 3, 4 or 5, not {layers}")
        self.channels, self.keypoints = channels, keypoints
        self.fusion: nn.Conv2d | None = nn.Conv2d(channels + keypoints, channels, 1)  # Conv_a
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=min(layer, 1)) for layer in range(layers)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(layers))
        self.pool = nn.MaxPool2d(2)
        initialize(self)

    def prepare(self, features: Tensor) -> Tensor:
        """Return what features (B, C, h, w) contribute to the first layer, (B, C, h - 2, w - 2)."""
        weight, bias = self._first(slice(-self.channels, None))
        return F.conv2d(features, weight, bias)

    def forward(self, prepared: Tensor, heatmaps: Tensor) -> Tensor:
        """Return the kernels S(X) (B, C, kh, kw) of Eq. 3.

        Args:
            prepared: of the frame's features.
            heatmaps: (B, K, h, w) of the same frame.
        """
        weight, _ = self._first(slice(0, -self.channels))
        return self._further(prepared + F.conv2d(heatmaps, weight))

    def in_order(
        self, features: Tensor, heatmaps: Tensor, norm: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return the kernels, layer by layer, with a normalization of the fused maps.

        That is how the official code computes them; its heatmaps come first.
        """
        assert self.fusion is not None
        fused = norm(self.fusion(torch.cat([heatmaps, features], dim=1)))
        return self._further(self.convolutions[0](fused))

    def macs_saved(self, frames: int, clips: int, size: Size) -> int:
        """Return the multiply-accumulates saved for kernels of so many frames of clips.

        Args:
            frames, clips: their numbers; kernels are made of all frames but the last.
            size: (h, w) of the maps.
        """
        channels, inputs = self.channels, self.channels + self.keypoints
        inner = (size[0] - 2) * (size[1] - 2)
        published = channels * inputs * size[0] * size[1] + 9 * channels**2 * inner
        # that of features is composed once, that of heatmaps at each step
        composed = 9 * channels**2 * (channels + frames * (inputs - channels))
        return clips * frames * (published - 9 * channels * inputs * inner) - composed

    def compose(self) -> None:
        """Make one layer of fusion, first convolution and normalization, for inference alone."""
        weight, bias = self._first(slice(None))
        first = nn.Conv2d(weight.shape[1], self.channels, 3)
        first.weight, first.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.convolutions[0], self.fusion = first, None
        for layer, norm in enumerate(self.norms):
            self.convolutions[layer] = fold_norm(self.convolutions[layer], norm)  # type: ignore[type-var]
            self.norms[layer] = nn.Identity()

    def _first(self, inputs: slice) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the fusion of some inputs and the first layer, as one."""
        first: nn.Conv2d = self.convolutions[0]  # type: ignore[assignment]
        assert first.bias is not None
        if self.fusion is None:
            return first.weight[:, inputs], first.bias
        fusion = self.fusion.weight[:, inputs, 0, 0]
        weight = torch.einsum("ocyx,ci->oiyx", first.weight, fusion)
        bias = first.bias + first.weight.sum(dim=(2, 3)) @ self.fusion.bias  # type: ignore[operator]
        return weight, bias

    def _further(self, x: Tensor) -> Tensor:
        """Return the kernels of what the first convolution returns, before its normalization."""
        last = len(self.convolutions) - 1
        for layer, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            x = norm(convolution(x) if layer else x)
            if layer < last:  # kernels have both signs
                x = x.relu()
            if layer < _POOLS:
                x = self.pool(x)
        return x

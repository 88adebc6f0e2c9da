"""Global relation modeling: the finest maps of all stages, gathered and weighted by attention.

GRM/MFA, Sec. III-B. Maps of earlier stages join the last stage's map as a prior (Eq. 4); a
channel-only and a spatial-only attention, side by side, then weight the whole (Eqs. 5 to 7). Both
follow polarized self-attention (Liu et al., 2021), from which the paper's formulas come, and like
its code have no biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from poselib.models.residual import conv_norm

Gate = Literal["add", "multiply", "residual"]


@dataclass(frozen=True)
class RelationConfig:
    """Options of the global relation modeling module; the paper leaves each of them open.

    Attributes:
        gate: what a gate g does to its map p. The paper writes ``"add"`` (``-> Sigmoid -> +p_i``),
            p + g; the squeeze-and-excitation block that it cites is to ``"multiply"``, p g;
            ``"residual"``, p + p g, is both: the sum is of the map and its gated self.
        batch_norm: whether batch normalization and a ReLU follow each convolution of Eq. 4, as
            everywhere else in the network. The paper writes out every step and none of these.
        reduction: by what the channels of the gathered maps, twice those of the last stage's, are
            divided inside the attention. The paper's C / 2 means 2 if C counts the channels of
            the attention's input X, as where its formulas come from, and 4 if those of a p_i.
        layer_norm: whether the channel gate is normalized before its sigmoid, as in polarized
            self-attention; the paper's Eq. 5 has no such step.
        alone: whether the head gets F_GRM alone, as the paper's text has it, or F_GRM in place of
            the finest of the last stage's maps and the coarser ones beside it, as DEKR's head.

    Raises:
        ValueError: the gate is unknown or ``reduction`` less than one.
    """

    gate: Gate = "add"
    batch_norm: bool = False
    reduction: int = 2
    layer_norm: bool = False
    alone: bool = False

    def __post_init__(self) -> None:
        if self.gate not in get_args(Gate):
            raise ValueError(f"relation: gate must be one of {get_args(Gate)}, not {self.gate!r}")
        if self.reduction < 1:
            raise ValueError(f"relation: reduction must be 1 or more, not {self.reduction}")


AS_PUBLISHED = RelationConfig()


class SEGate(nn.Module):
    """F_SE: shift or scale each channel by its mean, then mix channels; (B, C, h, w) both ways.

    The paper's chain, GAP, ReLU, FC, sigmoid, ``+p_i``, 1x1 convolution, has one FC where the
    squeeze-and-excitation block has two. Its ReLU leaves the means of maps that come from a ReLU,
    as a high-resolution network's do, as they are.
    """

    def __init__(self, channels: int, config: RelationConfig = AS_PUBLISHED) -> None:
        super().__init__()
        self.gate = config.gate
        self.fc = nn.Linear(channels, channels)
        self.mix = _convolution(channels, channels, 1, config)

    def forward(self, x: Tensor) -> Tensor:
        gates = self.fc(x.mean(dim=(2, 3)).relu()).sigmoid()[:, :, None, None]
        gated = gates if self.gate == "add" else x * gates
        return self.mix(gated if self.gate == "multiply" else x + gated)


class ChannelAttention(nn.Module):
    """Compute one gate per channel, from a softmax-weighted sum over all cells.

    (B, C, h, w) to (B, C, 1, 1), each in (0, 1); GRM/MFA, Eq. 5. The paper applies W_d before the
    weighted sum over the cells, and by its brackets W_c too. Weights that sum to one make it the
    same after, where there is one cell instead of thousands. Its F_SM is that weighted sum written
    out with the values inside, which here are those of W_d.
    """

    def __init__(self, channels: int, config: RelationConfig = AS_PUBLISHED) -> None:
        super().__init__()
        inner = inner_channels(channels, config)
        self.query = nn.Conv2d(channels, 1, 1, bias=False)  # W_e
        self.value = nn.Conv2d(channels, inner, 1, bias=False)  # W_d
        self.expand = nn.Conv2d(inner, channels, 1, bias=False)  # W_c
        self.norm = nn.LayerNorm(channels) if config.layer_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        weights = self.query(x).flatten(2).softmax(dim=-1)  # (B, 1, hw)
        seen = (x.flatten(2) @ weights.transpose(1, 2))[..., None]  # (B, C, 1, 1)
        gates = self.norm(self.expand(self.value(seen)).flatten(1)).sigmoid()
        return gates[:, :, None, None]

    def saved_macs(self, x: Tensor) -> int:
        """Return the multiply-accumulates saved: published, W_d and W_c apply to every cell."""
        return (self.value.weight.numel() + self.expand.weight.numel()) * _further_cells(x)


class SpatialAttention(nn.Module):
    """Compute one gate per cell, from channels weighted by a softmax over their means.

    (B, C, h, w) to (B, 1, h, w), each in (0, 1); GRM/MFA, Eq. 6. W_e comes after the mean over the
    cells and not before: the same, both being linear.
    """

    def __init__(self, channels: int, config: RelationConfig = AS_PUBLISHED) -> None:
        super().__init__()
        inner = inner_channels(channels, config)
        self.query = nn.Conv2d(channels, inner, 1, bias=False)  # W_e
        self.value = nn.Conv2d(channels, inner, 1, bias=False)  # W_d

    def forward(self, x: Tensor) -> Tensor:
        weights = self.query(x.mean(dim=(2, 3), keepdim=True)).flatten(1).softmax(dim=-1)
        seen = weights[:, None] @ self.value(x).flatten(2)  # (B, 1, hw)
        return seen.unflatten(2, x.shape[2:]).sigmoid()

    def saved_macs(self, x: Tensor) -> int:
        """Return the multiply-accumulates saved: as published, W_e is applied to every cell."""
        return self.query.weight.numel() * _further_cells(x)


class GlobalRelation(nn.Module):
    """Gather the finest maps of all stages and weight cells and channels (GRM/MFA, Eqs. 2, 4-7).

    The paper has three stages of several branches, so p_1, p_2 and p_3; all but the last get a
    gate and a 3x3 convolution (W_a, W_b) of their own and are summed.

    Args:
        widths: channels of the maps, earliest stage first; two or more.
        config: options.

    Raises:
        ValueError: there are fewer than two maps, or too few channels for ``reduction``.
    """

    def __init__(self, widths: Sequence[int], config: RelationConfig = AS_PUBLISHED) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ValueError(f"relation needs the maps of two stages or more, not {len(widths)}")
        *earlier, last = widths
        self.channels = 2 * last
        self.gates = nn.ModuleList(SEGate(width, config) for width in earlier)
        self.convolutions = nn.ModuleList(_convolution(w, last, 3, config) for w in earlier)
        self.channel_attention = ChannelAttention(self.channels, config)
        self.spatial_attention = SpatialAttention(self.channels, config)
        self._reset()

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return F_GRM (B, ``channels``, h, w): twice the channels of the last map.

        Args:
            maps: (B, widths[i], h, w) for each stage, earliest first.
        """
        x = self.gather(maps)
        # Eq. 7, with X taken out of the sum
        return x * (self.channel_attention(x) + self.spatial_attention(x))

    def gather(self, maps: Sequence[Tensor]) -> Tensor:
        """Return F_all (B, ``channels``, h, w): the sum over the earlier stages, then the last."""
        *earlier, last = maps
        first, *others = (
            convolution(gate(p))
            for convolution, gate, p in zip(self.convolutions, self.gates, earlier, strict=True)
        )
        return torch.cat([sum(others, start=first), last], dim=1)

    def _reset(self) -> None:
        """Draw weights that keep the size of a signal: no ReLU follows these convolutions."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


def inner_channels(channels: int, config: RelationConfig) -> int:
    """Return the channels inside the attention; raises ValueError if there are none."""
    if config.reduction > channels:
        raise ValueError(f"relation: reduction {config.reduction} leaves none of {channels}")
    return channels // config.reduction


def _further_cells(x: Tensor) -> int:
    """Return how many cells the maps of a batch have beyond one each."""
    return x[:, 0].numel() - len(x)


def _convolution(inputs: int, outputs: int, kernel: int, config: RelationConfig) -> nn.Module:
    if config.batch_norm:
        return conv_norm(inputs, outputs, kernel)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)

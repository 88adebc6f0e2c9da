"""Relations between the heatmaps of an image's keypoints, and what they are compared with.

RPSTN/JRE, Section III-B. Each module maps pseudo heatmaps (B, K, h, w) to heatmaps of this shape
and starts as the identity: its last layer begins at zero. Parameters of the joint relation and of
the non-local block carry the names of the official code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poselib.models.residual import conv_norm
from poselib.outputs import JointRelations

RelationKind = Literal["joint", "none", "nonlocal", "graph", "head"]
RELATIONS: tuple[RelationKind, ...] = get_args(RelationKind)
Related = tuple[Tensor, JointRelations | None]


class JointRelation(nn.Module):
    r"""The joint relation extractor (JRE): each keypoint's map attends to those of all others.

    .. math::
        W_r = \operatorname{softmax}(\bar M \bar M^T / \tau), \qquad
        Z = \mathrm{Conv}_o(W_r \cdot \mathrm{Conv}_g(M)) + M

    RPSTN/JRE, Eqs. 6-9. A row of :math:`\bar M` is the map of a keypoint, flattened. Eq. 6 prints
    :math:`\bar M^T \bar M`, which would compare cells; text and Fig. 3 compare keypoints. The
    softmax is over the keypoints that are attended to. There are :math:`2K^2` weights, 2K biases
    and, behind Conv_o, a batch normalization of 2K numbers.

    Args:
        keypoints: K.
        temperature: the τ by which correlations are divided; 1 as in the paper. At 1, ideal maps
            (Gaussians of σ = 2 cells) attend to themselves alone: W_r has 0.997 on its diagonal.
        convolutions: 3x3 convolutions of the pseudo heatmaps before they are related (2: the row
            JRE-2Convs of Table I).
        limbs: pairs of keypoints; if given, keypoints attend to themselves and to those they share
            a limb with alone (the manual graph of Table I).
        official: as in the official code: the softmax is over the keypoints that attend; the
            product is transposed and then read as if it were not, which mixes keypoints and cells;
            limbs weight the correlations, by a matrix that is trained; ``theta`` and ``phi`` are
            unused.

    Raises:
        ValueError: ``temperature`` is not a positive number or ``convolutions`` is negative.
    """

    def __init__(
        self,
        keypoints: int,
        *,
        temperature: float = 1.0,
        convolutions: int = 0,
        limbs: Sequence[tuple[int, int]] | None = None,
        official: bool = False,
    ) -> None:
        super().__init__()
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature must be a positive number, not {temperature}")
        if convolutions < 0:
            raise ValueError(f"convolutions must not be negative: {convolutions}")
        self.temperature, self.official, self.folded = temperature, official, False
        layers = [conv_norm(keypoints, keypoints) for _ in range(convolutions)]
        self.convolutions = nn.Sequential(*layers)
        self.g = nn.Conv2d(keypoints, keypoints, 1)
        self.W = _starting_at_zero(keypoints, keypoints)
        connected = None if limbs is None else _adjacency(keypoints, limbs)
        self.connected: Tensor | None
        self.register_buffer("connected", None if official else connected, persistent=False)
        self.att = nn.Parameter(connected.float()) if official and connected is not None else None
        if official:
            self.theta = nn.Conv2d(keypoints, keypoints, 1)
            self.phi = nn.Conv2d(keypoints, keypoints, 1)

    def forward(self, maps: Tensor) -> tuple[Tensor, JointRelations]:
        """Return heatmaps (B, K, h, w) and how they were related."""
        maps = self.convolutions(maps)
        flat = maps.flatten(2)
        correlation = flat @ flat.transpose(1, 2)
        weights = self.weights(correlation)
        if self.folded:
            (inner, inner_bias), (outer, outer_bias) = _as_matrix(self.g), _as_matrix(self.W[0])
            left = outer @ weights
            related = torch.baddbmm(flat, left @ inner, flat) + (left @ inner_bias + outer_bias)
            return related.view(maps.shape), JointRelations(maps, correlation, weights)
        mixed = weights @ self.g(maps).flatten(2)
        if self.official:
            mixed = mixed.transpose(1, 2).reshape(maps.shape)
        related = maps + self.W(mixed.view(maps.shape))
        return related, JointRelations(maps, correlation, weights)

    def fold(self) -> None:
        """Multiply Conv_o, W_r and Conv_g with each other before the maps.

        Not in the official order, which reads the maps differently between them.
        """
        self.folded = not self.official

    def weights(self, correlation: Tensor) -> Tensor:
        """Return W_r (B, K, K) of correlations (B, K, K)."""
        if self.att is not None:
            correlation = self.att @ correlation
        if self.connected is not None:
            correlation = correlation.masked_fill(~self.connected, -torch.inf)
        return (correlation / self.temperature).softmax(dim=1 if self.official else 2)


class NonLocalRelation(nn.Module):
    """The non-local block (RPSTN/JRE, Fig. 4): each cell attends to all cells.

    Args:
        keypoints: K.
        official: K channels inside, where Fig. 4 reduces them (to a half here), and a softmax over
            the cells that attend instead of those attended to.
    """

    def __init__(self, keypoints: int, *, official: bool = False) -> None:
        super().__init__()
        self.official = official
        inner = keypoints if official else max(1, keypoints // 2)
        self.theta, self.phi, self.g = (nn.Conv2d(keypoints, inner, 1) for _ in range(3))
        self.W = _starting_at_zero(inner, keypoints)

    def forward(self, maps: Tensor) -> tuple[Tensor, None]:
        """Return heatmaps (B, K, h, w)."""
        query, key, value = (
            layer(maps).flatten(2).transpose(1, 2) for layer in (self.theta, self.phi, self.g)
        )
        if self.official:
            mixed = (query @ key.transpose(1, 2)).softmax(dim=1) @ value
        else:
            query, key, value = (each[:, None] for each in (query, key, value))  # one head
            mixed = F.scaled_dot_product_attention(query, key, value, scale=1.0)[:, 0]
        return maps + self.W(mixed.transpose(1, 2).unflatten(2, maps.shape[2:])), None


class RefinementHead(nn.Module):
    """Two 3x3 convolutions whose result is added to the maps (RPSTN/JRE, Table I, RF-Head)."""

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv_norm(keypoints, keypoints), nn.Conv2d(keypoints, keypoints, 3, padding=1)
        )
        for value in self.layers[1].parameters():
            nn.init.zeros_(value)

    def forward(self, maps: Tensor) -> tuple[Tensor, None]:
        """Return heatmaps (B, K, h, w)."""
        return maps + self.layers(maps), None


class NoRelation(nn.Module):
    """Leave the maps as they are."""

    def forward(self, maps: Tensor) -> tuple[Tensor, None]:
        """Return the maps."""
        return maps, None


def build_relation(
    kind: RelationKind,
    keypoints: int,
    *,
    temperature: float = 1.0,
    convolutions: int = 0,
    limbs: Sequence[tuple[int, int]] = (),
    official: bool = False,
) -> nn.Module:
    """Return a module that maps (B, K, h, w) to heatmaps of this shape and ``JointRelations``.

    Instead of the latter there is None unless keypoints are related: ``"joint"`` or ``"graph"``.

    Args:
        kind: ``"joint"``, the JRE; ``"graph"``, the same with limbs alone; ``"nonlocal"``, between
            cells; ``"head"``, two convolutions; or ``"none"``. RPSTN/JRE, Table I.
        keypoints: K.
        temperature, convolutions, official: see ``JointRelation``; the others have no use for the
            first two.
        limbs: pairs of keypoint indices, of ``"graph"`` alone.

    Raises:
        ValueError: the kind is unknown, a graph has no limbs, or an option has no use.
    """
    if kind not in RELATIONS:
        raise ValueError(f"relation must be one of {RELATIONS}, not {kind!r}")
    if kind == "graph" and not limbs:
        raise ValueError("relation='graph' needs a skeleton with limbs")
    if kind in ("joint", "graph"):
        return JointRelation(
            keypoints,
            temperature=temperature,
            convolutions=convolutions,
            limbs=limbs if kind == "graph" else None,
            official=official,
        )
    if convolutions:
        raise ValueError(f"relation_convs={convolutions} has no use with relation={kind!r}")
    if kind == "nonlocal":
        return NonLocalRelation(keypoints, official=official)
    return RefinementHead(keypoints) if kind == "head" else NoRelation()


def _starting_at_zero(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 1x1 convolution and a batch normalization that begins by returning 0."""
    layers = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))
    nn.init.zeros_(layers[1].weight)  # type: ignore[arg-type]
    return layers


def _as_matrix(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return weight (K, K) and bias (K, 1) of a 1x1 convolution."""
    assert isinstance(layer, nn.Conv2d) and layer.bias is not None
    return layer.weight.flatten(1), layer.bias[:, None]


def _adjacency(keypoints: int, limbs: Sequence[tuple[int, int]]) -> Tensor:
    """Return (K, K) bool, true where two keypoints share a limb or are the same."""
    matrix = torch.eye(keypoints, dtype=torch.bool)
    for a, b in limbs:
        matrix[a, b] = matrix[b, a] = True
    return matrix

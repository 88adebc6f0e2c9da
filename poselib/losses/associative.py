"""Associative losses: classical, hierarchical and with focal pulling.

Every function works on the embeddings found at labelled keypoints, ``values`` (B, N, K, L), and
on ``visible`` (B, N, K), which is false where a keypoint is not labelled. Everything is masked
arithmetic over batch, people, keypoints and groups: no Python loop runs over any of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from poselib.losses.outliers import fence_weights
from poselib.ops.gaussians import cells_of
from poselib.structures import Size

PushForm = Literal["gaussian", "hinge"]
Missing = Literal["skip", "rescale"]
FenceOver = Literal["person", "group"]


@dataclass(frozen=True)
class Push:
    """How reference embeddings of different people repel each other (HAE, Eq. 7).

    Attributes:
        form: ``"gaussian"`` is Eq. (7); ``"hinge"`` is the linear form of the official code,
            ``max(0, 1 - |difference|)``.
        sigma: standard deviation of Eq. (7). The paper gives no value; the official code
            computes ``exp(-difference²)``, which is ``sigma = sqrt(1/2)``, the default.
        factor: multiplies the mean. Eq. (7) has 1; the official code has 0.5.

    Raises:
        ValueError: the form is unknown or sigma is not positive.
    """

    form: PushForm = "gaussian"
    sigma: float = 0.5**0.5
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.form not in ("gaussian", "hinge"):
            raise ValueError(f"unknown push form {self.form!r}; known: 'gaussian', 'hinge'")
        if not 0 < self.sigma < math.inf:
            raise ValueError(f"push sigma must be a positive number, not {self.sigma}")


@dataclass(frozen=True)
class Pull:
    """How keypoints are drawn to their group and groups to their person (HAE, Eqs. 9, 10, 15, 16).

    Attributes:
        alpha: weight of embeddings beyond the fences, Eqs. (15, 16); 1 switches focal pulling
            off. The paper leaves it open; the official code uses 2.
        fence_over: whether a keypoint's fences come from its whole person or from its own group.
            The paper's array ``t_k(p_ngk)`` can be read both ways; groups of one or two have no
            outliers, so ``"person"`` is the reading that does something for limbs.
        missing: ``"skip"`` sums the labelled keypoints of a group, as Eq. (9) does; ``"rescale"``
            counts their mean as often as the group has members, as the official code does.
        per_keypoint: divide by K, as the official hierarchical loss does; Eqs. (9, 10) do not.

    Raises:
        ValueError: a reading is unknown or alpha is negative or not finite.
    """

    alpha: float = 1.0
    fence_over: FenceOver = "person"
    missing: Missing = "skip"
    per_keypoint: bool = False

    def __post_init__(self) -> None:
        if self.fence_over not in ("person", "group"):
            raise ValueError(f"fence_over must be 'person' or 'group', not {self.fence_over!r}")
        if self.missing not in ("skip", "rescale"):
            raise ValueError(f"missing must be 'skip' or 'rescale', not {self.missing!r}")
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"alpha must be a finite number, not negative: {self.alpha}")


def tags_at_keypoints(tags: Tensor, keypoints: Tensor, image_size: Size) -> tuple[Tensor, Tensor]:
    """Read each keypoint's embedding from its type's tagmap.

    Args:
        tags: (B, K, L, h, w) float tagmaps.
        keypoints: (B, N, K, 3) float, px of the network input and visibility.
        image_size: (H, W) of the network input, px.

    Returns:
        values (B, N, K, L) and visible (B, N, K) bool: labelled and inside the image.
    """
    batch, kinds, channels, height, width = tags.shape
    stride = (image_size[0] / height, image_size[1] / width)
    cells, visible = cells_of(keypoints, stride, (height, width))
    flat = (cells[..., 1] * width + cells[..., 0]).transpose(1, 2)  # (B, K, N)
    index = flat[:, :, None].expand(batch, kinds, channels, flat.shape[-1])
    return tags.flatten(3).gather(3, index).permute(0, 3, 1, 2), visible


def masked_mean(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Mean of ``values`` (..., L) over ``dim`` where ``mask`` (...) is true; 0 where none is."""
    weight = mask.unsqueeze(-1).to(values.dtype)
    total = torch.where(mask.unsqueeze(-1), values, 0).sum(dim=dim)
    return total / weight.sum(dim=dim).clamp(min=1)


def push_loss(references: Tensor, present: Tensor, push: Push = Push()) -> Tensor:
    """Return the pushing loss of each image (HAE, Eq. 7); 0 with fewer than two people.

    Args:
        references: (B, N, L) reference embedding of each person.
        present: (B, N) bool, false for padding and for people without labelled keypoints.
        push: form, deviation and factor.

    Returns:
        (B,) loss.
    """
    square = (references[:, :, None] - references[:, None]).square().sum(dim=-1)
    if push.form == "gaussian":
        repulsion = torch.exp(-square / (2 * push.sigma**2))
    else:
        # The root's gradient is infinite at zero; the diagonal is masked out below.
        repulsion = (1 - torch.where(square > 0, square, 1).sqrt() * (square > 0)).clamp(min=0)
    others = ~torch.eye(present.shape[1], dtype=torch.bool, device=present.device)
    pairs = present[:, :, None] & present[:, None] & others
    count = present.sum(dim=1)
    total = torch.where(pairs, repulsion, 0).sum(dim=(1, 2))
    return push.factor * total / (count * (count - 1)).clamp(min=1)


def classical_pull(values: Tensor, visible: Tensor, pull: Pull = Pull()) -> Tensor:
    """Return the pulling term of the classical associative loss of each image (HAE, Eq. 12).

    This is the low level of the hierarchy whose only group is the whole person.

    Args:
        values: (B, N, K, L) embeddings at keypoints.
        visible: (B, N, K) bool.
        pull: readings and focal weight.

    Returns:
        (B,) loss.
    """
    whole = torch.zeros(visible.shape[-1], dtype=torch.long, device=values.device)
    return hierarchical_pull(values, visible, whole, pull)[0]


def hierarchical_pull(
    values: Tensor, visible: Tensor, groups: Tensor, pull: Pull = Pull()
) -> tuple[Tensor, Tensor]:
    """Return the low-level and high-level pulling losses of each image (HAE, Eqs. 9, 10, 15, 16).

    Args:
        values: (B, N, K, L) embeddings at keypoints.
        visible: (B, N, K) bool.
        groups: (K,) int64, the group of each keypoint.
        pull: readings and focal weight.

    Returns:
        Two (B,) losses, both without λ.
    """
    member = torch.nn.functional.one_hot(groups).to(values.dtype)  # (K, G)
    counted = visible.to(values.dtype)
    held = counted @ member  # (B, N, G) labelled keypoints of each group
    clean = torch.where(visible.unsqueeze(-1), values, 0)
    group_mean = torch.einsum("bnkl,kg->bngl", clean, member) / held.clamp(min=1).unsqueeze(-1)
    reference = masked_mean(values, visible, dim=2)

    low = (group_mean[:, :, groups] - clean).square().sum(dim=-1) * counted
    if pull.alpha != 1.0:
        fences = groups if pull.fence_over == "group" else torch.zeros_like(groups)
        low = low * fence_weights(values, visible, fences, pull.alpha)
    if pull.missing == "rescale":
        low = low * (member.sum(dim=0) / held.clamp(min=1))[:, :, groups]
    present = held > 0
    high = (reference[:, :, None] - group_mean).square().sum(dim=-1) * present
    if pull.alpha != 1.0:
        one = torch.zeros(present.shape[-1], dtype=torch.long, device=groups.device)
        high = high * fence_weights(group_mean, present, one, pull.alpha)

    people = visible.any(dim=-1).sum(dim=1).clamp(min=1)
    divisor = people * (visible.shape[-1] if pull.per_keypoint else 1)
    return low.sum(dim=(1, 2)) / divisor, high.sum(dim=(1, 2)) / divisor

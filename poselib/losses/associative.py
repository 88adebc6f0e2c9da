"""Associative embedding losses: push, and classical, hierarchical and focal pull (HAE).

All functions take the embeddings at labeled keypoints, ``values`` (B, N, K, L), and ``visible``
(B, N, K), which is false where a keypoint is not labeled. They are masked arithmetic over batch,
people, keypoints and groups, without Python loops.
"""

from __future__ import annotations

import torch
from torch import Tensor

from poselib.losses.associative_options import EQUATION_7, EQUATIONS_9_10, PullOptions, PushOptions
from poselib.losses.hard_keypoints import iqr_outlier_weights, ohkm_weights
from poselib.ops.gaussians import keypoint_cells
from poselib.ops.map_coordinates import CropFrame, cell_stride
from poselib.structures import Size


def tags_at_keypoints(
    tags: Tensor, keypoints: Tensor, image_size: Size, frame: CropFrame = "center"
) -> tuple[Tensor, Tensor]:
    """Gather each keypoint's embedding from the tag map of its type.

    Args:
        tags: (B, K, L, h, w) float tag maps.
        keypoints: (B, N, K, 3) float, px of the network input and visibility.
        image_size: (H, W) of the network input, px.
        frame: what a cell of the maps stands for, see ``ops.map_coordinates``.

    Returns:
        Embeddings (B, N, K, L), and a mask (B, N, K) of keypoints labeled and inside the image.

    Example:
        >>> tags = torch.arange(4.0).view(1, 1, 1, 2, 2)
        >>> keypoints = torch.tensor([[[[7.0, 1.0, 2.0]], [[1.0, 7.0, 0.0]]]])
        >>> tags_at_keypoints(tags, keypoints, (8, 8))
        (tensor([[[[1.]],
        <BLANKLINE>
                 [[2.]]]]), tensor([[[ True],
                 [False]]]))
    """
    batch, kinds, channels, height, width = tags.shape
    stride = cell_stride(image_size, (height, width), frame)
    cells, visible = keypoint_cells(keypoints, stride, (height, width), frame)
    flat = (cells[..., 1] * width + cells[..., 0]).transpose(1, 2)  # (B, K, N)
    index = flat[:, :, None].expand(batch, kinds, channels, flat.shape[-1])
    return tags.flatten(3).gather(3, index).permute(0, 3, 1, 2), visible


def masked_mean(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Compute the mean of ``values`` (..., L) over ``dim`` where ``mask`` (...) is true, else 0.

    Over keypoints it is the reference embedding of each person (HAE, Eq. 6).
    """
    weight = mask.unsqueeze(-1).to(values.dtype)
    total = torch.where(mask.unsqueeze(-1), values, 0).sum(dim=dim)
    return total / weight.sum(dim=dim).clamp(min=1)


def push_loss(references: Tensor, present: Tensor, push: PushOptions = EQUATION_7) -> Tensor:
    r"""Compute the push loss of each image, which separates people's embeddings (HAE, Eq. 7).

    .. math::
        L_{push} = \frac{1}{N (N - 1)} \sum_n \sum_{n' \neq n}
        \exp\left( -\frac{(\bar t_n - \bar t_{n'})^2}{2 \sigma^2} \right)

    Args:
        references: (B, N, L) reference embedding of each person.
        present: (B, N) bool, false for padding and for people without labeled keypoints.
        push: form, deviation and factor.

    Returns:
        (B,) loss; 0 with fewer than two people.

    Example:
        >>> references = torch.tensor([[[0.0], [0.5]]])
        >>> push_loss(references, torch.ones(1, 2, dtype=torch.bool))  # exp(-0.5² / (2 * 0.5))
        tensor([0.7788])
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


def classical_pull(values: Tensor, visible: Tensor, pull: PullOptions = EQUATIONS_9_10) -> Tensor:
    r"""Compute the pull loss of classical associative embedding of each image (HAE, Eq. 12).

    .. math::
        L_{pull} = \frac{1}{N} \sum_n \sum_k \left( \bar t_n - t_{nk} \right)^2

    It is the low level of the hierarchy whose only group is the whole person.

    Args:
        values: (B, N, K, L) embeddings at keypoints.
        visible: (B, N, K) bool.
        pull: variant of the equations, and focal weights.

    Returns:
        (B,) loss.

    Example:
        >>> values = torch.tensor([0.0, 2.0]).view(1, 1, 2, 1)  # one person, mean 1
        >>> classical_pull(values, torch.ones(1, 1, 2, dtype=torch.bool))
        tensor([2.])
    """
    whole = torch.zeros(visible.shape[-1], dtype=torch.long)
    return hierarchical_pull(values, visible, whole, pull)[0]


def hierarchical_pull(
    values: Tensor, visible: Tensor, groups: Tensor, pull: PullOptions = EQUATIONS_9_10
) -> tuple[Tensor, Tensor]:
    r"""Compute the low-level and high-level pull losses of each image (HAE, Eqs. 9, 10, 15, 16).

    .. math::
        L_{l} = \frac{1}{N} \sum_n \sum_g \sum_{k \in g} \alpha_{ngk}
        \left( \bar t_{ng} - t_{ngk} \right)^2, \qquad
        L_{h} = \frac{1}{N} \sum_n \sum_g \alpha_{ng} \left( \bar t_n - \bar t_{ng} \right)^2

    Keypoints are pulled to the mean embedding of their group, and groups to that of their person.
    The focal weights α are 1 unless the options ask for them.

    Args:
        values: (B, N, K, L) embeddings at keypoints.
        visible: (B, N, K) bool.
        groups: (K,) int64, the group of each keypoint. Keep it on the CPU: there it needs no
            synchronization with the device.
        pull: variant of the equations, and focal weights.

    Returns:
        Two (B,) losses, both without λ of Eq. (11).

    Raises:
        ValueError: OHKM is to mine all keypoints or more.

    Example:
        >>> values = torch.tensor([0.0, 2.0, 5.0, 5.0]).view(1, 1, 4, 1)  # groups 1 and 5, mean 3
        >>> visible = torch.ones(1, 1, 4, dtype=torch.bool)
        >>> hierarchical_pull(values, visible, torch.tensor([0, 0, 1, 1]))
        (tensor([2.]), tensor([8.]))
    """
    pull.check(visible.shape[-1])
    sizes = groups.bincount()  # (G,)
    groups = groups.to(values.device)
    counted = visible.unsqueeze(-1).to(values.dtype)
    clean = torch.where(visible.unsqueeze(-1), values, 0)
    held = _sum_groups(counted, groups, len(sizes))  # (B, N, G, 1) labeled members
    embeddings = _sum_groups(clean, groups, len(sizes)) / held.clamp(min=1)
    reference = clean.sum(dim=2, keepdim=True) / counted.sum(dim=2, keepdim=True).clamp(min=1)

    low = (_spread_groups(embeddings, groups) - clean).square().sum(dim=-1) * counted.squeeze(-1)
    if pull.missing_keypoints == "rescale":
        times = sizes.to(held).unsqueeze(-1) / held.clamp(min=1)
        low = low * _spread_groups(times, groups).squeeze(-1)
    present = held.squeeze(-1) > 0
    high = (reference - embeddings).square().sum(dim=-1) * present
    if pull.focal:
        sets = groups if pull.outlier_scope == "group" else None
        low = low * _focal_weights(pull, len(groups), low, values, visible, sets)
        if pull.focal_levels == "both":
            high = high * _focal_weights(pull, len(groups), high, embeddings, present, None)

    people = visible.any(dim=-1).sum(dim=1).clamp(min=1)
    divisor = people * (len(groups) if pull.per_keypoint else 1)
    return low.sum(dim=(1, 2)) / divisor, high.sum(dim=(1, 2)) / divisor


def _focal_weights(
    pull: PullOptions,
    keypoints: int,
    losses: Tensor,
    values: Tensor,
    present: Tensor,
    sets: Tensor | None,
) -> Tensor:
    """Return the focal weight of each loss (B, N, K) of the embeddings ``values`` (B, N, K, L)."""
    if pull.mining == "iqr":
        return iqr_outlier_weights(values, present, sets, pull.alpha)
    # M of K keypoints and, rounded up, the same fraction of the groups.
    hardest = -(-pull.hardest * losses.shape[-1] // keypoints)
    hard, rest = pull.alpha, 1.0
    if pull.ohkm_rest == "drop":
        hard, rest = keypoints / pull.hardest if pull.per_keypoint else 1.0, 0.0
    return ohkm_weights(losses, present, hardest, hard, rest)


def _sum_groups(values: Tensor, groups: Tensor, count: int) -> Tensor:
    """Sum (B, N, K, L) over the members of each group to (B, N, G, L)."""
    sums = values.new_zeros(*values.shape[:2], count, values.shape[-1])
    return sums.scatter_add(2, groups[:, None].expand_as(values), values)


def _spread_groups(values: Tensor, groups: Tensor) -> Tensor:
    """Repeat the value (B, N, G, L) of each group for its members, to (B, N, K, L)."""
    index = groups[:, None].expand(*values.shape[:2], -1, values.shape[-1])
    return values.gather(2, index)

"""Hard keypoint mining: IQR outlier weights and online hard keypoint mining (OHKM)."""

from __future__ import annotations

import torch
from torch import Tensor


def iqr_outlier_weights(
    values: Tensor, present: Tensor, sets: Tensor | None, alpha: float
) -> Tensor:
    r"""Weight outliers of each set of values by ``alpha`` (HAE, Eqs. 15, 16).

    .. math::
        \alpha_i = \alpha \text{ if } t_i < Q_1 - 1.5\,\mathrm{IQR}
        \text{ or } t_i > Q_3 + 1.5\,\mathrm{IQR}, \text{ else } 1

    Quartiles are order statistics, the lower one rounded down and the upper one up, as in the
    official code: a person has few values, and interpolated quartiles would make outliers of
    ordinary keypoints. A value on a fence is an inlier, as in the official code: with the strict
    inequality of Eqs. (15, 16), equal values, whose fences coincide, would all be outliers. No
    gradient flows through the weights.

    Args:
        values: (B, N, K, L) float; a value is an outlier if any of its L components is.
        present: (B, N, K) bool; absent values are not ranked and get weight 1.
        sets: (K,) int64, the set in which each value is ranked; None for one set of all.
        alpha: weight of outliers.

    Returns:
        (B, N, K) float weights, 1 or ``alpha``.

    Example:
        >>> values = torch.tensor([0.0, 0.1, 0.1, 0.2, 5.0]).view(1, 1, 5, 1)
        >>> iqr_outlier_weights(values, torch.ones(1, 1, 5, dtype=torch.bool), None, alpha=2.0)
        tensor([[[1., 1., 1., 1., 2.]]])
    """
    values = values.detach()
    ranked_with = present[:, :, None]  # a row for each set: here one, (B, N, 1, K)
    if sets is not None:
        ranked_with = ranked_with & (sets[:, None] == sets)  # a row for each keypoint
    ranked = torch.where(ranked_with.unsqueeze(-1), values[:, :, None], torch.inf).sort(dim=3)
    last = (ranked_with.sum(dim=3) - 1).clamp(min=0)
    ranks = torch.stack((last // 4, (3 * last + 3) // 4), dim=-1)  # a quarter and three quarters
    index = ranks.unsqueeze(-1).expand(*ranks.shape, values.shape[-1])
    lower, upper = ranked.values.gather(3, index).unbind(3)  # (B, N, 1 or K, L)
    margin = 1.5 * (upper - lower)
    low, high = lower - margin, upper + margin
    outside = ((values < low) | (values > high)).any(dim=-1) & present
    return torch.where(outside, values.new_full((), alpha), 1.0)


def ohkm_weights(losses: Tensor, present: Tensor, count: int, hard: float, rest: float) -> Tensor:
    """Weight each person's ``count`` largest losses by ``hard`` and the others by ``rest``.

    Online hard keypoint mining (HAE, Sec. IV-D). Exactly ``count`` losses are hard even among
    equals: the two keypoints of a limb have the same loss but for rounding, and the gradient is
    the same whichever of them is taken, but would change if rounding could add the other. No
    gradient flows through the weights.

    Args:
        losses: (B, N, K) float.
        present: (B, N, K) bool; absent losses are not ranked and get ``rest``.
        count: number of hard losses, at least 1; all, if fewer are present.
        hard, rest: weights.

    Returns:
        (B, N, K) float weights.

    Example:
        >>> losses = torch.tensor([[[0.1, 0.9, 0.4]]])
        >>> ohkm_weights(losses, torch.ones(1, 1, 3, dtype=torch.bool), 2, hard=1.0, rest=0.0)
        tensor([[[0., 1., 1.]]])
    """
    ranked = torch.where(present, losses.detach(), -torch.inf)
    hardest = ranked.topk(min(count, losses.shape[-1]), dim=-1).indices
    weights = torch.full_like(ranked, rest).scatter(-1, hardest, hard)
    return torch.where(present, weights, rest)

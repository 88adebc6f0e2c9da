"""Weights of what is hard: outliers by the interquartile range, and the largest losses."""

from __future__ import annotations

import torch
from torch import Tensor


def iqr_outlier_weights(
    values: Tensor, present: Tensor, sets: Tensor | None, alpha: float
) -> Tensor:
    """Weight each value by ``alpha`` where it lies beyond the fences of its set (HAE, Eqs. 15, 16).

    The fences are ``Q1 - 1.5 IQR`` and ``Q3 + 1.5 IQR``. Quartiles are order statistics, the
    lower one rounded down and the upper one up, as in the official code: with the few values a
    person has, interpolation would call ordinary keypoints outliers. A value on a fence is within,
    as in the official code: with the strict inequality of Eqs. (15, 16) equal values, whose fences
    meet in one point, were all outliers. No gradient flows through the weights.

    Args:
        values: (B, N, K, L) float; a value is an outlier if any of its L components is.
        present: (B, N, K) bool; absent values take no part and get weight 1.
        sets: (K,) int64, the set in which each value is ranked; None for one set of all.
        alpha: weight of outliers.

    Returns:
        (B, N, K) float weights, 1 or ``alpha``.
    """
    values = values.detach()
    taking = present[:, :, None]  # a row for each set: here one, (B, N, 1, K)
    if sets is not None:
        taking = taking & (sets[:, None] == sets)  # one for each keypoint, of all in its set
    ranked = torch.where(taking.unsqueeze(-1), values[:, :, None], torch.inf).sort(dim=3).values
    last = (taking.sum(dim=3) - 1).clamp(min=0)
    ranks = torch.stack((last // 4, (3 * last + 3) // 4), dim=-1)  # a quarter and three quarters
    index = ranks.unsqueeze(-1).expand(*ranks.shape, values.shape[-1])
    lower, upper = ranked.gather(3, index).unbind(3)  # (B, N, 1 or K, L)
    margin = 1.5 * (upper - lower)
    low, high = lower - margin, upper + margin
    outside = ((values < low) | (values > high)).any(dim=-1) & present
    return torch.where(outside, values.new_full((), alpha), 1.0)


def ohkm_weights(losses: Tensor, present: Tensor, count: int, hard: float, rest: float) -> Tensor:
    """Weight each person's ``count`` largest losses by ``hard``, the others by ``rest``.

    Online hard keypoint mining (HAE, Sec. IV-D). Never more than ``count`` are hard: the two
    keypoints of a limb have the same loss but for rounding, and its gradient is the same whichever
    of them is taken, but not if rounding may add the other. No gradient flows through the weights.

    Args:
        losses: (B, N, K) float.
        present: (B, N, K) bool; absent losses take no part and get ``rest``.
        count: how many are hard, at least 1; all, where fewer are present.
        hard, rest: weights.

    Returns:
        (B, N, K) float weights.
    """
    ranked = torch.where(present, losses.detach(), -torch.inf)
    hardest = ranked.topk(min(count, losses.shape[-1]), dim=-1).indices
    weights = torch.full_like(ranked, rest).scatter(-1, hardest, hard)
    return torch.where(present, weights, rest)

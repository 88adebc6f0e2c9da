"""Outliers by the interquartile range, over masked sets."""

from __future__ import annotations

import torch
from torch import Tensor


def fence_weights(values: Tensor, present: Tensor, sets: Tensor, alpha: float) -> Tensor:
    """Weight each value by ``alpha`` where it lies beyond the fences of its set (HAE, Eqs. 15, 16).

    The fences are ``Q1 - 1.5 IQR`` and ``Q3 + 1.5 IQR``. Quartiles are order statistics, the
    lower one rounded down and the upper one up, as in the official code: with the few values a
    person has, interpolation would call ordinary keypoints outliers. No gradient flows through
    the weights.

    Args:
        values: (B, N, K, L) float; a value is an outlier if any of its L components is.
        present: (B, N, K) bool; absent values take no part and get weight 1.
        sets: (K,) int64, the set in which each value is ranked.
        alpha: weight of outliers.

    Returns:
        (B, N, K) float weights, 1 or ``alpha``.
    """
    values = values.detach()
    same = torch.nn.functional.one_hot(sets).T.bool()  # (S, K)
    taking = present[:, :, None] & same  # (B, N, S, K)
    shape = (*taking.shape, values.shape[-1])
    filled = torch.where(taking.unsqueeze(-1), values[:, :, None].expand(shape), torch.inf)
    ranked = filled.sort(dim=3).values
    last = (taking.sum(dim=3) - 1).clamp(min=0)
    lower = _ranked_at(ranked, (last * 0.25).floor())
    upper = _ranked_at(ranked, (last * 0.75).ceil())
    margin = 1.5 * (upper - lower)
    low, high = (lower - margin)[:, :, sets], (upper + margin)[:, :, sets]  # (B, N, K, L)
    outside = ((values < low) | (values > high)).any(dim=-1) & present
    return torch.where(outside, alpha, 1.0).to(values.dtype)


def _ranked_at(ranked: Tensor, rank: Tensor) -> Tensor:
    """Pick (B, N, S, L) values at ranks (B, N, S) from (B, N, S, K, L)."""
    index = rank.long()[..., None, None].expand(*rank.shape, 1, ranked.shape[-1])
    return ranked.gather(3, index).squeeze(3)

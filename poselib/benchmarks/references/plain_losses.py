"""The hierarchical associative loss in loops over images, people and groups.

As published: the tags of every person and of every group of its keypoints are stacked one by one,
and fences come from ``np.quantile``. The readings are the library's defaults: a group sums its
labeled keypoints, fences are those of the whole person, and pulling is divided by K.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def associative_losses_plainly(
    tags: Tensor, joints: Tensor, groups: Sequence[Sequence[int]], alpha: float = 2.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pushing, low-level and high-level pulling losses (HAE, Eqs. 7, 9, 10, 15, 16).

    Args:
        tags: (B, K * h * w, L) tagmaps, flattened.
        joints: (B, N, K, 2) int64, the place of each keypoint's tag and whether it is labeled.
        groups: the keypoints of each group.
        alpha: weight of outliers; 1 switches focal pulling off.

    Returns:
        Three (B,) losses.
    """
    places = joints.cpu().numpy()
    losses = [_one_image(tags[i], places[i], groups, alpha) for i in range(len(tags))]
    push, low, high = zip(*losses, strict=True)
    return torch.stack(push), torch.stack(low), torch.stack(high)


def associative_step_plainly(tags: Tensor, joints: Tensor, groups: Sequence[int]) -> Tensor:
    """Return the gradient of the loss with respect to tags (B, K, L, h, w), λ being 1.5.

    ``joints`` is that of ``associative_losses_plainly``, ``groups`` the group of each keypoint.
    """
    members = [[k for k, g in enumerate(groups) if g == group] for group in sorted(set(groups))]
    flat = tags.permute(0, 1, 3, 4, 2).flatten(1, 3)
    push, low, high = associative_losses_plainly(flat, joints, members)
    return torch.autograd.grad(push.mean() + low.mean() + 1.5 * high.mean(), tags)[0]


def _one_image(
    tags: Tensor, joints: np.ndarray, groups: Sequence[Sequence[int]], alpha: float
) -> tuple[Tensor, Tensor, Tensor]:
    references: list[Tensor] = []
    low = high = tags.new_zeros(())
    for person in joints:
        held = [tags[place] for place, labeled in person if labeled > 0]
        if not held:
            continue
        stacked = torch.stack(held)
        references.append(stacked.mean(dim=0))
        fences = _fences(stacked)
        means: list[Tensor] = []
        for group in groups:
            members = [tags[person[k][0]] for k in group if person[k][1] > 0]
            if not members:
                continue
            found = torch.stack(members)
            means.append(found.mean(dim=0))
            square = ((found - means[-1].expand_as(found)) ** 2).sum(dim=1)
            low = low + (square * _weights(found, fences, alpha)).sum()
        embeddings = torch.stack(means)
        square = ((references[-1].expand_as(embeddings) - embeddings) ** 2).sum(dim=1)
        high = high + (square * _weights(embeddings, _fences(embeddings), alpha)).sum()
    divisor = max(len(references), 1) * joints.shape[1]
    return _push(references, tags), low / divisor, high / divisor


def _fences(values: Tensor) -> tuple[np.ndarray, np.ndarray]:
    ranked = values.detach().cpu().numpy()
    lower = np.quantile(ranked, 0.25, axis=0, method="lower")
    upper = np.quantile(ranked, 0.75, axis=0, method="higher")
    margin = 1.5 * (upper - lower)
    return lower - margin, upper + margin


def _weights(values: Tensor, fences: tuple[np.ndarray, np.ndarray], alpha: float) -> Tensor:
    low, high = fences
    factors = [
        alpha if (one < low).any() or (one > high).any() else 1.0
        for one in values.detach().cpu().numpy()
    ]
    return torch.tensor(factors, dtype=values.dtype, device=values.device)


def _push(references: list[Tensor], tags: Tensor) -> Tensor:
    people = len(references)
    if people < 2:
        return tags.new_zeros(())
    stacked = torch.stack(references)
    square = ((stacked[:, None] - stacked[None]) ** 2).sum(dim=2)
    return (torch.exp(-square).sum() - people) / (people * (people - 1))

"""Keypoints expanded to the places around them: the meshes of local and global context."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def expansion_rates(sigmas: Sequence[float] | Tensor) -> Tensor:
    """Return how far apart the places around each keypoint lie (LOGO-CAP, Algorithm 1: scale).

    Args:
        sigmas: (K,), the OKS constants of any skeleton.

    Returns:
        (K,) float32; 1 for the least sigma.

    Raises:
        ValueError: there are no sigmas, or one is not positive.
    """
    values = torch.as_tensor(sigmas, dtype=torch.float64)
    if not len(values) or not (values > 0).all():
        raise ValueError(f"sigmas must be positive numbers, not {sigmas}")
    return (values / values.min()).float()


def window_steps(window: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the steps from the first place of a window's axis to its last, 0 in the middle.

    Algorithm 1 has ``arange(-r, r)``, one short of the window that it names.

    Raises:
        ValueError: the window is not odd and positive.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"a window must have an odd positive side, not {window}")
    reach = window // 2
    return torch.arange(-reach, reach + 1, dtype=torch.float32, device=device)


def expand_keypoints(points: Tensor, rates: Tensor, window: int, step: float = 1.0) -> Tensor:
    """Return the keypoint expansion maps of poses: the places around each keypoint (Algorithm 1).

    Args:
        points: (n, K, 2) float, px.
        rates: (K,) of ``expansion_rates``.
        window: odd side of the square of places.
        step: px between neighboring places of a keypoint whose rate is 1.

    Returns:
        (n, window, window, K, 2) px, rows first: the keypoints come last so that what is read at
        the places of one row and column lies together.

    Raises:
        ValueError: the window is not odd and positive.
    """
    along = window_steps(window, points.device)
    grid = torch.stack(torch.meshgrid(along, along, indexing="xy"), dim=-1)  # (r, r, 2), x first
    apart = grid[:, :, None] * (step * rates.to(points))[:, None]
    return points[:, None, None] + apart

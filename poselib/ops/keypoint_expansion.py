"""Keypoint expansion maps: the local and the global context of poses (LOGO-CAP, Sec. 3.1).

Each keypoint of a pose is expanded to a window of cells around it. At the cells of the local
windows an embedding is sampled, from which attraction maps are predicted; at those of the global
windows the heatmap of the keypoint is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from poselib.ops.center_poses import CenterPoses
from poselib.ops.map_coordinates import FRAMES, Frame
from poselib.ops.window_sampling import sample_features, sample_windows, window_steps
from poselib.structures import Size


@dataclass(frozen=True)
class KeypointExpansion:
    """The windows around keypoints in which context is read.

    Attributes:
        rates: (K,) of ``expansion_rates``: the spacing of the cells of each keypoint's local
            window, in steps.
        local_window: odd side of the local windows, in cells (11 in the paper).
        global_window: odd side of the global windows, in cells (97 in the paper).
        step: px of the network input between neighboring cells of a global window, and of the
            local window of a keypoint whose rate is 1.
        reweigh: whether global windows are weighted by a Gaussian around their center, of which
            three standard deviations reach the border (Eq. 1).
        frame: frame of the points and the maps; see ``ops.map_coordinates``.

    Raises:
        ValueError: a window is not odd and positive, a step is not positive, or the frame is
            unknown.
    """

    rates: Tensor
    local_window: int = 11
    global_window: int = 97
    step: float = 1.0
    reweigh: bool = True
    frame: Frame = "center"

    def __post_init__(self) -> None:
        for window in (self.local_window, self.global_window):
            window_steps(window)
        if not 0 < self.step < math.inf:
            raise ValueError(f"step must be a positive number of px, not {self.step}")
        if self.frame not in FRAMES:
            raise ValueError(f"frame must be one of {FRAMES}, not {self.frame!r}")

    @property
    def sigma(self) -> float:
        """Standard deviation of the Gaussian of Eq. (1), px."""
        return self.step * (self.global_window - 1) / 6


def expansion_rates(sigmas: Sequence[float] | Tensor) -> Tensor:
    """Return the expansion rate of each keypoint type (LOGO-CAP, Algorithm 1: ``scale``).

    Args:
        sigmas: (K,) OKS constants of any skeleton.

    Returns:
        (K,) float32; 1 for the smallest sigma.

    Raises:
        ValueError: there are no sigmas, or one is not positive.
    """
    values = torch.as_tensor(sigmas, dtype=torch.float64)
    if not len(values) or not (values > 0).all():
        raise ValueError(f"sigmas must be positive numbers, not {sigmas}")
    return (values / values.min()).float()


def expand_keypoints(points: Tensor, rates: Tensor, window: int, step: float = 1.0) -> Tensor:
    """Return keypoint expansion maps: the cells of a window around each keypoint (Algorithm 1).

    Args:
        points: (n, K, 2) float, px.
        rates: (K,) of ``expansion_rates``.
        window: odd side of the window, in cells.
        step: px between neighboring cells of a keypoint whose rate is 1.

    Returns:
        (n, window, window, K, 2) px, rows first. The keypoints come last so that what is sampled at
        the cells of one row and column is contiguous.

    Raises:
        ValueError: the window is not odd and positive.
    """
    along = window_steps(window, points.device)
    grid = torch.stack(torch.meshgrid(along, along, indexing="xy"), dim=-1)  # (r, r, 2), x first
    shifts = grid[:, :, None] * (step * rates.to(points))[:, None]
    return points[:, None, None] + shifts


def local_expansion_maps(people: CenterPoses, expansion: KeypointExpansion) -> Tensor:
    """Return the local keypoint expansion maps (n, r, r, K, 2) of n poses, px of the frame."""
    return expand_keypoints(people.points, expansion.rates, expansion.local_window, expansion.step)


def local_context(
    embedding: Tensor, people: CenterPoses, expansion: KeypointExpansion, image_size: Size
) -> Tensor:
    """Sample an embedding in the local window of each keypoint (LOGO-CAP, Sec. 3.1).

    Args:
        embedding: (B, D, h, w) float; values that are not finite count as 0.
        people: n poses.
        expansion: the windows.
        image_size: (H, W) of the network input, px.

    Returns:
        (n, K * D, r, r) float32, keypoint by keypoint.
    """
    return sample_features(
        embedding,
        people.images,
        people.points,
        expansion.rates,
        expansion.local_window,
        image_size,
        step=expansion.step,
        frame=expansion.frame,
    )


def global_context(
    heatmaps: Tensor, people: CenterPoses, expansion: KeypointExpansion, image_size: Size
) -> Tensor:
    """Sample each keypoint's heatmap in its global window (LOGO-CAP, Eq. 1).

    Args:
        heatmaps: (B, K, h, w) float; values that are not finite count as 0.
        people: n poses.
        expansion: the windows, and whether they are weighted by a Gaussian.
        image_size: (H, W) of the network input, px.

    Returns:
        (n, K, a, a) float32, rows first.
    """
    return sample_windows(
        heatmaps,
        people.images,
        people.points,
        expansion.global_window,
        image_size,
        step=expansion.step,
        sigma=expansion.sigma if expansion.reweigh else None,
        frame=expansion.frame,
    )

"""The local and the global context of poses: what maps say around each of their keypoints."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from poselib.ops.center_poses import CenterPoses
from poselib.ops.keypoint_expansion import expand_keypoints, window_steps
from poselib.ops.map_coordinates import FRAMES, Frame
from poselib.ops.window_sampling import sample_features, sample_windows
from poselib.structures import Size


@dataclass(frozen=True)
class KeypointExpansion:
    """The places around keypoints at which context is read (LOGO-CAP, Sec. 3.1).

    Attributes:
        rates: (K,) of ``ops.keypoint_expansion.expansion_rates``: how far apart the places of each
            keypoint's local window lie.
        local_window: odd side of the local windows, in places (11).
        global_window: odd side of the global windows, in places (97).
        step: px of the network input between neighboring places of a global window, and of the
            local one of a keypoint whose rate is 1.
        reweigh: whether the heat of a global window is weighed by a Gaussian around its middle,
            three of whose standard deviations reach to the border (Eq. 1).
        frame: what a cell of the maps stands for; see ``ops.window_sampling``.

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


def local_places(people: CenterPoses, meshes: KeypointExpansion) -> Tensor:
    """Return the local keypoint expansion maps: (n, r, r, K, 2) px of the frame (Algorithm 1)."""
    return expand_keypoints(people.points, meshes.rates, meshes.local_window, meshes.step)


def local_context(
    embedding: Tensor, people: CenterPoses, meshes: KeypointExpansion, image_size: Size
) -> Tensor:
    """Read an embedding at the local places of poses (LOGO-CAP, Sec. 3.1: the local context).

    Args:
        embedding: (B, D, h, w); what is not finite counts as 0.
        people: n poses.
        meshes: where to read.
        image_size: (H, W) of the network input, px.

    Returns:
        (n, K * D, r, r) float32, keypoint after keypoint.
    """
    return sample_features(
        embedding,
        people.images,
        people.points,
        meshes.rates,
        meshes.local_window,
        image_size,
        step=meshes.step,
        frame=meshes.frame,
    )


def global_context(
    heatmaps: Tensor, people: CenterPoses, meshes: KeypointExpansion, image_size: Size
) -> Tensor:
    """Read heatmaps in a global window around each keypoint of poses (LOGO-CAP, Eq. 1).

    Args:
        heatmaps: (B, K, h, w); what is not finite counts as 0.
        people: n poses.
        meshes: where to read, and whether to weigh what is read.
        image_size: (H, W) of the network input, px.

    Returns:
        (n, K, a, a) float32, rows first.
    """
    return sample_windows(
        heatmaps,
        people.images,
        people.points,
        meshes.global_window,
        image_size,
        step=meshes.step,
        sigma=meshes.sigma if meshes.reweigh else None,
        frame=meshes.frame,
    )

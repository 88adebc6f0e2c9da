"""The scoring net: the OKS of a pose from its shape and heatmap scores (DEKR, Sec. 3.3)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from poselib.skeletons import Skeleton

Pairs = tuple[tuple[str, str], ...]
Unit = Literal["torso", "left_leg"]

SHOULDERS = ("left_shoulder", "right_shoulder")
UNITS: dict[Unit, Pairs] = {
    "torso": (("left_shoulder", "left_hip"), ("right_shoulder", "right_hip")),
    "left_leg": (("left_hip", "left_knee"), ("left_knee", "left_ankle")),
}
MIN_UNIT = 1.0  # px, as in the official code


class ScoringNet(nn.Module):
    """Predict the OKS of a pose from its shape and its heatmap scores, by two hidden layers.

    The shape is the offset and the distance between neighboring keypoints, in units of the
    person's own size, so that neither its location nor its size matters. The paper names no unit;
    the official code takes the torso's length.

    Args:
        skeleton: gives the keypoints and, by ``neighbors``, which are neighbors.
        hidden: width of the hidden layers.
        unit: what lengths are divided by: ``"torso"``, the mean distance of a shoulder and the hip
            below it, or ``"left_leg"``, the mean of thigh and shin, which the official code takes
            for the torso of CrowdPose by mistake and its weights expect. The mean distance of
            neighbors stands in for either where the skeleton lacks a keypoint of it.

    Raises:
        ValueError: the unit is unknown or no two keypoints are neighbors.
    """

    edges: Tensor
    unit_pairs: Tensor

    def __init__(self, skeleton: Skeleton, hidden: int = 256, unit: Unit = "torso") -> None:
        super().__init__()
        if unit not in get_args(Unit):
            raise ValueError(f"unit must be one of {get_args(Unit)}, not {unit!r}")
        pairs = neighbors(skeleton)
        if not pairs:
            raise ValueError(f"skeleton {skeleton.name!r} has no limbs to be scored")
        known = {name for pair in UNITS[unit] for name in pair} <= set(skeleton.keypoints)
        self.skeleton, self.unit = skeleton, unit
        # They follow from the arguments, so checkpoints need not hold them.
        self.register_buffer("edges", _indices(skeleton, pairs), persistent=False)
        measured = _indices(skeleton, UNITS[unit] if known else pairs)
        self.register_buffer("unit_pairs", measured, persistent=False)
        features = 3 * len(pairs) + len(skeleton)
        self.layers = nn.Sequential(
            *(nn.Linear(features, hidden), nn.ReLU()),
            *(nn.Linear(hidden, hidden), nn.ReLU()),
            nn.Linear(hidden, 1),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):  # as in the official code
                nn.init.kaiming_uniform_(layer.weight, a=1)
                nn.init.zeros_(layer.bias)

    def forward(self, poses: Tensor, scores: Tensor) -> Tensor:
        """Return the predicted OKS (N,) of each pose; not confined to [0, 1].

        Args:
            poses: (N, K, 2) float, px of any image.
            scores: (N, K) float, heatmap score of each keypoint times that of the center, as a
                decoder gives them.
        """
        return self.layers(self.features(poses, scores)).squeeze(-1)

    @property
    def untrained(self) -> bool:
        """Whether all biases are zero, as they are initialized."""
        return not any(bool(v.any()) for k, v in self.named_parameters() if k.endswith("bias"))

    def features(self, poses: Tensor, scores: Tensor) -> Tensor:
        """Return (N, 3E + K): offsets (x, y) of the E pairs, their lengths and the scores."""
        edges = poses[:, self.edges[:, 0]] - poses[:, self.edges[:, 1]]
        measured = poses[:, self.unit_pairs[:, 0]] - poses[:, self.unit_pairs[:, 1]]
        unit = measured.norm(dim=-1).mean(dim=1).clamp(min=MIN_UNIT)[:, None]
        relative = (edges / unit[..., None]).flatten(1)
        return torch.cat([relative, edges.norm(dim=-1) / unit, scores], dim=1)


def neighbors(skeleton: Skeleton) -> Pairs:
    """Return the limbs, and the line between the shoulders if it is not among them.

    These are COCO's 19 sticks, and for CrowdPose the 15 pairs of the official code.
    """
    joined = {frozenset(limb) for limb in skeleton.limbs}
    named = set(SHOULDERS) <= set(skeleton.keypoints)
    return (*skeleton.limbs, *([SHOULDERS] if named and frozenset(SHOULDERS) not in joined else []))


def _indices(skeleton: Skeleton, pairs: Pairs) -> Tensor:
    return torch.tensor([[skeleton.index(a), skeleton.index(b)] for a, b in pairs])

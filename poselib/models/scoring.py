"""The scoring net: the OKS of a pose from its shape and heatmap scores (DEKR, Sec. 3.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from poselib.models.pretrained import read_weights
from poselib.models.toolbox_layouts import HEADS, Change, Rule, Version
from poselib.ops.weights_io import fit_report
from poselib.skeletons import COCO, CROWDPOSE, Skeleton

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

    def toolbox_rules(self, version: Version) -> tuple[Rule, ...]:
        """Return what parameters are called in mmpose, whose features have another order.

        None if mmpose has no scoring net of these keypoints, or of this unit.
        """
        try:
            columns, signs = _columns(self, _TOOLBOX)
        except ValueError:
            return ()
        net = "rescore_net." if version == "0.x" else f"{HEADS[version]}rescore_net."
        first = Change(tuple(columns.tolist()), tuple(signs.tolist()), axis=1)
        names = _OFFICIAL_LAYERS.items()
        rules = [Rule(f"scoring.{ours}.", f"{net}{theirs}.") for theirs, ours in names]
        return (Rule("scoring.layers.0.weight", f"{net}l1.weight", first), *rules)

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


# Files of others: their pairs of keypoints, by number, in the order of their features.
_COCO_PAIRS = (
    *((0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 6), (5, 7), (5, 11)),
    *((6, 8), (6, 12), (7, 9), (8, 10), (11, 12), (11, 13), (12, 14), (13, 15), (14, 16)),
)
_CROWDPOSE_PAIRS = (
    *((12, 13), (13, 0), (13, 1), (0, 2), (1, 3), (2, 4), (3, 5), (0, 6), (1, 7), (6, 8)),
    *((7, 9), (8, 10), (9, 11), (6, 7), (0, 1)),
)
_TOOLBOX_COCO_PAIRS = (
    *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8)),
    *((7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
_TOOLBOX_CROWDPOSE_PAIRS = (
    *((10, 8), (8, 6), (11, 9), (9, 7), (6, 7), (0, 6), (1, 7), (0, 1), (0, 2), (1, 3)),
    *((2, 4), (3, 5), (12, 13), (1, 13), (0, 13)),
)
_Files = tuple[tuple[Skeleton, tuple[tuple[int, int], ...], Unit], ...]
_OFFICIAL: _Files = (
    (COCO, _COCO_PAIRS, "torso"),
    (CROWDPOSE, _CROWDPOSE_PAIRS, "left_leg"),
)
_TOOLBOX: _Files = (
    (COCO, _TOOLBOX_COCO_PAIRS, "torso"),
    (CROWDPOSE, _TOOLBOX_CROWDPOSE_PAIRS, "left_leg"),
)
_OFFICIAL_LAYERS = {"l1": "layers.0", "l2": "layers.2", "l3": "layers.4"}


def load_official_scoring(
    model: ScoringNet, path: str | Path, publisher: Literal["authors", "mmpose"] = "authors"
) -> None:
    """Give a scoring net the weights of a published file, whose features have another order.

    Args:
        model: changed in place; of COCO's keypoints, or of CrowdPose's with ``unit="left_leg"``.
        path: a file of ``torch.save`` or safetensors; only tensors and plain values are unpickled.
        publisher: of the file. mmpose's (``kpt_rescore_*.pth``) has the authors' names and shapes
            with the features in an order of its own, so that the file does not tell.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it holds no weights or not those of ``model``, or no official file was trained
            for the skeleton or with the unit of ``model``.
    """
    columns, signs = _columns(model, _OFFICIAL if publisher == "authors" else _TOOLBOX)
    weights = {}
    for name, value in read_weights(path).items():
        layer, _, kind = name.removeprefix("module.").rpartition(".")
        weights[f"{_OFFICIAL_LAYERS.get(layer, layer)}.{kind}"] = value
    if report := fit_report(model.state_dict(), weights):
        raise ValueError(f"{path} does not fit {type(model).__name__}: {report}")
    weights["layers.0.weight"] = weights["layers.0.weight"][:, columns] * signs
    model.load_state_dict(weights)


def _columns(model: ScoringNet, files: _Files = _OFFICIAL) -> tuple[Tensor, Tensor]:
    """Return the position of each feature among those of files, and its sign there."""
    keypoints, edges = model.skeleton.keypoints, [tuple(edge) for edge in model.edges.tolist()]
    official = [entry for entry in files if entry[0].keypoints == keypoints]
    if not official:
        raise ValueError(f"no official scoring net has the keypoints of {model.skeleton.name!r}")
    skeleton, pairs, unit = official[0]
    if model.unit != unit:
        raise ValueError(f"official files of {skeleton.name!r} need unit={unit!r}")
    if {frozenset(pair) for pair in pairs} != {frozenset(edge) for edge in edges}:
        raise ValueError(f"official files of {skeleton.name!r} have other neighbors: {pairs}")
    positions = [pairs.index(e if e in pairs else (e[1], e[0])) for e in edges]
    offsets = [2 * position + axis for position in positions for axis in (0, 1)]
    lengths = [2 * len(pairs) + position for position in positions]
    columns = [*offsets, *lengths, *range(3 * len(pairs), 3 * len(pairs) + len(keypoints))]
    signs = torch.ones(len(columns))
    forward = torch.tensor([1.0 if edge in pairs else -1.0 for edge in edges])
    signs[: 2 * len(pairs)] = forward.repeat_interleave(2)
    return torch.tensor(columns), signs

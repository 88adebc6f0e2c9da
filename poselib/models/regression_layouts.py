"""Where others keep the parameters of the pose regression network: the official code and mmpose.

Here the branches of all keypoints are groups of one convolution, as in mmpose; the official code
has a module for each. The parameters of an affine map are in the order of (x, y) here, there of
(y, x).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from poselib.models.adaptive import GRID
from poselib.models.pretrained import Parts
from poselib.models.toolbox_layouts import BACKBONE, HEADS, Change, Rule, Version

_AFFINE = ("transform_matrix_conv", "translation_conv")
_AFFINE_ROWS = (3, 2, 5, 1, 0, 4)  # of A, then t
_TOOLBOX_ROWS = (4, 3, 5, 1, 0, 2)  # of A and t side by side
_OURS = "head_offset.groups.0"


def official_parts(keypoints: int, blocks: int) -> dict[str, Parts]:
    """Map parameters of the offset head to their parts in official checkpoints.

    Args:
        keypoints: K, each with a branch of its own.
        blocks: of each branch.
    """
    parts = {}
    for leaf in ("weight", "bias"):
        names = [f"offset_final_layer.{k}.{leaf}" for k in range(keypoints)]
        parts[f"{_OURS}.final.{leaf}"] = Parts(tuple(names))
    for number in range(blocks):
        theirs = [f"offset_feature_layers.{k}.{number}" for k in range(keypoints)]
        parts |= _official_block(f"{_OURS}.blocks.{number}", theirs)
    return parts


def _official_block(ours: str, theirs: Sequence[str]) -> dict[str, Parts]:
    """Map the parameters of one block, given its name in each official branch."""
    rows = tuple(6 * k + row for k in range(len(theirs)) for row in _AFFINE_ROWS)
    parts = {f"{ours}.conv.weight": Parts(tuple(f"{name}.adapt_conv.weight" for name in theirs))}
    for leaf in ("weight", "bias"):
        names = [f"{name}.{layer}.{leaf}" for name in theirs for layer in _AFFINE]
        parts[f"{ours}.affine.{leaf}"] = Parts(tuple(names), rows)
    for leaf in nn.BatchNorm2d(1).state_dict():
        parts[f"{ours}.bn.{leaf}"] = Parts(tuple(f"{name}.bn.{leaf}" for name in theirs))
    return parts


def toolbox_rules(keypoints: int, blocks: int, version: Version) -> tuple[Rule, ...]:
    """Return what all parameters but those of a scoring net are called in mmpose.

    Its A is less by the identity. Version 0.x has the map of centers before those of keypoints;
    offsets of 1.x point from a cell to the keypoint, those of 0.x and here the other way.
    """
    head = HEADS[version]
    maps, offsets = f"{head}heatmap_conv_layers", f"{head}displacement_conv_layers"
    center = final = None
    if version == "0.x":
        offsets = f"{head}offset_conv_layers"
        center = Change((*range(1, keypoints + 1), 0))
    else:
        final = Change(tuple(range(2 * keypoints)), (-1.0,))
    rules = [
        *_toolbox_conv("transition_heatmap", f"{maps}.0"),
        Rule("head_heatmap.0.0.", f"{maps}.1."),
        Rule("head_heatmap.1.", f"{maps}.2.", center),
        *_toolbox_conv("transition_offset", f"{offsets}.0"),
        Rule(f"{_OURS}.final.", f"{offsets}.{blocks + 1}.", final),
    ]
    for number in range(blocks):
        ours, theirs = f"{_OURS}.blocks.{number}", f"{offsets}.{number + 1}"
        rules += _toolbox_block(ours, theirs, keypoints)
    return (*rules, Rule("", BACKBONE))


def _toolbox_conv(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """Return the rules of a convolution with its normalization."""
    return Rule(f"{ours}.0.", f"{theirs}.conv."), Rule(f"{ours}.1.", f"{theirs}.bn.")


def _toolbox_block(ours: str, theirs: str, keypoints: int) -> tuple[Rule, ...]:
    """Return the rules of one block of all branches."""
    rows = tuple(6 * k + row for k in range(keypoints) for row in _TOOLBOX_ROWS)
    affine = f"{theirs}.transform_matrix_conv"
    return (
        Rule(f"{ours}.affine.weight", f"{affine}.weight", Change(rows)),
        Rule(f"{ours}.affine.bias", f"{affine}.bias", Change(rows, shift=GRID * keypoints)),
        Rule(f"{ours}.conv.", f"{theirs}.adapt_conv."),
        Rule(f"{ours}.bn.", f"{theirs}.norm."),
    )

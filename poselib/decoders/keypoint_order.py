"""Associative decoding with a fixed order of keypoint types (HAE, Table IX)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from poselib.decoders.grouping import (
    Candidates,
    GroupingOptions,
    Groups,
    collect_groups,
    grouping_steps,
)
from poselib.skeleton_files import listed
from poselib.skeleton_rules import split_side
from poselib.skeletons import Skeleton
from poselib.structures import GroupingStep
from poselib.typing import FloatArray

OrderName = Literal["dataset", "top_down", "bottom_up", "torso_first"]
ORDERS: tuple[OrderName, ...] = get_args(OrderName)

# Body parts from head to toe; those of one line have the same rank.
_HEIGHTS = (
    ("head", "head_top", "top_head"),
    ("nose", "eye", "ear", "mouth", "chin", "face", "head_bottom"),
    ("neck", "upper_neck"),
    ("thorax", "chest"),
    ("shoulder",),
    ("elbow",),
    ("wrist", "hand"),
    ("spine", "belly", "torso"),
    ("pelvis", "hip"),
    ("knee",),
    ("ankle", "heel", "foot", "toe", "big_toe", "small_toe"),
)
_HEIGHT = {part: rank for rank, parts in enumerate(_HEIGHTS) for part in parts}
_ARMS = ("elbow", "wrist", "hand")


def keypoint_order(skeleton: Skeleton, name: OrderName) -> tuple[int, ...]:
    """Return one of the fixed orders of keypoint types compared in HAE, Table IX.

    Args:
        skeleton: its keypoint names determine their heights on the body.
        name: ``"dataset"``: as annotated; ``"top_down"``: from head to toe; ``"bottom_up"``:
            the reverse; ``"torso_first"``: top down, but with the arms after the hips, as
            HigherHRNet has it for COCO.

    Raises:
        ValueError: the name is unknown, or the height of a keypoint is.

    Example:
        >>> from poselib.skeletons import COCO
        >>> [COCO.keypoints[k] for k in keypoint_order(COCO, "bottom_up")[:2]]
        ['right_ankle', 'left_ankle']
    """
    if name not in ORDERS:
        raise ValueError(f"unknown keypoint order {name!r}; known: {ORDERS}")
    if name == "dataset":
        return tuple(range(len(skeleton)))
    parts = [split_side(keypoint)[1] for keypoint in skeleton.keypoints]
    unknown = [k for k, part in zip(skeleton.keypoints, parts, strict=True) if part not in _HEIGHT]
    if unknown:
        raise ValueError(
            f"skeleton {skeleton.name!r}: order {name!r} needs the heights of its keypoints, and "
            f"none is known of {listed(unknown)}; take order 'dataset'"
        )
    heights = [_height(part, arms_last=name == "torso_first") for part in parts]
    order = tuple(np.argsort(heights, kind="stable").tolist())
    return order[::-1] if name == "bottom_up" else order


def _height(part: str, arms_last: bool) -> float:
    rank = _HEIGHT[part]
    return _HEIGHT["hip"] + rank / 100 if arms_last and part in _ARMS else rank


def fixed_order_steps(
    candidates: Candidates, order: Sequence[int], options: GroupingOptions
) -> tuple[GroupingStep, ...]:
    """Group keypoint types in a fixed order and return every step.

    Args:
        candidates: the peaks of one image and their tags.
        order: every keypoint type once; types without detections are skipped.
        options: thresholds and cost.

    Raises:
        ValueError: ``order`` is not a permutation of the K keypoint types.
    """
    if sorted(order) != list(range(len(candidates.values))):
        raise ValueError(
            f"order must hold each of the {len(candidates.values)} keypoint types once, "
            f"but is {tuple(order)}"
        )
    unknown = np.full(len(order), np.nan)

    def next_type(references: FloatArray, remaining: Sequence[int]) -> tuple[int, FloatArray]:
        return min(remaining, key=list(order).index), unknown

    return tuple(grouping_steps(candidates, next_type, options))


def group_fixed_order(
    candidates: Candidates, order: Sequence[int], options: GroupingOptions
) -> Groups:
    """Group keypoints into people in a fixed order of types; see ``fixed_order_steps``."""
    return collect_groups(fixed_order_steps(candidates, order, options), candidates)

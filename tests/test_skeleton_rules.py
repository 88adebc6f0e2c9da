"""Sides, sigmas and groups follow from names and limbs, whatever their order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poselib.skeleton_rules import (
    MEAN_SIGMA,
    limb_groups,
    pair_sides,
    split_side,
    usual_sigma,
)
from poselib.skeletons import COCO, SKELETONS
from tests.strategies import quick

SPELLINGS = {
    "left_eye": "right_eye", "eye_left": "eye_right", "l_eye": "r_eye", "L_Eye": "R_Eye",
    "eye_l": "eye_r", "LEye": "REye", "EyeL": "EyeR", "leftEye": "rightEye", "LeftEye": "RightEye",
    "eye left": "eye right", "left-eye": "right-eye", "lefteye": "righteye", "Eye.L": "Eye.R",
    "leye": "reye", "LEYE": "REYE", "front left paw": "front right paw", "left": "right",
    "left_thumb_1": "right_thumb_1",
}  # fmt: skip


@pytest.mark.parametrize(("left", "right"), SPELLINGS.items())
def test_sides_are_found_in_any_spelling(left: str, right: str) -> None:
    assert pair_sides([right, "nose", left]) == ((left, right),)
    assert pair_sides([left, "nose"]) == ()  # one side alone


def test_names_that_say_no_side_are_not_paired() -> None:
    assert pair_sides(["lip", "ring", "tail", "hand_l_2", "hand_r_2", "l", "r", "rip_tide"]) == ()
    assert pair_sides(["left_eye", "eye_left", "right_eye"]) == ()  # which of the two?
    assert split_side("upper_leftover") == ("center", "upper_leftover")


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_the_known_skeletons_have_the_pairs_of_their_names(skeleton) -> None:  # type: ignore[no-untyped-def]
    assert set(pair_sides(skeleton.keypoints)) == set(skeleton.flip_pairs)


def test_sigmas_of_names() -> None:
    for name, sigma in zip(COCO.keypoints, COCO.sigmas, strict=True):
        assert usual_sigma(name) == usual_sigma(name.title().replace("_", "")) == sigma
    assert usual_sigma("tail") is None and usual_sigma("eyebrow") is None
    assert pytest.approx(np.mean(COCO.sigmas), abs=1e-4) == MEAN_SIGMA


@pytest.mark.parametrize("name", ["coco", "crowdpose", "lsp", "aic", "hieve", "penn_action"])
def test_chains_of_limbs_are_those_of_the_spatial_prior(name: str) -> None:
    """HAE, Fig. 4 (d): arms and legs as chains of two; only the head is joined to the trunk."""
    skeleton = SKELETONS[name]
    chains = {frozenset(g) for g in skeleton.groups["spatial_prior"] if len(g) == 2} - {
        frozenset(g) for g in skeleton.groups["spatial_prior"][:1]
    }
    assert chains <= {frozenset(g) for g in limb_groups(skeleton.keypoints, skeleton.limbs)}


def test_groups_without_limbs_and_of_rings() -> None:
    assert limb_groups(["a"], []) == (("a",),)
    assert limb_groups("abc", []) == (("a",), ("b",), ("c",))
    assert limb_groups("abcd", [("d", "c"), ("c", "b")]) == (("a",), ("b", "c", "d"))
    ring = [("a", "b"), ("b", "c"), ("c", "a")]
    assert limb_groups("abc", ring) == (("a", "b", "c"),)
    assert limb_groups("abcd", [*ring, ("c", "d")]) == (("a", "b", "c"), ("d",))


@quick
@given(st.data())
def test_groups_are_a_partition_that_neither_order_nor_mirror_changes(data: st.DataObject) -> None:
    pairs, middle = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 3))
    names = [*(f"{s}_{n}" for n in range(pairs) for s in ("left", "right")), *"abc"[:middle]]
    mirror = {a: b for pair in pair_sides(names) for a, b in (pair, pair[::-1])}
    ends = st.tuples(st.sampled_from(names), st.sampled_from(names)).filter(lambda p: p[0] != p[1])
    drawn = data.draw(st.lists(ends, max_size=12))
    limbs = [*drawn, *((mirror.get(a, a), mirror.get(b, b)) for a, b in drawn)]
    groups = limb_groups(names, limbs)
    assert sorted(name for group in groups for name in group) == sorted(names)
    joined = {frozenset(group) for group in groups}
    other = limb_groups(data.draw(st.permutations(names)), data.draw(st.permutations(limbs)))
    assert {frozenset(group) for group in other} == joined
    assert {frozenset(mirror.get(n, n) for n in group) for group in groups} == joined


def test_sides_of_a_skeleton_follow_its_pairs_where_names_say_none() -> None:
    assert COCO.sides[:3] == ("center", "left", "right")
    renamed = replace(
        COCO, keypoints=("a", "b", "c"), sigmas=(0.1,) * 3, flip_pairs=(("c", "a"),), limbs=(),
        groups={},
    )  # fmt: skip
    assert renamed.sides == ("right", "center", "left")

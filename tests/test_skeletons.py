"""The facts of each dataset, written out a second time: by number here, by name in the library."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.cocoeval import Params

from poselib.skeleton import Skeleton
from poselib.skeletons import COCO, CROWDPOSE, SKELETONS, skeleton_named

BOTH = pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
HIERARCHIES = ("anatomy", "spatial_prior", "mutual_information")

# HAE, Table I: the annotation numbers in brackets, groups 1 to 10, in the order of printing.
TABLE_COCO = [[0, 1, 2, 3, 4, 5, 6], [11, 12], [9], [10], [7], [8], [13], [14], [15], [16]]
TABLE_CROWDPOSE = [[12, 13, 1, 0], [7, 6], [5], [4], [3], [2], [9], [8], [11], [10]]
# Joints that move on their own in both alternatives of Fig. 4 (d, e): arms and legs as chains.
COCO_LIMBS = [[7, 9], [8, 10], [13, 15], [14, 16]]
CROWDPOSE_LIMBS = [[2, 4], [3, 5], [8, 10], [9, 11]]
# COCO's own categories[0]["skeleton"], which counts keypoints from 1.
COCO_LIMB_NUMBERS = [
    *([16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9]),
    *([8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7]),
]

Partition = set[frozenset[int]]


def members(skeleton: Skeleton, hierarchy: str) -> list[list[int]]:
    """Return the keypoint numbers of each group, from the numbers of the groups."""
    numbers = skeleton.group_indices(hierarchy)
    return [np.flatnonzero(numbers == g).tolist() for g in range(numbers.max() + 1)]


def partition(groups: list[list[int]]) -> Partition:
    return {frozenset(group) for group in groups}


def test_table_of_groups_coco() -> None:
    assert [sorted(group) for group in TABLE_COCO] == members(COCO, "anatomy")


def test_table_of_groups_crowdpose() -> None:
    """The paper prints left joints with the numbers of right ones and vice versa."""
    assert partition(TABLE_CROWDPOSE) == partition(members(CROWDPOSE, "anatomy"))
    mirror = CROWDPOSE.flip_indices
    corrected = [sorted(mirror[group].tolist()) for group in TABLE_CROWDPOSE]
    assert corrected == members(CROWDPOSE, "anatomy")
    # The third group is printed as 10L, the left wrist, with number 5: the right one's.
    assert CROWDPOSE.keypoints[TABLE_CROWDPOSE[2][0]] == "right_wrist"
    assert CROWDPOSE.keypoints[members(CROWDPOSE, "anatomy")[2][0]] == "left_wrist"


def test_named_groups_of_the_text() -> None:
    """HAE, Section III.C names the first groups of CrowdPose."""
    groups = [set(group) for group in CROWDPOSE.groups["anatomy"]]
    assert len(groups) == 10
    assert groups[0] == {"head", "neck", "left_shoulder", "right_shoulder"}
    assert groups[1] == {"left_hip", "right_hip"}
    assert groups[2] == {"left_wrist"}


@pytest.mark.parametrize(
    ("skeleton", "hierarchy", "groups"),
    [
        (COCO, "spatial_prior", [[0, 1, 2, 3, 4], [5, 6, 11, 12], *COCO_LIMBS]),
        (COCO, "mutual_information", [[0, 1, 2, 3, 4, 5, 6], [11, 12], *COCO_LIMBS]),
        (CROWDPOSE, "spatial_prior", [[12, 13], [0, 1, 6, 7], *CROWDPOSE_LIMBS]),
        (CROWDPOSE, "mutual_information", [[0, 1, 12, 13], [6, 7], *CROWDPOSE_LIMBS]),
    ],
)
def test_alternative_hierarchies(
    skeleton: Skeleton, hierarchy: str, groups: list[list[int]]
) -> None:
    assert members(skeleton, hierarchy) == groups


@BOTH
@pytest.mark.parametrize("hierarchy", [*HIERARCHIES, "none", "whole"])
def test_groups_are_partitions(skeleton: Skeleton, hierarchy: str) -> None:
    groups = members(skeleton, hierarchy)
    assert all(groups)
    assert sorted(k for group in groups for k in group) == list(range(len(skeleton)))


@BOTH
@pytest.mark.parametrize("hierarchy", HIERARCHIES)
def test_groups_survive_mirroring(skeleton: Skeleton, hierarchy: str) -> None:
    """A mirrored person has the same groups, or augmentation would teach two hierarchies."""
    groups = members(skeleton, hierarchy)
    mirrored = [skeleton.flip_indices[group].tolist() for group in groups]
    assert partition(groups) == partition(mirrored)


@BOTH
def test_mirroring_is_an_involution_that_swaps_sides(skeleton: Skeleton) -> None:
    order = skeleton.flip_indices
    assert (order[order] == np.arange(len(skeleton))).all()
    for name, mirrored in zip(skeleton.keypoints, order, strict=True):
        swapped = {"left": "right", "right": "left"}
        side, _, part = name.partition("_")
        expected = f"{swapped[side]}_{part}" if side in swapped else name
        assert skeleton.keypoints[mirrored] == expected


@BOTH
def test_sigmas_and_limbs_are_symmetric(skeleton: Skeleton) -> None:
    sigmas = np.array(skeleton.sigmas)
    assert (sigmas == sigmas[skeleton.flip_indices]).all()
    limbs = partition(skeleton.limb_indices.tolist())
    assert limbs == partition(skeleton.flip_indices[skeleton.limb_indices].tolist())
    assert len(limbs) == len(skeleton.limbs), "a limb is named twice"
    assert set(skeleton.limb_indices.ravel()) == set(range(len(skeleton)))


def test_sigmas_are_those_of_the_evaluations() -> None:
    np.testing.assert_allclose(COCO.sigmas, Params("keypoints").kpt_oks_sigmas, rtol=1e-12)
    # A joint of both datasets has one constant; head and neck have the shoulders'.
    shared = [name for name in CROWDPOSE.keypoints if name in COCO.keypoints]
    assert len(shared) == 12
    for name in shared:
        assert CROWDPOSE.sigmas[CROWDPOSE.index(name)] == COCO.sigmas[COCO.index(name)]
    assert CROWDPOSE.sigmas[12:] == (0.079, 0.079)


def test_limbs_of_coco() -> None:
    assert partition((np.array(COCO_LIMB_NUMBERS) - 1).tolist()) == partition(
        COCO.limb_indices.tolist()
    )


@pytest.mark.samples
@pytest.mark.parametrize(
    ("skeleton", "file"),
    [
        (COCO, "coco/test_coco.json"),
        (COCO, "ochuman/test_ochuman.json"),
        (CROWDPOSE, "crowdpose/test_crowdpose.json"),
    ],
)
def test_keypoints_of_the_annotation_files(
    samples_dir: Path, skeleton: Skeleton, file: str
) -> None:
    category = json.loads((samples_dir / file).read_text())["categories"][0]
    assert tuple(category["keypoints"]) == skeleton.keypoints


def test_skeletons_by_name() -> None:
    assert SKELETONS == {"coco": COCO, "crowdpose": CROWDPOSE}
    assert skeleton_named("crowdpose") is CROWDPOSE
    with pytest.raises(ValueError, match=r"unknown skeleton 'dog'; known: \['coco', 'crowdpose'"):
        skeleton_named("dog")

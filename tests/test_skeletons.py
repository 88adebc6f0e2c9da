"""The facts of each dataset, written out a second time: by number here, by name in the library."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pycocotools.cocoeval import Params

from poselib.skeletons import (
    AIC,
    COCO,
    CROWDPOSE,
    FLIC,
    HIEVE,
    LSP,
    MPII,
    OCHUMAN,
    PENN_ACTION,
    POSETRACK18,
    SKELETONS,
    SUB_JHMDB,
    UAV_HUMAN,
    Skeleton,
    get_skeleton,
    skeleton_of_categories,
)

VIDEOS = [PENN_ACTION, SUB_JHMDB, POSETRACK18]
EACH = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
HIERARCHIES = ("anatomy", "spatial_prior", "mutual_information", "head", "body_parts")

# HAE, Table I, as printed: the serial number of Fig. 4 (a), with L and R, and in brackets the
# annotation number; the groups from 1 to 10.
TABLE = {
    "flic": [
        *("2(6), 3L(8), 3R(7), 8L(3), 8R(2)", "9L(9), 9R(10)", "10L(5)", "10R(0)", "11L(4)"),
        "11R(1)",
    ],
    "lsp": [
        *("1(13), 5(12), 8L(9), 8R(8)", "9L(3), 9R(2)", "10L(11)", "10R(6)", "11L(10)", "11R(7)"),
        *("12L(4)", "12R(1)", "13L(5)", "13R(0)"),
    ],
    "aic": [
        *("1(12), 5(13), 8L(0), 8R(3)", "9L(6), 9R(9)", "10L(2)", "10R(5)", "11L(1)", "11R(4)"),
        *("12L(7)", "12R(10)", "13L(8)", "13R(11)"),
    ],
    "crowdpose": [
        *("1(12), 5(13), 8L(1), 8R(0)", "9L(7), 9R(6)", "10L(5)", "10R(4)", "11L(3)", "11R(2)"),
        *("12L(9)", "12R(8)", "13L(11)", "13R(10)"),
    ],
    "hieve": [
        *("2(0), 6(1), 8L(5), 8R(2)", "9L(11), 9R(8)", "10L(7)", "10R(4)", "11L(6)", "11R(3)"),
        *("12L(12)", "12R(9)", "13L(13)", "13R(10)"),
    ],
    "mpii": [
        *("1(9), 5(8), 6(7), 8L(13), 8R(12)", "7(6), 9L(3), 9R(2)", "10L(15)", "10R(10)"),
        *("11L(14)", "11R(11)", "12L(4)", "12R(1)", "13L(5)", "13R(0)"),
    ],
    "coco": [
        *("2(0), 3L(1), 3R(2), 4L(3), 4R(4), 8L(5), 8R(6)", "9L(11), 9R(12)", "10L(9)"),
        *("10R(10)", "11L(7)", "11R(8)", "12L(13)", "12R(14)", "13L(15)", "13R(16)"),
    ],
}
TABLE["ochuman"] = TABLE["coco"]
# "FLIC defines the human pose with 11 keypoints. LSP, AIC, CrowdPose, and HiEve contain 14
# annotated keypoints. In MPII, each human instance has 16 annotated keypoints. In MS-COCO and
# OCHuman, each person is labeled with 17 keypoints."
COUNTS = {
    **{"flic": 11, "lsp": 14, "aic": 14, "crowdpose": 14, "hieve": 14, "mpii": 16},
    **{"coco": 17, "ochuman": 17},
}
# What the serial numbers of Fig. 4 (a) stand for, by the rows in which each occurs.
PARTS = {
    **{1: ("head", "head_top"), 2: ("nose",), 3: ("eye",), 4: ("ear",), 6: ("thorax", "chest")},
    **{5: ("neck", "upper_neck"), 7: ("pelvis",), 8: ("shoulder",), 9: ("hip",), 10: ("wrist",)},
    **{11: ("elbow",), 12: ("knee",), 13: ("ankle",)},
}
# Rows of Table I that give left joints the numbers of right ones and vice versa: the joints that
# carry an L and an R there belong to the other side in the datasets' own files.
EXCHANGED = ("aic", "crowdpose")
# Joints that move on their own in both alternatives of Fig. 4 (d, e): arms and legs as chains.
COCO_LIMBS = [[7, 9], [8, 10], [13, 15], [14, 16]]
CROWDPOSE_LIMBS = [[2, 4], [3, 5], [8, 10], [9, 11]]
LSP_LIMBS = [[10, 11], [6, 7], [4, 5], [0, 1]]
MPII_LIMBS = [[14, 15], [10, 11], [4, 5], [0, 1]]
AIC_LIMBS = [[4, 5], [1, 2], [10, 11], [7, 8]]
HIEVE_LIMBS = [[6, 7], [3, 4], [12, 13], [9, 10]]
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


def printed(row: str) -> list[list[tuple[int, str, int]]]:
    """Serial number, side and annotation number of each joint of a row, group by group."""
    found = [re.findall(r"(\d+)([LR]?)\((\d+)\)", group) for group in TABLE[row]]
    return [[(int(a), side, int(b)) for a, side, b in group] for group in found]


ROWS = pytest.mark.parametrize("row", TABLE)


@ROWS
def test_groups_of_the_table(row: str) -> None:
    skeleton = SKELETONS[row]
    numbers = [[joint[2] for joint in group] for group in printed(row)]
    assert sorted(n for group in numbers for n in group) == list(range(COUNTS[row]))
    assert len(skeleton) == COUNTS[row]
    assert partition(numbers) == partition(members(skeleton, "anatomy"))
    # In the order of the table too, once the exchange of left and right is undone.
    order = skeleton.flip_indices if row in EXCHANGED else np.arange(len(skeleton))
    expected = [sorted(order[group].tolist()) for group in numbers]
    assert expected == members(skeleton, "anatomy")


@ROWS
def test_joints_of_the_table(row: str) -> None:
    """Each annotation number names the part that the printed serial number stands for."""
    sides = {"L": "left", "R": "right", "": ""}
    if row in EXCHANGED:
        sides = {"L": "right", "R": "left", "": ""}
    for serial, side, number in (joint for group in printed(row) for joint in group):
        name = SKELETONS[row].keypoints[number]
        found, _, part = (
            name.rpartition("_") if name.startswith(("left", "right")) else ("", "", name)
        )
        assert part in PARTS[serial], (row, serial, name)
        assert found == sides[side], (row, serial, side, name)


def test_serial_numbers_are_used_alike_in_all_rows() -> None:
    """Ten anatomical groups, of which a dataset without legs lacks four."""
    for row in TABLE:
        serials = [{serial for serial, _, _ in group} for group in printed(row)]
        assert serials[0] <= {1, 2, 3, 4, 5, 6, 8} and serials[1] <= {7, 9}
        assert serials[2:] == [{10}, {10}, {11}, {11}, {12}, {12}, {13}, {13}][: len(serials) - 2]
        assert len(serials) == (6 if row == "flic" else 10)


def test_published_joint_orders() -> None:
    """As the datasets' own pages list them, written out."""
    right_leg, left_leg = ["ankle", "knee", "hip"], ["hip", "knee", "ankle"]
    right_arm, left_arm = ["wrist", "elbow", "shoulder"], ["shoulder", "elbow", "wrist"]

    def sided(side: str, parts: list[str]) -> list[str]:
        return [f"{side}_{part}" for part in parts]

    legs = [*sided("right", right_leg), *sided("left", left_leg)]
    arms = [*sided("right", right_arm), *sided("left", left_arm)]
    assert [*LSP.keypoints] == [*legs, *arms, "neck", "head_top"]
    assert [*MPII.keypoints] == [*legs, "pelvis", "thorax", "upper_neck", "head_top", *arms]
    assert [*HIEVE.keypoints] == [
        *("nose", "chest", *sided("right", left_arm), *sided("left", left_arm)),
        *(*sided("right", left_leg), *sided("left", left_leg)),
    ]
    assert [*AIC.keypoints] == [
        *(*sided("right", left_arm), *sided("left", left_arm)),
        *(*sided("right", left_leg), *sided("left", left_leg), "head_top", "neck"),
    ]
    assert OCHUMAN.keypoints == UAV_HUMAN.keypoints == COCO.keypoints
    parts = ["shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
    pairs = [f"{side}_{part}" for part in parts for side in ("left", "right")]
    assert [*PENN_ACTION.keypoints] == ["head", *pairs]
    assert [*POSETRACK18.keypoints] == ["nose", "head_bottom", "head_top", *pairs]
    parts = ["shoulder", "hip", "elbow", "knee", "wrist", "ankle"]
    pairs = [f"{side}_{part}" for part in parts for side in ("right", "left")]
    assert [*SUB_JHMDB.keypoints] == ["neck", "belly", "face", *pairs]


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
        (FLIC, "spatial_prior", [[6, 7, 8], [2, 3, 9, 10], [4, 5], [0, 1]]),
        (FLIC, "mutual_information", [[2, 3, 6, 7, 8], [9, 10], [4, 5], [0, 1]]),
        (LSP, "spatial_prior", [[12, 13], [2, 3, 8, 9], *LSP_LIMBS]),
        (LSP, "mutual_information", [[8, 9, 12, 13], [2, 3], *LSP_LIMBS]),
        (MPII, "spatial_prior", [[8, 9], [2, 3, 6, 7, 12, 13], *MPII_LIMBS]),
        (MPII, "mutual_information", [[7, 8, 9, 12, 13], [2, 3, 6], *MPII_LIMBS]),
        (AIC, "spatial_prior", [[12, 13], [0, 3, 6, 9], *AIC_LIMBS]),
        (AIC, "mutual_information", [[0, 3, 12, 13], [6, 9], *AIC_LIMBS]),
        (HIEVE, "spatial_prior", [[0], [1, 2, 5, 8, 11], *HIEVE_LIMBS]),
        (HIEVE, "mutual_information", [[0, 1, 2, 5], [8, 11], *HIEVE_LIMBS]),
    ],
)
def test_alternative_hierarchies(
    skeleton: Skeleton, hierarchy: str, groups: list[list[int]]
) -> None:
    assert members(skeleton, hierarchy) == groups


@EACH
@pytest.mark.parametrize("hierarchy", [*HIERARCHIES, "none", "whole"])
def test_groups_are_partitions(skeleton: Skeleton, hierarchy: str) -> None:
    groups = members(skeleton, hierarchy)
    assert all(groups)
    assert sorted(k for group in groups for k in group) == list(range(len(skeleton)))


@EACH
@pytest.mark.parametrize("hierarchy", HIERARCHIES)
def test_groups_survive_mirroring(skeleton: Skeleton, hierarchy: str) -> None:
    """A mirrored person has the same groups, or augmentation would teach two hierarchies."""
    groups = members(skeleton, hierarchy)
    mirrored = [skeleton.flip_indices[group].tolist() for group in groups]
    assert partition(groups) == partition(mirrored)


@EACH
def test_mirroring_is_an_involution_that_swaps_sides(skeleton: Skeleton) -> None:
    order = skeleton.flip_indices
    assert (order[order] == np.arange(len(skeleton))).all()
    for name, mirrored in zip(skeleton.keypoints, order, strict=True):
        swapped = {"left": "right", "right": "left"}
        side, _, part = name.partition("_")
        expected = f"{swapped[side]}_{part}" if side in swapped else name
        assert skeleton.keypoints[mirrored] == expected


@EACH
def test_sigmas_and_limbs_are_symmetric(skeleton: Skeleton) -> None:
    sigmas = np.array(skeleton.sigmas)
    # AIC publishes constants that differ by side.
    assert skeleton is AIC or (sigmas == sigmas[skeleton.flip_indices]).all()
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
    assert OCHUMAN.sigmas == UAV_HUMAN.sigmas == COCO.sigmas


def test_sigmas_of_aic() -> None:
    """Its evaluation divides by ``2 * [...]`` where OKS does by 2 sigma, joint by joint."""
    by_name = dict(zip(AIC.keypoints, AIC.sigmas, strict=True))
    assert by_name["right_shoulder"] == 0.01388152 and by_name["left_shoulder"] == 0.01417709
    assert by_name["right_wrist"] == 0.01057665 and by_name["left_ankle"] == 0.02415081
    assert by_name["right_hip"] == max(AIC.sigmas) == 0.03909642
    assert (by_name["head_top"], by_name["neck"]) == (0.01291456, 0.01236173)


@pytest.mark.parametrize("skeleton", [*VIDEOS, FLIC, LSP, MPII, HIEVE], ids=lambda s: s.name)
def test_sigmas_by_analogy(skeleton: Skeleton) -> None:
    """Those without a similarity of their own take the constants of COCO and CrowdPose."""
    like = {
        **{"head_top": "head", "upper_neck": "neck", "thorax": "left_shoulder"},
        **{"chest": "left_shoulder", "pelvis": "left_hip", "belly": "left_hip"},
        **{"face": "head", "head_bottom": "neck"},
    }
    for name, sigma in zip(skeleton.keypoints, skeleton.sigmas, strict=True):
        alike = like.get(name, name)
        known = COCO if alike in COCO.keypoints else CROWDPOSE
        assert sigma == known.sigmas[known.index(alike)], name


def test_limbs_of_coco() -> None:
    assert partition((np.array(COCO_LIMB_NUMBERS) - 1).tolist()) == partition(
        COCO.limb_indices.tolist()
    )


@pytest.mark.samples
@pytest.mark.parametrize(
    ("skeleton", "file"),
    [
        (COCO, "coco/test_coco.json"),
        (OCHUMAN, "ochuman/test_ochuman.json"),
        (CROWDPOSE, "crowdpose/test_crowdpose.json"),
        (AIC, "aic/test_aic.json"),
        (POSETRACK18, "posetrack18/annotations/test_posetrack18_val.json"),
        (SUB_JHMDB, "jhmdb/test_jhmdb_sub1.json"),
    ],
)
def test_keypoints_of_the_annotation_files(
    samples_dir: Path, skeleton: Skeleton, file: str
) -> None:
    category = json.loads((samples_dir / file).read_text())["categories"][0]
    names = [name.lower().replace(" ", "_") for name in category["keypoints"]]
    if skeleton is SUB_JHMDB:  # a converted file: the dataset itself calls it the face
        names[names.index("head")] = "face"
    if skeleton is POSETRACK18:  # never labeled
        names = [name for name in names if not name.endswith("_ear")]
    assert tuple(names) == skeleton.keypoints


@pytest.mark.samples
def test_people_of_mpii_stand_on_their_feet(samples_dir: Path) -> None:
    """MPII's file has no names: 16 joints, whose places must be those of the parts."""
    people = json.loads((samples_dir / "mpii" / "test_mpii.json").read_text())
    for person in people:
        assert len(person["joints"]) == len(person["joints_vis"]) == len(MPII)
    # 005808361.jpg shows somebody upright, seen from the front, with every joint annotated.
    whole = next(p for p in people if p["image"] == "005808361.jpg" and all(p["joints_vis"]))
    x, y = (
        {n: xy[i] for n, xy in zip(MPII.keypoints, whole["joints"], strict=True)} for i in (0, 1)
    )
    assert y["head_top"] < y["upper_neck"] < y["thorax"] < y["pelvis"] < y["right_ankle"]
    assert x["right_shoulder"] < x["thorax"] < x["left_shoulder"]
    assert x["right_elbow"] < x["left_elbow"]


def test_skeletons_by_name() -> None:
    names = {"coco", "crowdpose", "ochuman", "mpii", "aic", "lsp", "flic", "hieve", "uav_human"}
    names |= {"penn_action", "sub_jhmdb", "posetrack18"}
    assert set(SKELETONS) == names
    assert all(skeleton.name == name for name, skeleton in SKELETONS.items())
    assert get_skeleton("crowdpose") is CROWDPOSE and get_skeleton("uav_human") is UAV_HUMAN
    with pytest.raises(ValueError, match=r"unknown skeleton 'dog'; known: \['aic', 'coco'"):
        get_skeleton("dog")


@pytest.mark.parametrize(
    ("skeleton", "head", "parts"),
    [(COCO, 13, 5), (CROWDPOSE, 13, 5), (MPII, 15, 7), (FLIC, 9, 5)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_branches_of_shared_keypoints(skeleton: Skeleton, head: int, parts: int) -> None:
    """DEKR, Sec. 3.4, counts 13 and 5 of COCO's; legless FLIC's hips stand alone."""
    assert (len(skeleton.groups["head"]), len(skeleton.groups["body_parts"])) == (head, parts)
    arms = [group for group in skeleton.groups["body_parts"] if "left_wrist" in group]
    assert arms == [("left_shoulder", "left_elbow", "left_wrist")]


def test_a_known_skeleton_is_found_by_names_whatever_limbs_the_file_has() -> None:
    """CrowdPose's own files have COCO's limbs, of keypoints that it does not have."""
    category = {"name": "person", "keypoints": [*CROWDPOSE.keypoints], "skeleton": [[16, 14]]}
    assert skeleton_of_categories({"categories": [category]}) is CROWDPOSE

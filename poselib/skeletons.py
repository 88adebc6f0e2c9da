"""One Skeleton per dataset: the only home of keypoint names, sigmas, symmetry and groups.

Groups follow HAE, Table I (``"anatomy"``) and its Fig. 4 (d, e), where joints are grouped by the
spatial prior or by mutual information; the figure draws COCO's joints, and the other datasets'
follow by analogy. The paper prints annotation numbers; here the same joints are named. Its AIC
and CrowdPose rows list left and right the wrong way round (it gives CrowdPose's left shoulder as
1, the annotation files as 0); the groups are the same either way. ``"head"`` and ``"body_parts"``
are the branches of DEKR, Sec. 3.4, for COCO, and by analogy for the others.

Sigmas are those of the dataset's own evaluation where it compares by object keypoint similarity
(COCO, OCHuman, CrowdPose, AIC); the others are evaluated otherwise, and theirs are the constants
of the nearest COCO keypoint, with head and neck as in CrowdPose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from poselib.skeleton import Skeleton as Skeleton
from poselib.skeleton_files import read_category
from poselib.skeleton_rules import SIGMAS, Names, letters


def _sides(*parts: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"left_{part}", f"right_{part}") for part in parts)


def _chains(*chains: str) -> tuple[tuple[str, str], ...]:
    """Limbs along chains of keypoints, which are separated by spaces."""
    return tuple(pair for chain in chains for pair in pairwise(chain.split()))


def _arms_and_legs(*parts: str) -> tuple[tuple[str, str], ...]:
    """Chains of both sides, such as shoulder to elbow to wrist."""
    return tuple(
        (f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in pairwise(parts)
    )


# Upper and lower limbs as a chain of two: the limb groups of both alternative hierarchies.
_LIMBS = (*_arms_and_legs("elbow", "wrist"), *_arms_and_legs("knee", "ankle"))
_ENDS = tuple((name,) for pair in _sides("wrist", "elbow", "knee", "ankle") for name in pair)
_SHOULDERS, _HIPS = ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_SIDES = _sides("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def _hierarchies(
    head: Names,
    chest: Names = _SHOULDERS,
    hips: Names = _HIPS,
    ends: tuple[Names, ...] = _ENDS,
    limbs: tuple[Names, ...] = _LIMBS,
) -> dict[str, tuple[Names, ...]]:
    """HAE, Table I and Fig. 4 (d, e), and DEKR, Sec. 3.4, from the parts of a body."""
    trunk = (*chest, *hips)
    # Arms from the shoulder and legs from the hip; the middle of the trunk comes last.
    chains = dict(zip((*_SHOULDERS, *_HIPS), limbs, strict=False))
    roots = sorted(trunk, key=lambda name: not name.startswith(("left_", "right_")))
    return {
        "anatomy": ((*head, *chest), hips, *ends),
        "spatial_prior": (head, trunk, *limbs),
        "mutual_information": ((*head, *chest), hips, *limbs),
        "head": (head, *((name,) for name in trunk), *ends),
        "body_parts": (head, *((root, *chains.get(root, ())) for root in roots)),
    }


def _define(
    name: str,
    keypoints: Names,
    limbs: tuple[tuple[str, str], ...],
    groups: Mapping[str, tuple[Names, ...]],
    flip_pairs: tuple[tuple[str, str], ...] = _SIDES,
) -> Skeleton:
    """Define a skeleton whose sigmas are those of COCO and CrowdPose."""
    parts = (name.removeprefix("left_").removeprefix("right_") for name in keypoints)
    sigmas = tuple(SIGMAS[part] for part in parts)
    return Skeleton(name, keypoints, sigmas, flip_pairs, limbs, groups)


# COCO and CrowdPose list the body from shoulders to ankles, the left one of each pair first.
_PAIRED = tuple(name for pair in _SIDES for name in pair)
COCO = _define(
    "coco",
    (*_FACE, *_PAIRED),
    limbs=(
        *(*_arms_and_legs("ankle", "knee", "hip"), _HIPS),
        *(*_arms_and_legs("shoulder", "hip"), _SHOULDERS),
        *_arms_and_legs("shoulder", "elbow", "wrist"),
        *_chains("left_eye right_eye", "nose left_eye", "nose right_eye"),
        *(*_arms_and_legs("eye", "ear"), *_arms_and_legs("ear", "shoulder")),
    ),
    groups=_hierarchies(_FACE),
    flip_pairs=(*_sides("eye", "ear"), *_SIDES),
)

CROWDPOSE = _define(
    "crowdpose",
    (*_PAIRED, "head", "neck"),
    limbs=(
        *(*_arms_and_legs("ankle", "knee", "hip"), _HIPS),
        *(*_arms_and_legs("shoulder", "hip"), *_arms_and_legs("shoulder", "elbow", "wrist")),
        *_chains("head neck left_shoulder", "neck right_shoulder"),
    ),
    groups=_hierarchies(("head", "neck")),
)

# FLIC, LSP and MPII go from the right hand or foot to the left one.
_ARMS = (
    *("right_wrist", "right_elbow", "right_shoulder"),
    *("left_shoulder", "left_elbow", "left_wrist"),
)
_LEGS = ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle")
# The paper's 11 of the 29 columns of the dataset's .mat file, numbered as in its Table I.
FLIC = _define(
    "flic",
    (*_ARMS, "nose", "right_eye", "left_eye", "left_hip", "right_hip"),
    limbs=(
        *_arms_and_legs("shoulder", "elbow", "wrist"),
        *(*_arms_and_legs("shoulder", "hip"), _SHOULDERS, _HIPS),
        *_chains("left_eye right_eye", "nose left_eye", "nose right_eye"),
        *_chains("nose left_shoulder", "nose right_shoulder"),
    ),
    groups=_hierarchies(("nose", "left_eye", "right_eye"), ends=_ENDS[:4], limbs=_LIMBS[:2]),
    flip_pairs=_sides("eye", "shoulder", "elbow", "wrist", "hip"),
)

_BODY_LIMBS = (
    *_arms_and_legs("shoulder", "elbow", "wrist"),
    *(*_arms_and_legs("shoulder", "hip", "knee", "ankle"), _HIPS),
)
_HEAD_LIMBS = _chains("head_top neck left_shoulder", "neck right_shoulder")
LSP = _define(
    "lsp",
    (*_LEGS, *_ARMS, "neck", "head_top"),
    limbs=(*_BODY_LIMBS, *_HEAD_LIMBS),
    groups=_hierarchies(("head_top", "neck")),
)

AIC = Skeleton(
    name="aic",
    keypoints=(
        *("right_shoulder", "right_elbow", "right_wrist"),
        *("left_shoulder", "left_elbow", "left_wrist"),
        *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *("head_top", "neck"),
    ),
    # Half the constants of the dataset's own evaluation, which are 2 sigma and differ by side.
    sigmas=(
        *(0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144),
        *(0.03909642, 0.03686941, 0.01981803, 0.03843971, 0.03412318, 0.02415081),
        *(0.01291456, 0.01236173),
    ),
    flip_pairs=_SIDES,
    limbs=(*_BODY_LIMBS, *_HEAD_LIMBS),
    groups=_hierarchies(("head_top", "neck")),
)

HIEVE = _define(
    "hieve",
    (
        *("nose", "chest", "right_shoulder", "right_elbow", "right_wrist"),
        *("left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle"),
    ),
    limbs=(*_BODY_LIMBS, *_chains("nose chest left_shoulder", "chest right_shoulder")),
    groups=_hierarchies(("nose",), chest=("chest", *_SHOULDERS)),
)

MPII = _define(
    "mpii",
    (*_LEGS, "pelvis", "thorax", "upper_neck", "head_top", *_ARMS),
    limbs=(
        *(*_arms_and_legs("shoulder", "elbow", "wrist"), *_arms_and_legs("hip", "knee", "ankle")),
        *_chains("head_top upper_neck thorax pelvis", "thorax left_shoulder"),
        *_chains("thorax right_shoulder", "pelvis left_hip", "pelvis right_hip"),
    ),
    groups=_hierarchies(
        ("head_top", "upper_neck"), chest=("thorax", *_SHOULDERS), hips=("pelvis", *_HIPS)
    ),
)

# The names and orders of the datasets' own descriptions. Penn's head is a point in its middle.
PENN_ACTION = _define(
    "penn_action",
    ("head", *_PAIRED),
    limbs=(*_BODY_LIMBS, *_chains("head left_shoulder", "head right_shoulder")),
    groups=_hierarchies(("head",)),
)

_REVERSED = tuple(name for left, right in _SIDES for name in (right, left))
SUB_JHMDB = _define(
    "sub_jhmdb",
    (
        *("neck", "belly", "face", *_REVERSED[:2], *_REVERSED[6:8], *_REVERSED[2:4]),
        *(*_REVERSED[8:10], *_REVERSED[4:6], *_REVERSED[10:]),
    ),
    limbs=(
        *(*_arms_and_legs("shoulder", "elbow", "wrist"), *_arms_and_legs("hip", "knee", "ankle")),
        *_chains("face neck belly left_hip", "belly right_hip"),
        *_chains("neck left_shoulder", "neck right_shoulder"),
    ),
    groups=_hierarchies(("face", "neck"), hips=("belly", *_HIPS)),
)

# The ears that its files also list are never labeled.
POSETRACK18 = _define(
    "posetrack18",
    ("nose", "head_bottom", "head_top", *_PAIRED),
    limbs=(
        *_BODY_LIMBS,
        *_chains("head_top nose head_bottom left_shoulder", "head_bottom right_shoulder"),
    ),
    groups=_hierarchies(("nose", "head_bottom", "head_top")),
)

# Both annotate COCO's keypoints in COCO's order.
OCHUMAN = replace(COCO, name="ochuman")
UAV_HUMAN = replace(COCO, name="uav_human")

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        *(COCO, CROWDPOSE, OCHUMAN, MPII, AIC, LSP, FLIC, HIEVE, UAV_HUMAN),
        *(PENN_ACTION, SUB_JHMDB, POSETRACK18),
    )
}


def get_skeleton(name: str | Path) -> Skeleton:
    """Return a skeleton by its lower-case name, or read one from a file.

    Args:
        name: key in ``SKELETONS``, or the path of a TOML file (``.toml``) or of a COCO-format file
            (``.json``), whose categories state it.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: the name is unknown, and the message lists the known ones; or the file has a
            fault.
    """
    if name in SKELETONS:
        return SKELETONS[str(name)]
    path = Path(name)
    if path.suffix.lower() == ".json":
        return skeleton_of_categories(path, str(path))
    if path.suffix.lower() != ".toml":
        files = "a file that states one ends in .toml or .json"
        raise ValueError(f"unknown skeleton {str(name)!r}; known: {sorted(SKELETONS)}; {files}")
    return checked_name(Skeleton.from_toml(path), str(path))


def skeleton_of_categories(source: Path | Mapping[str, Any], where: str = "file") -> Skeleton:
    """Return the known skeleton that a COCO-format file's categories have, or else their own.

    Raises:
        FileNotFoundError, ValueError: as ``Skeleton.from_coco``.
    """
    names = [letters(k) for k in read_category(source, "", where, limbs=False)["keypoints"]]
    for known in SKELETONS.values():
        if [letters(keypoint) for keypoint in known.keypoints] == names:
            return known
    return checked_name(Skeleton.from_coco(source, where=where), where)


def checked_name(skeleton: Skeleton, where: str) -> Skeleton:
    """Return a skeleton, unless it has the name of a known one and other keypoints.

    Raises:
        ValueError: it has.
    """
    known = SKELETONS.get(skeleton.name)
    if known is not None and known.keypoints != skeleton.keypoints:
        raise ValueError(
            f"{where}: name: {known.name!r} is a known skeleton of other keypoints; give it another"
        )
    return skeleton


def stored_form(skeleton: Skeleton) -> str | dict[str, Any]:
    """Return what files keep of a skeleton: the name of a known one, all fields of any other."""
    return skeleton.name if SKELETONS.get(skeleton.name) == skeleton else skeleton.fields()


def from_stored(stored: Any) -> Skeleton:
    """Return the skeleton of which ``stored_form`` was kept.

    Raises:
        ValueError: it is unknown, or has a known name and other keypoints, or a field is wrong.
    """
    if isinstance(stored, Mapping):
        return checked_name(Skeleton.from_fields(stored), "skeleton")
    if not isinstance(stored, str) or stored not in SKELETONS:
        raise ValueError(f"unknown skeleton {stored!r}; known: {sorted(SKELETONS)}")
    return SKELETONS[stored]

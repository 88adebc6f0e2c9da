"""One Skeleton per dataset: the only home of keypoint names, sigmas, symmetry and groups.

Groups follow HAE, Table I (``"anatomy"``) and its Fig. 4 (d, e), where joints are grouped by the
spatial prior or by mutual information. The paper prints annotation numbers; here the same joints
are named. Its CrowdPose row lists the numbers of left and right the wrong way round (it gives
the left shoulder as 1, the annotation files as 0); the groups are the same either way.
"""

from __future__ import annotations

from poselib.skeleton import Names, Skeleton


def _sides(*parts: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"left_{part}", f"right_{part}") for part in parts)


def _single(*parts: str) -> tuple[Names, ...]:
    return tuple((f"{side}_{part}",) for part in parts for side in ("left", "right"))


# Upper and lower limbs as a chain of two: the limb groups of both alternative hierarchies.
_LIMBS: tuple[Names, ...] = (
    ("left_elbow", "left_wrist"),
    ("right_elbow", "right_wrist"),
    ("left_knee", "left_ankle"),
    ("right_knee", "right_ankle"),
)
_ENDS = _single("wrist", "elbow", "knee", "ankle")
_SHOULDERS, _HIPS = ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")

COCO = Skeleton(
    name="coco",
    keypoints=(
        "nose",
        *("left_eye", "right_eye", "left_ear", "right_ear"),
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
        *("left_wrist", "right_wrist", "left_hip", "right_hip"),
        *("left_knee", "right_knee", "left_ankle", "right_ankle"),
    ),
    sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
        *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
    flip_pairs=_sides("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
    limbs=(
        *(("left_ankle", "left_knee"), ("left_knee", "left_hip")),
        *(("right_ankle", "right_knee"), ("right_knee", "right_hip")),
        *(("left_hip", "right_hip"), ("left_shoulder", "left_hip")),
        *(("right_shoulder", "right_hip"), ("left_shoulder", "right_shoulder")),
        *(("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
        *(("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist")),
        *(("left_eye", "right_eye"), ("nose", "left_eye"), ("nose", "right_eye")),
        *(("left_eye", "left_ear"), ("right_eye", "right_ear")),
        *(("left_ear", "left_shoulder"), ("right_ear", "right_shoulder")),
    ),
    groups={
        "anatomy": ((*_FACE, *_SHOULDERS), _HIPS, *_ENDS),
        "spatial_prior": (_FACE, (*_SHOULDERS, *_HIPS), *_LIMBS),
        "mutual_information": ((*_FACE, *_SHOULDERS), _HIPS, *_LIMBS),
    },
)

CROWDPOSE = Skeleton(
    name="crowdpose",
    keypoints=(
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
        *("left_wrist", "right_wrist", "left_hip", "right_hip"),
        *("left_knee", "right_knee", "left_ankle", "right_ankle", "head", "neck"),
    ),
    # The constants of the dataset's own evaluation.
    sigmas=(
        *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107),
        *(0.087, 0.087, 0.089, 0.089, 0.079, 0.079),
    ),
    flip_pairs=_sides("shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
    limbs=(
        *(("left_ankle", "left_knee"), ("left_knee", "left_hip")),
        *(("right_ankle", "right_knee"), ("right_knee", "right_hip")),
        *(("left_hip", "right_hip"), ("left_shoulder", "left_hip")),
        *(("right_shoulder", "right_hip"), ("left_shoulder", "left_elbow")),
        *(("left_elbow", "left_wrist"), ("right_shoulder", "right_elbow")),
        *(("right_elbow", "right_wrist"), ("head", "neck")),
        *(("neck", "left_shoulder"), ("neck", "right_shoulder")),
    ),
    groups={
        "anatomy": (("head", "neck", *_SHOULDERS), _HIPS, *_ENDS),
        "spatial_prior": (("head", "neck"), (*_SHOULDERS, *_HIPS), *_LIMBS),
        "mutual_information": (("head", "neck", *_SHOULDERS), _HIPS, *_LIMBS),
    },
)

SKELETONS: dict[str, Skeleton] = {skeleton.name: skeleton for skeleton in (COCO, CROWDPOSE)}


def skeleton_named(name: str) -> Skeleton:
    """Return a skeleton by its lower-case name; raises ValueError that lists the known names."""
    if name not in SKELETONS:
        raise ValueError(f"unknown skeleton {name!r}; known: {sorted(SKELETONS)}")
    return SKELETONS[name]

"""What follows from the names and limbs of keypoints: left and right, sigmas and groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

Side = Literal["left", "right", "center"]
Names = tuple[str, ...]
Pairs = tuple[tuple[str, str], ...]

# Of COCO's and CrowdPose's own evaluations, which agree where they share a keypoint.
SIGMAS: Mapping[str, float] = {
    **{"nose": 0.026, "eye": 0.025, "ear": 0.035, "head": 0.079, "neck": 0.079},
    **{"shoulder": 0.079, "elbow": 0.072, "wrist": 0.062},
    **{"hip": 0.107, "knee": 0.087, "ankle": 0.089},
    # Both lack these: as of the nearest keypoint.
    **{"head_top": 0.079, "upper_neck": 0.079, "thorax": 0.079, "chest": 0.079, "pelvis": 0.107},
    **{"head_bottom": 0.079, "face": 0.079, "belly": 0.107},
}
# The mean of COCO's 17: as tolerant as OKS is of a person on the whole. It does not depend on how
# many keypoints there are, so that values of OKS stay comparable with COCO's.
MEAN_SIGMA = 0.067

_SIDES: Mapping[str, Side] = {"left": "left", "l": "left", "right": "right", "r": "right"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


def letters(name: object) -> str:
    """Return the letters and digits of a keypoint's name, in lower case.

    Converted files write ``Left Shoulder``, ``left-shoulder`` or ``LeftShoulder``.
    """
    return "".join(filter(str.isalnum, name.lower())) if isinstance(name, str) else ""


def split_side(name: str) -> tuple[Side, str]:
    """Return the side that a keypoint's name says, and its other words, joined by ``_``.

    Example:
        >>> [split_side(name) for name in ("left_eye", "LEye", "eye_r", "Eye left", "ankle")]
        [('left', 'eye'), ('left', 'eye'), ('right', 'eye'), ('left', 'eye'), ('center', 'ankle')]
    """
    words = [word.lower() for word in _WORD.findall(name)]
    for place, word in enumerate(words):
        # A single letter is a side at the ends of a name alone: "hand_l_2" may be a finger's.
        at_end = len(words) > 1 and place in (0, len(words) - 1)
        if word in _SIDES and (len(word) > 1 or at_end):
            return _SIDES[word], "_".join(words[:place] + words[place + 1 :])
    for word in ("left", "right"):  # "lefteye"
        if words and words[0].startswith(word) and words[0] != word:
            return _SIDES[word], "_".join([words[0].removeprefix(word), *words[1:]])
    return "center", "_".join(words)


def pair_sides(names: Sequence[str]) -> Pairs:
    """Return the pairs (left, right) of keypoints whose names differ in the side alone.

    Example:
        >>> pair_sides(["nose", "left_eye", "right_eye", "lhip", "rhip", "lip"])
        (('left_eye', 'right_eye'), ('lhip', 'rhip'))
    """
    parts = {split_side(name)[1] for name in names}
    found: dict[str, dict[Side, list[str]]] = {}
    for name in names:
        side, part = split_side(name)
        # A letter that runs into the name is a side only if the other side is there.
        rest = part[1:] if part[:1] in ("l", "r") else ""
        if side == "center" and len(rest) > 1 and {f"l{rest}", f"r{rest}"} <= parts:
            side, part = _SIDES[part[0]], rest
        found.setdefault(part, {}).setdefault(side, []).append(name)
    both = [(of.get("left", []), of.get("right", [])) for of in found.values()]
    return tuple((left[0], right[0]) for left, right in both if len(left) == len(right) == 1)


def usual_sigma(name: str) -> float | None:
    """Return the sigma of COCO's or CrowdPose's keypoint of this name, whatever its side."""
    part = letters(split_side(name)[1])
    return next((sigma for known, sigma in SIGMAS.items() if letters(known) == part), None)


def limb_groups(names: Sequence[str], limbs: Iterable[tuple[str, str]]) -> tuple[Names, ...]:
    """Partition keypoints by the chains that limbs form, as HAE's spatial prior does COCO's.

    A chain leads from a keypoint at the end of one limb up to where three or more limbs meet, which
    it leaves out: elbow and wrist, knee and ankle, or a finger. What is left over is grouped by
    connection, such as head and trunk. Groups and their keypoints are in the order of ``names``.

    Example:
        >>> limbs = [("wrist", "thumb"), ("wrist", "index"), ("index", "tip"), ("wrist", "little")]
        >>> limb_groups(["wrist", "thumb", "index", "tip", "little", "watch"], limbs)
        (('wrist',), ('thumb',), ('index', 'tip'), ('little',), ('watch',))
    """
    beside: dict[str, set[str]] = {name: set() for name in names}
    for a, b in limbs:
        beside[a].add(b)
        beside[b].add(a)
    group: dict[str, str] = {}  # by the keypoint that stands for it
    for end in names:
        name: str | None = end if len(beside[end]) == 1 else None
        while name is not None and name not in group and len(beside[name]) <= 2:
            group[name] = end
            name = next((other for other in beside[name] if other not in group), None)
    for start in names:
        waiting = [start] if start not in group else []
        while waiting:
            name = waiting.pop()
            group[name] = start
            waiting += [other for other in beside[name] if other not in group]
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(group[name], []).append(name)
    return tuple(map(tuple, members.values()))

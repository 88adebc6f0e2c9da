"""The type of a skeleton: names, tolerances, symmetry, limbs and groups of keypoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Names = tuple[str, ...]


@dataclass(frozen=True)
class Skeleton:
    """Keypoint names, tolerances, symmetry, limbs and keypoint groups of one dataset.

    Attributes:
        name: lower-case dataset name, the key in ``poselib.skeletons.SKELETONS``.
        keypoints: K names, in the order of the dataset's annotation arrays.
        sigmas: K per-keypoint constants of the object keypoint similarity; OKS uses
            ``k_i = 2 * sigma_i`` (HAE, Eq. 19).
        flip_pairs: pairs of names that are swapped in a mirrored image.
        limbs: pairs of names to join when a pose is drawn.
        groups: hierarchy name to a partition of the keypoints: ``"anatomy"``, ``"spatial_prior"``
            and ``"mutual_information"`` (HAE, Table I and Fig. 4), ``"head"`` and ``"body_parts"``
            (DEKR, Sec. 3.4: the head's keypoints together, or also those of each limb).

    Raises:
        ValueError: a name is repeated or unknown, the sigmas do not fit the keypoints, a keypoint
            is in two flip pairs, or a hierarchy is not a partition of the keypoints.
    """

    name: str
    keypoints: Names
    sigmas: tuple[float, ...]
    flip_pairs: tuple[tuple[str, str], ...]
    limbs: tuple[tuple[str, str], ...]
    groups: Mapping[str, tuple[Names, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        here = f"skeleton {self.name!r}:"
        if len(set(self.keypoints)) != len(self.keypoints):
            raise ValueError(f"{here} keypoints repeat a name: {self.keypoints}")
        if len(self.sigmas) != len(self.keypoints):
            raise ValueError(f"{here} {len(self.sigmas)} sigmas for {len(self)} keypoints")
        if not all(0 < sigma < math.inf for sigma in self.sigmas):
            raise ValueError(f"{here} every sigma must be positive and finite")
        for a, b in (*self.flip_pairs, *self.limbs):
            self.index(a), self.index(b)
        paired = [name for pair in self.flip_pairs for name in pair]
        if repeated := sorted({name for name in paired if paired.count(name) > 1}):
            raise ValueError(f"{here} flip_pairs name {repeated} more than once")
        for hierarchy, groups in self.groups.items():
            members = [name for group in groups for name in group]
            if sorted(members) != sorted(self.keypoints):
                known = f"groups[{hierarchy!r}] must name each keypoint once"
                raise ValueError(f"{here} {known}, but holds {members}")

    def __len__(self) -> int:
        return len(self.keypoints)

    def index(self, keypoint: str) -> int:
        """Return the position of a keypoint by name; raises ValueError if it has none."""
        if keypoint not in self.keypoints:
            raise ValueError(
                f"skeleton {self.name!r} has no keypoint {keypoint!r}; it has {self.keypoints}"
            )
        return self.keypoints.index(keypoint)

    @property
    def flip_indices(self) -> NDArray[np.int64]:
        """(K,) permutation that gives each keypoint its index in a mirrored image."""
        order = np.arange(len(self))
        for a, b in self.flip_pairs:
            i, j = self.index(a), self.index(b)
            order[i], order[j] = j, i
        return order

    @property
    def limb_indices(self) -> NDArray[np.int64]:
        """(limbs, 2) keypoint indices of each limb."""
        pairs = [(self.index(a), self.index(b)) for a, b in self.limbs]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    def group_indices(self, hierarchy: str) -> NDArray[np.int64]:
        """(K,) number of the group that each keypoint belongs to in a hierarchy.

        Two hierarchies exist for every skeleton: ``"none"`` puts every keypoint in a group of
        its own and ``"whole"`` puts all of them in one.

        Raises:
            ValueError: the skeleton has no such hierarchy.
        """
        singles = tuple((name,) for name in self.keypoints)
        groups = {"none": singles, "whole": (self.keypoints,), **self.groups}
        if hierarchy not in groups:
            known = f"it has {sorted(groups)}"
            raise ValueError(f"skeleton {self.name!r} has no hierarchy {hierarchy!r}; {known}")
        member = {name: g for g, group in enumerate(groups[hierarchy]) for name in group}
        return np.array([member[name] for name in self.keypoints], dtype=np.int64)

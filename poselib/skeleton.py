"""The type of a skeleton: names, tolerances, symmetry, limbs and groups of keypoints."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poselib.skeleton_files import checked_fields, listed, read_category, read_toml, toml_text
from poselib.skeleton_rules import MEAN_SIGMA, Names, Side, limb_groups, split_side, usual_sigma

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Skeleton:
    """Keypoint names, tolerances, symmetry, limbs and keypoint groups of one dataset.

    Attributes:
        name: lower-case dataset name, the key in ``poselib.skeletons.SKELETONS``.
        keypoints: K names, in the order of the dataset's annotation arrays.
        sigmas: K per-keypoint constants of the object keypoint similarity; OKS uses
            ``k_i = 2 * sigma_i`` (HAE, Eq. 19).
        flip_pairs: pairs of names, left and right, that are swapped in a mirrored image.
        limbs: pairs of names to join when a pose is drawn.
        groups: hierarchy name to a partition of the keypoints: ``"anatomy"``, ``"spatial_prior"``
            and ``"mutual_information"`` (HAE, Table I and Fig. 4), ``"head"`` and ``"body_parts"``
            (DEKR, Sec. 3.4: the head's keypoints together, or also those of each limb).

    Raises:
        ValueError: there is no keypoint, a name is repeated or unknown, the sigmas do not fit the
            keypoints, a keypoint is in two flip pairs or joined with itself, or a hierarchy is not
            a partition of the keypoints.
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
            repeated = sorted({n for n in self.keypoints if self.keypoints.count(n) > 1})
            raise ValueError(f"{here} keypoints repeat a name: {listed(repeated)}")
        if not self.keypoints:
            raise ValueError(f"{here} it has no keypoints")
        if len(self.sigmas) != len(self.keypoints):
            raise ValueError(f"{here} {len(self.sigmas)} sigmas for {len(self)} keypoints")
        if not all(0 < sigma < math.inf for sigma in self.sigmas):
            raise ValueError(f"{here} every sigma must be positive and finite")
        for a, b in (*self.flip_pairs, *self.limbs):
            self.index(a), self.index(b)
        if loops := [a for a, b in self.limbs if a == b]:
            raise ValueError(f"{here} limbs join {loops[0]!r} with itself")
        paired = [name for pair in self.flip_pairs for name in pair]
        if repeated := sorted({name for name in paired if paired.count(name) > 1}):
            raise ValueError(f"{here} flip_pairs name {listed(repeated)} more than once")
        for hierarchy, groups in self.groups.items():
            members = [name for group in groups for name in group]
            if sorted(members) != sorted(self.keypoints):
                known = f"groups[{hierarchy!r}] must name each keypoint once"
                odd = [n for n in self.keypoints if members.count(n) != 1]
                odd += [n for n in members if n not in self.keypoints]
                raise ValueError(f"{here} {known}, but not so {listed(odd)}")

    def __len__(self) -> int:
        return len(self.keypoints)

    def index(self, keypoint: str) -> int:
        """Return the position of a keypoint by name; raises ValueError if it has none."""
        if keypoint not in self.keypoints:
            raise ValueError(
                f"skeleton {self.name!r} has no keypoint {keypoint!r}; it has "
                f"{listed(self.keypoints)}"
            )
        return self.keypoints.index(keypoint)

    @property
    def sides(self) -> tuple[Side, ...]:
        """K times ``"left"``, ``"right"`` or ``"center"``: by flip pair, else by name."""
        side = {name: split_side(name)[0] for name in self.keypoints}
        for a, b in self.flip_pairs:
            if {side[a], side[b]} != {"left", "right"}:
                side[a], side[b] = "left", "right"
        return tuple(side[name] for name in self.keypoints)

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

        Some hierarchies exist for every skeleton: ``"none"`` puts every keypoint in a group of its
        own, ``"whole"`` puts all of them in one, and ``"limbs"`` groups them by
        ``skeleton_rules.limb_groups``. The last is also ``"anatomy"`` where ``groups`` has none.

        Raises:
            ValueError: the skeleton has no such hierarchy.
        """
        groups = self.groups.get(hierarchy)
        if groups is None and hierarchy in ("limbs", "anatomy"):
            groups = limb_groups(self.keypoints, self.limbs)
        elif groups is None and hierarchy in ("none", "whole"):
            singles = tuple((name,) for name in self.keypoints)
            groups = singles if hierarchy == "none" else (self.keypoints,)
        if groups is None:
            known = f"it has {sorted({*self.groups, 'none', 'whole', 'limbs', 'anatomy'})}"
            raise ValueError(f"skeleton {self.name!r} has no hierarchy {hierarchy!r}; {known}")
        member = {name: g for g, group in enumerate(groups) for name in group}
        return np.array([member[name] for name in self.keypoints], dtype=np.int64)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], where: str = "skeleton") -> Skeleton:
        """Make a skeleton from plain values, such as a file holds them or ``fields`` returns.

        Args:
            fields: ``name`` and ``keypoints``, and any of the following. ``limbs``: pairs of names;
                without them a pose is drawn as dots. ``left`` and ``right``: names of the same
                number, or ``flip_pairs``; without them names that differ in the side alone are
                pairs, such as ``left_eye``, ``eye_L`` or ``LeftEye``. ``sigmas``: K numbers, or
                some by name; a keypoint without one takes that of COCO's or CrowdPose's keypoint
                of the same name, or else 0.067, the mean of COCO's. ``groups``: by hierarchy.
            where: names the file in errors.

        Raises:
            ValueError: a field is unknown, missing or wrong; the message names the file and it.
        """
        try:
            return cls(**checked_fields(fields, where))
        except ValueError as error:
            named = str(error).startswith(where)
            raise error if named else ValueError(f"{where}: {error}") from error

    @classmethod
    def from_coco(
        cls, source: Path | str | Mapping[str, Any], *, category: str = "", where: str = ""
    ) -> Skeleton:
        """Make a skeleton from the categories of a COCO-format file.

        They state names and limbs; the rest follows as in ``from_fields``. Limbs count keypoints
        from 1, as in COCO; those of a file that counts from 0 are taken as well, and reported.

        Args:
            source: the JSON file, or what it holds.
            category: its name, if those of the file have different keypoints.
            where: names the file in errors, if ``source`` is what it holds.

        Raises:
            FileNotFoundError: the file is missing.
            ValueError: it is not COCO, has no such category, or a field is wrong.

        Example:
            >>> person = {"name": "face", "keypoints": ["eye_L", "eye_R"], "skeleton": [[1, 2]]}
            >>> face = Skeleton.from_coco({"categories": [person]})
            >>> face.flip_pairs, face.sigmas
            ((('eye_L', 'eye_R'),), (0.025, 0.025))
        """
        given = source if isinstance(source, Mapping) else Path(source)
        where = where or (str(source) if isinstance(given, Path) else "document")
        fields = read_category(given, category, where)
        return cls.from_fields(fields, f"{where}: categories")._reported(where)

    @classmethod
    def from_toml(cls, path: Path | str) -> Skeleton:
        """Make a skeleton from a TOML file; its fields are those of ``from_fields``.

        Raises:
            FileNotFoundError: the file is missing.
            ValueError: it is not TOML, or a field is unknown, missing or wrong.
        """
        return cls.from_fields(read_toml(Path(path)), str(path))._reported(str(path))

    def _reported(self, where: str) -> Skeleton:
        """Log a warning if left or right lacks its partner, and return the skeleton."""
        if lonely := self.one_sided:
            logger.warning(
                "%s: without a partner on the other side: %s; mirrored images show it there under "
                "the same name",
                where,
                listed(lonely, ""),
            )
        return self

    def to_toml(self, path: Path | str) -> None:
        """Write all fields to a TOML file, which can be edited; a file of that name is replaced."""
        temporary = Path(path).with_name(f".poselib.{os.getpid()}.{Path(path).name}")
        try:
            temporary.write_text(toml_text(self.fields()), encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def fields(self) -> dict[str, Any]:
        """Return all fields as plain values, which JSON can hold; ``from_fields`` takes them."""
        return {
            "name": self.name,
            "keypoints": list(self.keypoints),
            "sigmas": [float(sigma) for sigma in self.sigmas],
            "flip_pairs": [list(pair) for pair in self.flip_pairs],
            "limbs": [list(limb) for limb in self.limbs],
            "groups": {key: [list(g) for g in groups] for key, groups in self.groups.items()},
        }

    @property
    def one_sided(self) -> Names:
        """Keypoints whose name says left or right, but that are in no flip pair."""
        paired = {name for pair in self.flip_pairs for name in pair}
        alone = (name for name in self.keypoints if name not in paired)
        return tuple(name for name in alone if split_side(name)[0] != "center")

    def summary(self) -> str:
        """Return what was found in a few lines: flip pairs, limbs, groups and assumed sigmas."""
        paired = {name for pair in self.flip_pairs for name in pair}
        alone = [name for name in self.keypoints if name not in paired]
        pairs = ", ".join(f"{a} - {b}" for a, b in self.flip_pairs) or "none"
        assumed = [
            name
            for name, sigma in zip(self.keypoints, self.sigmas, strict=True)
            if sigma == MEAN_SIGMA and usual_sigma(name) is None
        ]
        lines = [
            f"{self.name}: {len(self)} keypoints, {len(self.limbs)} limbs",
            f"flip pairs: {pairs}; without a partner: {listed(alone, '') or 'none'}",
        ]
        if lonely := self.one_sided:
            lines.append(f"one side alone, which is almost certainly wrong: {', '.join(lonely)}")
        if assumed:
            lines.append(
                f"sigma {MEAN_SIGMA}, the mean of COCO's, as none is known: {listed(assumed, '')}"
            )
        return "\n".join(lines)

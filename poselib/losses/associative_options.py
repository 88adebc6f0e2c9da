"""How the associative losses are read where paper and official code differ or say nothing.

Each difference is a field of ``PushOptions`` or ``PullOptions``; their defaults are the equations
as printed. The official losses are ``PushOptions(factor=0.5)`` and one of::

    Pull(missing_keypoints="rescale", per_keypoint=True)  # what its configurations run
    Pull(2.0, "group", "rescale", per_keypoint=True, focal_levels="low")  # its focal hierarchy
    Pull(2.0, "person", "rescale", per_keypoint=True)  # its focal loss of the whole person

Its faults have no field: it finds outliers among sorted tags and weights unsorted ones by them, it
groups by the slots of an encoder that packs visible keypoints to the left, and its configurations
option focal pulling on beside a hierarchy that ignores it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

PushForm = Literal["gaussian", "hinge"]
MissingKeypoints = Literal["skip", "rescale"]
OutlierScope = Literal["person", "group"]
Mining = Literal["iqr", "ohkm"]
OhkmRest = Literal["drop", "keep"]
FocalLevels = Literal["both", "low"]

_READINGS: dict[str, tuple[str, str]] = {
    "outlier_scope": get_args(OutlierScope),
    "missing_keypoints": get_args(MissingKeypoints),
    "focal_levels": get_args(FocalLevels),
    "mining": get_args(Mining),
    "ohkm_rest": get_args(OhkmRest),
}


@dataclass(frozen=True)
class PushOptions:
    """How reference embeddings of different people repel each other (HAE, Eq. 7).

    Attributes:
        form: ``"gaussian"`` is Eq. (7); ``"hinge"`` is the linear form of the official code,
            ``max(0, 1 - |difference|)``.
        sigma: standard deviation of Eq. (7). The paper gives no value; the official code
            computes ``exp(-difference²)``, which is ``sigma = sqrt(1/2)``, the default.
        factor: multiplies the mean. Eq. (7) has 1; the official code has 0.5.

    Raises:
        ValueError: the form is unknown or sigma is not positive.
    """

    form: PushForm = "gaussian"
    sigma: float = 0.5**0.5
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.form not in ("gaussian", "hinge"):
            raise ValueError(f"unknown push form {self.form!r}; known: 'gaussian', 'hinge'")
        if not 0 < self.sigma < math.inf:
            raise ValueError(f"push sigma must be a positive number, not {self.sigma}")


@dataclass(frozen=True)
class PullOptions:
    """How keypoints are drawn to their group and groups to their person (HAE, Eqs. 9, 10, 15, 16).

    Attributes:
        alpha: weight of hard keypoints, Eqs. (15, 16); 1 switches focal pulling off. The paper
            leaves it open; the official code uses 2.
        outlier_scope: whether a keypoint's fences come from its whole person or from its own group.
            The paper's array ``t_k(p_ngk)`` can be read both ways, and the official code has both;
            groups of one or two have no outliers, so ``"person"`` is the reading that does
            something for limbs.
        missing_keypoints: ``"skip"`` sums the labeled keypoints of a group, as Eq. (9) does;
            ``"rescale"`` counts their mean as often as the group has members, as the official code
            does.
        per_keypoint: divide by K, as the official hierarchical loss does; Eqs. (9, 10) do not.
        focal_levels: ``"both"`` weighs keypoints and groups, Eqs. (15, 16); ``"low"`` keypoints
            alone, as the official code does.
        mining: which keypoints are hard. ``"iqr"``: those beyond the fences; ``"ohkm"``: those
            with the ``hardest`` largest losses of their person (online hard keypoint mining, HAE,
            Table VIII), and as large a share of its groups.
        hardest: M of OHKM. The paper only says that it is less than K, and the official code has
            no OHKM of tags; 8 is what it has for heatmaps.
        ohkm_rest: what OHKM does with the other losses. ``"drop"`` leaves them out and, where the
            loss is divided by K, divides by M instead, as the official code does for heatmaps;
            ``"keep"`` has them count 1 and the hardest ``alpha``, in the manner of Eqs. (15, 16).

    Raises:
        ValueError: a reading is unknown, alpha is negative or not finite or M is not positive.
    """

    alpha: float = 1.0
    outlier_scope: OutlierScope = "person"
    missing_keypoints: MissingKeypoints = "skip"
    per_keypoint: bool = False
    focal_levels: FocalLevels = "both"
    mining: Mining = "iqr"
    hardest: int = 8
    ohkm_rest: OhkmRest = "drop"

    def __post_init__(self) -> None:
        for field, known in _READINGS.items():
            if getattr(self, field) not in known:
                one, other = known
                raise ValueError(
                    f"{field} must be {one!r} or {other!r}, not {getattr(self, field)!r}"
                )
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"alpha must be a finite number, not negative: {self.alpha}")
        if self.hardest < 1:
            raise ValueError(f"hardest must be a positive number of keypoints, not {self.hardest}")

    @property
    def focal(self) -> bool:
        """Whether hard keypoints count otherwise than the rest."""
        return self.alpha != 1 or (self.mining == "ohkm" and self.ohkm_rest == "drop")

    def check(self, keypoints: int) -> None:
        """Raise ValueError unless the mined keypoints are fewer than a person's ``keypoints``."""
        if self.mining == "ohkm" and self.hardest >= keypoints:
            raise ValueError(f"hardest must be less than {keypoints} keypoints, not {self.hardest}")


EQUATION_7 = PushOptions()
EQUATIONS_9_10 = PullOptions()

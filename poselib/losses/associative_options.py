"""Options of the associative losses, for what paper and official code define differently.

Each difference is a field of ``PushOptions`` or ``PullOptions``; the defaults are the equations as
in the paper. The official losses are ``PushOptions(factor=0.5)`` and one of::

    PullOptions(missing_keypoints="rescale", per_keypoint=True)  # what its configurations run
    PullOptions(2.0, "group", "rescale", per_keypoint=True, focal_levels="low")  # focal hierarchy
    PullOptions(2.0, "person", "rescale", per_keypoint=True)  # focal loss of the whole person

Faults of the official code have no field: it finds outliers among sorted tags and weights unsorted
ones by them, it groups by the slots of an encoder that packs visible keypoints to the left, and its
configurations combine focal pull with a hierarchy that ignores it.
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

_CHOICES: dict[str, tuple[str, str]] = {
    "outlier_scope": get_args(OutlierScope),
    "missing_keypoints": get_args(MissingKeypoints),
    "focal_levels": get_args(FocalLevels),
    "mining": get_args(Mining),
    "ohkm_rest": get_args(OhkmRest),
}


@dataclass(frozen=True)
class PushOptions:
    """Options of the push loss, by which people's embeddings repel each other (HAE, Eq. 7).

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
    """Options of the pull losses of keypoints and groups (HAE, Eqs. 9, 10, 15, 16).

    Attributes:
        alpha: weight of hard keypoints, Eqs. (15, 16); 1 disables focal pull. The paper gives no
            value; the official code uses 2.
        outlier_scope: whether a keypoint is an outlier among those of its ``"person"`` or of its
            ``"group"``. The paper's array ``t_k(p_ngk)`` can mean both, and the official code has
            both. Groups of one or two have no outliers, so that only ``"person"`` has an effect on
            limbs.
        missing_keypoints: ``"skip"`` sums over the labeled keypoints of a group, as Eq. (9) does;
            ``"rescale"`` counts their mean once for each member of the group, as the official code
            does.
        per_keypoint: divide by K, as the official hierarchical loss does; Eqs. (9, 10) do not.
        focal_levels: ``"both"`` weights keypoints and groups, Eqs. (15, 16); ``"low"`` keypoints
            only, as the official code does.
        mining: which keypoints are hard. ``"iqr"``: outliers by the interquartile range;
            ``"ohkm"``: those with the ``hardest`` largest losses of their person (online hard
            keypoint mining, HAE, Table VIII), and the same fraction of its groups.
        hardest: M of OHKM, a number of keypoints. The paper only says that it is less than K, and
            the official code has no OHKM of tags; 8 is its value for heatmaps.
        ohkm_rest: what OHKM does with the other losses. ``"drop"`` leaves them out and, where the
            loss is divided by K, divides by M instead, as the official code does for heatmaps;
            ``"keep"`` weights them by 1 and the hardest by ``alpha``, like Eqs. (15, 16).

    Raises:
        ValueError: a choice is unknown, alpha is negative or not finite or M is not positive.
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
        for field, known in _CHOICES.items():
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
        """Whether hard keypoints are weighted differently from the rest."""
        return self.alpha != 1 or (self.mining == "ohkm" and self.ohkm_rest == "drop")

    def check(self, keypoints: int) -> None:
        """Raise ValueError unless the mined keypoints are fewer than a person's ``keypoints``."""
        if self.mining == "ohkm" and self.hardest >= keypoints:
            raise ValueError(f"hardest must be less than {keypoints} keypoints, not {self.hardest}")


EQUATION_7 = PushOptions()
EQUATIONS_9_10 = PullOptions()

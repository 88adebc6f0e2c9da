"""DEKR: disentangled keypoint regression."""

from __future__ import annotations

from dataclasses import replace

from poselib.models import get_backbone
from poselib.skeletons import Skeleton
from poselib.systems.regression import regression_system
from poselib.systems.system import OptionValue, System


def build(skeleton: Skeleton, *, backbone: str = "hrnet_w32", **options: OptionValue) -> System:
    """Build the system of the DEKR paper; each of its ablations is an option.

    Args:
        skeleton: the keypoints to predict.
        backbone: key in ``poselib.models.BACKBONES``.
        **options: of ``systems.regression.regression_system``.

    Raises:
        ValueError: as there, or the backbone is unknown.
    """
    system = regression_system(skeleton, get_backbone(backbone), **options)  # type: ignore[arg-type]
    return replace(system, name="dekr", options={"backbone": backbone, **system.options})

"""DEKR: disentangled keypoint regression."""

from __future__ import annotations

from dataclasses import replace

from poselib.models import get_backbone
from poselib.skeletons import Skeleton
from poselib.systems.regression import regression_system
from poselib.systems.system import Switch, System


def build(skeleton: Skeleton, *, backbone: str = "hrnet_w32", **switches: Switch) -> System:
    """Build the system of the DEKR paper; each of its ablations is a switch.

    Args:
        skeleton: the keypoints to predict.
        backbone: key in ``poselib.models.BACKBONES``.
        **switches: of ``systems.regression.regression_system``.

    Raises:
        ValueError: as there, or the backbone is unknown.
    """
    system = regression_system(skeleton, get_backbone(backbone), **switches)  # type: ignore[arg-type]
    return replace(system, name="dekr", switches={"backbone": backbone, **system.switches})

"""DEKR: disentangled keypoint regression."""

from __future__ import annotations

from poselib.models import get_backbone
from poselib.skeletons import Skeleton
from poselib.systems.regression import RegressionSystemOptions, regression_system
from poselib.systems.system import System


def build(skeleton: Skeleton, options: RegressionSystemOptions) -> System:
    """Build the system of the DEKR paper; each of its ablations is an option.

    Raises:
        ValueError: the backbone is unknown; and as ``regression_system``.
    """
    return regression_system(skeleton, get_backbone(options.backbone), options, name="dekr")

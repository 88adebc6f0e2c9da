"""Targets, poses and options of the adaptation losses."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from poselib.losses.local_global import AdaptationLossOptions
from poselib.ops.center_poses import CenterPoses
from poselib.ops.keypoint_expansion import KeypointExpansion
from poselib.ops.map_coordinates import Frame
from poselib.skeletons import COCO
from poselib.structures import Targets
from tests.decoders.factories import RATES

SIGMAS = torch.tensor(COCO.sigmas)
SIZE = (128, 160)


def losses_of(frame: Frame = "center", **options: object) -> AdaptationLossOptions:
    expansion = KeypointExpansion(RATES, 5, 25, frame=frame)
    return AdaptationLossOptions(expansion, SIGMAS, **options)  # type: ignore[arg-type]


def targets_of(keypoints: Tensor, areas: Tensor, size: tuple[int, int] = SIZE) -> Targets:
    return Targets((), (), keypoints, areas, size)


def labeled(points: np.ndarray) -> Tensor:
    points = torch.from_numpy(points).float()
    return torch.cat([points, torch.full_like(points[..., :1], 2.0)], dim=-1)


def poses_of(images: list[int], points: Tensor) -> CenterPoses:
    return CenterPoses(torch.tensor(images), torch.ones(len(images)), points)

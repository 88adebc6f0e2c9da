"""Refinement of a pose that another network estimated: image and pose in, heatmaps out.

Moon et al., "PoseFix: model-agnostic general human pose refinement network" (CVPR 2019), on a
residual network with transposed convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from poselib.models.deconvolution import DeconvolutionResNet
from poselib.models.heatmap import HeatmapNetwork, heatmap_layer
from poselib.models.joint_relation import RelationKind, build_relation
from poselib.ops.gaussians import gaussian_heatmaps
from poselib.ops.map_coordinates import CropFrame, cell_to_px, half_pixel
from poselib.ops.peaks import highest_cells
from poselib.ops.processes import noise_like
from poselib.outputs import HeatmapOutputs


class PoseRefinementNetwork(nn.Module):
    """Heatmaps of one person from the image and an estimate of the pose.

    The pose is drawn as one Gaussian a keypoint, at the image's resolution, and follows the image
    as K channels more.

    Args:
        keypoints: K.
        depth: of the residual network.
        sigma: standard deviation of the Gaussians of the given pose, px.
        relation, limbs, relation_options: see ``models.heatmap.HeatmapNetwork``.

    Raises:
        ValueError: a name is unknown or an option out of range.
    """

    def __init__(
        self,
        keypoints: int,
        *,
        depth: int = 50,
        sigma: float = 7.0,
        relation: RelationKind = "none",
        limbs: Sequence[tuple[int, int]] = (),
        **relation_options: Any,
    ) -> None:
        super().__init__()
        if not sigma > 0:
            raise ValueError(f"sigma must be a positive number of px, not {sigma}")
        self.keypoints, self.sigma = keypoints, sigma
        self.features = DeconvolutionResNet(depth, inputs=3 + keypoints)
        self.multiple = self.features.multiple
        self.final_layer = heatmap_layer(self.features.width, keypoints)
        self.relation = build_relation(relation, keypoints, limbs=limbs, **relation_options)

    def forward(self, images: Tensor, poses: Tensor) -> HeatmapOutputs:
        """Return heatmaps at stride 4.

        Args:
            images: (B, 3, H, W), normalized; H and W multiples of 32.
            poses: (B, K, 3), x and y in px of the images, and 0 where a keypoint is not given.
        """
        size = (images.shape[2], images.shape[3])
        if images.is_meta:  # shapes alone are computed
            maps = images.new_empty(len(images), self.keypoints, *size)
        else:
            maps = gaussian_heatmaps(poses[:, None], size, size, self.sigma).to(images)
        features = self.features(torch.cat([images, maps], dim=1))
        heatmaps, relations = self.relation(self.final_layer(features))
        return HeatmapOutputs(heatmaps, size, relations)


class RefinedHeatmapNetwork(nn.Module):
    """A network of heatmaps, and the refinement of the pose that they show.

    Args:
        host: estimates the pose: the highest cell of each heatmap. No gradient passes through it.
        depth, sigma: see ``PoseRefinementNetwork``.
        jitter: standard deviation of errors that are added to the estimate in training, as a
            fraction of the image's height: on images that the host has learned, it makes none.
        frame: what a cell of the host's heatmaps stands for, see ``ops.map_coordinates``.
        options: of the relation.

    Raises:
        ValueError: a name is unknown or an option out of range.
    """

    def __init__(
        self,
        host: HeatmapNetwork,
        *,
        depth: int = 50,
        sigma: float = 7.0,
        jitter: float = 0.03,
        frame: CropFrame = "center",
        **options: Any,
    ) -> None:
        super().__init__()
        if not jitter >= 0:
            raise ValueError(f"jitter must be 0 or more, not {jitter}")
        self.host, self.jitter, self.frame = host, jitter, frame
        self.refinement = PoseRefinementNetwork(host.keypoints, depth=depth, sigma=sigma, **options)
        self.multiple = max(host.multiple, self.refinement.multiple)

    def forward(self, images: Tensor) -> HeatmapOutputs:
        """Return refined heatmaps of images (B, 3, H, W); ``intermediate`` has the host's."""
        estimated = self.host(images)
        maps = estimated.heatmaps.detach()
        cells, values = highest_cells(maps)
        size = (maps.shape[2], maps.shape[3])
        points = cell_to_px(cells, estimated.image_size, size, self.frame) + half_pixel(self.frame)
        if self.training:
            points = points + self.jitter * images.shape[2] * noise_like(points)
        poses = torch.cat([points, (values > 0)[..., None].to(points)], dim=2)
        return replace(self.refinement(images, poses), intermediate=(estimated,))

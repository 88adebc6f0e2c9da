"""HAE/PAD: hierarchical associative encoding and progressive associative decoding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from poselib.data.targets import heatmap_targets
from poselib.decoders.associative import keypoint_order
from poselib.decoders.grouping import GroupingOptions
from poselib.decoders.tags import DecodeOptions, decode_tags
from poselib.losses.associative import (
    Pull,
    Push,
    hierarchical_pull,
    masked_mean,
    push_loss,
    tags_at_keypoints,
)
from poselib.losses.heatmap import heatmap_mse
from poselib.models import BACKBONES
from poselib.models.associative import AssociativeHRNet
from poselib.models.higher_hrnet import HigherHRNet
from poselib.ops.peaks import Subpixel
from poselib.skeleton import Skeleton
from poselib.structures import TagOutputs, Targets
from poselib.systems.system import LossTerms, System


def build(
    skeleton: Skeleton,
    *,
    backbone: str = "hrnet_w32",
    host: Literal["higher", "plain"] = "higher",
    deconv_blocks: int = 4,
    deconv_channels: int | None = None,
    tag_init_std: float = 0.1,
    sigma: float = 2.0,
    subpixel_targets: bool = True,
    background: float = 1.0,
    heatmap_weight: float = 1.0,
    push_weight: float = 1e-3,
    pull_weight: float = 1e-3,
    hierarchical: bool = True,
    hierarchy: str = "anatomy",
    high_weight: float = 1.5,
    focal: bool = True,
    alpha: float = 2.0,
    fence_over: Literal["person", "group"] = "person",
    missing: Literal["skip", "rescale"] = "skip",
    per_keypoint: bool = True,
    push_form: Literal["gaussian", "hinge"] = "gaussian",
    push_sigma: float = 0.5**0.5,
    push_factor: float = 1.0,
    progressive: bool = True,
    order: Literal["dataset", "top_down", "bottom_up"] = "dataset",
    resolution: Literal["image", "map"] = "image",
    subpixel: Subpixel = "quarter",
    nms_kernel: int | None = None,
    detection_threshold: float = 0.1,
    tag_threshold: float = 1.0,
    max_candidates: int = 30,
    refine: bool = True,
) -> System:
    """Build the system of the HAE/PAD paper; each of its ablations is a switch.

    Args:
        skeleton: the keypoints to predict; it must hold the hierarchy.
        backbone: key in ``poselib.models.BACKBONES``.
        host: ``"higher"`` for HigherHRNet with heatmaps at strides 4 and 2, ``"plain"`` for the
            backbone with one head at stride 4.
        deconv_blocks, deconv_channels: residual blocks behind the upsampling of HigherHRNet and
            their width; None for the width of the finest branch.
        tag_init_std: deviation of the tag head's first weights.
        sigma: of the target Gaussians, in cells of each output (Eq. 4).
        subpixel_targets: Gaussians centred on the keypoints as in Eq. (4), not on their cells as
            in the official code.
        background: weight of heatmap cells near no keypoint of any type; 1 in the paper.
        heatmap_weight, push_weight, pull_weight: of the loss terms; the paper gives none, the
            defaults are the official configuration's.
        hierarchical: the hierarchical associative loss (HAL); false for the classical one.
        hierarchy: keypoint groups, see ``Skeleton.groups`` (Table VII).
        high_weight: λ of Eq. (11) (Table VI).
        focal: the focal pulling loss (FPL), Eqs. (15-17).
        alpha, fence_over, missing: see ``losses.associative.Pull``.
        per_keypoint: divide the pulling losses by K, as the official code, whose weights are the
            defaults here, does.
        push_form, push_sigma, push_factor: see ``losses.associative.Push``.
        progressive: progressive associative decoding (PAD); false for the fixed ``order``.
        order: of keypoint types when decoding in a fixed order (Table IX).
        resolution, subpixel, nms_kernel, detection_threshold, tag_threshold, max_candidates,
            refine: see ``decoders.tags.DecodeOptions``.

    Raises:
        ValueError: a name is unknown or the skeleton lacks the hierarchy.
    """
    switches = {key: value for key, value in locals().items() if key != "skeleton"}
    groups = torch.as_tensor(skeleton.group_indices(hierarchy if hierarchical else "whole"))
    pull = Pull(alpha if focal else 1.0, fence_over, missing, per_keypoint)
    weights = _Weights(heatmap_weight, push_weight, pull_weight, high_weight, background)
    fixed_order = keypoint_order(skeleton, order)  # an unknown name is refused in any case
    options = DecodeOptions(
        order="progressive" if progressive else fixed_order,
        resolution=resolution,
        subpixel=subpixel,
        kernel=nms_kernel,
        grouping=GroupingOptions(detection_threshold, tag_threshold, max_candidates),
        refine=refine,
    )
    return System(
        name="hae",
        skeleton=skeleton,
        model=_network(backbone, host, len(skeleton), deconv_blocks, deconv_channels, tag_init_std),
        encode=partial(
            heatmap_targets,
            strides=_strides(backbone, host),
            sigma=sigma,
            subpixel=subpixel_targets,
        ),
        losses=partial(
            _losses,
            groups=groups,
            pull=pull,
            push=Push(push_form, push_sigma, push_factor),
            weights=weights,
        ),
        decode=partial(decode_tags, options=options),
        switches=switches,
    )


@dataclass(frozen=True)
class _Weights:
    heatmap: float
    push: float
    pull: float
    high: float
    background: float


def _network(
    backbone: str,
    host: str,
    keypoints: int,
    deconv_blocks: int,
    deconv_channels: int | None,
    tag_init_std: float,
) -> nn.Module:
    if backbone not in BACKBONES:
        raise ValueError(f"unknown backbone {backbone!r}; known: {sorted(BACKBONES)}")
    config = BACKBONES[backbone]
    if host == "plain":
        return AssociativeHRNet(config, keypoints, tag_init_std=tag_init_std)
    if host == "higher":
        return HigherHRNet(
            config,
            keypoints,
            deconv_blocks=deconv_blocks,
            deconv_channels=deconv_channels,
            tag_init_std=tag_init_std,
        )
    raise ValueError(f"unknown host {host!r}; known: 'higher', 'plain'")


def _strides(backbone: str, host: str) -> tuple[int, ...]:
    stride = BACKBONES[backbone].stem_stride
    return (stride, stride // 2) if host == "higher" else (stride,)


def _losses(
    outputs: TagOutputs,
    targets: Targets,
    *,
    groups: Tensor,
    pull: Pull,
    push: Push,
    weights: _Weights,
) -> LossTerms:
    """Weighted means over the batch of the heatmap and associative losses (HAE, Eq. 17)."""
    maps = zip(outputs.heatmaps, targets.heatmaps, targets.weights, strict=True)
    heatmap = torch.stack(
        [heatmap_mse(p.float().contiguous(), t, w, weights.background).mean() for p, t, w in maps]
    ).sum()
    values, visible = tags_at_keypoints(outputs.tags.float(), targets.keypoints, targets.image_size)
    low, high = hierarchical_pull(values, visible, groups.to(values.device), pull)
    references = masked_mean(values, visible, dim=2)
    apart = push_loss(references, visible.any(dim=-1), push)
    return {
        "heatmap": weights.heatmap * heatmap,
        "push": weights.push * apart.mean(),
        "pull_low": weights.pull * low.mean(),
        "pull_high": weights.pull * weights.high * high.mean(),
    }

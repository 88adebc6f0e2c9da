"""The propagating video network as published: frame by frame and layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.models.pose_propagation import PropagationNetwork


def propagate_plainly(model: PropagationNetwork, images: Tensor) -> Tensor:
    """Return the heatmaps (B, T, K, h, w) of clips (B, T, 3, H, W).

    The order is that of the official code: features and heatmaps are concatenated, fused by a 1x1
    convolution and then convolved, and every normalization is a layer of its own.

    Args:
        model: in evaluation mode, with an initializer and a propagator.
    """
    assert model.initializer is not None
    heatmaps, _ = model.relation(model.initializer(images[:, 0]).heatmaps)
    features, found = _features(model, images[:, 0]), [heatmaps]
    for image in images.unbind(1)[1:]:
        kernels = _kernels(model, features, heatmaps)
        features = _features(model, image)
        pseudo = model.pseudo_norm(model.head(_matched(features, kernels)))
        heatmaps = model.output_norm(model.relation(pseudo)[0])
        found.append(heatmaps)
    return torch.stack(found, dim=1)


def _features(model: PropagationNetwork, image: Tensor) -> Tensor:
    return model.projection_norm(model.projection(model.extractor(image)))


def _kernels(model: PropagationNetwork, features: Tensor, heatmaps: Tensor) -> Tensor:
    """Return S(X) of a frame: Eq. 2 and Fig. 5."""
    module = model.propagator
    assert module is not None and module.fusion is not None
    x = module.fusion(torch.cat([heatmaps, features], dim=1))
    last = len(module.norms) - 1
    for layer, (convolution, norm) in enumerate(
        zip(module.convolutions, module.norms, strict=True)
    ):
        x = norm(convolution(x))
        if layer < last:
            x = x.relu()
        if layer < 3:
            x = module.pool(x)
    return x


def _matched(features: Tensor, kernels: Tensor) -> Tensor:
    """Return features (B, C, h, w), each channel convolved with its own kernel: Eq. 3."""
    count, rows, columns = features.shape[0] * features.shape[1], *kernels.shape[2:]
    return F.conv2d(
        features.reshape(1, count, *features.shape[2:]),
        kernels.reshape(count, 1, rows, columns),
        padding=(rows // 2, columns // 2),
        groups=count,
    ).view_as(features)

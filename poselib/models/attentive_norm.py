"""Attentive normalization: batch normalization with input-dependent scale and shift."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_STD = 0.1  # of the first weights


class ComponentWeights(nn.Module):
    """Weights of the mixture components of an input, from the means over deviations of its
    channels.

    Args:
        features: C.
        components: of the mixture.
        batch_norm: normalize the weights over the batch before they are squashed.
        eps: added to variances.
    """

    def __init__(self, features: int, components: int, batch_norm: bool, eps: float = 1e-3) -> None:
        super().__init__()
        self.eps = eps
        layers: list[nn.Module] = [nn.Conv2d(features, components, 1, bias=False)]
        if batch_norm:
            layers.append(nn.BatchNorm2d(components))
        self.attention = nn.Sequential(*layers)
        nn.init.kaiming_normal_(layers[0].weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, C, h, w) to (n, components), between 0 and 1."""
        # torch.var_mean takes three times as long on a CPU, over so few numbers each.
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = values.mean(dim=(2, 3), keepdim=True)
        spread = torch.linalg.vector_norm(values - mean, dim=(2, 3), keepdim=True)
        variance = spread.square() / max(1, x.shape[2] * x.shape[3] - 1)
        ratio = mean * (variance + self.eps).rsqrt()
        weights: Tensor = self.attention(ratio.to(x.dtype))
        return F.hardsigmoid(weights.flatten(1))


class AttentiveNorm2d(nn.BatchNorm2d):
    """Batch normalization whose scale and shift are mixed of several by the input itself.

    As in Li, Sun and Wu, "Attentive Normalization", ECCV 2020, with batch normalization; LOGO-CAP,
    Sec. 3.1, has it in the second layer of its message passing.

    Args:
        features: C, channels of the input.
        components: scales and shifts to mix; 20 in LOGO-CAP's configuration.
        batch_norm: see ``ComponentWeights``; LOGO-CAP has none.
    """

    def __init__(self, features: int, components: int = 20, batch_norm: bool = False) -> None:
        super().__init__(features, affine=False)
        # the names of the official code, whose checkpoints have them
        self.weight_ = nn.Parameter(1 + _STD * torch.randn(components, features))
        self.bias_ = nn.Parameter(_STD * torch.randn(components, features))
        self.attn_weights = ComponentWeights(features, components, batch_norm)

    def forward(self, x: Tensor) -> Tensor:
        mixture = self.attn_weights(x)
        scale, shift = mixture @ self.weight_, mixture @ self.bias_
        if self.training or self.running_var is None or self.running_mean is None:
            x = super().forward(x)
        else:  # what the batch does not change is one affine transformation with what it does
            scale = scale * (self.running_var + self.eps).rsqrt()
            shift = shift - scale * self.running_mean
        scale, shift = scale.to(x.dtype), shift.to(x.dtype)
        return torch.addcmul(shift[..., None, None], x, scale[..., None, None])

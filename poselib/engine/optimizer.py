"""Optimizers: Adam, AdamW, and Muon for convolutions that a normalization follows."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

OptimizerName = Literal["adam", "adamw", "muon"]

_MOMENTUM = 0.95
_SCALE = 0.6
_NEWTON_SCHULZ_STEPS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.AdamW):
    """Momentum with orthogonalized updates for some groups, AdamW for the others.

    The update of a weight matrix W is its Nesterov momentum with all singular values near one:

        M <- m M + (1 - m) G;    O = orthogonalize((1 - m) G + m M)
        W <- (1 - lr * weight_decay) W - 0.6 lr sqrt(max(rows, columns)) O

    from Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024). The scale
    is three times that of Liu et al., "Muon is scalable for LLM training" (2025), whose updates
    are as large as AdamW's: weights that a normalization follows learn faster so.
    ``torch.optim.Muon`` does not take convolutions, and timm's orthogonalizes in bfloat16, tensor
    by
    tensor: on a CPU without native bfloat16 a step of the demo's network takes 490 ms with it and
    33 with this.

    Args:
        groups: parameter groups of AdamW with ``muon``, whether the group's parameters, each an
            (out, ...) tensor, are orthogonalized.
        lr: learning rate.
    """

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            if group["muon"]:
                self._update(group)
        super().step()  # of the parameters that still have a gradient

    def _update(self, group: dict[str, Any]) -> None:
        by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state[p]
            if not state:  # Adam asks every state for its step when it loads a checkpoint
                state.update(step=torch.zeros(()), momentum=torch.zeros_like(p))
            momentum = state["momentum"].lerp_(p.grad, 1 - _MOMENTUM)
            update = p.grad.lerp(momentum, _MOMENTUM).flatten(1)
            by_shape.setdefault(update.shape, []).append((p, update))
            p.grad = None
        for shape, pairs in by_shape.items():
            updates = orthogonalize(torch.stack([update for _, update in pairs]))
            rate = _SCALE * group["lr"] * max(shape) ** 0.5
            for (p, _), update in zip(pairs, updates, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(update.view(p.shape), alpha=rate)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Bring all singular values of matrices (N, rows, columns) near 1, by Newton-Schulz steps.

    Their singular vectors stay; the values end between about 0.7 and 1.2. A step is
    ``X <- (a I + b X X' + c (X X')^2) X``. All are taken on the small matrix ``X X'`` first, and
    their product meets the large one once.
    """
    a, b, c = _COEFFICIENTS
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    gram, identity = x @ x.mT, torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    product = identity
    for _ in range(_NEWTON_SCHULZ_STEPS):
        step = a * identity + b * gram + c * gram @ gram
        product, gram = step @ product, step @ gram @ step
    x = product @ x
    return x if wide else x.mT


def make_optimizer(
    name: OptimizerName, model: nn.Module, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Build an optimizer over a model's parameters; biases and normalizations do not decay."""
    if name != "muon":
        kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
        return kind(parameter_groups(model, weight_decay), lr=learning_rate)
    convolutions = _normalized_convolutions(model)
    chosen = {id(p) for p in convolutions}
    groups = [{"params": convolutions, "weight_decay": weight_decay, "muon": True}]
    for group in parameter_groups(model, weight_decay):
        others = [p for p in group["params"] if id(p) not in chosen]
        groups.append({**group, "params": others, "muon": False})
    return Muon(groups, lr=learning_rate)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Leave biases and normalizations without weight decay."""
    norms = (module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    # All have one dimension but those of attentive normalization.
    mixed = {id(p) for norm in norms for p in norm.parameters(recurse=False)}
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for p in model.parameters():
        if p.requires_grad:
            groups[p.ndim <= 1 or id(p) in mixed].append(p)
    return [
        {"params": groups[0], "weight_decay": weight_decay},
        {"params": groups[1], "weight_decay": 0.0},
    ]


def _normalized_convolutions(model: nn.Module) -> list[Tensor]:
    """Return the weights of convolutions without a bias: a normalization follows them."""
    convolutions = (m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))
    return [c.weight for c in convolutions if c.bias is None and c.weight.requires_grad]

"""Networks prepared for inference: normalizations folded, linear layers composed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_Network = TypeVar("_Network", bound=nn.Module)
_Convolution = TypeVar("_Convolution", nn.Conv2d, nn.ConvTranspose2d)
_Pair = tuple[str, str]  # names of a convolution and of the normalization behind it


@runtime_checkable
class Foldable(Protocol):
    """A module some layers of which can be computed as one."""

    def fold(self) -> None:
        """Compose these layers, in place."""


def fold(model: _Network) -> _Network:
    """Return a copy of a network that computes the same in fewer operations, for inference alone.

    Batch normalizations are folded into the convolutions before them: those that follow one in an
    ``nn.Sequential``, and ``bn1`` behind ``conv1``, as residual networks name them. Modules with a
    method ``fold`` compose further layers. On a CPU weights are in the order of channels last, in
    which convolutions take less time. Outputs differ by rounding alone.

    Args:
        model: on any device; stays as it is. The statistics of its normalizations are those of
            evaluation.

    Returns:
        A network in evaluation mode, without gradients, which takes what ``model`` takes; its
        parameters no longer have the names of checkpoints.
    """
    folded = copy.deepcopy(model).eval()
    for module in folded.modules():
        if isinstance(module, Foldable):
            module.fold()
    for module in list(folded.modules()):
        for first, second in list(_pairs(module)):
            convolution, norm = getattr(module, first), getattr(module, second)
            module.add_module(first, fold_norm(convolution, norm))
            module.add_module(second, nn.Identity())
    device = next((value.device for value in folded.parameters()), torch.device("cpu"))
    form = torch.channels_last if device.type == "cpu" else torch.preserve_format
    return folded.requires_grad_(False).to(memory_format=form)


def fold_norm(convolution: _Convolution, norm: nn.Module) -> _Convolution:
    """Return the convolution that computes both, in evaluation mode."""
    assert isinstance(norm, nn.BatchNorm2d)
    transposed = isinstance(convolution, nn.ConvTranspose2d)
    return fuse_conv_bn_eval(convolution.eval(), norm.eval(), transpose=transposed)


def _pairs(module: nn.Module) -> Iterator[_Pair]:
    """Yield the convolutions of a module, by name, with the batch normalizations behind them."""
    children = dict(module.named_children())
    if isinstance(module, nn.Sequential):
        names = list(pairwise(children))
    else:
        names = [(name, f"bn{name.removeprefix('conv')}") for name in children]
        names = [(one, other) for one, other in names if one[4:].isdigit() and other in children]
    for one, other in names:
        layer, norm = children[one], children[other]
        # A subclass of the normalization computes something else, and torch does not fold groups
        # of transposed convolutions.
        grouped = isinstance(layer, nn.ConvTranspose2d) and layer.groups > 1
        known = isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and not grouped
        if known and type(norm) is nn.BatchNorm2d:
            yield one, other

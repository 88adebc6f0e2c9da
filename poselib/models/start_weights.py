"""First weights of networks of heatmaps: ImageNet classifiers, or such a network trained before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from poselib.models import BACKBONES
from poselib.models.deconvolution import DeconvolutionResNet
from poselib.models.heatmap import RESNETS, HourglassFeatures, HRNetFeatures
from poselib.models.pretrained import FILE_SUFFIXES, read_weights, renamed, timm_weights
from poselib.models.searched_resnet import SearchedResNet
from poselib.ops.weights_io import Weights, fit_report

IMAGENET = "imagenet"
_KINDS = (DeconvolutionResNet, HRNetFeatures, HourglassFeatures, SearchedResNet)
_ABOVE = "deconv_layers."  # of a classifier there are none


def backbones_of(model: nn.Module) -> dict[str, nn.Module]:
    """Return the networks of features that a network of heatmaps has, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, _KINDS)}


def has_classifiers(model: nn.Module) -> bool:
    """Return whether all networks of features have the layers of a known classifier."""
    parts = backbones_of(model).values()
    return bool(parts) and all(_name(part) for part in parts)


def load_backbones(
    model: nn.Module,
    source: str | Path,
    keypoints: Sequence[str] = (),
    known: Sequence[str] = (),
) -> set[str]:
    """Load the weights of the backbones of a network, and of the heads behind them.

    A backbone that the weights do not fit stays as it is, as long as they fit another one: the
    features of a video network may have another depth than its initializer.

    Args:
        model: of heatmaps of one person, changed in place.
        source: ``"imagenet"``, torchvision's and timm's classifiers for each backbone; the name of
            one (``"resnet50"``, ``"hrnet_w32"``), downloaded at its first use; or a file: of a
            classifier, or of a network of heatmaps, saved here or official.
        keypoints: names of the network's keypoints. Of a head, the maps of keypoints with the same
            name are loaded.
        known: names of the keypoints of the file; if not given, a head of as many maps is taken
            for one of the same.

    Returns:
        The names of the backbones that were loaded.

    Raises:
        FileNotFoundError: the file does not exist, or the weights cannot be downloaded.
        ValueError: the network has no backbone, there are no such weights, or none fit.
    """
    parts = backbones_of(model)
    if not parts:
        raise ValueError(f"{type(model).__name__} has no backbone for weights: {str(source)!r}")
    if source == IMAGENET:
        for part in parts.values():
            if (name := _name(part)) is None:
                kind = type(part).__name__
                raise ValueError(f"there are no ImageNet weights of {kind}: give a file")
            _load(part, _classifier(name))
        return set(parts)
    file = Path(source).is_file() or str(source).endswith(FILE_SUFFIXES)
    weights = read_weights(source) if file else _classifier(str(source))
    weights = {name.removeprefix("features."): value for name, value in weights.items()}
    reports = {}
    for name, part in parts.items():
        if report := _load(part, weights):
            reports[name] = report
        else:
            holder = model.get_submodule(name.rpartition(".")[0])
            _load_head(holder, weights, keypoints, known)
    if len(reports) == len(parts):
        name, report = next(iter(reports.items()))
        raise ValueError(f"{source} fits no backbone of {type(model).__name__}: {name}: {report}")
    return set(parts) - set(reports)


def _name(part: nn.Module) -> str | None:
    """Return the name of the classifier whose layers a backbone has, if there is one."""
    if isinstance(part, DeconvolutionResNet):
        return f"resnet{part.depth}"
    config = getattr(part, "config", None)
    return next((name for name, each in BACKBONES.items() if each == config), None)


def _classifier(name: str) -> Weights:
    """Return the ImageNet weights of a classifier: those that official networks start from."""
    if name not in RESNETS:
        return timm_weights(name)
    # Imported here: torchvision takes as long to start as PyTorch itself.
    from torchvision.models import get_weight

    stored = get_weight(f"ResNet{name[6:]}_Weights.IMAGENET1K_V1")
    try:
        weights: Weights = dict(stored.get_state_dict(progress=False, check_hash=True))
    except Exception as error:  # the download may fail in the ways of several network libraries
        raise FileNotFoundError(
            f"the ImageNet weights of {name!r} could not be downloaded ({type(error).__name__}: "
            f"{error}); take the file from {stored.url} and give its path instead"
        ) from error
    return weights


def _load(part: nn.Module, weights: Weights) -> str:
    """Load what a backbone and weights have in common; return why it does not fit, else nothing."""
    own = part.state_dict()
    named = renamed(weights, own)
    if not any(name.startswith(_ABOVE) for name in named):
        own = {name: value for name, value in own.items() if not name.startswith(_ABOVE)}
    chosen = {name: _widened(value, own[name]) for name, value in named.items() if name in own}
    counters = {name for name in own if name.endswith("num_batches_tracked") and name not in chosen}
    report = fit_report({k: v for k, v in own.items() if k not in counters}, chosen)
    if not report:
        part.load_state_dict(chosen, strict=False)
    return report


def _widened(value: Tensor, own: Tensor) -> Tensor:
    """Return weights of image channels with those of further channels, which stay."""
    image, rest = 3, own.shape[1:2]
    if value.ndim == own.ndim == 4 and value.shape[1] == image < rest[0]:
        return torch.cat([value.to(own), own[:, image:]], dim=1)
    return value


def _load_head(
    holder: nn.Module, weights: Weights, keypoints: Sequence[str], known: Sequence[str]
) -> None:
    """Load the maps of a head that the file has, by the names of their keypoints."""
    head = getattr(holder, "final_layer", None)
    if not isinstance(head, nn.Conv2d) or head.bias is None:
        return
    named = renamed(weights, {"final_layer.weight": head.weight, "final_layer.bias": head.bias})
    weight, bias = named.get("final_layer.weight"), named.get("final_layer.bias")
    if weight is None or bias is None or weight.shape[1:] != head.weight.shape[1:]:
        return
    if known and len(head.weight) == len(keypoints):  # no maps of offsets
        rows = [(k, known.index(name)) for k, name in enumerate(keypoints) if name in known]
    elif not known and len(weight) == len(head.weight):
        rows = [(k, k) for k in range(len(weight))]
    else:
        rows = []
    with torch.no_grad():
        for row, other in rows:
            head.weight[row], head.bias[row] = weight[other], bias[other]

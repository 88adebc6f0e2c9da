"""Pretrained weights: ImageNet backbones and checkpoints of official implementations."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from poselib.models.feature_align import AlignBlock
from poselib.models.hrnet import HRNet, HRNetTrunk

Weights = dict[str, Tensor]

FILE_SUFFIXES = (".pth", ".pt", ".tar", ".bin", ".safetensors")
NESTS = ("state_dict", "model", "best_state_dict")  # where training scripts keep the weights
# what training scripts put before a name: parallel wrappers, a network beside its loss, toolboxes
PREFIXES = ("module.", "1.", "model.", "backbone.", "keypoint_head.")
# a toolbox's name of a head that is the only one
LONE_HEAD = {
    "final_layer.weight": "final_layers.0.weight",
    "final_layer.bias": "final_layers.0.bias",
}
CENTER_HEAD = "head_heatmap.1."  # of K heatmaps and one map of people's centers
CONSTANTS = ("regular_matrix",)  # ends of names of what official code keeps beside its weights
SHOWN = 4  # names of each kind in an error


@dataclass(frozen=True)
class Parts:
    """Where official checkpoints keep the parts of a parameter that is one tensor here.

    Attributes:
        names: of the parts, which are joined along their first axis.
        rows: the order of the joined rows; as they are if not given.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...] | None = None


@runtime_checkable
class HasOfficialParts(Protocol):
    """A network with parameters that official checkpoints keep in parts."""

    def official_parts(self) -> Mapping[str, Parts]: ...


def load_backbone(model: HRNetTrunk, source: str | Path, stages: int = 4) -> None:
    """Load a backbone's weights from another network, such as an ImageNet classifier.

    The head is left as it is, and so are modules that the source lacks: global relation modeling,
    blocks that align features, and the lower resolutions of the last stage if the source has only
    the highest.

    Args:
        model: the network, changed in place.
        source: timm's name of a model (``"hrnet_w32"``), downloaded at its first use, or a file:
            of a classifier, or of a network with the same backbone.
        stages: how many of the four stages to fill; those behind stay as they are.

    Raises:
        FileNotFoundError: the file does not exist, or the model cannot be downloaded.
        ValueError: timm has no such model, the file holds no weights, or they do not fit.
    """
    path = isinstance(source, Path) or source.endswith(FILE_SUFFIXES) or Path(source).is_file()
    weights = read_weights(source) if path else _timm_weights(str(source))
    with torch.device("meta"):  # names and shapes alone
        backbone = HRNet(model.config, multi_scale_output=model.multi_scale_output)
    own = [f"{k}." for k, v in backbone.named_modules() if isinstance(v, AlignBlock)]
    final = len(model.config.stages) + 1
    own += [f"stage{n}." for n in range(stages + 1, final + 1)]
    expected = {k: v for k, v in backbone.state_dict().items() if not k.startswith(tuple(own))}
    weights = _renamed(weights, expected)
    weights = {name: value for name, value in weights.items() if name in expected}
    end = f"stage{final}.{model.config.stages[-1].modules - 1}.fuse_layers"
    lower = tuple(f"{end}.{branch}." for branch in range(1, len(model.config.widths)))
    if not any(name.startswith(lower) for name in weights):
        expected = {k: v for k, v in expected.items() if not k.startswith(lower)}
    _check(model, expected, weights, source)
    model.load_state_dict(weights, strict=False)


def load_official(model: nn.Module, path: str | Path) -> None:
    """Load a whole checkpoint of an official implementation.

    Training checkpoints that hold the weights under ``state_dict``, and the prefixes of parallel
    wrappers and toolboxes (``module.``, ``1.``, ``backbone.``, ``keypoint_head.``), are understood.
    Parameters that official checkpoints keep in parts are put together; a scoring net, which is
    trained afterwards and kept elsewhere, stays as it is.

    Args:
        model: the network, changed in place.
        path: a file of ``torch.save`` or safetensors; only tensors and plain values are unpickled.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file holds no weights, or they are not exactly those of ``model``.
    """
    expected = model.state_dict()
    weights = _renamed(read_weights(path), expected)
    if isinstance(model, HasOfficialParts):
        weights = _joined(weights, model.official_parts())
    _check(model, expected, weights, path)
    own = {name: value for name, value in expected.items() if _may_lack(name)}
    model.load_state_dict(own | weights)


def read_weights(path: str | Path) -> Weights:
    """Return the named tensors of a checkpoint file, on the CPU.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it cannot be read, or holds no named tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _unpickle(path)
    for nest in NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
            break
    tensors = content.items() if isinstance(content, Mapping) else ()
    weights = {name: value for name, value in tensors if isinstance(value, Tensor)}
    if not weights:
        raise ValueError(f"{path} holds no named weights, neither at its top nor in one of {NESTS}")
    return weights


def _read_safetensors(path: Path) -> Weights:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error


def _unpickle(path: Path) -> object:
    # training checkpoints keep scores as numpy floats beside the weights, the older ones under the
    # name that numpy 1 gave their constructor
    scalar: Any = np.float64(0).__reduce__()[0]
    old_scalar = (scalar, "numpy.core.multiarray.scalar")
    allowed: list[Any] = [scalar, old_scalar, np.dtype, type(np.dtype("f8"))]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, BadZipFile, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is not a readable file of weights: {reason}") from error


def _timm_weights(name: str) -> Weights:
    import timm  # seconds to import, and needed here alone

    known = timm.list_models("hrnet*", pretrained=True)
    names = sorted({entry.split(".")[0] for entry in known})
    if name.split(".")[0] not in names:
        raise ValueError(
            f"timm has no ImageNet weights named {name!r}; it has {names}, or give a file"
        )
    try:
        weights: Weights = timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the download may fail in the ways of several network libraries
        raise FileNotFoundError(
            f"the ImageNet weights of {name!r} could not be downloaded ({type(error).__name__}: "
            f"{error}). On a machine with a network run timm.create_model({name!r}, "
            "pretrained=True) and torch.save its state_dict(), or take the file from "
            "https://github.com/HRNet/HRNet-Image-Classification, and give its path instead"
        ) from error
    return weights


def _renamed(weights: Weights, expected: Mapping[str, Tensor]) -> Weights:
    return {_bare(name, expected): value for name, value in weights.items()}


def _bare(name: str, expected: Mapping[str, Tensor]) -> str:
    """Strip known prefixes until the name is expected or has none left; name a lone head."""
    prefix = next((p for p in PREFIXES if name.startswith(p)), "")
    if name in expected or not prefix:
        return name if name in expected else LONE_HEAD.get(name, name)
    return _bare(name.removeprefix(prefix), expected)


def _joined(weights: Weights, whole: Mapping[str, Parts]) -> Weights:
    """Put together what is there in parts; a parameter that lacks some is left to ``_check``."""
    joined = {k: v for k, v in weights.items() if not k.endswith(CONSTANTS)}
    for name, parts in whole.items():
        found = [weights[part] for part in parts.names if part in weights]
        if len(found) < len(parts.names) or len({part.shape[1:] for part in found}) > 1:
            continue
        # step counters, which are no arrays, are the same in all parts
        value = torch.cat(found) if found[0].ndim else found[0]
        joined[name] = value if parts.rows is None else value[list(parts.rows)]
        for part in parts.names:
            del joined[part]
    return joined


def _may_lack(name: str) -> bool:
    """Whether a file may lack this: a step counter, which none needs, or a scoring net's part."""
    return name.endswith("num_batches_tracked") or name.startswith("scoring.")


def _check(
    model: nn.Module, expected: Mapping[str, Tensor], weights: Weights, source: str | Path
) -> None:
    """Raise ValueError with a report unless names and shapes are those expected."""
    missing = [k for k in expected if k not in weights and not _may_lack(k)]
    unexpected = [k for k in weights if k not in expected]
    other = [k for k in weights if k in expected and weights[k].shape != expected[k].shape]
    shapes = [f"{k} {tuple(weights[k].shape)} for {tuple(expected[k].shape)}" for k in other]
    findings = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    report = "; ".join(f"{len(v)} {kind} ({_few(v)})" for kind, v in findings.items() if v)
    if report:
        hint = _keypoints_hint(model, expected, {k: weights[k] for k in other})
        raise ValueError(f"{source} does not fit {type(model).__name__}: {hint}{report}")


def _keypoints_hint(model: nn.Module, expected: Mapping[str, Tensor], other: Weights) -> str:
    """Say in plain words that the file is for another number of keypoints, where that is why."""
    keypoints = getattr(model, "keypoints", None)
    last = max((k for k in expected if k.startswith(("final_layers.", CENTER_HEAD))), default="")
    name = last.replace(".weight", ".bias")
    if keypoints is None or name not in other:
        return ""
    centers = int(last.startswith(CENTER_HEAD))
    maps_each, rest = divmod(len(expected[name]) - centers, keypoints)
    found, unclear = divmod(len(other[name]) - centers, maps_each)
    # twice or half as many maps is more likely a head with tags against one without
    if rest or unclear or keypoints in (2 * found, found / 2):
        return ""
    return f"it was trained for {found} keypoints, the skeleton has {keypoints}; "


def _few(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")

"""Pretrained weights: ImageNet backbones and checkpoints of official implementations."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from poselib.models.feature_align import AlignBlock
from poselib.models.hrnet import HRNet, HRNetTrunk
from poselib.models.toolbox_layouts import from_toolbox
from poselib.ops.weights_io import Weights, fit_report, read_stored, wrong_kind

FILE_SUFFIXES = (".pth", ".pt", ".tar", ".bin", ".safetensors")
# Where training scripts keep the weights, averages of the training first where their names say so:
# toolboxes that write "ema_state_dict" keep the averages in "state_dict" beside it.
NESTS = (
    *("state_dict_ema", "model_ema", "state_dict", "model", "best_state_dict"),
    *("ema_state_dict", "ema", "model_state_dict", "model_state", "net", "network"),
    *("weights", "params_ema", "params"),
)
# What is put before a name: compilers, parallel and averaging wrappers, a network beside its loss,
# modules of training libraries, toolboxes.
PREFIXES = (
    *("_orig_mod.", "module.", "1.", "model.", "net.", "network.", "ema_model.", "ema."),
    *("_forward_module.", "backbone.", "keypoint_head."),
)
# Layers of a toolbox's head, which others may have under this name.
HEAD_LAYERS = ("head.final_layer.", "head.deconv_layers.")
# What last layers are called, and how many maps they have that are not of a keypoint.
LAST_LAYERS = {"final_layers.": 0, "final_layer.": 0, "outs.": 0}
LAST_LAYERS |= {"head_heatmap.1.": 1, "final_layer_cls.": 1}  # with one map of people's centers
# Ends of names of what official code and wrappers keep beside the weights.
CONSTANTS = ("regular_matrix", "n_averaged")


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
    weights = read_weights(source) if path else timm_weights(str(source))
    with torch.device("meta"):  # names and shapes alone
        backbone = HRNet(model.config, multi_scale_output=model.multi_scale_output)
    own = [f"{k}." for k, v in backbone.named_modules() if isinstance(v, AlignBlock)]
    final = len(model.config.stages) + 1
    own += [f"stage{n}." for n in range(stages + 1, final + 1)]
    expected = {k: v for k, v in backbone.state_dict().items() if not k.startswith(tuple(own))}
    weights = renamed(weights, expected)
    weights = {name: value for name, value in weights.items() if name in expected}
    end = f"stage{final}.{model.config.stages[-1].modules - 1}.fuse_layers"
    lower = tuple(f"{end}.{branch}." for branch in range(1, len(model.config.widths)))
    if not any(name.startswith(lower) for name in weights):
        expected = {k: v for k, v in expected.items() if not k.startswith(lower)}
    _check(model, expected, weights, source)
    model.load_state_dict(weights, strict=False)


def load_official(model: nn.Module, path: str | Path) -> None:
    """Load a whole checkpoint of an official implementation.

    Training checkpoints that hold the weights under one of ``NESTS``, and the ``PREFIXES`` of
    compilers, wrappers and toolboxes, are understood, and so are the layouts of mmpose, 0.x and
    1.x, with the scoring net that such a file may hold (``models.toolbox_layouts``). Parameters
    that official checkpoints keep in parts are put together; a scoring net, which the authors keep
    in a file of its own, stays as it is, with a warning if it is untrained. Official weights in a
    system of another coordinate frame are warned of too.

    Args:
        model: the network, changed in place.
        path: a file of ``torch.save`` or safetensors; only tensors and plain values are unpickled.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file holds no weights, or they are not exactly those of ``model``.
    """
    load_official_weights(model, read_weights(path), path)


def load_official_weights(model: nn.Module, stored: Weights, path: str | Path) -> None:
    """Load what ``read_weights`` returned of a file, as ``load_official`` does."""
    own = model.state_dict()
    translated = from_toolbox(stored, model)
    weights, expected, official = renamed(translated, own), own, True
    if translated is stored and isinstance(model, HasOfficialParts):
        parts = model.official_parts()
        official = any(name in weights for each in parts.values() for name in each.names)
        if official:
            weights, expected = _joined(weights, parts, own)
    _check(model, expected, weights, path)
    model.load_state_dict({name: weights.get(name, value) for name, value in own.items()})
    _warn_of_use(model, official, path)


def _warn_of_use(model: nn.Module, official: bool, path: str | Path) -> None:
    """Warn if a system that is built as this one is does not use the weights as they expect."""
    frame = getattr(model, "frame", None)
    if official and frame == "center":
        warnings.warn(
            f"{path}: cells of official weights stand for pixel indices, those of this system for "
            f"pixel centers (frame={frame!r}): every keypoint will be 1.5 px off, and the flip "
            'test not aligned. Build the system with frame="index"',
            stacklevel=4,
        )
    scoring = getattr(model, "scoring", None)
    if getattr(scoring, "untrained", False):
        warnings.warn(
            f"{path}: holds no scoring net, and that of this system is untrained, by which poses "
            "will be ranked. Load a published one with models.scoring.load_official_scoring, train "
            "one with engine.scoring_net, or build the system with scoring=False",
            stacklevel=4,
        )


def read_weights(path: str | Path) -> Weights:
    """Return the named tensors of a checkpoint file, on the CPU.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it cannot be read, or holds no named tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}")
    return named_weights(read_stored(path)[0], path)


def named_weights(content: object, path: str | Path) -> Weights:
    """Return the named tensors of what a file holds, which may be nested in it.

    Raises:
        ValueError: there are none.
    """
    for _ in NESTS:  # a nest can hold another, and a file even itself
        if isinstance(content, Mapping):
            nests = [content[name] for name in NESTS if isinstance(content.get(name), Mapping)]
            content = nests[0] if nests else content
    tensors = content.items() if isinstance(content, Mapping) else ()
    weights = {name: value for name, value in tensors if isinstance(value, Tensor)}
    if not weights:
        raise ValueError(
            f"{path} holds no named weights, neither at its top nor under {', '.join(NESTS)}"
        )
    if unnamed := [name for name in weights if not isinstance(name, str)]:
        raise ValueError(f"{path} holds weights under {unnamed[0]!r}, which is no name")
    return weights


def timm_weights(name: str) -> Weights:
    """Return timm's ImageNet weights of a high-resolution network.

    Raises:
        FileNotFoundError: they cannot be downloaded.
        ValueError: timm has none of this name.
    """
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


def renamed(weights: Weights, expected: Mapping[str, Tensor]) -> Weights:
    """Return weights by the names expected, as far as these follow from their own."""
    named = {_bare(name, expected): value for name, value in weights.items()}
    return {k: v for k, v in named.items() if k in expected or not k.endswith(CONSTANTS)}


def _bare(name: str, expected: Mapping[str, Tensor]) -> str:
    """Strip known prefixes until the name is expected or has none left."""
    name = name if name in expected else name.replace("._orig_mod.", ".")  # of a compiled part
    known = (*PREFIXES, "head.") if name.startswith(HEAD_LAYERS) else PREFIXES
    prefix = next((p for p in known if name.startswith(p)), "")
    if name in expected or not prefix:
        return name
    return _bare(name.removeprefix(prefix), expected)


def _joined(
    weights: Weights, whole: Mapping[str, Parts], expected: Weights
) -> tuple[Weights, Weights]:
    """Put together what is there in parts.

    Returns:
        The weights, and those that are expected: of a parameter that cannot be put together, its
        parts instead, so that those which are missing or do not fit are called by their own names.
    """
    joined, wanted = dict(weights), dict(expected)
    for name, parts in whole.items():
        found = {part: weights[part] for part in parts.names if part in weights}
        own, rest = expected[name], expected[name].shape[1:]
        if len(found) < len(parts.names) or not all(
            not wrong_kind(part, own)
            and (part.ndim, part.shape[1:]) == (own.ndim, rest)
            and part.numel() <= own.numel()
            for part in found.values()
        ):
            del wanted[name]
            for part in parts.names:
                rows = (found[part].shape[:1] if part in found else ()) or (1,)
                shape = (min(*rows, len(own)), *rest) if own.ndim else ()
                wanted[part] = torch.empty(shape, dtype=own.dtype, device="meta")
            continue
        values = [part.to(own.dtype) for part in found.values()]
        # step counters, which are no arrays, are the same in all parts
        value = torch.cat(values) if own.ndim else values[0]
        ordered = parts.rows is not None and value.shape == own.shape
        joined[name] = value[list(parts.rows or ())] if ordered else value
        for part in parts.names:
            del joined[part]
    return joined, wanted


def _may_lack(name: str) -> bool:
    """Whether a file may lack this: a step counter, which none needs, or a scoring net's part."""
    return name.endswith("num_batches_tracked") or name.startswith("scoring.")


def _check(
    model: nn.Module, expected: Mapping[str, Tensor], weights: Weights, source: str | Path
) -> None:
    """Raise ValueError with a report unless names, shapes and kinds are those expected."""
    needed = {k: v for k, v in expected.items() if k in weights or not _may_lack(k)}
    if report := fit_report(needed, weights):
        other = {k: v for k, v in weights.items() if k in needed and v.shape != needed[k].shape}
        hint = _keypoints_hint(model, expected, other)
        raise ValueError(f"{source} does not fit {type(model).__name__}: {hint}{report}")


def _keypoints_hint(model: nn.Module, expected: Mapping[str, Tensor], other: Weights) -> str:
    """Say in plain words that the file is for another number of keypoints, where that is why."""
    keypoints = getattr(model, "keypoints", None)
    name = max(
        (k for k in expected if k.startswith(tuple(LAST_LAYERS)) and "bias" in k), default=""
    )
    if keypoints is None or name not in other or not other[name].ndim:
        return ""
    centers = next(count for start, count in LAST_LAYERS.items() if name.startswith(start))
    maps_each, rest = divmod(len(expected[name]) - centers, keypoints)
    found, unclear = divmod(len(other[name]) - centers, maps_each)
    if found == 3 * keypoints and not unclear:
        return "it has three maps a keypoint, a heatmap and offsets, which no system here decodes; "
    # twice or half as many maps is more likely a head with tags against one without
    if rest or unclear or keypoints in (2 * found, found / 2):
        return ""
    return f"it was trained for {found} keypoints, the skeleton has {keypoints}; "

"""What a file of weights is: whose, of which network, for how many keypoints.

Weights tell the network, its width or depth, the number of its maps and who named them. They do not
tell what a cell of a map stands for (pixel indices, pixel centers or UDP's grid), by which rule
peaks are refined (DARK), how large crops were, or which of several skeletons with as many keypoints
it is: this follows from the name or the SHA-256 of a file of the catalogue, or has to be given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from poselib.engine.checkpoints import stored_keypoints
from poselib.engine.weights.families import other_family
from poselib.models import BACKBONES
from poselib.models.pretrained import named_weights, renamed
from poselib.models.toolbox_layouts import toolbox_version
from poselib.ops.weights_io import Weights, read_stored
from poselib.skeletons import SKELETONS
from poselib.systems.published import PUBLISHED, PublishedWeights
from poselib.systems.system import OptionValue

Source = Literal["poselib", "official", "mmpose_0.x", "mmpose_1.x", "torchvision", "timm"]

_CROP = ("frame", "subpixel", "height", "width")  # what weights of heatmaps of one person hide
_LAYERS = {*(f"{kind}{n}" for n in (1, 2, 3) for kind in ("conv", "bn")), "downsample"}
_BLOCKS: dict[tuple[str, tuple[int, ...]], int] = {
    ("basic", (2, 2, 2, 2)): 18,
    ("basic", (3, 4, 6, 3)): 34,
    ("bottleneck", (3, 4, 6, 3)): 50,
    ("bottleneck", (3, 4, 23, 3)): 101,
    ("bottleneck", (3, 8, 36, 3)): 152,
}


@dataclass(frozen=True)
class Recognized:
    """What a file of weights is.

    Attributes:
        source: who named its parameters.
        family: the network in plain words, such as ``"DEKR on hrnet_w32"``.
        keypoints: their number; 0 of a backbone alone.
        system: of ``poselib.systems.build``; empty of a backbone, which is given to a training, and
            of a checkpoint of poselib, which describes itself.
        options: of the system. Those of the catalogue if the file is one of it; else those that the
            weights tell, with the rest from the catalogue's entry of the same network.
        skeletons: names of those that have as many keypoints; the catalogue's alone if the file is
            one of it.
        published: the entry of the catalogue, if the file is one of it by its name or its SHA-256.
        verified: whether the file has the SHA-256 of the entry.
        unknown: what the weights do not tell and the catalogue did not: ``"skeleton"`` and names of
            options; a person has to give them, or accept the options here.
    """

    source: Source
    family: str
    keypoints: int
    system: str = ""
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    skeletons: tuple[str, ...] = ()
    published: PublishedWeights | None = None
    verified: bool = False
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Network:
    """What the names and shapes of weights tell."""

    system: str
    family: str
    keypoints: int
    options: dict[str, OptionValue]
    hidden: tuple[str, ...] = ()


def recognize(path: str | Path, keypoints: int | None = None) -> Recognized:
    """Say what a file of weights is.

    Args:
        path: of ``torch.save`` or safetensors: bare weights, or a checkpoint that holds them.
        keypoints: their number, if known. It decides between heatmaps of 2K keypoints and heatmaps
            and tags of K.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no weights, those of another kind of network, or for another number of
            keypoints, and the message says which.

    Example:
        >>> recognize("dekr_hrnet-w32_8xb10-140e_coco-512x512_ac7c17bf-20221228.pth").family
        ... # doctest: +SKIP
        'DEKR on hrnet_w32'
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}")
    content, metadata = read_stored(path)
    own = "poselib" in (metadata or {}) or (isinstance(content, Mapping) and "recipe" in content)
    if own and (names := stored_keypoints(path)):
        return Recognized("poselib", "a checkpoint of poselib", len(names))
    weights = named_weights(content, path)
    if other := other_family(weights):
        raise ValueError(f"{path}: weights of another family than those here: {other}")
    entry, verified = _catalogued(path)
    expected = (len(SKELETONS[entry.skeleton]) if entry else None) or keypoints
    network = _network(path, renamed(weights, {}), expected)
    if keypoints is not None and network.keypoints not in (0, keypoints):
        raise ValueError(
            f"{path}: weights of {network.family} for {network.keypoints} keypoints, and "
            f"{keypoints} are wanted"
        )
    source = _source(weights, network)
    return _completed(path, network, source, entry, verified)


def _source(weights: Weights, network: _Network) -> Source:
    if version := toolbox_version(weights):
        return "mmpose_0.x" if version == "0.x" else "mmpose_1.x"
    if network.system:
        return "official"
    return "torchvision" if "resnet" in network.family else "timm"


def _completed(
    path: Path,
    network: _Network,
    source: Source,
    entry: PublishedWeights | None,
    verified: bool,
) -> Recognized:
    """Add what the catalogue knows."""
    if entry is not None:
        _check_entry(path, network, entry)
        return Recognized(
            *(source, network.family, network.keypoints, entry.system, entry.options),
            *((entry.skeleton,), entry, verified),
        )
    like = _nearest(network, source)
    options = {**(like.options if like else {}), **network.options}
    # One name of each: several datasets have COCO's keypoints.
    named = {v.keypoints: k for k, v in reversed(SKELETONS.items()) if len(v) == network.keypoints}
    first = [each.skeleton for each in PUBLISHED.values() if each.system == network.system]
    names = sorted(
        named.values(), key=lambda name: first.index(name) if name in first else len(first)
    )
    unknown = (*(["skeleton"] if len(names) != 1 and network.system else []), *network.hidden)
    return Recognized(
        *(source, network.family, network.keypoints, network.system, options),
        *(tuple(names), None, False, unknown),
    )


def _nearest(network: _Network, source: Source) -> PublishedWeights | None:
    """Return the entry of the catalogue that is most like a network, if any has its system."""

    def likeness(entry: PublishedWeights) -> tuple[int, ...]:
        agreeing = sum(entry.options.get(k) == v for k, v in network.options.items())
        same = len(SKELETONS[entry.skeleton]) == network.keypoints
        return (not entry.unsupported, same, agreeing, entry.layout == source)

    host = network.options.get("host")
    entries = [
        each
        for each in PUBLISHED.values()
        if each.system == network.system and each.options.get("host") == host
    ]
    return max(entries, key=likeness, default=None)


def _check_entry(path: Path, network: _Network, entry: PublishedWeights) -> None:
    """Raise ValueError unless a file holds what its name in the catalogue stands for."""
    count = entry.maps or len(SKELETONS[entry.skeleton])
    told = {k: v for k, v in network.options.items() if k in entry.options}
    differing = {k: v for k, v in told.items() if entry.options[k] != v}
    if (network.system, network.keypoints) != (entry.system, count) or differing:
        raise ValueError(
            f"{path}: has the name of {entry.name} ({count} keypoints) and holds weights of "
            f"{network.family} for {network.keypoints} keypoints"
        )


def _catalogued(path: Path) -> tuple[PublishedWeights | None, bool]:
    """Return the entry of a file in the catalogue, and whether its SHA-256 is the entry's."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    entries = [e for e in PUBLISHED.values() if e.sha256 and digest.startswith(e.sha256)]
    if entries:
        return entries[0], True
    return next((e for e in PUBLISHED.values() if e.file == path.name), None), False


def _network(path: Path, weights: Weights, keypoints: int | None) -> _Network:
    """Tell the network from names without prefixes, and from shapes."""
    names, size = list(weights), {k: len(v) if v.ndim else 0 for k, v in weights.items()}
    if "stage4.0.branches.0.0.conv1.weight" in weights:
        return _high_resolution(path, weights, size, keypoints)
    if "layer4.0.conv1.weight" in weights:
        return _residual(path, weights, size, keypoints)
    if "hourglass_modules.0.0.up1.conv.weight" in weights:
        stacks = sum(name.endswith(".0.up1.conv.weight") for name in names)
        norms: dict[str, OptionValue] = {"stack_norm": True, "stack_norm_all": True}
        options = {"host": "hourglass", "stacks": stacks, **norms}
        count = size.get("out_convs.0.conv.bias", 0) // 2
        return _Network("hae", "associative embedding on stacked hourglasses", count, options)
    if "features.0.0.up1.conv.weight" in weights or "pre.0.conv.weight" in weights:
        raise ValueError(
            f"{path}: the authors' hourglasses of associative embedding, which expect images in "
            "[0, 1] and have maps that no system here uses; mmpose's load"
        )
    raise ValueError(f"{path}: weights of an unknown network: {', '.join(names[:4])}, ...")


def _high_resolution(
    path: Path, weights: Weights, size: dict[str, int], keypoints: int | None
) -> _Network:
    width, branch = size["stage4.0.branches.0.0.conv1.weight"], "stage4.0.branches.0."
    backbone = f"hrnet_w{width}"
    if backbone not in BACKBONES or f"{branch}3.conv1.weight" not in weights:
        raise ValueError(f"{path}: an HRNet of another shape, {width} channels wide")
    options: dict[str, OptionValue] = {"backbone": backbone}
    branches = {name.split(".")[1] for name in weights if name.startswith("offset_feature_layers.")}
    if branches:
        count, found = len(branches), {**options, "frame": "index"}
        return _Network("dekr", f"DEKR on {backbone}", count, found)
    ends = ("offset_conv_layers.3.bias", "displacement_conv_layers.3.bias")
    grouped = [name for name in weights if name.endswith(ends)]
    if grouped:
        ranked = any("rescore_net." in name for name in weights)
        found = {**options, "frame": "index", "scoring": ranked}
        return _Network("dekr", f"DEKR on {backbone}", size[grouped[0]] // 2, found)
    if "final_layer_cls.bias" in weights:
        count = size["final_layer_cls.bias"] - 1
        return _Network("logocap", f"LOGO-CAP on {backbone}", count, {**options, "frame": "index"})
    if "final_layers.1.bias" in weights and any(k.startswith("deconv_layers.0.0") for k in weights):
        count = size["final_layers.1.bias"]
        if size.get("final_layers.0.bias") != 2 * count:
            raise ValueError(f"{path}: HigherHRNet with other tags than one for each keypoint")
        found = {**options, "host": "higher"}
        return _Network("hae", f"HigherHRNet on {backbone}", count, found, ("frame",))
    maps = size.get("final_layer.bias", size.get("final_layers.0.bias", 0))
    if not maps:
        return _Network("", f"the backbone {backbone} alone", 0, options)
    return _of_maps(path, maps, options, keypoints)


def _residual(
    path: Path, weights: Weights, size: dict[str, int], keypoints: int | None
) -> _Network:
    maps = size.get("final_layer.bias", 0)
    if "layer1.0.attention.conv_mask.weight" in size:
        return _of_maps(path, maps, {"backbone": "vipnas_resnet50"}, keypoints)
    kind = "bottleneck" if "layer1.0.conv3.weight" in size else "basic"
    counts = (
        len({k.split(".")[1] for k in size if k.startswith(f"layer{n}.")}) for n in range(1, 5)
    )
    depth = _BLOCKS.get((kind, tuple(counts)))
    layers = {k.split(".")[2] for k in size if k.startswith(("layer1.0.", "layer4.0."))}
    width = weights["layer1.0.conv2.weight"].shape[:2] if "layer1.0.conv2.weight" in size else ()
    if depth is None or not layers <= _LAYERS or width != (64, 64) or "conv1.weight" not in size:
        raise ValueError(
            f"{path}: a residual network of another shape than ResNet's (ResNeXt, SE-ResNet, ...)"
        )
    backbone = f"resnet{depth}"
    if not maps:
        return _Network("", f"the backbone {backbone} alone", 0, {"backbone": backbone})
    if "deconv_layers.0.weight" not in size:
        raise ValueError(f"{path}: {backbone} with a head that is not SimpleBaseline's")
    return _of_maps(path, maps, {"backbone": backbone}, keypoints)


def _of_maps(
    path: Path,
    maps: int,
    options: dict[str, OptionValue],
    keypoints: int | None,
) -> _Network:
    """Tell heatmaps of one person, or heatmaps and tags of several, by how many maps there are."""
    name, sizes = str(options["backbone"]), {len(each) for each in SKELETONS.values()}
    known = {keypoints} if keypoints else sizes
    if 3 * (keypoints or 0) == maps or (maps not in sizes and maps % 3 == 0 and maps // 3 in known):
        raise ValueError(
            f"{path}: {maps} maps, which are a heatmap and two offsets for each of {maps // 3} "
            "keypoints (UDP's regression); no system here decodes them"
        )
    tagged = maps % 2 == 0 and maps // 2 in known and maps not in known and "hrnet" in name
    if tagged:
        found = {**options, "host": "plain"}
        return _Network("hae", f"associative embedding on {name}", maps // 2, found, ("frame",))
    plain = {**options, "relation": "none"}
    return _Network("jre", f"heatmaps of one person on {name}", maps, plain, _CROP)

"""What a file of weights is: whose, of which network, for how many keypoints.

Weights tell the network, its width or depth, the number of its maps and who named them. They do not
tell what a cell of a map stands for (pixel indices, pixel centers or UDP's grid), by which rule
peaks are refined (DARK), how large crops were, or which of several skeletons with as many keypoints
it is: this follows from the name or the SHA-256 of a file of the catalog, or has to be given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from poselib.engine.checkpoints import stored_keypoints
from poselib.models.pretrained import named_weights, renamed
from poselib.models.toolbox_layouts import toolbox_version
from poselib.ops.weights_io import Weights, read_stored
from poselib.skeletons import SKELETONS
from poselib.systems.families import Network, network_of, other_family
from poselib.systems.published import PUBLISHED, PublishedWeights
from poselib.systems.system import OptionValue

Source = Literal["poselib", "official", "mmpose_0.x", "mmpose_1.x", "torchvision", "timm"]


@dataclass(frozen=True)
class Recognized:
    """What a file of weights is.

    Attributes:
        source: who named its parameters.
        family: the network in plain words, such as ``"DEKR on hrnet_w32"``.
        keypoints: their number; 0 of a backbone alone.
        system: of ``poselib.systems.build``; empty of a backbone, which is given to a training, and
            of a checkpoint of poselib, which describes itself.
        options: of the system. Those of the catalog if the file is one of it; else those that the
            weights tell, with the rest from the catalog's entry of the same network.
        skeletons: names of those that have as many keypoints; the catalog's alone if the file is
            one of it.
        published: the entry of the catalog, if the file is one of it by its name or its SHA-256.
        verified: whether the file has the SHA-256 of the entry.
        unknown: what the weights do not tell and the catalog did not: ``"skeleton"`` and names of
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
    expected = len(SKELETONS[entry.skeleton]) if entry else keypoints
    network = network_of(renamed(weights, {}), path, expected)
    found = _completed(path, network, _source(weights, network), entry, verified)
    if keypoints is not None and found.keypoints not in (0, keypoints):
        raise ValueError(
            f"{path}: weights of {found.family} for {found.keypoints} keypoints, and {keypoints} "
            "are wanted"
        )
    return found


def _source(weights: Weights, network: Network) -> Source:
    if version := toolbox_version(weights):
        return "mmpose_0.x" if version == "0.x" else "mmpose_1.x"
    if network.system:
        return "official"
    return "torchvision" if "resnet" in network.family else "timm"


def _completed(
    path: Path,
    network: Network,
    source: Source,
    entry: PublishedWeights | None,
    verified: bool,
) -> Recognized:
    """Add what the catalog knows."""
    if entry is not None:
        _check_entry(path, network, entry)
        return Recognized(
            *(source, network.family, len(SKELETONS[entry.skeleton]), entry.system, entry.options),
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
    # mmpose published maps of tags in two frames, their authors in one.
    hidden = () if (source, network.system) == ("official", "hae") else network.hidden
    unknown = (*(["skeleton"] if len(names) != 1 and network.system else []), *hidden)
    return Recognized(
        *(source, network.family, network.keypoints, network.system, options),
        *(tuple(names), None, False, unknown),
    )


def _nearest(network: Network, source: Source) -> PublishedWeights | None:
    """Return the entry of the catalog that is most like a network, if any has its system."""

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


def _check_entry(path: Path, network: Network, entry: PublishedWeights) -> None:
    """Raise ValueError unless a file holds what its name in the catalog stands for."""
    count = entry.maps or len(SKELETONS[entry.skeleton])
    told = {k: v for k, v in network.options.items() if k in entry.options}
    differing = {k: v for k, v in told.items() if entry.options[k] != v}
    if (network.system, network.keypoints) != (entry.system, count) or differing:
        raise ValueError(
            f"{path}: has the name of {entry.name} ({count} keypoints) and holds weights of "
            f"{network.family} for {network.keypoints} keypoints"
        )


def _catalogued(path: Path) -> tuple[PublishedWeights | None, bool]:
    """Return the entry of a file in the catalog, and whether its SHA-256 is the entry's."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    entries = [e for e in PUBLISHED.values() if e.sha256 and digest.startswith(e.sha256)]
    if entries:
        return entries[0], True
    return next((e for e in PUBLISHED.values() if e.file == path.name), None), False

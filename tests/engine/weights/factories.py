"""Small entries of the catalogue, and files in their published layouts."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from io import BytesIO
from typing import cast

import torch
from torch import Tensor, nn

from poselib.engine.seed import seed_everything
from poselib.models.toolbox_layouts import Version, to_toolbox
from poselib.systems import System, build
from poselib.systems.published import PublishedWeights


def small(row: PublishedWeights) -> PublishedWeights:
    """Return an entry with a network as small as its kind can be, all else as published."""
    options = dict(row.options)
    if str(options.get("backbone")).startswith("hrnet"):
        options["backbone"] = "hrnet_tiny"
    if options.get("host") == "hourglass":
        options |= {"stacks": 2, "features": 8, "increase": 4}
    if options.get("host") == "higher":
        options |= {"deconv_channels": 8}
    if row.system == "dekr":
        options["width"] = 3
    return replace(row, options=options)


def random_system(row: PublishedWeights) -> System:
    """Return the system of an entry with weights that tell layers, rows and columns apart."""
    seed_everything(3)
    system = build(row.system, row.skeleton, **row.options)
    with torch.no_grad():
        for name, value in system.model.state_dict().items():
            if value.ndim == 1 and not name.endswith("running_var"):  # others are random anyway
                value.add_(torch.randn_like(value) * 0.05)
    return replace(system, model=system.model.eval())


def published_file(row: PublishedWeights, model: nn.Module) -> bytes:
    """Return the file of an entry as mmpose would have written it, for a network's weights."""
    version = cast(Version, row.layout.removeprefix("mmpose_"))
    weights = to_toolbox(model.state_dict(), model, version)
    if row.maps:  # those of other data follow
        keypoints = len(weights["head.final_layer.bias"])
        weights |= {
            name: torch.cat([value, value[: row.maps - keypoints]])
            for name, value in weights.items()
            if ".final_layer." in name
        }
    return stored({"meta": {"mmpose_version": version}, "state_dict": weights})


def stored(content: dict[str, Tensor] | dict[str, dict[str, object]]) -> bytes:
    buffer = BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def served(row: PublishedWeights, address: str, content: bytes) -> PublishedWeights:
    """Return an entry whose file lies at another address."""
    return replace(row, address=address, sha256=hashlib.sha256(content).hexdigest()[:8])

"""Outputs of networks as tensors with names, which the outputs of a graph have, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from poselib.outputs import HeatmapOutputs, LocalGlobalOutputs, RegressionOutputs, TagOutputs
from poselib.structures import Size

Tensors = dict[str, Tensor]
Parts = Mapping[str, Callable[..., Any]]

# What a graph of its own computes, by the name of the part.
ATTRACTION, SCORER, STEP = "attraction", "scorer", "step"


def to_tensors(outputs: Any) -> Tensors:
    """Return what a decoder needs of the outputs of a network, by name.

    Maps of a network of several scales are ``heatmaps_0``, the coarsest, and so on. Outputs of
    intermediate stages, relations of keypoints and maps without a channel are left out.
    """
    if isinstance(outputs, TagOutputs):
        scales = {f"heatmaps_{number}": each for number, each in enumerate(outputs.heatmaps)}
        return {**scales, "tags": outputs.tags}
    names = ("heatmaps", "centers", "offsets", "embedding")
    maps = {name: getattr(outputs, name) for name in names if hasattr(outputs, name)}
    return {name: each for name, each in maps.items() if each.shape[1]}


def from_tensors(tensors: Tensors, image_size: Size, parts: Parts) -> Any:
    """Return the outputs whose tensors ``to_tensors`` gave.

    Args:
        tensors: by name.
        image_size: (H, W) of the images, px.
        parts: the functions that outputs carry, by their names.
    """
    if "tags" in tensors:
        scales = [value for name, value in tensors.items() if name.startswith("heatmaps_")]
        return TagOutputs(tuple(scales), tensors["tags"], image_size)
    if "offsets" not in tensors:
        return HeatmapOutputs(tensors["heatmaps"], image_size)
    maps = tensors["heatmaps"]
    common: Any = {"heatmaps": maps, "offsets": tensors["offsets"], "image_size": image_size}
    common["centers"] = tensors.get("centers", maps[:, :0])
    if "embedding" not in tensors:
        return RegressionOutputs(**common, scorer=parts.get(SCORER))
    network = parts[ATTRACTION]
    return LocalGlobalOutputs(**common, embedding=tensors["embedding"], attraction_network=network)

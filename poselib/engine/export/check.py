"""A try of an exported network, whose file may describe another one than it holds."""

from __future__ import annotations

import textwrap

import torch

from poselib.engine.export.network import ExportedNetwork
from poselib.engine.export.tensors import ATTRACTION, SCORER, to_tensors
from poselib.ops.console import out_of_memory
from poselib.systems import System


@torch.no_grad()
def check_network(network: ExportedNetwork, system: System) -> None:
    """Check that graphs are those of the system that their file describes, on a black image.

    Args:
        network: the graphs.
        system: as it was built from the description.

    Raises:
        ValueError: they are not, or give numbers that are not finite.
    """
    path, multiple = network.path, network.multiple
    expected = getattr(system.model, "multiple", system.multiple)
    if multiple != expected:
        raise ValueError(
            f"{path}: its description has sides in multiples of {multiple} px, a system "
            f"{system.name!r} of {expected}"
        )
    size = system.crop or (2 * multiple, 3 * multiple)
    images = torch.zeros((1, 2, 3, *size) if system.clips else (1, 3, *size))
    try:
        outputs = network(images)
        finite = all(bool(each.isfinite().all()) for each in to_tensors(outputs).values())
        _check_parts(network, len(system.skeleton))
        system.decode(outputs.merge_flipped(outputs.flip(system.skeleton)))
    except Exception as error:  # names, numbers of axes and lengths can be wrong in many ways
        if out_of_memory(error) or str(error).startswith(str(path.parent)):
            raise
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 300)
        raise ValueError(
            f"{path}: its graph is not that of the system that it describes, {system.name!r}: "
            f"{reason}"
        ) from error
    if not finite:
        raise ValueError(f"{path}: its graph gives numbers that are not finite")


def _check_parts(network: ExportedNetwork, keypoints: int) -> None:
    """Run the graphs that decoding may call on two poses."""
    if SCORER in network.sessions:
        factors = network.scorer(torch.zeros((2, keypoints, 2)), torch.zeros((2, keypoints)))
        if factors.shape != (2,):
            raise ValueError(f"one factor a pose is wanted, not {tuple(factors.shape)} of two")
    if ATTRACTION in network.sessions:
        context = torch.zeros((2, *network.sessions[ATTRACTION].inputs[0].shape[1:]))
        maps = network.attraction(context)
        if maps.shape != (2, keypoints, *context.shape[2:]):
            raise ValueError(f"{keypoints} maps a pose are wanted, not {tuple(maps.shape)}")

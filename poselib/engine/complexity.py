"""Parameters and multiply-accumulates of networks."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from poselib.systems.system import System


@dataclass(frozen=True)
class Cost:
    """Parameters and operations of a network or of some of its parts.

    Attributes:
        params: numbers that training changes: weights, biases and the scales of normalizations,
            not their statistics.
        macs: multiply-accumulates of convolutions and matrix products, as the network computes.
        macs_as_published: the same, had each layer been computed in the order of its paper.
    """

    params: int
    macs: int
    macs_as_published: int

    def as_dict(self) -> dict[str, float]:
        """Return the numbers as papers print them, by the names of the published tables.

        These are ``params_m``, millions, ``gmac``, 10^9 multiply-accumulates as published, and
        beside them ``gmac_run``, as the network computes.
        """
        return {
            "params_m": self.params / 1e6,
            "gmac": self.macs_as_published / 1e9,
            "gmac_run": self.macs / 1e9,
        }


@dataclass(frozen=True)
class Complexity(Cost):
    """Parameters and operations of each part of a network.

    Attributes:
        by_part: by the name of an attribute of the network; what belongs to none is under ``""``.
    """

    by_part: Mapping[str, Cost]

    def of(self, *parts: str) -> Cost:
        """Return the sum over some parts.

        Raises:
            ValueError: the network has no such part.
        """
        if unknown := [part for part in parts if part not in self.by_part]:
            raise ValueError(f"no part {unknown[0]!r}; the network has {', '.join(self.by_part)}")
        return Cost(*_totals(self.by_part[part] for part in parts))


def complexity(
    model: nn.Module | System, size: int | tuple[int, int], frames: int | None = None
) -> Complexity:
    """Count the parameters of a network and its multiply-accumulates for one image or clip.

    As in the papers, that is convolutions, deformable ones included, and matrix products alone:
    no normalization, activation or interpolation. Shapes are all that is computed, on the meta
    device; the model stays as it is. A module that needs fewer operations than the published one
    has a method ``saved_macs`` that reports, for its inputs, how many multiply-accumulates fewer.

    Args:
        model: a network for images (B, 3, H, W), or a system; on any device.
        size: height and width of the image in px, or the side of a square one.
        frames: of the clip, for a network that takes (B, T, 3, H, W).

    Raises:
        ValueError: the size or ``frames`` is not positive, or the network does not take it.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"size must be positive, not {size}")
    if frames is not None and frames < 1:
        raise ValueError(f"frames must be positive, not {frames}")
    source = model.model if isinstance(model, System) else model
    network = _on_meta(source)
    spared: Counter[str] = Counter()

    def note(part: str, module: Any, inputs: tuple[Any, ...], _: object) -> None:
        spared[part] += module.saved_macs(*inputs)

    for name, module in network.named_modules():
        if hasattr(module, "saved_macs"):
            module.register_forward_hook(partial(note, _part(name)))
    # absent until torchvision is imported, and then no network can call it
    deformable = getattr(torch.ops.torchvision, "deform_conv2d", None)
    formulas = {} if deformable is None else {deformable: _deformable_flops}
    counter = FlopCounterMode(display=False, custom_mapping=formulas)
    with torch.no_grad(), counter:
        shape = (1, 3, height, width) if frames is None else (1, frames, 3, height, width)
        network(torch.zeros(shape, device="meta"))
    macs, params = _macs_by_part(counter, type(network).__name__), Counter[str]()
    for name, parameter in network.named_parameters():
        params[_part(name.rpartition(".")[0])] += parameter.numel()
    names = [name for name, _ in network.named_children()]
    if macs[""] or params[""] or spared[""]:
        names.append("")
    by_part = {name: Cost(params[name], macs[name], macs[name] + spared[name]) for name in names}
    return Complexity(*_totals(by_part.values()), by_part)


def _on_meta(model: nn.Module) -> nn.Module:
    """Return a copy without numbers, whose normalizations pass on what they are given.

    Nothing of them is counted, and on the meta device they take most of the time.
    """
    network = copy.deepcopy(model).to("meta").eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            vars(module)["forward"] = _pass_on
    return network


def _pass_on(images: Tensor) -> Tensor:
    return images


def _part(name: str) -> str:
    """Return which attribute of the network a module belongs to; ``""`` for the network itself."""
    return name.partition(".")[0]


def _totals(costs: Iterable[Cost]) -> tuple[int, int, int]:
    costs = list(costs)
    return (
        sum(cost.params for cost in costs),
        sum(cost.macs for cost in costs),
        sum(cost.macs_as_published for cost in costs),
    )


def _macs_by_part(counter: FlopCounterMode, root: str) -> Counter[str]:
    """Return the multiply-accumulates of each attribute of the network whose class is ``root``."""
    inside = {
        name.removeprefix(f"{root}."): sum(flops.values()) // 2
        for name, flops in counter.get_flop_counts().items()
        if name.startswith(f"{root}.")
    }
    macs: Counter[str] = Counter()
    for name, count in inside.items():
        # lists of modules are never called: what counts are the outermost modules that are
        if not any(name.startswith(f"{outer}.") for outer in inside):
            macs[_part(name)] += count
    macs[""] = counter.get_total_flops() // 2 - macs.total()
    return macs


def _deformable_flops(
    _images: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any
) -> int:
    """Count as for an ordinary convolution; each argument is the shape of a tensor."""
    return 2 * math.prod(weight) * out_shape[0] * math.prod(out_shape[2:])


@dataclass(frozen=True)
class CallCount:
    """Parameters and operations of the modules that are called, once for each call.

    Attributes:
        params: of a module that is called T times T times as many as it has.
        macs: multiply-accumulates of convolutions, transposed ones as if each cell of their output
            met the whole kernel.
    """

    params: int
    macs: int

    def as_dict(self) -> dict[str, float]:
        """Return ``params_mi`` and ``gmac_gi``: in units of 2^20 and 2^30."""
        return {"params_mi": self.params / 2**20, "gmac_gi": self.macs / 2**30}


def count_by_calls(
    model: nn.Module, run: Callable[[nn.Module], object], part: str = ""
) -> CallCount:
    """Count what profilers that hook into modules count (RPSTN/JRE, Tables IV, V and VIII).

    Unlike ``complexity`` it counts a shared module at each call, a transposed convolution at the
    size of its output, which for a stride of 2 is four times what it computes, and neither
    functions, such as a convolution with kernels that were computed, nor matrix products.

    Args:
        model: on any device; stays as it is.
        run: calls the network once, which is on the meta device: the work to count.
        part: attribute of the network that is counted; by default all of it.
    """
    network = _on_meta(model)
    params, macs = Counter[str](), Counter[str]()

    def note(module: nn.Module, _: object, output: object) -> None:
        params[""] += sum(each.numel() for each in module.parameters(recurse=False))
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and isinstance(output, Tensor):
            inputs = module.in_channels // module.groups
            macs[""] += output.numel() * inputs * math.prod(module.kernel_size)

    for module in (getattr(network, part) if part else network).modules():
        module.register_forward_hook(note)
    with torch.no_grad():
        run(network)
    return CallCount(params[""], macs[""])

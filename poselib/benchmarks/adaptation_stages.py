"""Time of each stage of pose refinement, by the number of people (LOGO-CAP, Table 4)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poselib.decoders.local_global import (
    LocalGlobalOptions,
    attraction_maps,
    decode_local_global,
    finalize,
    propose_poses,
    read_local_context,
    refine_by_global_windows,
)
from poselib.engine.timing import Device, Passed, Timing, Work, measure_all
from poselib.ops.center_poses import CenterPoses
from poselib.outputs import LocalGlobalOutputs

STAGES = ("local_kems", "local_kams", "global_kams", "rest")
Moment = tuple[float, float, torch.cuda.Event | None]  # s by the clock, of the processor, on a GPU


def stage_works(outputs: LocalGlobalOutputs, options: LocalGlobalOptions) -> dict[str, Work]:
    """Cut ``decode_local_global`` into stages (LOGO-CAP, Table 4), each on the results before it.

    ``local_kems`` finds the poses at the centers of people and reads their local context,
    ``local_kams`` passes messages, ``global_kams`` reads the global context, convolves it with the
    attraction maps and finds the maxima, and ``rest`` scores the poses and suppresses duplicates.

    Args:
        outputs: maps on any device.
        options: refine poses with both priors.

    Raises:
        ValueError: the options refine nothing, or with one prior alone.
    """
    if not options.adapt or options.prior != "both":
        raise ValueError(
            "stages are those of refinement with both priors, not of "
            f"adapt={options.adapt}, prior={options.prior!r}"
        )

    def local_kems() -> tuple[CenterPoses, Tensor]:
        people = propose_poses(outputs, options)
        return people, read_local_context(outputs, people, options.expansion)

    with torch.no_grad():
        people, context = local_kems()
        kernels = attraction_maps(outputs, context)
        adapted = refine_by_global_windows(outputs, people, kernels, options)
    works: dict[str, Work] = {
        "local_kems": local_kems,
        "local_kams": partial(attraction_maps, outputs, context),
        "global_kams": partial(refine_by_global_windows, outputs, people, kernels, options),
        "rest": partial(finalize, adapted, options, len(outputs.centers)),
    }
    return {stage: torch.no_grad()(work) for stage, work in works.items()}


def time_adaptation(
    outputs: LocalGlobalOutputs,
    options: LocalGlobalOptions,
    network: Work,
    *,
    device: Device = "cpu",
    **turns: Any,
) -> dict[str, float]:
    """Time the stages from maps to refined poses, in turns.

    Args:
        outputs: maps on the device, with a ``MessagePassing`` network.
        options: refine poses with both priors.
        network: a forward pass.
        device, turns: see ``engine.timing.measure_all``.

    Returns:
        Median wall ms as ``<name>_ms`` and CPU ms as ``cpu_<name>_ms`` of ``network``, of each
        stage, of ``decoding``, all of them without a stop in between, and of ``convolutions``,
        those of message passing within each decoding; and ``overhead``, the median fraction of
        decoding that is not convolutions, by the wall clock or on a GPU by its own.

    Raises:
        ValueError: as for ``stage_works`` and ``measure_all``.
    """
    decoding = TimedWithin(
        partial(decode_local_global, outputs, options),
        _convolutions(outputs.attraction_network),
        torch.device(device),
    )
    stages = stage_works(outputs, options)
    works: dict[str, Work] = {"network": network, **stages, "decoding": decoding}
    times = measure_all(works, device=device, **turns)
    whole = times["decoding"]
    times["convolutions"] = part = decoding.last(len(whole.wall))
    on_gpu = bool(np.isfinite(whole.gpu).all())
    spared, all_of_it = (t.gpu if on_gpu else t.wall for t in (part, whole))
    return {
        **{f"{name}_ms": timing.median for name, timing in times.items()},
        **{f"cpu_{name}_ms": timing.cpu_median for name, timing in times.items()},
        "overhead": float(np.median(1 - np.divide(spared, all_of_it))),
    }


def _convolutions(attraction_network: object) -> list[nn.Module]:
    """Return the convolutions of message passing, without those of attentive normalization."""
    assert isinstance(attraction_network, nn.Sequential)
    layers = (layer for layer in attraction_network.modules() if isinstance(layer, nn.Conv2d))
    return [layer for layer in layers if layer.kernel_size != (1, 1) or layer.bias is not None]


class TimedWithin:
    """Work that records in each call how long some modules take within it.

    Part and whole are measured under the same load, so their ratio is far steadier than that of
    separate measurements, and caches are as in use.

    Args:
        work: called without arguments.
        modules: none of which calls another.
        device: where they run. On a GPU, which runs asynchronously, their time there also counts as
            wall time.
    """

    def __init__(self, work: Work, modules: Sequence[nn.Module], device: torch.device) -> None:
        self.modules = modules
        self._work, self._device = work, device
        self._calls: list[list[tuple[Moment, Moment]]] = []

    def __call__(self) -> object:
        spans: list[tuple[Moment, Moment]] = []
        begun: list[Moment] = []
        self._calls.append(spans)
        with contextlib.ExitStack() as hooks:
            for module in self.modules:
                before = module.register_forward_pre_hook(lambda *_: begun.append(self._now()))
                after = module.register_forward_hook(
                    lambda *_: spans.append((begun.pop(), self._now()))
                )
                hooks.callback(before.remove)
                hooks.callback(after.remove)
            return self._work()

    def last(self, calls: int) -> Timing:
        """Return the times of the modules in the last calls, summed up in each, in milliseconds."""
        on_gpu = self._device.type == "cuda"
        if on_gpu:
            torch.cuda.synchronize(self._device)
        passed = [_summed(spans, on_gpu) for spans in self._calls[-calls:]]
        return Timing(*zip(*passed, strict=True))

    def _now(self) -> Moment:
        event = None
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self._device))
        return time.perf_counter(), time.process_time(), event


def _summed(spans: Sequence[tuple[Moment, Moment]], on_gpu: bool) -> Passed:
    wall = 1e3 * sum(end[0] - begin[0] for begin, end in spans)
    cpu = 1e3 * sum(end[1] - begin[1] for begin, end in spans)
    if not on_gpu:
        return wall, cpu, float("nan")
    events = ((begin[2], end[2]) for begin, end in spans)
    gpu = sum(float(begin.elapsed_time(end)) for begin, end in events if begin and end)
    return gpu, cpu, gpu

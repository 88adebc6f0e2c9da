"""Time of modules within the work that calls them, by forward hooks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import torch
from torch import nn

from poselib.engine.timing import Passed, Timing, Work

Moment = tuple[float, float, torch.cuda.Event | None]  # s by the clock, of the processor, on a GPU


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

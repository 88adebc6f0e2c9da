"""Time of each stage of pose refinement, by the number of people (LOGO-CAP, Table 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from poselib.benchmarks.module_timer import TimedWithin
from poselib.decoders.local_global import (
    LocalGlobalOptions,
    attraction_maps,
    decode_local_global,
    finalize,
    propose_poses,
    read_local_context,
    refine_by_global_windows,
)
from poselib.engine.timing import Device, Timing, Work, measure_all
from poselib.ops.center_poses import CenterPoses
from poselib.outputs import LocalGlobalOutputs

Stage = Literal["local_kems", "local_kams", "global_kams", "rest"]
STAGES: tuple[Stage, ...] = get_args(Stage)


def stage_works(outputs: LocalGlobalOutputs, options: LocalGlobalOptions) -> dict[Stage, Work]:
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
    works: dict[Stage, Work] = {
        "local_kems": local_kems,
        "local_kams": partial(attraction_maps, outputs, context),
        "global_kams": partial(refine_by_global_windows, outputs, people, kernels, options),
        "rest": partial(finalize, adapted, options, len(outputs.centers)),
    }
    return {stage: torch.no_grad()(work) for stage, work in works.items()}


@dataclass(frozen=True)
class AdaptationTimes:
    """Times of the stages of adaptation, taken in turns.

    Attributes:
        stages: of each.
        decoding: of all of them as ``decode_local_global`` runs them, without a stop in between.
        convolutions: of message passing, within each ``decoding``; None if it has none.
        network: of the forward pass; None if it was not timed.
    """

    stages: Mapping[Stage, Timing]
    decoding: Timing
    convolutions: Timing | None = None
    network: Timing | None = None

    @property
    def overhead(self) -> float:
        """Fraction of decoding that is not convolutions of message passing, the median.

        Wall time; on a GPU, its own time.
        """
        if self.convolutions is None:
            return 1.0
        on_gpu = bool(np.isfinite(self.decoding.gpu).all())
        whole, spared = (t.gpu if on_gpu else t.wall for t in (self.decoding, self.convolutions))
        return float(np.median(1 - np.divide(spared, whole)))

    def as_dict(self) -> dict[str, float]:
        """Return median wall ms, CPU ms as ``cpu_<name>``, and the overhead.

        Names are those of the stages with ``_ms`` behind them, ``decoding_ms``, and
        ``convolutions_ms`` and ``network_ms`` where there are any.
        """
        named: dict[str, Timing | None] = {"network": self.network}
        named.update(self.stages.items())
        named |= {"decoding": self.decoding, "convolutions": self.convolutions}
        known = {name: timing for name, timing in named.items() if timing is not None}
        wall = {f"{name}_ms": timing.median for name, timing in known.items()}
        cpu = {f"cpu_{name}_ms": timing.cpu_median for name, timing in known.items()}
        return {**wall, **cpu, "overhead": self.overhead}


def time_adaptation(
    outputs: LocalGlobalOutputs,
    options: LocalGlobalOptions,
    network: Work | None = None,
    *,
    device: Device = "cpu",
    **turns: Any,
) -> AdaptationTimes:
    """Time the stages from maps to refined poses, in turns.

    Args:
        outputs: maps on the device.
        options: refine poses with both priors.
        network: a forward pass, if it is to be timed too.
        device, turns: see ``engine.timing.measure_all``.

    Raises:
        ValueError: as for ``stage_works`` and ``measure_all``.
    """
    works: dict[str, Work] = dict(stage_works(outputs, options).items())
    decoding = TimedWithin(
        partial(decode_local_global, outputs, options),
        _convolutions(outputs.attraction_network),
        torch.device(device),
    )
    works["decoding"] = decoding
    if network is not None:
        works["network"] = network
    times = measure_all(works, device=device, **turns)
    return AdaptationTimes(
        {stage: times[stage] for stage in STAGES},
        times["decoding"],
        decoding.last(len(times["decoding"].wall)) if decoding.modules else None,
        times.get("network"),
    )


def _convolutions(attraction_network: object) -> list[nn.Module]:
    """Return the convolutions of message passing."""
    return [
        module
        for module in (
            attraction_network.modules() if isinstance(attraction_network, nn.Module) else ()
        )
        # not those that mix channels at one location, as in attentive normalization
        if isinstance(module, nn.Conv2d)
        and (module.kernel_size != (1, 1) or module.bias is not None)
    ]

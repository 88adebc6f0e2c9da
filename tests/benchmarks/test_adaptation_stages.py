"""Which stages are timed and how they are summed up; nothing here says how long they may take."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poselib.benchmarks.adaptation_inputs import adapt_inputs
from poselib.benchmarks.adaptation_stages import (
    STAGES,
    AdaptationTimes,
    stage_works,
    time_adaptation,
)
from poselib.decoders.local_global import (
    LocalGlobalOptions,
    attraction_maps,
    decode_local_global,
)
from poselib.engine.timing import Timing
from poselib.models.attentive_norm import AttentiveNorm2d
from poselib.ops.keypoint_expansion import KeypointExpansion, expansion_rates
from poselib.skeletons import COCO

OPTIONS = LocalGlobalOptions(
    KeypointExpansion(expansion_rates(COCO.sigmas), local_window=5, global_window=21)
)
NAN = float("nan")


def timing(ms: float, gpu: float = NAN) -> Timing:
    return Timing((ms,), (2 * ms,), (gpu,))


@pytest.mark.parametrize(("people", "images"), [(0, 1), (3, 2), (14, 2)])
def test_stages_together_are_the_decoder(people: int, images: int) -> None:
    outputs = adapt_inputs(people, (128, 192), images=images, embedding=4)
    found = stage_works(outputs, OPTIONS)["rest"]()
    expected = decode_local_global(outputs, OPTIONS)
    assert isinstance(found, list)
    assert len(found) == len(expected) == images
    for one, other in zip(found, expected, strict=True):
        assert len(one) == people
        for name in ("keypoints", "scores", "person_scores"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_works_are_the_stages_in_their_order() -> None:
    outputs = adapt_inputs(2, (64, 96), embedding=4)
    works = stage_works(outputs, OPTIONS)
    assert tuple(works) == STAGES
    people, context = works["local_kems"]()  # type: ignore[misc]
    assert len(people) == 2 and context.shape == (2, 17 * 4, 5, 5)
    kernels = works["local_kams"]()
    assert torch.equal(kernels, attraction_maps(outputs, context))  # type: ignore[arg-type]
    assert len(works["rest"]()[0]) == 2  # type: ignore[index]


@pytest.mark.parametrize("options", [{"adapt": False}, {"prior": "expansion"}])
def test_other_ways_to_decode_have_no_such_stages(options: dict) -> None:
    outputs = adapt_inputs(1, (64, 96), embedding=4)
    with pytest.raises(ValueError, match="refinement with both priors"):
        stage_works(outputs, replace(OPTIONS, **options))


def test_everything_is_timed_as_often_as_asked_for() -> None:
    outputs, calls = adapt_inputs(2, (64, 96), embedding=4), []
    times = time_adaptation(outputs, OPTIONS, lambda: calls.append(1), repeats=3, warmup=1)
    assert len(calls) == 4
    assert tuple(times.stages) == STAGES
    every = [*times.stages.values(), times.decoding, times.convolutions, times.network]
    assert all(each is not None and len(each.wall) == 3 for each in every)
    alone = time_adaptation(outputs, OPTIONS, repeats=1)
    assert alone.network is None and "network_ms" not in alone.as_dict()


def test_convolutions_are_those_that_pass_messages_and_lie_within_decoding() -> None:
    outputs = adapt_inputs(3, (64, 96), embedding=4)
    assert isinstance(outputs.attraction_network, nn.Module)
    own = [m for m in outputs.attraction_network if isinstance(m, nn.Conv2d)]
    norm = next(m for m in outputs.attraction_network if isinstance(m, AttentiveNorm2d))
    convolutions = [m for m in outputs.attraction_network.modules() if isinstance(m, nn.Conv2d)]
    assert len(own) == 4 and len(convolutions) == 5  # and that of attentive normalization
    for module in convolutions:
        pause = 0.01 if module in own else 0.02 if module is norm.attn_weights.attention[0] else 0
        # within the convolution: hooks that were there before do not count
        convolve = module.forward

        def slowly(x: Tensor, convolve: Any = convolve, pause: float = pause) -> Tensor:
            time.sleep(pause)
            return convolve(x)

        module.forward = slowly  # type: ignore[method-assign]
    times = time_adaptation(outputs, OPTIONS, repeats=2, warmup=1)
    assert times.convolutions is not None and len(times.convolutions.wall) == 2
    for part, whole in zip(times.convolutions.wall, times.decoding.wall, strict=True):
        assert 40 <= part <= whole - 20
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in convolutions)


def test_a_function_has_no_convolutions() -> None:
    outputs = adapt_inputs(1, (64, 96), embedding=4)
    network = outputs.attraction_network
    times = time_adaptation(
        replace(outputs, attraction_network=lambda c: network(c)), OPTIONS, repeats=1
    )
    assert times.convolutions is None and times.overhead == 1


def test_overhead_is_what_is_no_convolution() -> None:
    stages = {stage: timing(ms) for stage, ms in zip(STAGES, (1, 12, 5, 2), strict=True)}
    decoding, within = (Timing(ms, (1.0,) * 3, (NAN,) * 3) for ms in ((20, 40, 80), (16, 20, 60)))
    times = AdaptationTimes(stages, decoding, within, timing(100))
    assert times.overhead == pytest.approx(0.25)  # the median of 0.2, 0.5 and 0.25
    told = times.as_dict()
    assert told["local_kams_ms"] == 12 and told["cpu_local_kams_ms"] == 24
    assert told["decoding_ms"] == 40 and told["network_ms"] == 100
    assert told["convolutions_ms"] == 20 and told["overhead"] == pytest.approx(0.25)


def test_its_own_clock_counts_on_a_gpu() -> None:
    stages = {stage: Timing((4.0,), (1.0,), (3.0,)) for stage in STAGES}
    times = AdaptationTimes(stages, timing(16, gpu=15.0), Timing((2.0,), (1.0,), (2.0,)))
    assert times.overhead == pytest.approx(1 - 2 / 15)

"""Which stages are timed and how they are summed up; nothing here says how long they may take."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poselib.benchmarks import adaptation_stages as stages
from poselib.benchmarks.adaptation_inputs import adapt_inputs
from poselib.benchmarks.adaptation_stages import STAGES, TimedWithin, stage_works, time_adaptation
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
CPU = torch.device("cpu")


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
    names = ("network", *STAGES, "decoding", "convolutions")
    every = [*(f"{name}_ms" for name in names), *(f"cpu_{name}_ms" for name in names)]
    assert list(times) == [*every, "overhead"]


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
    times = time_adaptation(outputs, OPTIONS, lambda: None, repeats=2, warmup=1)
    assert 40 <= times["convolutions_ms"] <= times["decoding_ms"] - 20
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in convolutions)


def fixed_times(gpu: float) -> dict[str, Timing]:
    """Times of three decodings of 20, 40 and 80 ms, with each stage of 12."""
    names = ("network", *STAGES, "decoding")
    wall = dict.fromkeys(names, (12.0,) * 3) | {"decoding": (20.0, 40.0, 80.0)}
    return {
        name: Timing(ms, tuple(2 * each for each in ms), (gpu,) * 3) for name, ms in wall.items()
    }


def test_overhead_is_what_is_no_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = adapt_inputs(1, (64, 96), embedding=4)
    within = Timing((16.0, 20.0, 60.0), (1.0,) * 3, (2.0,) * 3)
    monkeypatch.setattr(stages.TimedWithin, "last", lambda *_: within)
    monkeypatch.setattr(stages, "measure_all", lambda *_, **__: fixed_times(NAN))
    times = time_adaptation(outputs, OPTIONS, lambda: None)
    assert times["overhead"] == pytest.approx(0.25)  # the median of 0.2, 0.5 and 0.25
    assert times["local_kams_ms"] == 12 and times["cpu_local_kams_ms"] == 24
    assert times["decoding_ms"] == 40 and times["convolutions_ms"] == 20
    # its own clock counts on a GPU
    monkeypatch.setattr(stages, "measure_all", lambda *_, **__: fixed_times(15.0))
    assert time_adaptation(outputs, OPTIONS, lambda: None)["overhead"] == pytest.approx(1 - 2 / 15)


class Clock:
    """Stands in for the time of the system: passes when a module is called."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def perf_counter(self) -> float:
        return self.wall

    def process_time(self) -> float:
        return self.cpu


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stages, "time", clock)
    return clock


class Slow(nn.Module):
    """Takes so many seconds by the clock and twice as many of the processor."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, x: Tensor) -> Tensor:
        self.clock.wall += self.seconds
        self.clock.cpu += 2 * self.seconds
        return x


def test_calls_are_summed_up_in_each_call_of_the_work(clock: Clock) -> None:
    counted, other = Slow(clock, 1.0), Slow(clock, 100.0)
    times = count(1)

    def work() -> int:
        number = next(times)
        for _ in range(number):
            other(counted(torch.zeros(1)))
        return number

    timed = TimedWithin(work, [counted], CPU)
    assert [timed() for _ in range(4)] == [1, 2, 3, 4]
    last = timed.last(3)
    assert last.wall == (2000.0, 3000.0, 4000.0) and last.cpu == (4000.0, 6000.0, 8000.0)
    assert np.isnan(last.gpu).all() and len(last.gpu) == 3


def test_several_modules_count_together(clock: Clock) -> None:
    modules = [Slow(clock, 1.0), Slow(clock, 0.5), Slow(clock, 0.25)]
    timed = TimedWithin(lambda: [m(torch.zeros(1)) for m in modules], modules[:2], CPU)
    timed()
    assert timed.last(1).wall == (1500.0,)


def test_what_is_not_called_takes_no_time(clock: Clock) -> None:
    timed = TimedWithin(lambda: None, [Slow(clock, 1.0)], CPU)
    timed()
    assert timed.last(1).wall == (0.0,)


def test_modules_are_left_as_they_were(clock: Clock) -> None:
    module = Slow(clock, 1.0)

    def failing() -> None:
        module(torch.zeros(1))
        raise KeyboardInterrupt

    timed = TimedWithin(failing, [module], CPU)
    with pytest.raises(KeyboardInterrupt):
        timed()
    assert not module._forward_hooks and not module._forward_pre_hooks


def test_the_part_is_shorter_than_the_whole() -> None:
    layer, seen = nn.Linear(64, 64), list[float]()
    timed = TimedWithin(lambda: [layer(torch.zeros(8, 64)) for _ in range(50)], [layer], CPU)
    for _ in range(3):
        begin = stages.time.perf_counter()
        timed()
        seen.append(1e3 * (stages.time.perf_counter() - begin))
    parts = timed.last(3).wall
    assert all(0 < part < whole for part, whole in zip(parts, seen, strict=True))

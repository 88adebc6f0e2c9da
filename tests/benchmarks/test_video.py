"""Benchmarks of video: equal results, and how much faster than plain implementations."""

from __future__ import annotations

import pytest
import torch

from poselib.benchmarks import video
from poselib.benchmarks.run import growth_of_times, run_benchmarks

SIZE = (64, 64)


def test_everything_that_is_fast_does_what_the_plain_reference_does() -> None:
    each = [video.posetrack(4, seed=1), *video.clips_and_streams("hrnet_tiny", SIZE, 1, "cpu")]
    for benchmark in each:
        assert benchmark.baseline and benchmark.same
        assert benchmark.same(benchmark.fast(), benchmark.baseline()), benchmark.work
    names = [benchmark.work for benchmark in each[1:]]
    assert names == ["clip of 5 frames, hrnet_tiny, 64x64 px", "next frame, hrnet_tiny, 64x64 px"]


def test_other_results_are_noticed() -> None:
    for benchmark in video.clips_and_streams("hrnet_tiny", SIZE, 1, "cpu"):
        assert benchmark.baseline and benchmark.same
        assert not benchmark.same(benchmark.fast(), benchmark.baseline() + 1e-3), benchmark.work


@pytest.mark.slow
def test_posetrack_ap_takes_a_thirtieth_of_the_time_of_a_plain_implementation() -> None:
    table = run_benchmarks([video.posetrack(100, seed=0)], [("cpu", 1)], repeats=2)
    assert table["same"].all() and table["cpu_ratio"].item() > 30


@pytest.mark.slow
def test_a_late_frame_costs_what_an_early_one_does() -> None:
    early, late = video.length_of_streams("hrnet_tiny", SIZE, 0, "cpu", 20)
    assert early.fast.state.heatmaps.shape == late.fast.state.heatmaps.shape  # type: ignore[attr-defined]
    table = run_benchmarks([early, late], [("cpu", 1)], repeats=50)
    assert growth_of_times(table, early.work, late.work)["cpu_growth"].item() < 1.5


def test_parts_of_a_step_are_timed() -> None:
    each = video.parts_of_a_step("hrnet_tiny", SIZE, 0, "cpu", people=(1, 2))
    names = [benchmark.work for benchmark in each]
    assert names == ["relations of a frame", "next frame of 1 person", "next frame of 2 people"]
    assert [len(benchmark.fast()[0].heatmaps) for benchmark in each[1:]] == [1, 2]  # type: ignore[index]
    assert isinstance(each[0].fast()[0], torch.Tensor)  # type: ignore[index]

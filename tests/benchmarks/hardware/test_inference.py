from __future__ import annotations

import pytest
import torch

from poselib.benchmarks.hardware.bench import NETWORKS, Bench
from poselib.benchmarks.hardware.inference import (
    Streams,
    time_decoding,
    time_prediction,
    time_stream,
)
from poselib.benchmarks.hardware.setups import EAGER, FOLDED
from poselib.systems import SYSTEMS


def test_every_system_is_measured() -> None:
    assert set(NETWORKS) == set(SYSTEMS)


@pytest.mark.parametrize("name", ["hae", "jre"])
def test_a_prediction_is_the_network_and_then_all_of_it(bench: Bench, name: str) -> None:
    network, whole = time_prediction(bench, name, 2, FOLDED)
    assert (network["part"], whole["part"]) == ("network", "end to end")
    for row in (network, whole):
        assert (row["system"], row["batch"], row["setup"]) == (name, 2, FOLDED.name)
        assert row["images_per_second"] == pytest.approx(2000 / row["ms"], abs=0.01)
        assert 0 < row["ms"] <= row["p95_ms"] and row["first_s"] > 0


def test_decoding_is_of_the_people_it_says(bench: Bench) -> None:
    (row,) = time_decoding(bench, "dekr", 2, 3)
    assert row["people"] == 3 and row["ms"] > 0
    case = bench.case("dekr", 2)
    assert [len(poses) for poses in case.system.decode(case.outputs(3))] == [3, 3]


def test_streams_go_on_from_the_frame_before(bench: Bench) -> None:
    case = bench.case("rpstn", 1)
    clip, network = case.inputs(), case.system.model
    streams = Streams(case, EAGER)
    with torch.no_grad():
        expected = network(clip).heatmaps
        for frame in range(1, 3):
            found = streams.step(clip[:, frame])
            torch.testing.assert_close(found.heatmaps[0], expected[frame], rtol=1e-3, atol=1e-5)


def test_a_frame_of_streams_is_timed(bench: Bench) -> None:
    network, whole = time_stream(bench, 1, FOLDED)
    assert (network["part"], whole["part"]) == ("network", "end to end")
    assert whole["images_per_second"] == pytest.approx(1000 / whole["ms"], abs=0.01)

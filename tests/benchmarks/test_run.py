from __future__ import annotations

import pandas as pd
import pytest
import torch

from poselib.benchmarks import suite
from poselib.benchmarks.run import (
    Benchmark,
    decoding_ratios,
    growth_of_times,
    run_benchmarks,
    setting_name,
)
from poselib.systems import build


def examples() -> list[Benchmark]:
    return [
        Benchmark("count", "cpu", torch.get_num_threads, lambda: 2, lambda a, b: a == b),
        Benchmark("rest", "cpu", lambda: None),
    ]


def test_each_benchmark_has_a_row_for_each_setting() -> None:
    table = run_benchmarks(examples(), [("cpu", 1), ("cpu", 2)], repeats=2, warmup=0)
    assert list(table["work"]) == ["count", "rest"] * 2
    assert list(table["setting"]) == ["1 thread"] * 2 + ["2 threads"] * 2
    assert list(table["repeats"]) == [6, 2] * 2  # three calls of the fast one in each turn
    count, rest = table.iloc[0], table.iloc[1]
    assert count["ratio"] == pytest.approx(count["baseline_ms"] / count["ms"])
    if count["cpu_ms"]:
        assert count["cpu_ratio"] == pytest.approx(count["baseline_cpu_ms"] / count["cpu_ms"])
    assert pd.isna(rest[["baseline_ms", "ratio", "same"]]).all()


@pytest.mark.parametrize(("result", "same"), [(3, False), (4, True)])
def test_results_are_compared(result: int, same: bool) -> None:
    benchmark = Benchmark("sum", "cpu", lambda: 2 + 2, lambda: result, lambda a, b: a == b)
    assert run_benchmarks([benchmark], [("cpu", 1)])["same"].item() is same


def test_everything_that_is_fast_does_what_the_plain_reference_does() -> None:
    each = [
        *suite.decoding([2, 5], (96, 128), seed=1, device="cpu"),
        suite.loss(2, (64, 96), seed=1, device="cpu"),
        suite.targets((64, 96), seed=1),
        suite.average_precision(20, seed=1),
        suite.regression_network("hrnet_tiny", (64, 96), seed=1),
    ]
    pairs = [benchmark for benchmark in each if benchmark.baseline]
    assert len(pairs) == 6
    for benchmark in pairs:
        assert benchmark.same(benchmark.fast(), benchmark.baseline()), benchmark.work


@pytest.mark.slow
def test_an_exported_network_is_timed_beside_the_one_of_pytorch() -> None:
    shape = {"host": "hourglass", "stacks": 1, "features": 4, "depth": 1, "increase": 0}
    benchmark = suite.exported(build("hae", "coco", **shape), (16, 24), seed=1)
    assert benchmark.same(benchmark.fast(), benchmark.baseline())
    table = run_benchmarks([benchmark], [("cpu", 1), ("cpu", 2)], repeats=1)
    assert table["same"].all()
    assert table["work"][0].startswith("onnxruntime, network hae of 0.0 million weights, 16x24 px")


def test_what_has_no_reference_is_only_timed() -> None:
    each = suite.without_reference("hrnet_tiny", (64, 96), seed=1)
    table = run_benchmarks(each, [("cpu", 1)], repeats=1, warmup=0)
    assert list(table["work"]) == [
        "network hrnet_tiny, 64x96 px",
        "regression targets of an image",
        "render 50 scenes of 128 px",
    ]
    assert "ratio" not in table


def test_settings_are_named() -> None:
    names = [setting_name(*each) for each in (("cpu", 1), ("cpu", 8), ("cuda", 1))]
    assert names == ["1 thread", "8 threads", "GPU"]


def test_a_baseline_without_a_check_is_refused() -> None:
    with pytest.raises(ValueError, match="'sum' has a baseline: say when"):
        run_benchmarks([Benchmark("sum", "cpu", lambda: 4, lambda: 4)], [("cpu", 1)])


def test_a_setting_without_work_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no work is for \['cuda'\]; there is some for \['cpu'\]"):
        run_benchmarks(examples(), [("cuda", 1)])


def test_decodings_are_compared_by_people() -> None:
    times = {
        ("plain", "fixed order"): (100.0, 400.0),
        ("plain", "progressive"): (110.0, 380.0),
        ("poselib", "fixed order"): (4.0, 8.0),
        ("poselib", "progressive"): (5.0, 10.0),
    }
    lines = [
        {"by": by, "decoding": way, "people": people, "total": ms, "cpu_total": ms / 2}
        for (by, way), each in times.items()
        for people, ms in zip((10, 30), each, strict=True)
    ]
    found = decoding_ratios(pd.DataFrame(lines), 10)
    assert found.index.tolist() == [10, 30]
    assert found["speed-up, fixed order"].tolist() == [25, 50]
    assert found["speed-up, progressive"].tolist() == [22, 38]
    assert found["speed-up, progressive, CPU time"].tolist() == [22, 38]
    assert found["plain: progressive / fixed"].tolist() == [1.1, 0.95]
    assert found["poselib: progressive / fixed"].tolist() == [1.25, 1.25]
    assert found["poselib: growth from 10"].tolist() == [1, 2]


def timed_scenes() -> pd.DataFrame:
    rows = [
        {"work": "more", "setting": "2 threads", "ms": 12.0, "cpu_ms": 21.0},
        {"work": "less", "setting": "1 thread", "ms": 10.0, "cpu_ms": 9.0},
        {"work": "less", "setting": "2 threads", "ms": 8.0, "cpu_ms": 14.0},
        {"work": "more", "setting": "1 thread", "ms": 19.0, "cpu_ms": 18.0},
        {"work": "other", "setting": "1 thread", "ms": 1.0, "cpu_ms": 1.0},
    ]
    return pd.DataFrame(rows)


def test_growth_is_that_of_the_same_setting() -> None:
    found = growth_of_times(timed_scenes(), "less", "more")
    assert found["setting"].tolist() == ["1 thread", "2 threads"]
    assert found["growth"].tolist() == [1.9, 1.5]
    assert found["cpu_growth"].tolist() == [2.0, 1.5]
    assert found[["less_ms", "more_ms"]].to_numpy().tolist() == [[10, 19], [8, 12]]


@pytest.mark.parametrize(("less", "more"), [("less", "most"), ("least", "more"), ("other", "more")])
def test_growth_of_what_was_not_timed_together_is_refused(less: str, more: str) -> None:
    with pytest.raises(ValueError, match=f"'{less}' and '{more}' were not timed under the same"):
        growth_of_times(timed_scenes(), less, more)


def test_scenes_are_decoded_for_each_number_of_people() -> None:
    each, reads = suite.several_scenes([1, 3], (64, 96), seed=1, device="cpu")
    assert [benchmark.work for benchmark in (*each, *reads)] == [
        "decode 5 scenes of 1 person",
        "decode 5 scenes of 3 people",
        "read the maps of 5 scenes of 1 person",
        "read the maps of 5 scenes of 3 people",
    ]
    table = run_benchmarks([*each, *reads], [("cpu", 1)], repeats=1, warmup=0)
    assert (table["ratio"][2:] > 1).all() and table["same"][2:].all()

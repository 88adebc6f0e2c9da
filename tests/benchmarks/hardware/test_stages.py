from __future__ import annotations

from poselib.benchmarks.hardware.bench import Bench
from poselib.benchmarks.hardware.setups import EAGER, FOLDED
from poselib.benchmarks.hardware.stages import measure_accuracy, time_refinement


def test_refinement_is_timed_by_the_number_of_people(bench: Bench) -> None:
    rows = list(time_refinement(bench, [1, 2]))
    assert [row["people"] for row in rows] == [1, 2]
    assert all(row["ms"] > row["stages"]["convolutions_ms"] > 0 for row in rows)


def test_faster_setups_find_the_same_people(bench: Bench) -> None:
    (exact,), (fast,) = (list(measure_accuracy(bench, setup, 4)) for setup in (EAGER, FOLDED))
    assert exact["AP"] > 0.3 and abs(fast["AP"] - exact["AP"]) < 0.05

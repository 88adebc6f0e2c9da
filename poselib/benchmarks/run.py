"""Benchmarks: pieces of work beside a plain implementation, timed under several settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from poselib.engine.timing import Work, measure_all
from poselib.wording import counted

Setting = tuple[str, int]  # device and threads

_FAST_CALLS = 3  # in a turn with one of the baseline: shorter work needs more of them


@dataclass(frozen=True)
class Benchmark:
    """A piece of work with poselib's implementation and a plain one.

    Attributes:
        work: what is done, as a table shows it.
        device: where, ``"cpu"`` or ``"cuda"``.
        fast: poselib's implementation.
        baseline: the plain implementation; None where there is none.
        same: whether the results of both, in this order, agree.
    """

    work: str
    device: str
    fast: Work
    baseline: Work | None = None
    same: Callable[[Any, Any], bool] | None = None


def run_benchmarks(
    benchmarks: Sequence[Benchmark],
    settings: Sequence[Setting],
    *,
    repeats: int = 3,
    seconds: float = 0.0,
    warmup: int = 1,
) -> pd.DataFrame:
    """Time each piece of work under each setting of its device.

    Args:
        settings: devices and the threads that one operation may use there.
        repeats, seconds, warmup: of ``engine.timing.measure_all``.

    Returns:
        One row per benchmark and setting: ``work``, ``setting``, ``same``, the columns of
        ``Timing.as_dict``, the baseline's medians ``baseline_ms`` and ``baseline_cpu_ms``, and what
        multiple of poselib's they are, ``ratio`` and ``cpu_ratio``; NaN without a baseline.

    Raises:
        ValueError: a benchmark has a baseline and no ``same``, or none is for a setting's device.
    """
    for benchmark in benchmarks:
        if benchmark.baseline and not benchmark.same:
            raise ValueError(
                f"{benchmark.work!r} has a baseline: say when the results are the same"
            )
    devices = {benchmark.device for benchmark in benchmarks}
    if unknown := {device for device, _ in settings} - devices:
        raise ValueError(f"no work is for {sorted(unknown)}; there is some for {sorted(devices)}")
    rows = []
    for device, threads in settings:
        for benchmark in (each for each in benchmarks if each.device == device):
            row: dict[str, Any] = {"work": benchmark.work, "setting": setting_name(device, threads)}
            works = {"fast": benchmark.fast}
            if benchmark.baseline and benchmark.same:
                row["same"] = bool(benchmark.same(benchmark.fast(), benchmark.baseline()))
                works = {"baseline": benchmark.baseline, **works}
            calls = {"fast": _FAST_CALLS if len(works) > 1 else 1}
            times = measure_all(works, repeats, threads, device, warmup, seconds, calls)
            row |= times["fast"].as_dict()
            if baseline := times.get("baseline"):
                row |= {"baseline_ms": baseline.median, "baseline_cpu_ms": baseline.cpu_median}
            rows.append(row)
    table = pd.DataFrame(rows)
    if "baseline_ms" in table:
        # Without a ratio where the processor's clock did not tick.
        cpu = table["cpu_ms"].replace(0, np.nan)
        table = table.assign(
            ratio=table["baseline_ms"] / table["ms"], cpu_ratio=table["baseline_cpu_ms"] / cpu
        )
    return table


def setting_name(device: str, threads: int) -> str:
    """Return ``"1 thread"``, ``"2 threads"`` or ``"GPU"``."""
    if device != "cpu":
        return "GPU"
    return counted(threads, "thread")


def growth_of_times(table: pd.DataFrame, less: str, more: str) -> pd.DataFrame:
    """Compare the times of a smaller and a larger piece of work.

    Args:
        table: of ``run_benchmarks``.
        less, more: the smaller work and the larger one.

    Returns:
        One row per setting: ``setting``, ``less``, ``more``, ``less_ms``, ``more_ms``, ``growth``,
        of the medians, and ``cpu_growth``, of the processor's time.

    Raises:
        ValueError: a work is not in the table, or not under the same settings as the other.
    """
    rows = {work: table[table["work"] == work].set_index("setting") for work in (less, more)}
    if rows[less].empty or set(rows[less].index) != set(rows[more].index):
        raise ValueError(f"{less!r} and {more!r} were not timed under the same settings")
    small, large = rows[less], rows[more].loc[rows[less].index]
    return pd.DataFrame(
        {
            "less": less,
            "more": more,
            "less_ms": small["ms"],
            "more_ms": large["ms"],
            "growth": large["ms"] / small["ms"],
            "cpu_growth": large["cpu_ms"] / small["cpu_ms"],
        }
    ).reset_index()


def decoding_ratios(measured: pd.DataFrame, shown: int) -> pd.DataFrame:
    """Compare decodings: with plain loops, of progressive and fixed order, and with more people.

    Args:
        measured: one line for each ``by`` ("plain" or "poselib"), ``decoding`` ("fixed order" or
            "progressive") and number of ``people``, with ``total`` and ``cpu_total`` in ms.
        shown: the number of people that growth is counted from.

    Returns:
        One row per number of people: how many times faster poselib is (``speed-up``, of both
        orders and, of progressive decoding, in CPU time), what fraction of the time of a fixed
        order progressive decoding takes (``progressive / fixed``, of both implementations), and
        ``growth``.
    """
    total = measured.pivot(index="people", columns=["by", "decoding"], values="total")
    nearest = measured[measured["decoding"] == "progressive"]
    cpu = nearest.pivot(index="people", columns="by", values="cpu_total")
    plain, ours = total["plain"], total["poselib"]
    return pd.DataFrame(
        {
            "speed-up, fixed order": plain["fixed order"] / ours["fixed order"],
            "speed-up, progressive": plain["progressive"] / ours["progressive"],
            "speed-up, progressive, CPU time": cpu["plain"] / cpu["poselib"],
            "plain: progressive / fixed": plain["progressive"] / plain["fixed order"],
            "poselib: progressive / fixed": ours["progressive"] / ours["fixed order"],
            f"poselib: growth from {shown}": ours["progressive"] / ours.loc[shown, "progressive"],
        }
    )

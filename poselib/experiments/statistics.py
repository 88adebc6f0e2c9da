"""Statistics over seeds: means, deviations, and gains over a baseline with their intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from poselib.ops.intervals import direction, mean_interval
from poselib.wording import counted

# Factors by which columns are multiplied for display; all other metrics are shown in percent.
_FACTORS = {"offset_loss": 1e5, "ms": 1.0, "fps": 1.0}
_LABELS = ["row", "seed", "run", "decoding"]


def to_display(results: pd.DataFrame) -> pd.DataFrame:
    """Return results, one line per run, in the units of tables and figures.

    Metrics from 0 to 1 become percent, ``offset_loss`` units of 1e-5; all else stays.
    """
    metrics = results.drop(columns=_LABELS, errors="ignore")
    return results.assign(**{str(n): results[n] * _FACTORS.get(str(n), 100.0) for n in metrics})


def mean_and_spread(results: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return mean and standard deviation over seeds of each row's metrics, rows in their order.

    Args:
        results: one line per run, with a column ``row``; lines without a metric do not count.

    Returns:
        Columns ``row``, ``seeds``, and ``<metric>`` and ``<metric>_std`` for each metric. The
        deviation is the sample's (n - 1), NaN with fewer than two seeds.
    """
    numbers = results.reindex(columns=list(metrics)).astype(float)
    table = numbers.groupby(results["row"], sort=False).agg(["mean", "std"])
    table.columns = [f"{metric}{end}" for metric in metrics for end in ("", "_std")]
    seeds = numbers.notna().any(axis=1).groupby(results["row"], sort=False).sum()
    table.insert(0, "seeds", seeds)
    return table.reset_index()


def gains(results: pd.DataFrame, metrics: Sequence[str], baseline: str) -> pd.DataFrame:
    """Return each run's metrics minus those of the baseline's run with the same seed.

    Runs of one seed have the same initial weights and the same order of images, so much of
    what differs between seeds is not in the difference.

    Args:
        results: one line per row and seed.

    Raises:
        ValueError: the baseline is not among the rows, or a row has a seed twice.
    """
    if baseline not in set(results["row"]):
        raise ValueError(f"no row {baseline!r} among {sorted(set(results['row']))}")
    if results.duplicated(["row", "seed"]).any():
        raise ValueError("a row has more than one line for a seed")
    reference = results[results["row"] == baseline].set_index("seed")
    difference = results[["row", "seed"]].copy()
    for metric in metrics:
        difference[metric] = results[metric] - results["seed"].map(reference[metric])
    return difference


def summary(results: pd.DataFrame, metrics: Sequence[str], baseline: str) -> pd.DataFrame:
    """Return mean and deviation over seeds of each row and of its gain over the baseline.

    Returns:
        One line per row: ``row``, ``seeds``, and for each metric ``<metric>``, ``<metric>_std``,
        ``<metric>_gain``, ``<metric>_gain_std`` and the ends of the gain's 95% interval,
        ``<metric>_gain_low`` and ``<metric>_gain_high``, NaN with fewer than three seeds;
        arguments and errors are those of ``gains``.
    """
    more = gains(results, metrics, baseline)[list(metrics)].add_suffix("_gain")
    both = [name for metric in metrics for name in (metric, f"{metric}_gain")]
    # A seed that the baseline lacks has no gain.
    pairs = more.groupby(results["row"], sort=False).count().reset_index(drop=True)
    return with_intervals(mean_and_spread(results.assign(**more), both), pairs)


def with_intervals(table: pd.DataFrame, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a table of ``summary`` with the 95% interval of each gain behind its deviation.

    A table that was written without intervals gets them from its deviations and ``seeds``.

    Args:
        pairs: how many seeds each gain is of, if not ``seeds``; lines and names of ``table``.
    """
    done = table.copy()
    ends = [str(each) for each in table if str(each).endswith("_gain_std")]
    for name in [each.removesuffix("_std") for each in ends]:
        count = table["seeds"] if pairs is None else pairs[name]
        low, high = mean_interval(table[name], table[f"{name}_std"], count)
        done = done.drop(columns=[f"{name}_low", f"{name}_high"], errors="ignore")
        behind = list(done).index(f"{name}_std") + 1
        done.insert(behind, f"{name}_low", low)
        done.insert(behind + 1, f"{name}_high", high)
    return done


def summary_by(
    results: pd.DataFrame, by: str, metrics: Sequence[str], baseline: str
) -> pd.DataFrame:
    """Return ``summary`` of the lines with each value of a column, with that column in front."""
    groups = results.groupby(by, sort=False)
    parts = {value: summary(part, metrics, baseline) for value, part in groups}
    return pd.concat(parts, names=[by]).reset_index(by).reset_index(drop=True)


def side_by_side(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return a table to read: a line per metric, a column per row of ``summary``.

    A cell holds mean and deviation, and in brackets the gain over the baseline and its interval.
    """
    columns = {}
    for line in table.to_dict("records"):
        cells = []
        for metric in metrics:
            deviation = line[f"{metric}_std"]
            spread = "" if pd.isna(deviation) else f" ± {deviation:.1f}"
            gained = f" ({_gain(line, metric)})" if abs(line[f"{metric}_gain"]) > 0 else ""
            cells.append(f"{line[metric]:.1f}{spread}{gained}")
        columns[f"{line['row']}, {counted(line['seeds'], 'seed')}"] = cells
    return pd.DataFrame(columns, index=list(metrics))


def outcome(table: pd.DataFrame, baseline: str, metric: str = "AP", unit: str = "") -> str:
    """Summarize in one line what each row gained over the baseline, and whether by chance.

    ``more`` and ``less`` stand only where the 95% interval of the gain excludes zero, which takes
    three seeds or more; else the two are ``not told apart``.

    Args:
        table: of ``summary``, in units of display.
    """
    parts = []
    for line in table[table["row"] != baseline].to_dict("records"):
        verdict = direction(line[f"{metric}_gain_low"], line[f"{metric}_gain_high"])
        if verdict == "too few to tell":
            verdict = f"{counted(line['seeds'], 'seed')}, {verdict}"
        parts.append(f"{line['row']} {_gain(line, metric)} ({verdict})")
    return f"{metric}{unit} against {baseline}: {'; '.join(parts)}"


def _gain(line: Mapping[Hashable, Any], metric: str) -> str:
    """``+2.8 [+0.9, +4.7]``: a gain with its interval, if it has one."""
    gain, low, high = (line[f"{metric}_gain{end}"] for end in ("", "_low", "_high"))
    return f"{gain:+.1f}" + ("" if pd.isna(low) else f" [{low:+.1f}, {high:+.1f}]")

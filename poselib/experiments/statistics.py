"""Statistics over seeds: means, standard deviations and gains over a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

# Factors by which columns are multiplied for display; metrics from 0 to 1 are shown in per cent.
_PER_CENT = 100.0
_FACTORS: dict[str, float | None] = {"row": None, "seed": None, "run": None, "decoding": None}
_FACTORS |= {"offset_loss": 1e5, "ms": 1.0, "fps": 1.0}


def to_display(results: pd.DataFrame) -> pd.DataFrame:
    """Return results in the units of tables and figures.

    Args:
        results: one line per run: metrics from 0 to 1, and optionally ``offset_loss``, ``ms`` and
            ``fps``.

    Returns:
        The metrics in per cent, ``offset_loss`` in units of 1e-5, all else unchanged.
    """
    shown = results.copy()
    for name in results:
        factor = _FACTORS.get(str(name), _PER_CENT)
        if factor is not None:
            shown[name] = factor * results[name]
    return shown


def mean_and_spread(results: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return mean and standard deviation over seeds of each row's metrics, rows in their order.

    Args:
        results: one line per run, with a column ``row``; lines without a metric do not count.
        metrics: columns to average.

    Returns:
        Columns ``row``, ``seeds``, and ``<metric>`` and ``<metric>_std`` for each metric. The
        deviation is the sample's (n - 1), NaN with fewer than two seeds.
    """
    lines = []
    for row, part in results.groupby("row", sort=False):
        counted = part.reindex(columns=list(metrics)).astype(float)
        line: dict[str, Any] = {"row": row, "seeds": int(counted.notna().any(axis=1).sum())}
        for metric in metrics:
            line[metric] = counted[metric].mean()
            line[f"{metric}_std"] = counted[metric].std()
        lines.append(line)
    return pd.DataFrame(lines)


def gains(results: pd.DataFrame, metrics: Sequence[str], baseline: str) -> pd.DataFrame:
    """Return each run's metrics minus those of the baseline's run with the same seed.

    Runs of one seed have the same initial weights and the same order of images, so much of
    what differs between seeds is not in the difference.

    Args:
        results: one line per row and seed.
        metrics: columns to compare.
        baseline: the row to compare with.

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

    Args:
        results: one line per row and seed.
        metrics: columns to sum up.
        baseline: the row to compare with.

    Returns:
        One line per row: ``row``, ``seeds``, and for each metric ``<metric>``, ``<metric>_std``,
        ``<metric>_gain`` and ``<metric>_gain_std``; see ``gains``.
    """
    means = mean_and_spread(results, metrics)
    more = mean_and_spread(gains(results, metrics, baseline), metrics)
    for metric in metrics:
        means[f"{metric}_gain"] = more[metric]
        means[f"{metric}_gain_std"] = more[f"{metric}_std"]
    endings = ("", "_std", "_gain", "_gain_std")
    ordered = [f"{metric}{ending}" for metric in metrics for ending in endings]
    return means[["row", "seeds", *ordered]]


def summary_by(
    results: pd.DataFrame, by: str, metrics: Sequence[str], baseline: str
) -> pd.DataFrame:
    """Return ``summary`` of the lines with each value of a column, with that column in front."""
    parts = []
    for value, part in results.groupby(by, sort=False):
        table = summary(part, metrics, baseline)
        table.insert(0, by, value)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def side_by_side(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return a table to read: a line per metric, a column per row of ``summary``.

    A cell holds mean and deviation, and in brackets the gain over the baseline and its deviation.
    """
    columns = {}
    for _, line in table.iterrows():
        gained = [
            f" ({line[f'{metric}_gain']:+.1f}{_spread(line[f'{metric}_gain_std'])})"
            if abs(line[f"{metric}_gain"]) > 0
            else ""
            for metric in metrics
        ]
        columns[f"{line['row']}, {_seeds(line['seeds'])}"] = [
            f"{line[metric]:.1f}{_spread(line[f'{metric}_std'])}{gain}"
            for metric, gain in zip(metrics, gained, strict=True)
        ]
    return pd.DataFrame(columns, index=list(metrics))


def outcome(table: pd.DataFrame, baseline: str, metric: str = "AP", unit: str = "") -> str:
    """Summarize in one line what each row gained over the baseline, and whether by chance.

    A gain counts where its mean is larger than its standard deviation over three seeds or more.

    Args:
        table: of ``summary``, in units of display.
        baseline: its row.
        metric: whose gain.
        unit: what follows the metric's name.
    """
    parts = []
    for _, line in table[table["row"] != baseline].iterrows():
        gain, spread = line[f"{metric}_gain"], line[f"{metric}_gain_std"]
        if line["seeds"] < 3:
            verdict = f"{_seeds(line['seeds'])}, too few to tell"
        elif abs(gain) <= spread:
            verdict = "within the spread"
        else:
            verdict = "more" if gain > 0 else "less"
        parts.append(f"{line['row']} {gain:+.1f}{_spread(spread)} ({verdict})")
    return f"{metric}{unit} against {baseline}: {'; '.join(parts)}"


def _spread(deviation: float) -> str:
    return "" if pd.isna(deviation) else f" ± {deviation:.1f}"


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"

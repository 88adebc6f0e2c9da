"""Statistics over seeds: means, standard deviations and gains over a baseline."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from poselib.wording import counted

# Factors by which columns are multiplied for display; all other metrics are shown in per cent.
_FACTORS = {"offset_loss": 1e5, "ms": 1.0, "fps": 1.0}
_LABELS = ["row", "seed", "run", "decoding"]


def to_display(results: pd.DataFrame) -> pd.DataFrame:
    """Return results, one line per run, in the units of tables and figures.

    Metrics from 0 to 1 become per cent, ``offset_loss`` units of 1e-5; all else stays.
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
        ``<metric>_gain`` and ``<metric>_gain_std``; arguments and errors are those of ``gains``.
    """
    more = gains(results, metrics, baseline)[list(metrics)].add_suffix("_gain")
    both = [name for metric in metrics for name in (metric, f"{metric}_gain")]
    return mean_and_spread(results.assign(**more), both)


def summary_by(
    results: pd.DataFrame, by: str, metrics: Sequence[str], baseline: str
) -> pd.DataFrame:
    """Return ``summary`` of the lines with each value of a column, with that column in front."""
    groups = results.groupby(by, sort=False)
    parts = {value: summary(part, metrics, baseline) for value, part in groups}
    return pd.concat(parts, names=[by]).reset_index(by).reset_index(drop=True)


def side_by_side(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return a table to read: a line per metric, a column per row of ``summary``.

    A cell holds mean and deviation, and in brackets the gain over the baseline and its deviation.
    """
    columns = {}
    for line in table.to_dict("records"):
        cells = []
        for metric in metrics:
            gain, spread = line[f"{metric}_gain"], _spread(line[f"{metric}_gain_std"])
            gained = f" ({gain:+.1f}{spread})" if abs(gain) > 0 else ""
            cells.append(f"{line[metric]:.1f}{_spread(line[f'{metric}_std'])}{gained}")
        columns[f"{line['row']}, {_seeds(line['seeds'])}"] = cells
    return pd.DataFrame(columns, index=list(metrics))


def outcome(table: pd.DataFrame, baseline: str, metric: str = "AP", unit: str = "") -> str:
    """Summarize in one line what each row gained over the baseline, and whether by chance.

    A gain counts where its mean is larger than its standard deviation over three seeds or more.

    Args:
        table: of ``summary``, in units of display.
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
    return counted(count, "seed")

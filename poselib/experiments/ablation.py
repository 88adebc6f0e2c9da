"""Trained runs of a sweep, decoded and measured alike, for the tables of an ablation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch

from poselib.analysis.compare import evaluate_variants
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.evaluate import LabeledImages
from poselib.engine.predict import PredictOptions
from poselib.engine.variants import Variant
from poselib.experiments.sweep import PlannedRun, mean_and_spread
from poselib.systems import OptionValue


def trained_file(run: PlannedRun, runs_dir: Path | str) -> Path:
    """Return the trained system of a finished run.

    Raises:
        FileNotFoundError: the run is not finished, or its folder holds no trained system or
            several.
    """
    folder = Path(runs_dir) / run.run_id
    if run.record(runs_dir) is None:
        raise FileNotFoundError(f"run {folder} is not finished")
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise FileNotFoundError(f"{folder} holds {len(files)} .safetensors files, expected one")
    return files[0]


def measure_runs(
    runs: Sequence[PlannedRun],
    runs_dir: Path | str,
    dataset: LabeledImages,
    options: PredictOptions,
    decodings: Mapping[str, Mapping[str, OptionValue]],
    *,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """Measure every finished run of a sweep with ``evaluate_variants`` and its errors.

    Returns:
        One line a finished run and way, with ``row``, ``seed`` and ``run`` in front.

    Raises:
        FileNotFoundError: no run is finished, or one has no trained system.
    """
    variants = [Variant(name, changes) for name, changes in decodings.items()]
    parts = []
    for run in runs:
        if run.record(runs_dir) is None:
            continue
        system = load_checkpoint(trained_file(run, runs_dir)).system
        results = evaluate_variants(system, dataset, variants, options, errors=True, device=device)
        table = results.table.rename_axis("decoding").reset_index()
        table.insert(0, "row", run.row)
        table.insert(1, "seed", run.seed)
        table.insert(2, "run", run.run_id)
        parts.append(table)
    if not parts:
        raise FileNotFoundError(
            f"none of the {len(runs)} runs of {sorted({run.sweep for run in runs})} is finished in "
            f"{runs_dir}; python -m poselib.experiments.run_sweep makes them"
        )
    return pd.concat(parts, ignore_index=True)


def missing_runs(runs: Sequence[PlannedRun], runs_dir: Path | str) -> pd.DataFrame:
    """Return ``row``, ``seed`` and ``run`` of what is planned but not finished."""
    absent = [run for run in runs if run.record(runs_dir) is None]
    return pd.DataFrame(
        [(run.row, run.seed, run.run_id) for run in absent], columns=["row", "seed", "run"]
    )


def gains(results: pd.DataFrame, metrics: Sequence[str], baseline: str) -> pd.DataFrame:
    """Return each run's metrics minus those of the baseline's run with the same seed.

    Runs of one seed have the same first weights and the same order of images, so much of
    what differs between seeds is not in the difference.

    Args:
        results: one line a row and seed.
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
    """Return mean and deviation over seeds of each row and of what it gains over the baseline.

    Args:
        results: one line a row and seed.
        metrics: columns to sum up.
        baseline: the row to compare with.

    Returns:
        One line a row: ``row``, ``seeds``, and for each metric ``<metric>``, ``<metric>_std``,
        ``<metric>_gain`` and ``<metric>_gain_std``; see ``gains``.
    """
    means = mean_and_spread(results, metrics)
    more = mean_and_spread(gains(results, metrics, baseline), metrics)
    for metric in metrics:
        means[f"{metric}_gain"] = more[metric]
        means[f"{metric}_gain_std"] = more[f"{metric}_std"]
    ordered = [
        f"{metric}{ending}" for metric in metrics for ending in ("", "_std", "_gain", "_gain_std")
    ]
    return means[["row", "seeds", *ordered]]


def side_by_side(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return a table to read: a line a metric, a column a row of ``summary``.

    A cell says mean and deviation, and in brackets the gain over the baseline and its deviation.
    """
    columns = {}
    for _, line in table.iterrows():
        gains = [
            f" ({line[f'{metric}_gain']:+.1f}{_spread(line[f'{metric}_gain_std'])})"
            if abs(line[f"{metric}_gain"]) > 0
            else ""
            for metric in metrics
        ]
        seeds = f"{line['seeds']} seed" + ("s" if line["seeds"] != 1 else "")
        columns[f"{line['row']}, {seeds}"] = [
            f"{line[metric]:.1f}{_spread(line[f'{metric}_std'])}{gain}"
            for metric, gain in zip(metrics, gains, strict=True)
        ]
    return pd.DataFrame(columns, index=list(metrics))


def _spread(deviation: float) -> str:
    return "" if pd.isna(deviation) else f" ± {deviation:.1f}"


def outcome(table: pd.DataFrame, baseline: str, metric: str = "AP", unit: str = "") -> str:
    """Say in one line what each row gained over the baseline, and whether more than by chance.

    A gain is called one where its mean is larger than its standard deviation over three seeds
    or more.

    Args:
        table: of ``summary``.
        baseline: its row.
        metric: which gain to tell.
        unit: what stands behind the metric's name.
    """
    parts = []
    for _, line in table[table["row"] != baseline].iterrows():
        gain, spread = line[f"{metric}_gain"], line[f"{metric}_gain_std"]
        if line["seeds"] < 3:
            verdict = f"{line['seeds']} seeds, too few to tell"
        elif abs(gain) <= spread:
            verdict = "within the spread"
        else:
            verdict = "more" if gain > 0 else "less"
        parts.append(f"{line['row']} {gain:+.1f}{_spread(spread)} ({verdict})")
    return f"{metric}{unit} against {baseline}: {'; '.join(parts)}"

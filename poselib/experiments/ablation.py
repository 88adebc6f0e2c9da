"""Trained runs of a sweep, decoded and measured alike, for the tables of an ablation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch

from poselib.analysis.association_errors import association_errors
from poselib.analysis.inspect_image import with_switches
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.evaluate import LabeledImages, score
from poselib.engine.predict import PredictOptions, predict_variants
from poselib.experiments.sweep import PlannedRun, mean_and_spread
from poselib.metrics.localization_errors import classify_localization, error_shares
from poselib.structures import Poses
from poselib.systems import Switch, System

# What the tables show besides average precision: from ``association_errors``, in shares of what is
# labeled or detected, and from ``error_shares``, in shares of the keypoints of people found.
ERRORS = ("association_error", "swap_rate", "miss_rate")
LOCALIZATION = ("good", "jitter", "miss", "inversion", "swap")


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


def measure_variants(
    system: System,
    dataset: LabeledImages,
    options: PredictOptions,
    decodings: Mapping[str, Mapping[str, Switch]],
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Measure one network under several ways of decoding; it looks at each image once.

    Args:
        system: trained.
        dataset: labeled images of its skeleton.
        options: how images are presented.
        decodings: the switches of each way, by its name.
        device: where the network runs; where its weights are if not given.
        progress: show a bar.

    Returns:
        One line a way: ``decoding``, the fields of ``APResult``, and over all keypoints the rates
        ``ERRORS`` and the shares ``LOCALIZATION``, from 0 to 1. The rates are counted without the
        refinement that a system of groups may have, which would fill the gaps that a grouping
        leaves with copies of other people's keypoints.

    Raises:
        ValueError: nobody is annotated; before anything is predicted.
    """
    dataset.ground_truth()  # refused before the network looks at all images
    ways = [with_switches(system, **switches) for switches in decodings.values()]
    bare = [with_switches(way, refine=False) for way in ways if "refine" in way.switches]
    poses = predict_variants([*ways, *bare], dataset, options, device=device, progress=progress)
    whole, grouped = poses[: len(ways)], poses[-len(ways) :]
    return pd.DataFrame(
        {"decoding": name, **_measured(system, dataset, found, before)}
        for name, found, before in zip(decodings, whole, grouped, strict=True)
    )


def _measured(
    system: System, dataset: LabeledImages, found: list[Poses], grouped: list[Poses]
) -> dict[str, float]:
    """Return what ``measure_variants`` returns of poses and of the groups before refinement."""
    scored = score(system, dataset, found)
    judged = classify_localization(dataset.ground_truth(), scored.results, system.skeleton)
    rates = association_errors(dataset, grouped, system.skeleton).loc["all", list(ERRORS)]
    shares = error_shares(judged).loc["all", list(LOCALIZATION)] / 100
    return {
        **scored.ap.as_dict(),
        **dict(zip(ERRORS, rates.to_numpy(float), strict=True)),
        **dict(zip(LOCALIZATION, shares.to_numpy(float), strict=True)),
    }


def measure_runs(
    runs: Sequence[PlannedRun],
    runs_dir: Path | str,
    dataset: LabeledImages,
    options: PredictOptions,
    decodings: Mapping[str, Mapping[str, Switch]],
    *,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """Measure every finished run of a sweep with ``measure_variants``.

    Returns:
        One line a finished run and way, with ``row``, ``seed`` and ``run`` in front.

    Raises:
        FileNotFoundError: no run is finished, or one has no trained system.
    """
    parts = []
    for run in runs:
        if run.record(runs_dir) is None:
            continue
        system = load_checkpoint(trained_file(run, runs_dir)).system
        table = measure_variants(system, dataset, options, decodings, device=device)
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

"""Measure the gain of matching regressed keypoints to heatmap peaks (DEKR, Table 6).

``poselib.decoders.peak_matching`` moves the keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pandas as pd
import torch

from poselib.analysis.compare import evaluate_variants
from poselib.engine.evaluate import LabeledImages
from poselib.engine.inference import PredictOptions
from poselib.engine.variants import Variant
from poselib.experiments.statistics import gains, outcome
from poselib.papers.published import published_table
from poselib.systems import System

DIRECT, MATCHED = "direct", "matched"
ONE, SEVERAL = "one scale", "several scales"

# Matched numbers of Table 6, and which table has those of direct regression on the same images.
_TABLES = {
    "AP_coco_val": ("COCO val2017", "2"),
    "AP_coco_testdev": ("COCO test-dev2017", "4"),
    "AP_crowdpose_test": ("CrowdPose test", "7"),
}
_NETWORKS = ("HRNet-W32", "HRNet-W48")


def published_matching() -> pd.DataFrame:
    """Return the published AP of direct and of matched regression, in percent.

    Returns:
        One row per dataset, network and number of scales: ``data``, ``network``, ``scales``,
        ``direct`` (Tables 2, 4 and 7), ``matched`` (Table 6) and ``gain``.
    """
    matched_table, rows = published_table("dekr", "6"), []
    for metric, (data, table) in _TABLES.items():
        plain = published_table("dekr", table)["AP"]
        for scales, ending in ((ONE, ""), (SEVERAL, ", multi-scale")):
            for network in _NETWORKS:
                direct = plain[f"DEKR, {network}{ending}"]
                matched = matched_table.loc[f"{network}{ending}", metric]
                gain = round(matched - direct, 1)
                rows.append((data, network, scales, direct, matched, gain))
    return pd.DataFrame(rows, columns=["data", "network", "scales", DIRECT, MATCHED, "gain"])


def read_scales(text: str) -> tuple[float, ...]:
    """Read the scales of multi-scale testing, such as ``"0.5 1 2"``.

    Raises:
        ValueError: one is not a positive number or comes twice, 1 is not among them, or no other.
    """
    try:
        scales = tuple(float(word) for word in text.split())
        PredictOptions(scales=scales)
    except ValueError as error:
        raise ValueError(f"scales {text!r}: {error}") from error
    if len(scales) < 2 or len(set(scales)) < len(scales):
        raise ValueError(f"scales {text!r}: expected 1 and other numbers, none of them twice")
    return scales


def measure_matching(
    systems: Sequence[System],
    dataset: LabeledImages,
    options: PredictOptions,
    scales: Sequence[float],
    distance: float,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Evaluate systems with keypoints as regressed and as matched to heatmap peaks.

    Args:
        systems: regress poses; one per seed.
        options: how images are presented; its scales are not used.
        scales: of multi-scale testing; 1 is among them.
        distance: see ``match_distance_for``.

    Returns:
        One row per system, scales and decoding: ``seed``, the index of the system; ``scales``,
        ``"one scale"`` or ``"several scales"``; ``row``, ``"direct"`` or ``"matched"``; and the
        table of ``evaluate_variants`` with its errors, from 0 to 1.

    Raises:
        ValueError: a system does not regress poses, or as ``evaluate_variants``.
    """
    factors = {ONE: (1.0,), SEVERAL: tuple(scales)}
    cases = pd.DataFrame(product(factors, (DIRECT, MATCHED)), columns=["scales", "row"])
    variants = [
        Variant(
            f"{name}, {row}",
            {"match": row == MATCHED, "match_distance": distance},
            scales=factors[name],
        )
        for name, row in cases.itertuples(index=False)
    ]
    tables = []
    for seed, system in enumerate(systems):
        if "match" not in system.options:
            raise ValueError(f"system {system.name!r} does not regress keypoints to be matched")
        results = evaluate_variants(
            system, dataset, variants, options, errors=True, device=device, progress=progress
        )
        tables.append(cases.assign(seed=seed).join(results.table.reset_index(drop=True)))
    return pd.concat(tables, ignore_index=True)


def matching_gains(results: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the gain of matching for each seed; ``row`` is the number of scales."""
    parts = [
        gains(part, metrics, DIRECT).query("row == @MATCHED").assign(row=name)
        for name, part in results.groupby("scales", sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


def matching_table(table: pd.DataFrame, measured_on: str) -> pd.DataFrame:
    """Return published and measured numbers in one table, in different columns.

    Args:
        table: from ``summary_by`` of the scales.

    Returns:
        Rows of ``published_matching``, with ``published_on`` for ``data`` and ``published_``
        before the names of its AP, and those of ``table`` with ``measured_on``.
    """
    names = {name: f"published_AP_{name}" for name in (DIRECT, MATCHED, "gain")}
    published = published_matching().rename(columns={"data": "published_on", **names})
    return pd.concat([published, table.assign(measured_on=measured_on)], ignore_index=True)


def summarize_matching(table: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Summarize in one line the gains of matching and whether their intervals exclude zero.

    Args:
        table: from ``summary_by`` of the scales, in percent; AP is among its metrics.
        metrics: whose gains to report, as in ``outcome``.
    """
    direct = table[table["row"] == DIRECT]
    begin = [f"{line['AP']:.1f} at {line['scales']}" for _, line in direct.iterrows()]
    cases = table.assign(row=table["row"].where(table["row"] == DIRECT, table["scales"]))
    parts = [f"matched {outcome(cases, DIRECT, metric, ' in %')}" for metric in metrics]
    return "; ".join([f"direct AP {', '.join(begin)}", *parts])

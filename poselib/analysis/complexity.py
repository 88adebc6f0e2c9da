"""Count the parameters and operations of a paper's networks, beside its published numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch

from poselib.engine.complexity import Complexity, complexity
from poselib.papers.paper import CountedNetwork
from poselib.papers.published import published_table
from poselib.skeletons import Skeleton
from poselib.systems import build

ALL = "all"
# Parts of HRNet and its heads for regression, by the attributes of the network.
PARTS = {
    "stem, stage 1": ("conv1", "bn1", "conv2", "bn2", "layer1"),
    "stage 2": ("transition1", "stage2"),
    "stage 3": ("transition2", "stage3"),
    "stage 4": ("transition3", "stage4"),
    "GRM": ("relation",),
    "heatmap head": ("transition_heatmap", "head_heatmap"),
    "regression head": ("transition_offset", "head_offset"),
}
# How published tables name the metrics of a part.
_PREFIX = {ALL: "", "regression head": "head_"}
_METRICS = ("params_m", "gmac")


def count(network: CountedNetwork, skeleton: Skeleton) -> Complexity:
    """Count a network for the keypoints of a skeleton; it is built without weights.

    Raises:
        ValueError: as ``poselib.systems.build`` and ``engine.complexity.complexity``.
    """
    with torch.device("meta"):
        system = build(network.system, skeleton, **network.options)
    return complexity(system, network.size)


def count_networks(networks: Sequence[CountedNetwork], skeleton: Skeleton) -> pd.DataFrame:
    """Count networks and their parts, and put the published numbers beside them.

    Returns:
        One row per network and part: ``table``, ``row``, ``size`` (px) and ``part``, ``"all"`` or
        a key of ``PARTS``, without parts that a network lacks; ``params_m``, millions of
        parameters; ``gmac``, 10^9 multiply-accumulates of the layers in the order of the paper,
        and ``gmac_run``, as they run here; ``published_params_m`` and ``published_gmac``;
        ``same_params_m`` and ``same_gmac``, whether the counted numbers round to the published
        ones. Missing where not known.

    Raises:
        ValueError: as ``count``, or the published table or row does not exist.
    """
    rows = []
    for network in networks:
        costs = {}
        if network.system:
            counted = count(network, skeleton)
            costs = {ALL: counted.as_dict()}
            for part, names in PARTS.items():
                if own := [name for name in names if name in counted.by_part]:
                    costs[part] = counted.of(*own).as_dict()
        for part in costs or (ALL,):
            numbers = costs.get(part, {}) | _published(network, part)
            place = {"table": network.table, "row": network.row, "size": network.size}
            rows.append({**place, "part": part, **numbers})
    columns = ["table", "row", "size", "part", *_METRICS, "gmac_run"]
    columns += [f"published_{metric}" for metric in _METRICS]
    table = pd.DataFrame(rows).reindex(columns=columns)
    digits = table["table"].map({network.table: network.digits for network in networks})
    for metric in _METRICS:
        ours, theirs = table[metric], table[f"published_{metric}"]
        apart = (ours.combine(digits, round) - theirs).abs()
        same = (apart < 0.1**digits / 2).astype("boolean")
        table[f"same_{metric}"] = same.mask(ours.isna() | theirs.isna())
    return table


def published_and_counted(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the published and the counted numbers of one table as the paper arranges them.

    Args:
        table: rows of ``count_networks`` of one ``table``.

    Returns:
        Two tables with one row per network and columns such as ``"head, M"`` (millions of
        parameters of the regression head), ``"all, GMAC"`` and ``"run, GMAC"``, for
        ``plots.tables.show_comparison``.
    """
    names = table["row"]
    if table["size"].nunique() > 1:
        names = table["row"] + ", " + table["size"].astype(str) + " px"
    published, counted = {}, {}
    for part, prefix in (("regression head", "head"), (ALL, "all")):
        rows = table.set_index(names)[(table["part"] == part).to_numpy()]
        if part == ALL or rows["published_gmac"].notna().any():
            for metric, unit in zip(_METRICS, ("M", "GMAC"), strict=True):
                published[f"{prefix}, {unit}"] = rows[f"published_{metric}"]
                counted[f"{prefix}, {unit}"] = rows[metric]
    whole = table.set_index(names)[(table["part"] == ALL).to_numpy()]
    counted["run, GMAC"] = whole["gmac_run"]
    order = whole.index
    return pd.DataFrame(published).reindex(order), pd.DataFrame(counted).reindex(order)


def part_panels(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the operations and the parameters of each part, for ``plots.bars.show_parts``.

    Returns:
        Two tables for each ``table``, by heading, with one row per network and one column per
        part; 0 where a network lacks a part.
    """
    panels = {}
    for name, rows in table[table["part"] != ALL].groupby("table", sort=False):
        for metric, unit in (("gmac", "GMAC"), ("params_m", "million parameters")):
            wide = rows.pivot(index="row", columns="part", values=metric).fillna(0.0)
            panels[f"{name}: {unit}"] = wide.reindex(
                index=rows["row"].unique(), columns=list(PARTS), fill_value=0.0
            )
    return panels


def summarize_complexity(table: pd.DataFrame) -> str:
    """Summarize ``count_networks`` in one line: what equals the published, and the change by row.

    Returns:
        For each table how many counted numbers equal the published ones and which do not, and the
        change of parameters and operations from its first row to its last.
    """
    sentences = []
    for name, rows in table.groupby("table", sort=False):
        known, other = 0, []
        for metric in _METRICS:
            compared = rows.dropna(subset=[f"same_{metric}"])
            known += len(compared)
            wrong = compared[~compared[f"same_{metric}"].astype(bool)]
            other += [
                f"{line['row']} {metric} {line[metric]:.1f}, "
                f"published {line[f'published_{metric}']:g}"
                for line in wrong.to_dict("records")
            ]
        unequal = f" ({'; '.join(other)})" if other else ""
        sentence = f"{name}: {known - len(other)} of {known} numbers equal the published{unequal}"
        built = rows.dropna(subset=["gmac"])
        first, last = built["row"].iloc[0], built["row"].iloc[-1]
        sentences.append(f"{sentence}; from {first} to {last} {_changes(built, first, last)}")
    return ". ".join(sentences)


def _published(network: CountedNetwork, part: str) -> dict[str, float]:
    if network.published is None or part not in _PREFIX:
        return {}
    paper, number, row = network.published
    published = published_table(paper, number)
    if row not in published.index:
        raise ValueError(f"table {number} of {paper!r} has no row {row!r}")
    line = published.loc[row].to_dict()
    names = {metric: f"{_PREFIX[part]}{metric}" for metric in _METRICS}
    return {f"published_{k}": float(line[v]) for k, v in names.items() if v in line}


def _changes(rows: pd.DataFrame, first: str, last: str) -> str:
    numbers = rows.set_index(["part", "row"])
    changes = []
    for part in (ALL, "regression head"):
        if {(part, first), (part, last)} <= set(numbers.index):
            change = numbers.loc[(part, last), list(_METRICS)]
            change = change / numbers.loc[(part, first), list(_METRICS)] - 1
            changes.append(
                f"{part} {change['params_m']:+.0%} parameters and {change['gmac']:+.0%} operations"
            )
    return ", ".join(changes)

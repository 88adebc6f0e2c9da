"""Count the parameters and operations of a paper's networks, beside its published numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from poselib.engine.complexity import CallCount, Complexity, complexity, count_by_calls
from poselib.papers.paper import CountedNetwork, Paper
from poselib.papers.published import published_table
from poselib.skeletons import Skeleton, get_skeleton
from poselib.systems import System, build

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
_WHOLE = "stage4"  # of networks that have these parts
# How published tables name the metrics of a part.
_PREFIX = {ALL: "", "regression head": "head_"}
_METRICS = ("params_m", "gmac")
# Of papers that count each call of a module; see ``engine.complexity.count_by_calls``.
_BY_CALLS = ("params_mi", "gmac_gi")
_UNITS = {"params_m": "M", "gmac": "GMAC", "params_mi": "Mi", "gmac_gi": "GiMAC"}


def counted_networks(paper: Paper, tables: int | None = None) -> tuple[CountedNetwork, ...]:
    """Return the networks of a paper whose costs are counted.

    Args:
        tables: of how many tables, from the first on; by default of all.

    Raises:
        ValueError: the paper has none.
    """
    if not paper.networks:
        raise ValueError(f"paper {paper.name!r} has no networks whose costs are counted")
    first = list(dict.fromkeys(network.table for network in paper.networks))[:tables]
    return tuple(network for network in paper.networks if network.table in first)


def count(network: CountedNetwork, skeleton: Skeleton) -> Complexity:
    """Count a network, or its part, for the keypoints of a skeleton; it is built without weights.

    Raises:
        ValueError: as ``poselib.systems.build`` and ``engine.complexity.complexity``.
    """
    system = _built(network, skeleton)
    size = system.crop or network.size
    whole = complexity(system, size, network.frames if system.clips else None)
    if not network.part:
        return whole
    part = whole.of(network.part)
    return Complexity(part.params, part.macs, part.macs_as_published, {})


def count_calls(network: CountedNetwork, skeleton: Skeleton) -> CallCount:
    """Count the modules of a network once for each call, those of a clip frame by frame.

    Raises:
        ValueError: as ``poselib.systems.build``.
    """
    system = _built(network, skeleton)
    height, width = system.crop or (network.size, network.size)

    def run(model: Any) -> None:
        image = torch.zeros(1, 3, height, width, device="meta")
        if not system.clips:
            model(image)
            return
        _, state = model.start(image)
        for _ in range(network.frames - 1):
            _, state = model.step(image, state)

    return count_by_calls(system.model, run, network.part)


def count_networks(
    networks: Sequence[CountedNetwork], skeleton: Skeleton | None = None
) -> pd.DataFrame:
    """Count networks and their parts, and put the published numbers beside them.

    Args:
        skeleton: whose keypoints the networks have; by default those of the published numbers.

    Returns:
        One row per network and part: ``table``, ``row``, ``size`` (px), ``frames`` and ``part``,
        ``"all"`` or a key of ``PARTS``, without parts that a network lacks; ``params_m``, millions
        of parameters; ``gmac``, 10^9 multiply-accumulates of the layers in the order of the paper,
        and ``gmac_run``, as they run here; where the paper counts calls, ``params_mi`` and
        ``gmac_gi``, see ``count_calls``; of each but ``gmac_run`` the number with ``published_``
        before its name, and with ``same_`` whether the counted one is the same. Missing where it is
        not known.

    Raises:
        ValueError: as ``count``, or the published table or row does not exist.
    """
    rows = []
    for network in networks:
        costs = {}
        published = {part: _published(network, part) for part in (ALL, *PARTS)}
        if network.system:
            keypoints = skeleton or get_skeleton(network.skeleton)
            counted = count(network, keypoints)
            costs = {ALL: counted.as_dict()}
            if any(f"published_{metric}" in published[ALL] for metric in _BY_CALLS):
                costs[ALL] |= count_calls(network, keypoints).as_dict()
            for part, names in PARTS.items() if _WHOLE in counted.by_part else ():
                if own := [name for name in names if name in counted.by_part]:
                    costs[part] = counted.of(*own).as_dict()
        for part in costs or (ALL,):
            numbers = costs.get(part, {}) | published[part]
            place = {"table": network.table, "row": network.row, "size": network.size}
            rows.append({**place, "frames": network.frames, "part": part, **numbers})
    metrics = [*_METRICS, *(name for name in _BY_CALLS if any(name in row for row in rows))]
    columns = ["table", "row", "size", "frames", "part", *_METRICS, "gmac_run", *metrics[2:]]
    table = pd.DataFrame(rows)
    table = table.reindex(columns=[*columns, *(f"published_{metric}" for metric in metrics)])
    digits = table["table"].map({network.table: network.digits for network in networks})
    tolerances = {n.table: n.tolerance for n in networks if n.tolerance is not None}
    tolerance = table["table"].map(tolerances).astype(float)
    for metric in metrics:
        ours, theirs = table[metric], table[f"published_{metric}"]
        rounds = (ours.combine(digits, round) - theirs).abs() < 0.1**digits / 2
        same = rounds.where(tolerance.isna(), (ours - theirs).abs() <= tolerance).astype("boolean")
        table[f"same_{metric}"] = same.mask(ours.isna() | theirs.isna())
    return table


def has_published(table: pd.DataFrame) -> bool:
    """Return whether a paper prints numbers of more than one network of ``count_networks``."""
    return any(table[name].count() > 1 for name in table if str(name).startswith("published_"))


def published_and_counted(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the published and the counted numbers of one table as the paper arranges them.

    Args:
        table: rows of ``count_networks`` of one ``table``.

    Returns:
        Two tables with one row per network and columns such as ``"head, M"`` (millions of
        parameters of the regression head), ``"all, GMAC"`` and ``"run, GMAC"``, for
        ``plots.tables.show_comparison``. Of papers that count calls they are ``"all, Mi"`` and
        ``"all, GiMAC"``, in units of 2^20 and 2^30, beside ``"true, M"`` and ``"run, GMAC"``.
    """
    names = table["row"]
    if table["size"].nunique() > 1:
        names = table["row"] + ", " + table["size"].astype(str) + " px"
    calls = any(table[f"published_{name}"].notna().any() for name in _BY_CALLS if name in table)
    published, counted = {}, {}
    for part, prefix in (("regression head", "head"), (ALL, "all")):
        rows = table.set_index(names)[(table["part"] == part).to_numpy()]
        if part == ALL or rows["published_gmac"].notna().any():
            for metric in _BY_CALLS if calls else _METRICS:
                column = f"{prefix}, {_UNITS[metric]}"
                published[column] = rows[f"published_{metric}"]
                counted[column] = rows[metric]
    whole = table.set_index(names)[(table["part"] == ALL).to_numpy()]
    if calls:
        counted["true, M"] = whole["params_m"]
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
        for metric in _UNITS:
            if metric not in rows:
                continue
            compared = rows.dropna(subset=[f"same_{metric}"])
            known += len(compared)
            wrong = compared[~compared[f"same_{metric}"].astype(bool)]
            for line in wrong.to_dict("records"):
                printed = f"{line[f'published_{metric}']:g}"
                ours = f"{line[metric]:.{max(1, len(printed.partition('.')[2]))}f}"
                other.append(f"{line['row']} {metric} {ours}, published {printed}")
        unequal = f" ({'; '.join(other)})" if other else ""
        sentence = f"{name}: {known - len(other)} of {known} numbers equal the published{unequal}"
        built = rows.dropna(subset=["gmac"])
        first, last = built["row"].iloc[0], built["row"].iloc[-1]
        sentences.append(f"{sentence}; from {first} to {last} {_changes(built, first, last)}")
    return ". ".join(sentences)


def _built(network: CountedNetwork, skeleton: Skeleton) -> System:
    with torch.device("meta"):
        return build(network.system, skeleton, **network.options)


def _published(network: CountedNetwork, part: str) -> dict[str, float]:
    if network.published is None or part not in _PREFIX:
        return {}
    paper, number, row = network.published
    published = published_table(paper, number)
    if row not in published.index:
        raise ValueError(f"table {number} of {paper!r} has no row {row!r}")
    line = published.loc[row].to_dict()
    names = {metric: f"{_PREFIX[part]}{metric}" for metric in _UNITS}
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

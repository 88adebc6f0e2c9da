"""Counted parameters and operations of networks, beside those that a paper prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import torch

from poselib.engine.complexity import Complexity, Cost, complexity
from poselib.papers.published import published_table
from poselib.skeletons import Skeleton
from poselib.systems import OptionValue, build


@dataclass(frozen=True)
class Network:
    """A network that is to be counted.

    Attributes:
        system: key in ``poselib.systems.SYSTEMS``.
        size: side of the square image, px.
        options: of the system.
    """

    system: str
    size: int
    options: Mapping[str, OptionValue] = field(default_factory=dict)


def count(network: Network, skeleton: Skeleton) -> Complexity:
    """Count a network for a skeleton's keypoints; it is built without weights.

    Raises:
        ValueError: as ``poselib.systems.build`` and ``engine.complexity.complexity``.
    """
    with torch.device("meta"):
        system = build(network.system, skeleton, **network.options)
    return complexity(system, network.size)


def grouped(found: Complexity, groups: Mapping[str, Sequence[str]]) -> dict[str, Cost]:
    """Return what groups of a network's parts take; parts that it lacks take nothing."""
    return {
        group: found.of(*(part for part in parts if part in found.by_part))
        for group, parts in groups.items()
    }


def beside_published(
    paper: str, table: str, counted: Mapping[str, Mapping[str, float]], digits: int
) -> pd.DataFrame:
    """Put counted numbers beside those of a paper's table.

    Args:
        paper, table: see ``papers.published.published_table``.
        counted: numbers by row and metric, by the names of the published table; there may be rows
            and metrics less and metrics more.
        digits: behind the point, as the paper prints them.

    Returns:
        One line a number with ``table``, ``row``, ``metric``, ``published``, ``counted``,
        ``difference`` and ``same``: whether the counted one, rounded, is the published one. What
        is not known is missing; metrics that none of the rows has counted are left out.

    Raises:
        ValueError: the table is unknown, or has no such row.
    """
    published = published_table(paper, table)
    if unknown := [row for row in counted if row not in published.index]:
        raise ValueError(f"table {table} of {paper!r} has no row {unknown[0]!r}")
    ours = pd.DataFrame(counted).T.reindex(published.index)
    lines = pd.DataFrame(
        {
            "published": published.reindex(columns=ours.columns).stack(future_stack=True),
            "counted": ours.stack(future_stack=True),
        }
    ).dropna(how="all")
    lines["difference"] = lines["counted"] - lines["published"]
    same = (lines["counted"].round(digits) - lines["published"]).abs() < 0.1**digits / 2
    lines["same"] = same.astype("boolean").mask(lines["difference"].isna())
    lines = lines.rename_axis(["row", "metric"]).reset_index()
    lines.insert(0, "table", table)
    return lines

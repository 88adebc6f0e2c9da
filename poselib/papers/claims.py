"""Directional claims of the papers: which published numbers state each, and which rows test it.

``claims.csv`` has one line per claim. A claim that this library could contradict names two rows of
one published table and the difference of a metric between them, and two rows of one measured table.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from poselib.papers.catalog import get_paper

_FILE = Path(__file__).with_suffix(".csv")
_UNITS = {
    "AP": "AP", "AR": "AR", "pckh_ap_total": "AP", "pck_torso_total": "PCK", "jitter": "jitter",
    "time": "time",
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A claim that one thing is more, or less, than another.

    Attributes:
        paper: short name.
        name: a few words, as of a line of a figure.
        claim: in one sentence.
        table: of the paper, that has the published numbers, as ``published_table`` names it.
        published_on: their data.
        metric: column of that table.
        row, against: rows of that table; empty where the paper states the difference alone.
        effect: the published difference of ``row`` to ``against``, in percentage points, or for
            times in percent of the latter. Its sign is what the claim says.
        study: stem of the measured table; of an ablation the name of its sweep.
        measured: its metric.
        measured_row, measured_against: its rows that test the claim.
        where: columns and their values, where these select the line of a gain instead.
    """

    paper: str
    name: str
    claim: str
    table: str
    published_on: str
    metric: str
    row: str
    against: str
    effect: float
    study: str
    measured: str
    measured_row: str
    measured_against: str
    where: Mapping[str, str]

    @property
    def unit(self) -> str:
        """What is counted: ``"AP"``, ``"AR"``, ``"PCK"``, ``"jitter"`` or ``"time"``."""
        return _UNITS[self.measured]

    @property
    def source(self) -> str:
        """Where the paper states it, such as ``"HAE/PAD, Table XI"``."""
        table = self.table if self.table.startswith(("Fig.", "Sec.")) else f"Table {self.table}"
        return f"{get_paper(self.paper).title}, {table}"


@cache
def read_claims() -> tuple[Claim, ...]:
    """Return the claims of all papers, paper by paper.

    Raises:
        ValueError: a line of the file has no effect or a metric without a unit.
    """
    table = pd.read_csv(_FILE, dtype=str, keep_default_na=False)
    names = [each.name for each in fields(Claim)]
    if list(table) != names:
        raise ValueError(f"{_FILE.name}: expected the columns {names}, found {list(table)}")
    return tuple(_claim(line) for line in table.to_dict("records"))


def _claim(line: Mapping[Hashable, Any]) -> Claim:
    effect, metric = float(line["effect"]), line["measured"]
    if effect == 0 or metric not in _UNITS:
        raise ValueError(
            f"{_FILE.name}: {line['name']}: expected an effect that is not 0 and a metric of "
            f"{sorted(_UNITS)}, found {effect:g} and {metric!r}"
        )
    pairs = (part.split("=", 1) for part in line["where"].split("; ") if part)
    where = MappingProxyType(dict(pairs))
    return Claim(**{**{str(k): v for k, v in line.items()}, "effect": effect, "where": where})

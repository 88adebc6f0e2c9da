"""What kept tables say about the claims of the papers: measured effects and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from poselib.experiments.statistics import gains
from poselib.ops.intervals import interval_of, mean_interval
from poselib.ops.io import read_json
from poselib.papers.catalog import get_paper
from poselib.papers.claims import Claim, read_claims
from poselib.wording import counted

SHOWN, NOT_SHOWN, OPPOSITE, UNTESTED = "shows", "does not show", "shows the opposite", "not tested"
VERDICTS = (SHOWN, NOT_SHOWN, OPPOSITE, UNTESTED)
SEEDS = "_seeds"  # ends the name of a table with a line for each row and seed
_IMAGES = "images"


class Effect(NamedTuple):
    """A measured difference with the ends of its 95% interval, and over what the interval is."""

    gain: float
    low: float
    high: float
    over: str


def claim_table(figures_dir: Path | str) -> pd.DataFrame:
    """Return every claim of the papers with what the tables in a folder say about it.

    The interval is Student's t over differences that are paired by seed, from
    ``<study>_seeds.csv``. Where there is no such table, it is the interval of the gain in
    ``<study>.csv``: exact for gains over that study's baseline, and for other rows the widest that
    the intervals of two gains allow. With one network it is over images.

    Args:
        figures_dir: holds tables and the JSON file of each.

    Returns:
        One line per claim: ``paper``, ``name``, ``claim``, ``source``, ``unit``, ``published`` and
        ``published_on``; ``measured`` with its interval from ``low`` to ``high``, in the same unit,
        and ``over`` what the interval is; the ``verdict``; ``study``, ``measured_on``, ``preset``,
        ``steps`` of the trainings, and ``measured_by``, commit and day.
    """
    return pd.DataFrame([_line(claim, Path(figures_dir)) for claim in read_claims()])


def claim_outcome(table: pd.DataFrame) -> str:
    """Count the verdicts of ``claim_table`` in one line."""
    shown, open_, opposite, untested = (int((table["verdict"] == each).sum()) for each in VERDICTS)
    parts = f"{shown} are shown, {open_} are not, of {opposite} the opposite is"
    return f"of {len(table)} claims {parts}; {untested} are not tested"


def more_could_decide(table: pd.DataFrame, seeds: int = 5) -> list[str]:
    """Return which claims of ``claim_table`` that are not shown a number of seeds could decide.

    Their intervals would exclude zero if mean and deviation stayed as they are with fewer seeds.

    Returns:
        Study and name of each claim, as in ``"hae_components: hierarchical loss (HAL)"``.
    """
    found = []
    for line in table[table["verdict"] == NOT_SHOWN].to_dict("records"):
        number, _, rest = str(line["over"]).partition(" ")
        if not rest.startswith("seed") or int(number) >= seeds:
            continue
        now, then = (mean_interval(0, 1, count)[1] for count in (int(number), seeds))
        if abs(line["measured"]) > (line["high"] - line["measured"]) * then / now:
            found.append(f"{line['study']}: {line['name']}")
    return found


def verdict(effect: float, low: float, high: float) -> str:
    """Say whether a measured interval shows what a published effect claims: its sign.

    Returns:
        ``"shows"`` if the interval is on the side of the effect, ``"shows the opposite"`` if it is
        on the other, ``"does not show"`` if it has zero inside, which does not say that there is
        no effect, and ``"not tested"`` without an interval.
    """
    if np.isnan(low) or np.isnan(high):
        return UNTESTED
    if low <= 0 <= high:
        return NOT_SHOWN
    return SHOWN if (low > 0) == (effect > 0) else OPPOSITE


def tables_of(claim: Claim) -> tuple[str, ...]:
    """Return the names of the tables that can test a claim, the preferred one first."""
    kept = f"{claim.study}.csv"
    return (kept,) if claim.where else (f"{claim.study}{SEEDS}.csv", kept)


def _line(claim: Claim, folder: Path) -> dict[str, Any]:
    found, made = Effect(np.nan, np.nan, np.nan, ""), dict[str, Any]()
    for name in tables_of(claim):
        path = folder / name
        if path.is_file() and (effect := _effect(claim, pd.read_csv(path))):
            found, made = effect, _made(path.with_suffix(".json"))
            break
    return {
        "paper": get_paper(claim.paper).title,
        "name": claim.name,
        "claim": claim.claim,
        "source": claim.source,
        "unit": claim.unit,
        "published": claim.effect,
        "published_on": claim.published_on,
        "measured": found.gain,
        "low": found.low,
        "high": found.high,
        "over": found.over,
        "verdict": verdict(claim.effect, found.low, found.high),
        "study": claim.study,
        "measured_on": str(made.get("data", "")),
        "preset": str(made.get("preset", "")),
        "steps": " ".join(map(str, made.get("steps", []))),
        "measured_by": made.get("by", ""),
    }


def _made(sidecar: Path) -> dict[str, Any]:
    """Return the parameters with which a table was made, and the commit and day as ``by``."""
    content = read_json(sidecar) if sidecar.is_file() else {}
    commit, day = str(content.get("git_commit", ""))[:10], str(content.get("created", ""))[:10]
    parameters = content.get("parameters", {})
    return {**parameters, "by": " ".join(filter(None, (commit, day)))}


def _effect(claim: Claim, table: pd.DataFrame) -> Effect | None:
    """Return what a table says about a claim; None if it lacks a row or the metric."""
    if "seed" in table:
        return _of_seeds(claim, table)
    gain = f"{claim.measured}_gain"
    if not {"row", gain, f"{gain}_low", f"{gain}_high"} <= {*table}:
        return None
    where: Mapping[str, str] = claim.where or {"row": claim.measured_row}
    lines = table[_matches(table, where)].to_dict("records")
    against = dict.fromkeys((f"{gain}{end}" for end in ("", "_std", "_low", "_high")), 0.0)
    if not claim.where:
        others = table[table["row"] == claim.measured_against].to_dict("records")
        if not others:
            return None
        against = {str(name): value for name, value in others[0].items()}
    if not lines:
        return None
    line, value = lines[0], lines[0][gain] - against[gain]
    # An interval of a difference is at most the sum of both; the baseline's own is of width 0.
    low, high = (
        line[f"{gain}_{end}"] - against[f"{gain}_{other}"]
        for end, other in (("low", "high"), ("high", "low"))
    )
    if f"{gain}_std" not in table:
        return Effect(value, low, high, _IMAGES)
    # A seed counts where the baseline has it as well.
    own = table[(table[gain] == 0) & ~(table[f"{gain}_std"] > 0)]["seeds"]
    pairs = line["seeds"] if claim.where else min(line["seeds"], against["seeds"], *own)
    at_most = ", at most" if against[f"{gain}_std"] > 0 else ""
    noun = "scene" if claim.unit == "time" else "seed"  # times need no training
    return Effect(value, low, high, f"{counted(int(pairs), noun)}{at_most}")


def _of_seeds(claim: Claim, table: pd.DataFrame) -> Effect | None:
    rows = {claim.measured_row, claim.measured_against}
    if claim.measured not in table or not rows <= set(table["row"]):
        return None
    paired = gains(table[table["row"].isin(rows)], [claim.measured], claim.measured_against)
    values = paired[paired["row"] == claim.measured_row][claim.measured].dropna()
    return Effect(float(values.mean()), *interval_of(values), counted(len(values), "seed"))


def _matches(table: pd.DataFrame, where: Mapping[str, str]) -> pd.Series:
    """Return which lines have the given values, written as text."""
    found = pd.Series(True, index=table.index)
    for column, value in where.items():
        texts = table[column].map(_text) if column in table else ""
        found &= texts == value
    return found


def _text(value: object) -> str:
    """Write a value of a table; whole numbers of a column with gaps are read as fractions."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)

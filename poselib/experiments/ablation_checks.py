"""Faults of an ablation's file that would come up only when everything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any

from poselib.analysis.compare import ASSOCIATION, LOCALIZATION
from poselib.engine.video_metrics import OTHER_METRICS, PART_METRICS
from poselib.experiments.sweep import check_unique
from poselib.metrics.ap import APResult
from poselib.metrics.pck import PartAP
from poselib.ops.field_types import check_field_types
from poselib.papers.catalog import get_paper
from poselib.papers.published import published_table
from poselib.plots.style import LINES
from poselib.wording import shown

if TYPE_CHECKING:
    from poselib.experiments.ablation import Ablation

_TIMES = ("ms", "fps")
_CURVES = 6  # rows of a figure of losses


@dataclass(frozen=True)
class _Loss:
    """Types of what the field ``loss`` holds."""

    term: str
    column: str
    compared: tuple[str, str]
    panels: Mapping[str, str]
    heading: str
    figure: str


@dataclass(frozen=True)
class _Within:
    """Types of what the field ``within`` holds."""

    name: str
    baseline: str
    text: str
    figure: str = ""


def check_ablation(ablation: Ablation, rows: Sequence[str]) -> None:
    """Check what the fields of an ablation name: papers, metrics, rows and decodings.

    Args:
        rows: of the sweep.

    Raises:
        ValueError: one of them names what is unknown, or what does not go with another.
    """
    if not ablation.decodings:
        raise ValueError("decodings: expected one or more")
    if ablation.timed_images < 0:
        raise ValueError(f"timed_images must be 0 or more, not {ablation.timed_images}")
    _check_parts("loss", _Loss, ablation.loss)
    _check_parts("within", _Within, ablation.within)
    _check_published(ablation)
    _check_metrics(ablation)
    _check_lines(ablation, rows)
    _check_loss(ablation, rows)
    _check_within(ablation)


def _check_parts(field: str, kind: type, given: Mapping[str, Any]) -> None:
    """Check the names and types of an object's values, if it has any."""
    if not given:
        return
    _check_known(field, "fields", given, (each.name for each in fields(kind)))
    needed = {each.name for each in fields(kind) if each.default is MISSING}
    if lacking := sorted(needed - given.keys()):
        raise ValueError(f"{field} lacks {lacking}")
    try:
        check_field_types(kind, given)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error


def _check_published(ablation: Ablation) -> None:
    if ablation.paper:
        get_paper(ablation.paper)
    if ablation.table:
        columns = map(str, published_table(ablation.paper, ablation.table))
        _check_known("published", "columns", ablation.published, columns)
    elif ablation.published:
        raise ValueError("published: its columns are of a table, and there is no table")
    if (ablation.published or ablation.published_values) and not ablation.published_on.strip():
        raise ValueError("published_on: expected the data of the published numbers")


def _check_metrics(ablation: Ablation) -> None:
    measured = [*(each.name for each in fields(APResult)), *ASSOCIATION, *LOCALIZATION]
    parts = [part.name for part in fields(PartAP)]
    measured += [f"{name}_{part}" for name in ("pckh_ap", *PART_METRICS) for part in parts]
    measured += [*OTHER_METRICS, *([ablation.loss["column"]] if ablation.loss else [])]
    times = _TIMES if ablation.timed_images else ()
    check_unique("metrics", ablation.metrics)
    # Times have columns of the table anyway.
    _check_known("metrics", "metrics", ablation.metrics, measured)
    _check_known("outcome", "metrics of the table", ablation.outcome, ablation.metrics)
    panels = [name.removesuffix("_gain") for name in ablation.panels]
    _check_known("panels", "metrics", panels, [*measured, *times])
    if ablation.loss:
        _check_known("loss: panels", "metrics", ablation.loss["panels"], [*measured, *times])


def _check_lines(ablation: Ablation, rows: Sequence[str]) -> None:
    _check_known("lines", "rows", (row for row, _ in ablation.lines.values()), rows)
    decodings = (name for _, name in ablation.lines.values())
    _check_known("lines", "decodings", decodings, ablation.decodings)
    lines = ablation.lines_of(rows)
    if ablation.baseline not in lines:
        baseline = shown(ablation.baseline)
        raise ValueError(f"baseline {baseline} is no row of the table, but {[*lines]} are")
    _check_known("smoke", "rows", ablation.smoke, rows)
    compared = lines[ablation.baseline][0]
    if ablation.smoke and compared not in ablation.smoke:
        raise ValueError(f"smoke: expected the baseline's row {shown(compared)} among its rows")


def _check_loss(ablation: Ablation, rows: Sequence[str]) -> None:
    if not ablation.loss:
        return
    compared = ablation.loss["compared"]
    check_unique("loss: compared", compared)
    _check_known("loss: compared", "rows", compared, rows)
    if ablation.smoke and compared[0] not in ablation.smoke:
        raise ValueError(f"smoke: expected {shown(compared[0])}, of loss, among its rows")
    if (count := len(ablation.lines_of(rows))) > _CURVES:
        raise ValueError(f"loss: at most {_CURVES} lines of the table can be drawn, not {count}")


def _check_within(ablation: Ablation) -> None:
    within = ablation.within
    if not within:
        return
    _check_known("within: baseline", "decodings", [within["baseline"]], ablation.decodings)
    wanted = ["AP", *(name.removesuffix("_gain") for name in ablation.panels)]
    _check_known("within: panels, and AP,", "metrics of the table", wanted, ablation.metrics)
    if within.get("figure") and len(ablation.decodings) > len(LINES):
        raise ValueError(f"within: at most {len(LINES)} decodings can be drawn in its figure")


def _check_known(field: str, what: str, names: Iterable[str], known: Iterable[str]) -> None:
    listed = list(known)
    if unknown := [name for name in dict.fromkeys(names) if name not in listed]:
        raise ValueError(f"{field}: unknown {what} {shown(unknown)}; known: {listed}")

"""What an evaluation came to: its errors, the published number beside it, files and a table row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from poselib.analysis.association_errors import association_errors
from poselib.analysis.compare import ASSOCIATION, LOCALIZATION
from poselib.api import Predictor
from poselib.data.keypoint_dataset import KeypointImages
from poselib.engine.evaluate import Evaluation
from poselib.experiments.comparison import TableResult, scores_of
from poselib.experiments.own_dataset import from_anywhere
from poselib.experiments.own_results import VALIDATION, reasons_of, save_results, show_validation
from poselib.experiments.run_table import EVALUATION
from poselib.experiments.runs import list_runs, load_run, save_figure, save_table, start_run
from poselib.metrics.localization_errors import classify_localization, error_rates
from poselib.ops.io import is_finite
from poselib.papers.catalog import PAPERS
from poselib.systems.published import PUBLISHED
from poselib.wording import shown

_ROW = ("paper", "dataset", "row", "measured_on")
_RECORDED = (
    *("data", "data_dir", "images", "skeleton", "split", "limit", "size", "no_flip", "scales"),
    *("detector", "boxes"),
)


@dataclass(frozen=True)
class Measured:
    """A model that was evaluated.

    Attributes:
        model, name: it, and what it is called.
        dataset, about: the images, and what they are in words.
        evaluation: the metrics.
        errors: kinds of errors by keypoint and of all, fractions.
        reasons: of a low AP.
        published: the published AP beside it, in words.
        row: of the table of a paper, if the dataset is that of one.
        params: options of the evaluation.
    """

    model: Predictor
    name: str
    dataset: KeypointImages
    about: str
    evaluation: Evaluation
    errors: pd.DataFrame
    reasons: tuple[str, ...]
    published: str
    row: dict[str, Any]
    params: dict[str, Any]


def measured(
    model: Predictor,
    name: str,
    dataset: KeypointImages,
    about: str,
    found: Evaluation,
    options: Mapping[str, Any],
) -> Measured:
    """Return what an evaluation came to.

    Args:
        model, name: see ``Measured``.
        options: of the command.
    """
    name = name or Path(model.name).stem
    params = {key: from_anywhere(options.get(key)) for key in _RECORDED}
    params |= {"model": from_anywhere(name), "system": model.system.name}
    whole = options.get("data_dir") and not options.get("limit")
    data = str(options.get("data")) if whole and options.get("split") != "train" else ""
    return Measured(
        model=model,
        name=name,
        dataset=dataset,
        about=f"{len(dataset)} images of {about}" if not options.get("limit") else about,
        evaluation=found,
        errors=_errors(dataset, found, model),
        reasons=reasons_of(found),
        published=_published(model, name, found, data, options),
        row=_row(model, name, data, about, found, options),
        params=params,
    )


def _errors(dataset: KeypointImages, found: Evaluation, model: Predictor) -> pd.DataFrame:
    association = association_errors(dataset, found.poses, model.skeleton)
    localization = error_rates(classify_localization(found.comparison)) / 100
    rates = [*ASSOCIATION, "false_positive_rate"]
    return association[rates].join(localization[list(LOCALIZATION)])


def _in_true_boxes(model: Predictor, options: Mapping[str, Any]) -> bool:
    given = options.get("boxes") or options.get("detector")
    return model.system.crop is not None and not given


def _published(
    model: Predictor, name: str, found: Evaluation, data: str, options: Mapping[str, Any]
) -> str:
    """Return the published AP beside the measured one and the difference, in words."""
    entry = PUBLISHED.get(name)
    several = len(options.get("scales") or ()) > 1
    stated = None if entry is None else entry.ap_scales if several else entry.ap
    if entry is None or stated is None:
        return ""
    setting = f", {entry.setting}" if entry.setting else ""
    setting += ", at several scales" if several else ""
    text = f"published: AP {stated:.1f} on {entry.data}{setting}"
    key = {"coco": "COCO val", "crowdpose": "CrowdPose test", "aic": "AI Challenger"}.get(data)
    if key is None or not entry.data.startswith(key):
        return f"{text}, on other images than these"
    ours = 100 * found.ap.AP
    boxes = " in the annotated boxes" if _in_true_boxes(model, options) else ""
    return f"{text}; measured{boxes}: {ours:.1f}, {ours - stated:+.1f}"


def _row(
    model: Predictor,
    name: str,
    data: str,
    about: str,
    found: Evaluation,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the row of the paper's table on this dataset; empty if it has none."""
    paper = PAPERS.get(model.system.name)
    tables = [t for t in paper.tables if data and data in t.dataset.split()] if paper else []
    if not tables:
        return {}
    scales = options.get("scales") or [1.0]
    words = ["single scale" if len(scales) == 1 else "multi-scale"]
    words += ["no flip"] if options.get("no_flip") else []
    words += ["annotated boxes"] if _in_true_boxes(model, options) else []
    numbers = {
        "params_m": sum(p.numel() for p in model.system.model.parameters()) / 1e6,
        "input_size": model.options.size_for(model.system),
        **{
            key: value
            for table in tables
            for key, value in scores_of(table.protocol, found).items()
        },
    }
    return {
        "paper": model.system.name,
        "dataset": data,
        "row": f"poselib, {name}, {', '.join(words)}",
        "measured_on": f"{about}, {model.options.input_for(model.system)}",
        "numbers": numbers,
    }


def errors_of(result: Measured) -> str:
    """Return errors, the reasons of a low AP and the published one, in words."""
    rates = result.errors.loc["all"]
    listed = ", ".join(
        f"{str(name).replace('_', ' ')} {100 * rate:.1f} %" for name, rate in rates.items()
    )
    lines = [f"errors: {listed}"]
    lines += [f"AP is low: {reason}" for reason in result.reasons]
    return "\n".join([*lines, *([result.published] if result.published else [])])


def check_kind(folder: Path) -> None:
    """Raise ValueError if a folder holds a run that is no evaluation."""
    if (folder / "run.json").is_file() and load_run(folder).name != EVALUATION:
        raise ValueError(f"--out {folder}: holds a run of another kind")


def write_evaluation(result: Measured, out: str | None) -> str:
    """Write the results to a folder, by default a new one in ``runs``; return what is where."""
    home, run_id = (
        (Path("runs"), None)
        if out is None
        else (Path(out).resolve().parent, Path(out).resolve().name)
    )
    if run_id is not None and (home / run_id / "run.json").is_file():
        check_kind(home / run_id)
        (home / run_id / "run.json").unlink()
    record = start_run(home, EVALUATION, result.params, run_id)
    found, folder = result.evaluation, record.folder
    save_results(found, result.dataset, folder)
    save_table(
        result.errors.round(4).reset_index(), folder / "errors.csv", result.params, runs=[record]
    )
    figure = show_validation(result.dataset, found, result.model.system)
    if figure is not None:
        save_figure(figure, folder / VALIDATION, result.params, runs=[record], small=False)
    record.finish(
        {
            **found.as_dict(),
            "keypoints": found.keypoint_ap,
            "errors": result.errors.loc["all"].astype(float).to_dict(),
            "reasons": list(result.reasons),
            "measured_on": result.about,
            "published": result.published,
            "row": result.row,
        }
    )
    return f"AP {found.ap.AP:.3f} on {result.about}; results in {folder}"


def with_evaluations(results: Sequence[TableResult], runs_dir: Path | str) -> list[TableResult]:
    """Add the rows of evaluations from the shell to the tables of their paper.

    They are on the table's own dataset, so they stand in place of what was measured on synthetic
    images, and beside what was measured on the same dataset.

    Args:
        results: of ``compare``.
        runs_dir: holds the folders of the evaluations.

    Raises:
        ValueError: a row has not the fields that an evaluation writes.
    """
    runs = list_runs(runs_dir, EVALUATION)
    rows = [_row_of(Path(folder)) for folder in runs["folder"]]
    return [_with_rows(result, [row for row in rows if row]) for result in results]


def _row_of(folder: Path) -> dict[str, Any]:
    """Return the row of an evaluation, which may have none."""
    row = load_run(folder).metrics.get("row") or {}
    if not isinstance(row, dict):
        raise ValueError(f"{folder}: metrics.json: row: expected an object, found {shown(row)}")
    for field in _ROW if row else ():
        if not isinstance(row.get(field), str):
            found = shown(row.get(field))
            raise ValueError(f"{folder}: metrics.json: row: {field}: expected text, found {found}")
    numbers = row.get("numbers", {})
    if not isinstance(numbers, dict) or not all(
        value is None or is_finite(value) for value in numbers.values()
    ):
        found = shown(numbers)
        raise ValueError(f"{folder}: metrics.json: row: numbers: expected numbers, found {found}")
    return {**row, "numbers": numbers} if row else {}


def _with_rows(result: TableResult, rows: Sequence[Mapping[str, Any]]) -> TableResult:
    table = result.table
    own = [r for r in rows if r["paper"] == table.paper and r["dataset"] in table.dataset.split()]
    if not own:
        return result
    numbers = pd.DataFrame.from_dict({r["row"]: r["numbers"] for r in own}, orient="index")
    about = ["params_m", *(["input_size"] if "input_size" in table.published else [])]
    numbers = numbers.reindex(columns=[*about, *table.metrics]).astype(float)
    real = "synthetic" not in result.measured_on
    if real and len(result.numbers):
        numbers = pd.concat([result.numbers, numbers])
    names = tuple(r["row"].removeprefix("poselib, ") for r in own)
    on = "; ".join(dict.fromkeys(r["measured_on"] for r in own))
    return replace(
        result,
        numbers=numbers,
        measured_on=f"{result.measured_on}; {on}" if real and result.measured_on else on,
        variants=(*(result.variants if real else ()), *names),
        checkpoint=" ".join([*([result.checkpoint] if real else []), *names]).strip(),
    )

"""Measure a system for the tables in which its paper compares itself with other methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
import torch

from poselib.analysis.compare import VariantResults, evaluate_variants
from poselib.data.catalog import training_dataset_for
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.evaluate import Evaluation, LabeledImages
from poselib.engine.predict import PredictOptions
from poselib.experiments.loading import evaluation_set, load_or_init
from poselib.papers.catalog import get_paper
from poselib.papers.comparison_table import MAIN_METRIC, METRICS, ComparisonTable, Protocol
from poselib.papers.dekr import SCALES
from poselib.papers.presets import get_preset
from poselib.systems import System

Device = torch.device | str | None


@dataclass(frozen=True)
class TableResult:
    """What was measured for one of the tables.

    Attributes:
        table: which one.
        numbers: one row per test variant, one column per metric of the table, in per cent; before
            them ``params_m``, millions of weights, and where the paper has it ``input_size``,
            px. Empty where there is nothing to measure on.
        measured_on: data and size of the images; empty likewise.
        variants: names of the test variants in the rows.
        checkpoint: what was measured.
    """

    table: ComparisonTable
    numbers: pd.DataFrame
    measured_on: str = ""
    variants: tuple[str, ...] = ()
    checkpoint: str = ""

    def to_show(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return published and measured metrics as ``plots.tables.show_comparison`` takes them.

        Rows of published numbers include the method's input size where the paper gives it.
        """
        columns = {name: name.removeprefix("AP_") for name in self.table.metrics}
        published, measured = (
            table.reindex(columns=list(columns)).rename(columns=columns)
            for table in (self.table.published, self.numbers)
        )
        sizes = self.table.published.get("input_size", pd.Series(dtype=float)).dropna()
        named = {row: f"{row}, {size:g} px" for row, size in sizes.items() if " px" not in str(row)}
        return published.rename(index=named), measured

    def lines(self) -> pd.DataFrame:
        """Return published and measured numbers as lines of one long table.

        Returns:
            Columns ``table``, ``row``, ``metric``, ``published``, ``published_on``, ``measured``,
            ``measured_on`` and ``checkpoint``. Every line is either a published or a measured
            number; the columns of the other are empty.
        """
        published = _lines(self.table, "published").assign(published_on=self.table.about)
        measured = _lines(self.table, "measured", self.numbers)
        measured = measured.assign(measured_on=self.measured_on, checkpoint=self.checkpoint)
        columns = ["table", "row", "metric", "published", "published_on", "measured", "measured_on"]
        parts = [part for part in (published, measured) if len(part)]
        return pd.concat(parts, ignore_index=True).reindex(columns=[*columns, "checkpoint"])


def compare(
    paper: str,
    preset: str,
    checkpoint: str = "",
    real: Mapping[str, tuple[str, str]] | None = None,
    *,
    scales: Sequence[float] = SCALES,
    seed: int = 0,
    device: Device = None,
    progress: bool = False,
) -> list[TableResult]:
    """Measure a checkpoint for each table in which a paper compares itself with others.

    Synthetic scenes replace a dataset that is not at hand, if the preset has any. What several
    tables have in common is measured once.

    Args:
        paper: key in ``PAPERS``.
        preset: configuration of synthetic scenes, and how images are presented.
        checkpoint: file of the system tested on synthetic scenes. If empty it is the bundled
            system if that is of the paper, or else as in ``load_or_init``.
        real: folder and checkpoint by name of a dataset; those without a folder are left out.
        scales: of multi-scale testing, see ``Paper.variants_at``.
        seed: of untrained weights.
        device: where the network runs; where its weights are if not given.

    Raises:
        FileNotFoundError: a checkpoint or a file of a dataset is absent.
        ValueError: the paper, the preset or ``scales`` are invalid, there is no checkpoint, or its
            keypoints are not those of the dataset's people; before anything is measured.
    """
    tables, variants = get_paper(paper).tables, get_paper(paper).variants_at(scales)
    subjects = [_subject(table, preset, checkpoint, real or {}) for table in tables]
    opened = {subject: _open(subject, preset, seed) for subject in subjects if subject.data}
    evaluated = {
        subject: evaluate_variants(
            test.system, test.dataset, variants, test.options, device=device, progress=progress
        )
        for subject, test in opened.items()
    }
    return [
        _result(table, subject, opened[subject], evaluated[subject])
        if subject.data
        else TableResult(table, pd.DataFrame())
        for table, subject in zip(tables, subjects, strict=True)
    ]


def scores_of(protocol: Protocol, evaluation: Evaluation) -> dict[str, float]:
    """Return the numbers of a protocol under the names of the published tables, in per cent.

    Args:
        protocol: ``"coco"``, AP and AR by size; ``"crowdpose"``, AP by crowding; ``"mpii"``, AP by
            part of the body.
        evaluation: on images that the protocol fits.

    Raises:
        ValueError: images have no crowd index or people no head size, though the protocol needs
            them.
    """
    names, values = METRICS[protocol], evaluation.ap.as_dict()
    if protocol == "mpii":
        if evaluation.pckh_ap is None:
            raise ValueError("protocol 'mpii' needs people together, with head sizes")
        values = evaluation.pckh_ap.as_dict()
    if not set(names.values()) <= set(values):
        raise ValueError(f"protocol {protocol!r} needs images that have a crowd index")
    return {name: 100 * values[key] for name, key in names.items()}


def outcome(results: Sequence[TableResult]) -> str:
    """Summarize in one line the main metric of each test variant; empty if nothing was measured."""
    parts = []
    for result in results:
        if result.measured_on:
            main = MAIN_METRIC[result.table.protocol]
            values = zip(result.numbers[main], result.variants, strict=True)
            rows = ", ".join(f"{value:.1f} ({variant})" for value, variant in values)
            parts.append(f"Table {result.table.number}: {main} {rows} on {result.measured_on}")
    return "; ".join(parts)


class _Subject(NamedTuple):
    """What is tested on which images, by name; ``data`` is empty if there are no images."""

    paper: str
    data: str
    folder: str
    checkpoint: str

    @property
    def bundled(self) -> bool:
        return get_paper(self.paper).bundled and not self.checkpoint


class _Test(NamedTuple):
    system: System
    dataset: LabeledImages
    description: str
    options: PredictOptions


def _subject(
    table: ComparisonTable, preset: str, checkpoint: str, real: Mapping[str, tuple[str, str]]
) -> _Subject:
    folder, file = real.get(table.dataset, ("", ""))
    if folder:
        return _Subject(table.paper, table.dataset, folder, file)
    has_scenes = get_preset(preset, table.synthetic, table.paper).test_scenes
    return _Subject(table.paper, table.synthetic if has_scenes else "", "", checkpoint)


def _open(subject: _Subject, preset: str, seed: int) -> _Test:
    paper, data, folder, file = subject
    settings = get_preset(preset, data, paper)
    if subject.bundled:
        system = load_checkpoint().system
    else:
        parameter = f"checkpoint_{training_dataset_for(data)}" if folder else "checkpoint"
        system = load_or_init(
            file, preset, data, folder, name=paper, seed=seed, parameter=parameter
        ).system
    dataset, description = evaluation_set(data, settings, folder, system.skeleton)
    description += f", network input {settings.predict.size_for(system)} px"
    return _Test(system, dataset, description, PredictOptions(flip=True))


def _result(
    table: ComparisonTable, subject: _Subject, test: _Test, results: VariantResults
) -> TableResult:
    options = test.system.options
    network = options.get("backbone") or options.get("host")
    about = {"params_m": sum(p.numel() for p in test.system.model.parameters()) / 1e6}
    if "input_size" in table.published:
        about["input_size"] = test.options.size_for(test.system)
    rows = {
        f"poselib, {network}, {name}": about | scores_of(table.protocol, evaluation)
        for name, evaluation in results.evaluations.items()
    }
    numbers = pd.DataFrame.from_dict(rows, orient="index")[[*about, *table.metrics]]
    scales = sorted({scale for variant in results.variants for scale in variant.scales})
    several = f", multi-scale at {_and(scales)}" if len(scales) > 1 else ""
    file = subject.checkpoint or ("bundled" if subject.bundled else "untrained")
    return TableResult(table, numbers, test.description + several, tuple(results.evaluations), file)


def _and(numbers: Sequence[float]) -> str:
    words = [f"{number:g}" for number in numbers]
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _lines(table: ComparisonTable, name: str, numbers: pd.DataFrame | None = None) -> pd.DataFrame:
    chosen = table.published if numbers is None else numbers
    rows = [
        {"table": table.number, "row": row, "metric": metric, name: value}
        for row, values in chosen.to_dict("index").items()
        for metric, value in values.items()
        if pd.notna(value)
    ]
    return pd.DataFrame(rows, columns=["table", "row", "metric", name])

"""The papers' comparisons with other methods, measured on what is at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
import torch

from poselib.analysis.compare import VariantResults, evaluate_variants
from poselib.data.catalog import training_dataset_for
from poselib.engine.checkpoints import Checkpoint, load_checkpoint
from poselib.engine.evaluate import Evaluation, LabeledImages
from poselib.engine.predict import PredictOptions
from poselib.experiments.evaluation_sets import evaluation_set
from poselib.experiments.given import load_or_init
from poselib.papers.catalog import get_paper
from poselib.papers.comparison_table import MAIN_METRIC, METRICS, ComparisonTable, Protocol
from poselib.papers.dekr import SCALES
from poselib.papers.presets import get_preset

Device = torch.device | str | None


@dataclass(frozen=True)
class Measured:
    """What was measured for one of the tables.

    Attributes:
        table: which one.
        numbers: one row a way of testing, one column a metric of the table, in per cent; before
            them ``params_m``, millions of weights, and where the paper prints it ``input_size``,
            px. Empty where there is nothing to measure on.
        on: data and size of it all; empty likewise.
        ways: what the rows are.
        checkpoint: what was measured.
    """

    table: ComparisonTable
    numbers: pd.DataFrame
    on: str = ""
    ways: tuple[str, ...] = ()
    checkpoint: str = ""

    def to_show(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return published and measured metrics as ``plots.tables.show_comparison`` takes them.

        Where the paper prints a method's input size, its row says it too.
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
            ``measured_on`` and ``checkpoint``. Every line has a number in one of the two columns
            and leaves the other columns about the other one empty.
        """
        published = _lines(self.table, "published").assign(published_on=self.table.about)
        ours = _lines(self.table, "measured", self.numbers)
        ours = ours.assign(measured_on=self.on, checkpoint=self.checkpoint)
        columns = ["table", "row", "metric", "published", "published_on", "measured", "measured_on"]
        parts = [part for part in (published, ours) if len(part)]
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
) -> list[Measured]:
    """Measure a checkpoint for each table in which a paper compares itself with others.

    Drawn scenes take the place of a dataset that is not at hand, if the preset has any. What
    several tables have in common is measured once.

    Args:
        paper: key in ``PAPERS``.
        preset: says how drawn scenes look and how images are presented.
        checkpoint: file of what is tested on drawn scenes. If empty it is the system that comes
            with poselib if that is the paper's, or else as in ``load_or_init``.
        real: folder and checkpoint by the names of datasets; those without a folder are left out.
        scales: of multi-scale testing, see ``Paper.variants_at``.
        seed: of untrained weights.
        device: where the network runs; where its weights are if not given.
        progress: show bars.

    Raises:
        FileNotFoundError: a checkpoint or a file of a dataset is absent.
        ValueError: the paper, the preset or ``scales`` are none, there is no checkpoint, or its
            keypoints are not those of the dataset's people. Both before anything is measured.
    """
    tables, variants = get_paper(paper).tables, get_paper(paper).variants_at(scales)
    subjects = [_subject(table, preset, checkpoint, real or {}) for table in tables]
    opened = {each: _open(each, preset, seed) for each in dict.fromkeys(subjects) if each.data}
    found = {
        each: evaluate_variants(
            test.loaded.system,
            test.dataset,
            variants,
            test.options,
            device=device,
            progress=progress,
        )
        for each, test in opened.items()
    }
    return [
        _measured(table, subject, opened[subject], found[subject])
        if subject.data
        else Measured(table, pd.DataFrame())
        for table, subject in zip(tables, subjects, strict=True)
    ]


def scores_of(protocol: Protocol, found: Evaluation) -> dict[str, float]:
    """Return the numbers of a protocol under the names of the published tables, in per cent.

    Args:
        protocol: ``"coco"``, AP and AR by size; ``"crowdpose"``, AP by crowding; ``"mpii"``, AP by
            part of the body.
        found: an evaluation on images that the protocol fits.

    Raises:
        ValueError: images have no crowd index or people no head size, though the protocol needs
            them.
    """
    names, values = METRICS[protocol], found.ap.as_dict()
    if protocol == "mpii":
        if found.pckh_ap is None:
            raise ValueError("protocol 'mpii' needs people together, with head sizes")
        values = found.pckh_ap.as_dict()
    if not set(names.values()) <= set(values):
        raise ValueError(f"protocol {protocol!r} needs images that have a crowd index")
    return {name: 100 * values[key] for name, key in names.items()}


def outcome(measured: Sequence[Measured]) -> str:
    """Say in one line what came out, the main number of each way; empty if nothing did."""
    told = []
    for each in measured:
        if each.on:
            main = MAIN_METRIC[each.table.protocol]
            values = zip(each.numbers[main], each.ways, strict=True)
            rows = ", ".join(f"{value:.1f} ({way})" for value, way in values)
            told.append(f"Table {each.table.number}: {main} {rows} on {each.on}")
    return "; ".join(told)


class _Subject(NamedTuple):
    """What is tested on which images, by name: ``data`` is empty if there are none."""

    paper: str
    data: str
    folder: str
    checkpoint: str


class _Test(NamedTuple):
    loaded: Checkpoint
    dataset: LabeledImages
    words: str
    options: PredictOptions


def _subject(
    table: ComparisonTable, preset: str, checkpoint: str, real: Mapping[str, tuple[str, str]]
) -> _Subject:
    folder, file = real.get(table.dataset, ("", ""))
    if folder:
        return _Subject(table.paper, table.dataset, folder, file)
    drawn = table.synthetic if get_preset(preset, table.synthetic, table.paper).test_scenes else ""
    return _Subject(table.paper, drawn, "", checkpoint)


def _open(subject: _Subject, preset: str, seed: int) -> _Test:
    paper, data, folder, file = subject
    settings = get_preset(preset, data, paper)
    if _bundled(subject):
        loaded = load_checkpoint()
    else:
        parameter = f"checkpoint_{training_dataset_for(data)}" if folder else "checkpoint"
        loaded = load_or_init(
            file, preset, data, folder, name=paper, seed=seed, parameter=parameter
        )
    dataset, words = evaluation_set(data, settings, folder, loaded.system.skeleton)
    size = settings.predict.size_for(loaded.system)
    options = PredictOptions(flip=True)
    return _Test(loaded, dataset, f"{words}, network input {size} px", options)


def _bundled(subject: _Subject) -> bool:
    return get_paper(subject.paper).bundled and not subject.checkpoint


def _measured(
    table: ComparisonTable,
    subject: _Subject,
    test: _Test,
    results: VariantResults,
) -> Measured:
    system = test.loaded.system
    network = system.options.get("backbone") or system.options.get("host")
    about = {"params_m": sum(p.numel() for p in system.model.parameters()) / 1e6}
    if "input_size" in table.published:
        about["input_size"] = test.options.size_for(system)
    rows = {
        f"poselib, {network}, {name}": about | scores_of(table.protocol, evaluation)
        for name, evaluation in results.evaluations.items()
    }
    numbers = pd.DataFrame.from_dict(rows, orient="index")[[*about, *table.metrics]]
    scales = sorted({scale for variant in results.variants for scale in variant.scales})
    several = f", multi-scale at {_and(scales)}" if len(scales) > 1 else ""
    file = subject.checkpoint or ("bundled" if _bundled(subject) else "untrained")
    ways = tuple(results.evaluations)
    return Measured(table, numbers, test.words + several, ways, file)


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

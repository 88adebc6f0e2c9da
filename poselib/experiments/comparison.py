"""Measure a system for the tables in which its paper compares itself with other methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from poselib.analysis.compare import VariantResults, evaluate_variants
from poselib.data.catalog import training_dataset_for
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.evaluate import Evaluation, LabeledImages
from poselib.engine.inference import PredictOptions
from poselib.engine.weights.open import load_model
from poselib.experiments.loading import evaluation_set, load_or_init
from poselib.papers.catalog import get_paper
from poselib.papers.comparison_table import MAIN_METRIC, METRICS, ComparisonTable, Protocol
from poselib.papers.dekr import SCALES
from poselib.papers.paper import Paper
from poselib.papers.presets import get_preset
from poselib.systems import System

Device = torch.device | str | None
_GROUPS = "groups"  # their keypoints are MPII's, which no other synthetic people have


@dataclass(frozen=True)
class TableResult:
    """What was measured for one of the tables.

    Attributes:
        table: which one.
        numbers: one row per test variant, one column per metric of the table, in percent; before
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

        Millions of weights come first, and rows of published numbers include the method's input
        size, where the paper gives them.
        """
        weights = {"params_m": "M weights"} if "params_m" in self.table.published else {}
        columns = weights | {
            name: name.removeprefix("AP_").removeprefix("PCK_") for name in self.table.metrics
        }
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
        parts = [_long(self.table.published, "published").assign(published_on=self.table.about)]
        if len(self.numbers):
            checkpoint = "/".join(Path(self.checkpoint).parts[-2:])  # its run, wherever that is
            about = {"measured_on": self.measured_on, "checkpoint": checkpoint}
            parts.append(_long(self.numbers, "measured").assign(**about))
        lines = pd.concat(parts, ignore_index=True).assign(table=self.table.number)
        columns = ["table", "row", "metric", "published", "published_on", "measured", "measured_on"]
        return lines.reindex(columns=[*columns, "checkpoint"])


def compare(
    paper: str,
    preset: str,
    checkpoint: str = "",
    real: Mapping[str, tuple[str, str]] | None = None,
    *,
    beside: Mapping[str, str] | None = None,
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
        real: folder and checkpoint by name of a dataset; those without a folder are left out, but
            for the checkpoint for MPII, which is then tested on synthetic groups of people.
        beside: files of further systems by name, tested on the same synthetic scenes.
        scales: of multi-scale testing, see ``Paper.variants_at``.

    Raises:
        FileNotFoundError: a checkpoint or a file of a dataset is absent.
        ValueError: the paper, the preset or ``scales`` are invalid, the paper has no tables, there
            is no checkpoint, or its keypoints are not those of the dataset's people or of a system
            beside it; before anything is measured.
    """
    described = get_paper(paper)
    variants = described.variants_at(scales)
    if not described.tables:
        raise ValueError(f"paper {paper!r} has no tables that compare it with other methods")
    sources = [_sources(table, preset, checkpoint, real or {}) for table in described.tables]
    different = dict.fromkeys(source for several in sources for source in several)
    others = {name: load_model(file).system for name, file in (beside or {}).items()}
    tests = {each: _open(described, preset, each, seed, others) for each in different}
    evaluated = {
        source: [
            evaluate_variants(
                test.system, test.dataset, variants, test.options, device=device, progress=progress
            )
            for test in several
        ]
        for source, several in tests.items()
    }
    return [
        _mean(table, [_result(table, tests[each], evaluated[each]) for each in several])
        for table, several in zip(described.tables, sources, strict=True)
    ]


def scores_of(protocol: Protocol, evaluation: Evaluation) -> dict[str, float]:
    """Return the numbers of a protocol under the names of the published tables, in percent.

    Args:
        protocol: ``"coco"``, AP and AR by size; ``"crowdpose"``, AP by crowding; ``"mpii"``, AP by
            part of the body; ``"pck_torso"`` and ``"pck_person"``, PCK of parts in videos;
            ``"posetrack"``, AP of joints in videos; ``"hieve"``, AP at strict OKS in videos.

    Raises:
        ValueError: images have no crowd index or people no head size, though the protocol needs
            them.
    """
    names, values = METRICS[protocol], evaluation.ap.as_dict()
    if protocol == "mpii":
        if evaluation.pckh_ap is None:
            raise ValueError("protocol 'mpii' needs people together, with head sizes")
        values = evaluation.pckh_ap.as_dict()
    elif protocol not in ("coco", "crowdpose"):
        values = evaluation.videos
        if not set(names.values()) <= set(values):
            raise ValueError(f"protocol {protocol!r} needs frames of videos, and heads or a torso")
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


class _Source(NamedTuple):
    """Which images are tested with which file."""

    data: str
    folder: str
    file: str


class _Test(NamedTuple):
    name: str
    system: System
    dataset: LabeledImages
    description: str
    options: PredictOptions
    checkpoint: str


def _sources(
    table: ComparisonTable, preset: str, checkpoint: str, real: Mapping[str, tuple[str, str]]
) -> list[_Source]:
    """Return what a table is measured on: nothing, one dataset, or several splits of one."""
    given = [_Source(name, *real.get(name, ("", ""))) for name in table.dataset.split()]
    if any(source.folder for source in given):
        return given
    has_scenes = get_preset(preset, table.synthetic, table.paper).test_scenes > 0
    if table.synthetic == _GROUPS:
        checkpoint = given[0].file
        has_scenes = has_scenes and (bool(checkpoint) or preset == "smoke")
    return [_Source(table.synthetic, "", checkpoint)] if has_scenes else []


def _open(
    paper: Paper, preset: str, source: _Source, seed: int, others: Mapping[str, System]
) -> list[_Test]:
    data, folder, file = source
    settings, name = get_preset(preset, data, paper.name), file
    if paper.bundled and not file and data != _GROUPS:
        system, name = load_checkpoint().system, "bundled"
    else:
        parameter = f"checkpoint_{training_dataset_for(data)}" if folder else "checkpoint"
        system = load_or_init(
            file, preset, data, folder, name=paper.name, seed=seed, parameter=parameter
        ).system
    dataset, description = evaluation_set(
        data, settings, folder, system.skeleton, size=system.input_size
    )
    description += f", {settings.predict.input_for(system)}"
    network = str(system.options.get("backbone") or system.options.get("host"))
    if system.name != paper.name:  # a file may hold another system
        network = f"{get_paper(system.name).title}, {network}"
    options = PredictOptions(flip=True)
    first = _Test(network, system, dataset, description, options, name or "untrained")
    beside = {} if folder or data == _GROUPS else others
    for name, other in beside.items():
        if other.skeleton.keypoints != system.skeleton.keypoints:
            raise ValueError(
                f"{name!r} detects keypoints of skeleton {other.skeleton.name!r}, but the system "
                f"beside it those of {system.skeleton.name!r}: expected the same"
            )
    return [first, *(first._replace(name=name, system=other) for name, other in beside.items())]


def _result(
    table: ComparisonTable, tests: Sequence[_Test], results: Sequence[VariantResults]
) -> TableResult:
    rows, names = {}, []
    for test, found in zip(tests, results, strict=True):
        about = {"params_m": sum(p.numel() for p in test.system.model.parameters()) / 1e6}
        if "input_size" in table.published:
            about["input_size"] = test.options.size_for(test.system)
        for variant, evaluation in found.evaluations.items():
            row = about | scores_of(table.protocol, evaluation)
            rows[f"poselib, {test.name}, {variant}"] = row
            names.append(variant if test is tests[0] else f"{test.name}, {variant}")
    numbers = pd.DataFrame.from_dict(rows, orient="index")[[*about, *table.metrics]]
    factors = sorted({s for found in results for each in found.variants for s in each.scales})
    *several, last = (f"{factor:g}" for factor in factors)
    at = f", multi-scale at {', '.join(several)} and {last}" if several else ""
    first = tests[0]
    return TableResult(table, numbers, first.description + at, tuple(names), first.checkpoint)


def _mean(table: ComparisonTable, results: Sequence[TableResult]) -> TableResult:
    """Return the mean over the splits of a dataset, of which there may be one or none.

    Raises:
        ValueError: the splits are tested with different networks.
    """
    if len(results) < 2:
        return results[0] if results else TableResult(table, pd.DataFrame())
    first = results[0]
    if any(not each.numbers.index.equals(first.numbers.index) for each in results):
        raise ValueError(f"table {table.number}: {table.dataset} are tested with other networks")
    return replace(
        first,
        numbers=sum((each.numbers for each in results[1:]), first.numbers) / len(results),
        measured_on=f"mean of {len(results)}: {'; '.join(each.measured_on for each in results)}",
        checkpoint=" ".join(each.checkpoint for each in results),
    )


def _long(numbers: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return one line per number: ``row``, ``metric`` and the number in a column ``name``."""
    lines = numbers.rename_axis(index="row").reset_index()
    long = lines.melt("row", var_name="metric", value_name=name, ignore_index=False)
    return long.sort_index(kind="stable").dropna()

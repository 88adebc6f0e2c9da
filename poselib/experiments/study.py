"""An ablation study with its runs: what is trained, how it is evaluated, what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from poselib.data.catalog import KeypointDataset, cache_in_memory
from poselib.experiments.ablation import (
    Ablation,
    check_runs,
    final_losses,
    given_parameters,
    read_ablation,
    study_runs,
    training_losses,
)
from poselib.experiments.kept_runs import keep_run
from poselib.experiments.loading import describe
from poselib.experiments.parameters import Scalar
from poselib.experiments.run_sweep import execute_runs, log_of
from poselib.experiments.runs import RunRecord
from poselib.experiments.statistics import gains, outcome, summary, summary_by, to_display
from poselib.experiments.stored_evaluations import evaluate_stored, evaluation_digest, time_stored
from poselib.experiments.sweep import PlannedRun, read_sweep
from poselib.experiments.sweep_report import failures, sweep_commands
from poselib.experiments.training import get_device
from poselib.ops.console import say
from poselib.papers.preset import Preset
from poselib.papers.presets import get_preset


@dataclass(frozen=True)
class Study:
    """An ablation with the runs of some seeds, trained or not.

    In its methods ``results`` are from ``evaluate`` and ``lines`` from ``select_lines``.

    Attributes:
        path: of the sweep file, whose name is that of the tables and figures.
        ablation: how the runs are evaluated and shown.
        rows: names of all rows of the sweep.
        runs: the planned runs: all rows with the first seed, then all with the next.
        given: parameters that they were planned with beside those of the file.
        runs_dir: folder of all runs.
        settings: the preset of the runs.
        test_set: images that all are tested on.
        data: those in words.
        figures_dir: folder of figures, whose kept runs count where the folder of one is absent;
            None for none.
    """

    path: Path
    ablation: Ablation
    rows: tuple[str, ...]
    runs: tuple[PlannedRun, ...]
    given: Mapping[str, Scalar]
    runs_dir: Path
    settings: Preset
    test_set: KeypointDataset
    data: str
    figures_dir: Path | None = None

    @property
    def lines(self) -> dict[str, tuple[str, str]]:
        """Row and decoding of each line of the table, by its label."""
        return self.ablation.lines_of(self.rows)

    @property
    def text(self) -> str:
        """Title, claim and setup as Markdown."""
        spec = self.ablation
        return f"# {spec.title}\n\n**Claim:** {spec.claim}\n\n{spec.setup}".strip()

    @property
    def seeds(self) -> list[int]:
        return list(dict.fromkeys(run.seed for run in self.runs))

    @property
    def missing(self) -> pd.DataFrame:
        """``row``, ``seed`` and ``run`` of the runs that are not finished."""
        lines = [(run.row, run.seed, run.run_id) for run in self._absent]
        return pd.DataFrame(lines, columns=["row", "seed", "run"])

    @property
    def state(self) -> str:
        """How many runs are finished, logs of others that began, and the commands for them."""
        done = f"{len(self.runs) - len(self.missing)} of {len(self.runs)} runs are finished"
        if self.missing.empty:
            return done
        logs = {log_of(run, self.runs_dir) for run in self._absent}
        if begun := sorted(str(log) for log in logs if log.exists()):
            done += f"; {len(begun)} failed or are under way, see\n" + "\n".join(begun) + "\n"
        else:
            done += "; "
        commands = sweep_commands(self.path, self._absent, self.given, self.runs_dir)
        return "\n".join([f"{done}the others are made by", *commands])

    @property
    def steps(self) -> list[int]:
        """Optimizer steps of the finished trainings, each number once."""
        return sorted({n for _, record in self.finished if (n := record.metrics.get("steps"))})

    @property
    def finished(self) -> list[tuple[PlannedRun, RunRecord]]:
        """The runs that are finished, with their records."""
        where = self.runs_dir, self.figures_dir
        return [(run, record) for run in self.runs if (record := run.record(*where))]

    @property
    def _absent(self) -> tuple[PlannedRun, ...]:
        return tuple(r for r in self.runs if r.record(self.runs_dir, self.figures_dir) is None)

    @cached_property
    def _images(self) -> KeypointDataset:
        return cache_in_memory(self.test_set)

    @cached_property
    def _digest(self) -> str:
        """A digest of what evaluations follow from besides weights and decodings."""
        return evaluation_digest(self.settings, self.runs[0].parameters, self.test_set.skeleton)

    def train(self, workers: int = 1, device: str = "auto") -> None:
        """Train what is missing, ``workers`` runs at a time: see ``execute_runs``.

        What failed is printed, with the cell, the error and the log.
        """
        outcomes = execute_runs(self._absent, self.runs_dir, workers, {"device": device})
        for line in failures(outcomes):
            say(line)

    def evaluate(self, device: str = "auto") -> pd.DataFrame:
        """Evaluate every finished run with every decoding.

        Returns:
            One line per run and decoding: ``row``, ``seed``, ``run``, ``decoding``, the metrics of
            ``evaluate_variants`` with its errors, from 0 to 1, and where the ablation asks for
            them the final loss, and ``ms`` per image and ``fps`` of one network of the row.

        Raises:
            FileNotFoundError: no run is finished, or one has no trained system.
        """
        parts = []
        for run, record in self.finished:
            table = pd.DataFrame.from_dict(self.evaluate_run(record, device), orient="index")
            table = table.rename_axis("decoding").reset_index()
            front = {"row": run.row, "seed": run.seed, "run": record.id}
            parts.append(pd.DataFrame(front, index=table.index).join(table))
        if not parts:
            raise FileNotFoundError(f"{self.runs_dir}: {self.state}")
        results = pd.concat(parts, ignore_index=True)
        if loss := self.ablation.loss:
            results[loss["column"]] = results["run"].map(final_losses(self.losses()))
        if self.ablation.timed_images:
            results["ms"] = results["row"].map(self.time_rows(device=device))
            results["fps"] = 1000 / results["ms"]
        return results

    def evaluate_run(self, record: RunRecord, device: str = "auto") -> dict[str, dict[str, float]]:
        """Evaluate a finished run with every decoding: see ``evaluate_stored``."""
        spec, how = self.ablation, (self.settings.predict, get_device(device))
        return evaluate_stored(
            record, self._digest, spec.decodings, lambda: self._images, *how, renew=spec.renew
        )

    def keep(self, figures_dir: Path | str, device: str = "auto") -> list[Path]:
        """Evaluate all finished runs, and keep each with its evaluations: see ``keep_run``.

        What was evaluated before costs nothing: a sweep may call it after each run, so that its
        results outlive the machine.
        """
        finished = [record for _, record in self.finished]
        for record in finished:
            self.evaluate_run(record, device)
        return [keep_run(record, figures_dir) for record in finished]

    def losses(self) -> pd.DataFrame:
        """Return the training loss that the ablation plots: see ``training_losses``."""
        return training_losses(self.finished, self.ablation.loss["term"])

    def select_lines(self, results: pd.DataFrame) -> pd.DataFrame:
        """Return the lines of the table in units of display, each named in ``row``.

        Returns:
            One line per label and seed, with the gains that have a panel.
        """
        parts = [
            results[(results["row"] == row) & (results["decoding"] == decoding)].assign(row=label)
            for label, (row, decoding) in self.lines.items()
        ]
        lines = to_display(pd.concat(parts, ignore_index=True))
        for name in self.ablation.panels:
            if name.endswith("_gain"):
                metric = name.removesuffix("_gain")
                lines[name] = gains(lines, [metric], self.ablation.baseline)[metric]
        return lines

    def seeds_table(self, lines: pd.DataFrame) -> pd.DataFrame:
        """Return the metrics of the table for each row and seed, so that any rows can be paired."""
        names = dict.fromkeys([*self.ablation.metrics, *self.ablation.outcome])
        return lines[["row", "seed", "run", *names]]

    def summarize(self, lines: pd.DataFrame) -> tuple[pd.DataFrame, str]:
        """Return the table of the ablation, and in one line what came out."""
        spec = self.ablation
        table = summary(lines, spec.metrics, spec.baseline)
        parts = [outcome(table, spec.baseline, metric, " in %") for metric in spec.outcome]
        if spec.timed_images:
            first = lines.groupby("row")[["ms", "fps"]].first()
            table = table.join(first, on="row")
            times = (f"{row} {ms:.1f}" for row, ms in zip(table["row"], table["ms"], strict=True))
            parts.append(f"ms per image: {', '.join(times)}")
        return table, "; ".join(parts)

    def compare_losses(self, lines: pd.DataFrame) -> str:
        """Return in one line how the final loss and the metrics beside it differ in two rows."""
        loss = self.ablation.loss
        pair = lines[lines["row"].isin(loss["compared"])]
        baseline = loss["compared"][0]
        table = summary(pair, list(loss["panels"]), baseline)
        units = {name: " in 1e-5" if name == loss["column"] else " in %" for name in loss["panels"]}
        return "; ".join(outcome(table, baseline, name, unit) for name, unit in units.items())

    def compare_decodings(self, results: pd.DataFrame) -> tuple[pd.DataFrame, str]:
        """Return what a decoding gains over another one with the same weights, and in one line.

        Returns:
            One line per network (row of the sweep) and decoding, as in ``summary``.
        """
        baseline, metrics = self.ablation.within["baseline"], self.ablation.metrics
        shown = to_display(results)
        shown = shown.assign(network=shown["row"], row=shown["decoding"])
        within = summary_by(shown, "network", metrics, baseline)
        others = within[within["row"] != baseline]
        network, decoding = others["network"], others["row"]
        named = others.assign(row=network if decoding.nunique() == 1 else network + ", " + decoding)
        return within.rename(columns={"row": "decoding"}), outcome(named, baseline, unit=" in %")

    def time_rows(self, repeats: int = 5, device: str = "auto") -> pd.Series:
        """Time a trained network of each row: one image after another, without flip testing.

        Args:
            repeats: over all timed images; the median counts.

        Returns:
            ms per image by row, from the image in memory to its poses. On a CPU it is processor
            time with one thread, which is steadier if others use the machine; on a GPU wall-clock
            time. Rows without a finished run are absent. See ``time_stored``.
        """
        options = replace(self.settings.predict, flip=False, batch_size=1)
        images = self.test_set, min(self.ablation.timed_images, len(self.test_set))
        times: dict[str, float] = {}
        for run, record in self.finished:
            if run.row not in times:
                times[run.row] = time_stored(
                    record, self._digest, *images, options, get_device(device), repeats
                )
        return pd.Series(times, dtype=float)


def open_study(
    path: Path | str,
    preset: str,
    seeds: str,
    runs_dir: Path | str,
    *,
    steps: int = 0,
    figures_dir: Path | str | None = None,
) -> Study:
    """Open an ablation and plan its runs as the parameters of a notebook ask for them.

    Args:
        preset: of every run; ``"smoke"`` takes the first seed and the ablation's ``smoke`` rows.
        seeds: whole numbers with spaces between; each row is trained with each of them.
        steps: of every training; 0 for what the sweep and the preset say.
        figures_dir: whose kept runs count where the folder of one is absent; None for none.

    Raises:
        FileNotFoundError: the sweep or its notebook is absent.
        ValueError: seeds are no whole numbers, the preset or a row is unknown, the file has a
            fault, its rows differ in dataset, system, skeleton or size, or an option is unknown.
    """
    sweep, ablation = read_sweep(path), read_ablation(path)
    runs = study_runs(path, preset, seeds, steps=steps)
    shared = check_runs(path, ablation, runs)
    dataset = str(shared["dataset"])
    settings = get_preset(preset, dataset, str(shared["system"]), size=int(shared["size"] or 0))
    test_set = settings.open_dataset(dataset, "test", skeleton=str(shared["skeleton"] or ""))
    data = describe(test_set, dataset)
    kept = None if figures_dir is None else Path(figures_dir)
    planned = tuple(sweep.rows), runs, given_parameters(preset, steps), Path(runs_dir)
    return Study(Path(path), ablation, *planned, settings, test_set, data, kept)

"""What notebooks of ablations share: runs of a sweep and the images that all are tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from poselib.data.catalog import KeypointDataset, cache_in_memory
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.predict import predict
from poselib.engine.timing import measure
from poselib.experiments.ablation import measure_runs, missing_runs, trained_file
from poselib.experiments.parameters import notebook_parameters
from poselib.experiments.run_sweep import run_batch
from poselib.experiments.sweep import PlannedRun, plan, read_sweep
from poselib.experiments.training import get_device
from poselib.papers.preset import Preset
from poselib.papers.presets import get_preset
from poselib.systems import OptionValue


@dataclass(frozen=True)
class Study:
    """Every row of a sweep with some seeds, trained or not, and how they are tested.

    Attributes:
        runs: all rows with the first seed, then all with the next.
        runs_dir: folder of all runs.
        settings: the preset of the runs; says how images are presented.
        test_set: images of the dataset that the rows are trained for.
    """

    runs: tuple[PlannedRun, ...]
    runs_dir: Path
    settings: Preset
    test_set: KeypointDataset

    @property
    def seeds(self) -> list[int]:
        return list(dict.fromkeys(run.seed for run in self.runs))

    @property
    def missing(self) -> pd.DataFrame:
        """What is not trained yet: see ``ablation.missing_runs``."""
        return missing_runs(self.runs, self.runs_dir)

    @property
    def state(self) -> str:
        """How many of the runs are trained, as a line to print."""
        return f"{len(self.runs) - len(self.missing)} of {len(self.runs)} runs are finished"

    @property
    def steps(self) -> list[int]:
        """Optimizer steps of the finished trainings, each number once."""
        records = [record for run in self.runs if (record := run.record(self.runs_dir))]
        return sorted({steps for record in records if (steps := record.metrics.get("steps"))})

    def train(self, workers: int = 1, device: str = "auto") -> None:
        """Train what is missing, ``workers`` runs at a time: see ``batch.run_batch``."""
        run_batch(self.runs, self.runs_dir, workers, {"device": device})

    def measure(
        self, decodings: Mapping[str, Mapping[str, OptionValue]], device: str = "auto"
    ) -> pd.DataFrame:
        """Decode every finished run in several ways and measure what comes out.

        Args:
            decodings: the options of each way, by its name.
            device: where the networks run.

        Returns:
            One line a run and way: ``row``, ``seed``, ``run``, ``decoding`` and, in per cent, all
            that ``ablation.measure_variants`` measures.

        Raises:
            FileNotFoundError: no run is finished, or one has no trained system.
        """
        found = measure_runs(
            self.runs,
            self.runs_dir,
            cache_in_memory(self.test_set),
            self.settings.predict,
            decodings,
            device=get_device(device),
        )
        told = ["row", "seed", "run", "decoding"]
        return pd.concat([found[told], 100 * found.drop(columns=told)], axis=1)

    def time_rows(self, images: int = 8, repeats: int = 5, device: str = "auto") -> pd.Series:
        """Time a trained network of each row: one image after another, not mirrored.

        Args:
            images: how many of the test set, its first.
            repeats: of all of them; the median counts.
            device: where the networks run.

        Returns:
            ms an image by row, from the image in memory to its people: of the processor, with one
            thread, where it does the work, since that is steadier if others use the machine;
            by the clock on a GPU. Rows of which no run is finished are absent.
        """
        where, seen = get_device(device), range(min(images, len(self.test_set)))
        options = replace(self.settings.predict, flip=False, batch_size=1)
        samples = [self.test_set[index] for index in seen]
        finished = {run.row: run for run in reversed(self.runs) if run.record(self.runs_dir)}
        taken = {}
        for row in dict.fromkeys(run.row for run in self.runs if run.row in finished):
            system = load_checkpoint(trained_file(finished[row], self.runs_dir)).system
            work = partial(predict, system, samples, options, device=where)
            timing = measure(work, repeats, device=where)
            whole = timing.cpu_median if where.type == "cpu" else timing.median
            taken[row] = whole / len(samples)
        return pd.Series(taken, dtype=float)


def open_study(
    sweep: Path | str,
    preset: str,
    seeds: str,
    runs_dir: Path | str,
    *,
    steps: int = 0,
    rows: Sequence[str] | None = None,
) -> Study:
    """Plan the runs of a sweep as the parameters of a notebook ask for them.

    Args:
        sweep: file of the sweep.
        preset: of every run; ``"smoke"`` takes the first seed alone.
        seeds: whole numbers with spaces between, each row is trained with each of them.
        runs_dir: folder of all runs.
        steps: of every training; 0 for what the sweep and the preset say.
        rows: those wanted of the sweep; all of them by default.

    Raises:
        FileNotFoundError: the sweep or its notebook is absent.
        ValueError: seeds are no whole numbers, the preset or a row is unknown, the sweep has a
            fault, or its rows are trained for different datasets or systems.
    """
    parts = seeds.split()
    if not parts or not all(part.isdecimal() for part in parts):
        raise ValueError(f"seeds must be whole numbers, as '0 1 2', not {seeds!r}")
    numbers = [int(part) for part in parts][: 1 if preset == "smoke" else None]
    # Only where they are given: a sweep may have steps of its own.
    common = {"preset": preset, **({"steps": steps} if steps else {})}
    runs = tuple(plan(read_sweep(sweep), numbers, common, rows))
    dataset, system = _shared(runs, "dataset"), _shared(runs, "system")
    settings = get_preset(preset, dataset, system)
    return Study(runs, Path(runs_dir), settings, settings.open_dataset(dataset, "test"))


def _shared(runs: tuple[PlannedRun, ...], name: str) -> str:
    """Return a parameter that all runs of a sweep have alike."""
    defaults = notebook_parameters(runs[0].notebook)
    values = {str(run.parameters.get(name, defaults[name])) for run in runs}
    if len(values) > 1:
        raise ValueError(f"sweep {runs[0].sweep!r}: rows differ in {name}: {sorted(values)}")
    return values.pop()

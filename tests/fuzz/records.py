"""Corpora of what experiments leave and take: sweep files, skeletons, runs and sidecars."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd

from poselib.data.coco_export import coco_category
from poselib.engine.training_log import write_curves
from poselib.experiments.ablation import check_runs, final_losses, read_ablation, training_losses
from poselib.experiments.comparison import TableResult
from poselib.experiments.evaluation_record import with_evaluations
from poselib.experiments.own_dataset import held_out
from poselib.experiments.run_table import EVALUATION
from poselib.experiments.runs import list_runs, load_run
from poselib.experiments.sweep import PlannedRun, plan, read_sweep
from poselib.papers.catalog import get_paper
from poselib.papers.outcomes import outcomes
from poselib.skeletons import COCO, Skeleton, get_skeleton
from tests.fuzz.corpus import Corpus, Rng, try_all
from tests.fuzz.json_values import encode, mutate
from tests.fuzz.raw_bytes import damage

ROOT = Path(__file__).resolve().parents[2]


def prepare_sweep(folder: Path) -> None:
    (folder / "sweeps").mkdir()


def write_sweep(rng: Rng, folder: Path) -> None:
    sources = sorted((ROOT / "notebooks" / "sweeps").glob("*.json"))
    whole = json.loads(sources[rng.integers(len(sources))].read_text())
    changed = rng.random() < 0.2  # the notebook
    sweep = json.dumps(whole).encode() if changed else encode(rng, mutate(rng, whole))
    (folder / "sweeps" / "a.json").write_bytes(sweep)
    for path in (ROOT / "notebooks").glob("03_*.ipynb"):
        notebook = json.loads(path.read_text())
        data = encode(rng, mutate(rng, notebook)) if changed else json.dumps(notebook).encode()
        (folder / path.name).write_bytes(data)


def read_sweep_file(folder: Path) -> None:
    path = folder / "sweeps" / "a.json"
    runs = plan(read_sweep(path), [0])
    assert not any(run.record(folder / "runs") for run in runs)
    check_runs(path, read_ablation(path), runs)


def write_skeleton(rng: Rng, folder: Path) -> None:
    """Write the file of a skeleton, changed in its fields or damaged, and a category."""
    COCO.to_toml(folder / "a.toml")
    data = (folder / "a.toml").read_bytes()
    if rng.random() < 0.7:
        data = _toml(mutate(rng, tomllib.loads(data.decode()))).encode("utf-8", "replace")
    (folder / "a.toml").write_bytes(damage(rng, data) if rng.random() < 0.4 else data)
    (folder / "a.json").write_bytes(encode(rng, mutate(rng, {"categories": [coco_category(COCO)]})))


def _toml(tree: Any) -> str:
    """Write a tree of JSON as TOML, which has no null."""
    if not isinstance(tree, dict):
        return _toml_value(tree)
    return "\n".join(f"{json.dumps(str(key))} = {_toml_value(tree[key])}" for key in tree)


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return (
            f"{{{', '.join(f'{json.dumps(str(k))} = {_toml_value(v)}' for k, v in value.items())}}}"
        )
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_value, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("NaN", "nan").replace("Infinity", "inf")


def read_skeleton(folder: Path) -> None:
    """Skeletons that are accepted come back whole."""

    def use(file: Path) -> None:
        skeleton = get_skeleton(file)
        assert Skeleton.from_fields(skeleton.fields()) == skeleton and skeleton.summary()
        assert len(skeleton.group_indices("limbs")) == len(skeleton) == len(skeleton.flip_indices)

    try_all(folder, lambda _: use(folder / "a.toml"), lambda _: use(folder / "a.json"))


ROW = {
    **{"paper": "dekr", "dataset": "coco", "row": "poselib, a, single scale", "measured_on": "x"},
    "numbers": {"params_m": 1.5, "input_size": 512, "AP": 50.0},
}
RUN = {
    "run.json": {"id": "a", "name": "train", "notebook": "03_train", "started": "2026-01-01T00:00"},
    "params.json": {"seed": 0, "system": "hae", "options": "focal=true", "steps": 3},
    "metrics.json": {"AP": 0.5, "AP50": 0.7, "train_seconds": 3.0, "row": ROW},
    "metrics.jsonl": {"step": 1, "loss": 0.5},
    "split.json": {"annotations": "a.json", "val": [1, 2]},
}


def prepare_run(folder: Path) -> None:
    (folder / "runs" / "a").mkdir(parents=True)


def write_run(rng: Rng, folder: Path) -> None:
    changed = str(rng.choice([*RUN, "sidecar"]))
    name = str(rng.choice(["train", EVALUATION]))
    sidecar = {"parameters": {"data": "x", "preset": "demo"}, "outcome": "good", "created": "2026"}
    named = {f"runs/a/{each}": content for each, content in RUN.items()}
    named["runs/a/run.json"] = {**RUN["run.json"], "name": name}
    for name, content in {**named, "hae_lambda.json": sidecar}.items():
        this = name.endswith(changed) or (changed == "sidecar" and content is sidecar)
        data = encode(rng, mutate(rng, content)) if this else json.dumps(content).encode()
        (folder / name).write_bytes(data)


def read_run(folder: Path) -> None:
    """Show a run, its curves and its row in a table; the images that it held out; figures."""
    runs = folder / "runs"

    def read(_: Path) -> None:
        run = load_run(runs / "a")
        assert isinstance(run.metrics, dict) and isinstance(run.history, list)

    def losses(_: Path) -> None:
        run = load_run(runs / "a")
        planned = PlannedRun("sweep", "row", 0, Path("03_train.ipynb"), {}, "a")
        final_losses(training_losses([(planned, run)], "loss"))

    tables = [TableResult(table, pd.DataFrame()) for table in get_paper("dekr").tables]
    try_all(
        folder,
        read,
        losses,
        lambda _: list_runs(runs),
        lambda _: write_curves(runs / "a"),
        lambda _: [each.lines() for each in with_evaluations(tables, runs)],
        lambda _: held_out(runs / "a", folder / "a.json"),
        lambda _: outcomes("hae", folder),
    )


RECORDS: dict[str, Corpus] = {
    "sweeps": Corpus(0.03, prepare_sweep, write_sweep, read_sweep_file),
    "skeletons": Corpus(0.03, lambda folder: None, write_skeleton, read_skeleton),
    "runs": Corpus(0.015, prepare_run, write_run, read_run),
}

"""Weights that are used again: what they follow from, and how a run takes them up."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import poselib
from poselib.engine import trainer
from poselib.engine.train import train
from poselib.experiments import fingerprint, provenance, run_worker
from poselib.experiments.fingerprint import notebook_fingerprint, weights_digest
from poselib.experiments.identity import basis, meaning
from poselib.experiments.kept_runs import keep_run, load_kept
from poselib.experiments.parameters import notebook_parameters
from poselib.experiments.reused_weights import (
    CHECKPOINT,
    earlier_training,
    take_up_weights,
    weights_basis,
)
from poselib.experiments.run_record import load_run
from poselib.experiments.runs import start_run
from poselib.experiments.sweep import PlannedRun, plan, read_sweep
from poselib.experiments.training import init_system
from poselib.ops.io import read_json, write_json
from poselib.papers.presets import get_preset
from tests.experiments.factories import cell, write_notebook

PACKAGE = Path(poselib.__file__).parent
NOTEBOOKS = PACKAGE.parent / "notebooks"
TRAIN = NOTEBOOKS / "03_train.ipynb"
DATASETS = {"hae": "crowd", "dekr": "crowd", "grm": "crowd", "logocap": "crowd"}
DATASETS |= {"rpstn": "clips", "jre": "clips"}
# A decoder, a metric, prediction, and what evaluates itself; each is reached by a training.
EVALUATING = {
    "decoders/pose_nms.py": ("    return duplicates", "    return duplicates.copy()"),
    "metrics/ap.py": ("    return levels", "    return {**levels}"),
    "engine/predict.py": ("    return DetectedBoxes(", "    return (lambda d: d)(DetectedBoxes)("),
    "engine/evaluate.py": ("    return", "    0\n    return"),
}
LOCAL = 'run_id = ""\ndevice = ""\nruns_dir = "runs"\n'
SHORT = """
import torch
from poselib.engine.evaluate import evaluate
from poselib.experiments.parameters import current_parameters
from poselib.experiments.runs import start_run
from poselib.experiments.training import init_system, train_preset
from poselib.papers.presets import get_preset
settings = get_preset("smoke", "synthetic", system)
scenes = settings.open_dataset("synthetic", "train")
model = init_system(settings, scenes.skeleton, seed, system, pretrained="")
run = start_run(runs_dir, "short", current_parameters("03_short", globals()), run_id)
trained = train_preset(settings, model, scenes, run.folder, seed=seed, steps=2, progress=False)
found = evaluate(trained.system, scenes, settings.predict).as_dict()
weights = sum(float(each.double().sum()) for each in trained.system.model.parameters())
run.finish({"AP": found["AP"], "weights": weights, "seconds": trained.seconds,
            "precision": trained.precision})
"""


@contextmanager
def executed() -> Iterator[set[tuple[str, str]]]:
    """Collect the definitions of the package that are executed, by module and name."""
    found: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code, module = frame.f_code, str(frame.f_globals.get("__name__"))
        # What dataclasses write for themselves has no file.
        if event == "call" and module.startswith("poselib.") and code.co_filename.endswith(".py"):
            found.add((module, code.co_qualname.partition(".")[0]))

    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("name", DATASETS)
def test_what_a_training_executes_is_what_its_weights_follow_from(
    name: str, tmp_path: Path
) -> None:
    settings = get_preset("smoke", DATASETS[name], name)
    scenes = settings.open_dataset(DATASETS[name], "train")
    with executed() as built:
        system = init_system(settings, scenes.skeleton, 0, name, pretrained="")
    recipe = settings.recipe_for(len(scenes))
    augment = settings.augmentation(system.skeleton, system)
    with executed() as found:
        train(system, scenes, recipe, tmp_path, augment=augment, progress=False)
    assert ("poselib.engine.trainer", "TrainingState") in found
    assert any(module.startswith("poselib.models.") for module, _ in found)

    beside = (*fingerprint._BESIDE, *fingerprint._PAPERS, *fingerprint._DRAWING)
    chosen = fingerprint._chosen(frozenset([name]), frozenset([DATASETS[name]]))
    excluded = (*beside, *fingerprint._EVALUATING)
    _, counted = fingerprint._executed(TRAIN, PACKAGE, excluded, chosen, fingerprint._DECODING)
    # What only sets up how to decode is free to change.
    built = {place for place in built if not place[0].startswith("poselib.decoders.")}
    defined = {place for place in found | built if not place[1].startswith("<")}
    missed = {place for place in defined - counted if not place[0].startswith(beside)}
    assert not missed


def test_weights_do_not_follow_from_what_evaluates(tmp_path: Path, changed_package: Path) -> None:
    copied = tmp_path / "poselib"
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in EVALUATING.items():
        text = (copied / name).read_text(encoding="utf-8")
        assert old in text
        (copied / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    def weights(system: str, package: Path = PACKAGE) -> str:
        return weights_digest(TRAIN, "", (system,), (DATASETS[system],), False, package)

    seen: set[str] = set()
    for name in DATASETS:
        which: Mapping[str, Any] = {"systems": [name], "datasets": [DATASETS[name]]}
        whole = notebook_fingerprint(TRAIN, **which, drawing=False)
        other = notebook_fingerprint(TRAIN, **which, drawing=False, package=copied)
        seen |= {*other.changed(whole.modules)}
        assert weights(name) == weights(name, copied) != ""
    assert seen == {file.removesuffix(".py").replace("/", ".") for file in EVALUATING}
    changed = {name for name in DATASETS if weights(name) != weights(name, changed_package)}
    assert changed == {"dekr", "grm", "logocap"}  # those that minimize the changed loss


def test_defaults_of_decoders_count_as_systems_take_them_over(tmp_path: Path) -> None:
    copied = tmp_path / "poselib"
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    file = copied / "decoders" / "grouping.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("max_candidates: int = 30", "max_candidates: int = 25"))
    which = ("hae",), ("crowd",), False
    assert weights_digest(TRAIN, "", *which) != weights_digest(TRAIN, "", *which, copied)


def test_only_trainings_have_weights() -> None:
    for name in ("05_predict", "14_ablation"):
        assert weights_digest(NOTEBOOKS / f"{name}.ipynb", "", ("hae",), (), True) == ""
    given = {"preset": "small", "dataset": "crowd"}
    assert meaning(TRAIN, given)[1]["weights"]
    assert meaning(TRAIN, {**given, "preset": "smoke"})[1] == {}


@pytest.fixture
def planned(tmp_path: Path) -> PlannedRun:
    """A run of a notebook that trains a network for two steps."""
    declared = cell(f'preset = "small"\nsystem = "hae"\nseed = 0\n{LOCAL}', "parameters")
    write_notebook(tmp_path / "03_short.ipynb", declared, cell(SHORT))
    sweep = {"about": "for tests", "notebook": "03_short.ipynb", "parameters": {}}
    (tmp_path / "shorts.json").write_text(json.dumps({**sweep, "rows": {"one": {}}}))
    (run,) = plan(read_sweep(tmp_path / "shorts.json"), [3])
    return run


def made_before(run: PlannedRun, folder: Path, **changes: Any) -> Path:
    """Write the finished run that other code for decoding made, and return its folder."""
    params, code = meaning(run.notebook, run.parameters)
    params |= {"digests": digests} if (digests := changes.pop("digests", {})) else {}
    code = {**code, "digest": "0" * 8, **changes.pop("code", {})}
    path = folder / f"{run.run_id.rpartition('-')[0]}-{basis(params, code)}"
    path.mkdir(parents=True, exist_ok=True)
    values = {name: value for name, value in params.items() if name != "notebook"}
    write_json(path / "params.json", values)
    about = {"id": path.name, "name": "short", "started": "2026-01-01", "code": code}
    write_json(
        path / "run.json", {**about, "git_commit": "a" * 40, "git_changed": False, **changes}
    )
    lines = ({"step": 1, "loss": 2.0}, {"step": 1, "AP": 0.1}, {"step": 2, "loss": 1.0})
    (path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (path / CHECKPOINT).write_bytes(b"weights")
    write_json(path / "metrics.json", {"AP": 0.5})
    return path


def test_a_run_takes_up_weights_and_losses_of_an_earlier_one(
    planned: PlannedRun, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    basis = weights_basis(planned)
    runs.mkdir()
    assert take_up_weights(planned, runs, basis) is None
    made_before(planned, runs)
    newer = made_before(planned, runs, code={"digest": "1" * 8}, started="2026-02-01")
    assert take_up_weights(planned, runs, "") is None  # who planned it found none
    taken = take_up_weights(planned, runs, basis)
    assert taken is not None and taken.folder == newer
    folder = runs / planned.run_id
    assert (folder / CHECKPOINT).read_bytes() == b"weights"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]  # no validation
    assert len(list(runs.iterdir())) == 3 and (folder / "weights_of.json").is_file()
    assert planned.record(runs) is None  # it is not finished
    assert take_up_weights(planned, runs, basis) is None  # it has begun
    (folder / "run.json").touch()
    assert earlier_training(planned, runs, basis) is None


def test_what_other_code_trained_is_not_taken_up(
    planned: PlannedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = False
    monkeypatch.setattr(provenance, "provenance", lambda: {"git_changed": changed})
    number = iter(range(100))

    def taken(break_it: Callable[[Path], object] = lambda folder: None, **changes: Any) -> bool:
        folder = made_before(planned, tmp_path / str(next(number)), **changes)
        break_it(folder)
        return earlier_training(planned, folder.parent, weights_basis(planned)) is not None

    assert taken()
    assert not taken(code={"weights": "0" * 8}) and not taken(code={"settings": "0" * 8})
    assert not taken(digests={"pretrained": "0"})
    assert not taken(git_changed=True) and not taken(weights_of={"git_changed": True})
    assert not taken(lambda folder: (folder / CHECKPOINT).unlink())
    assert not taken(lambda folder: (folder / "metrics.json").unlink())
    assert not taken(lambda folder: (folder / "run.json").write_text("{"))
    assert not taken(lambda folder: folder.rename(f"{folder}"[:-8] + "0" * 8))  # its id says so
    for odd in (None, [], "text"):
        assert not taken(
            lambda folder, odd=odd: write_json(  # type: ignore[misc]
                folder / "run.json", {**read_json(folder / "run.json"), "code": odd}
            )
        )
    changed = True  # then what it makes is not of a commit either
    assert taken(git_changed=True)


def test_the_name_of_the_checkpoint_is_that_of_trainings() -> None:
    assert CHECKPOINT == trainer.CHECKPOINT


def test_a_worker_takes_weights_up_before_it_begins(
    planned: PlannedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, begun = tmp_path / "runs", list[bytes]()
    earlier, folder = made_before(planned, runs), runs / planned.run_id

    def begin(*_: Any, **__: Any) -> None:
        begun.append((folder / CHECKPOINT).read_bytes() if folder.exists() else b"")

    monkeypatch.setattr(run_worker, "run_notebook", begin)
    execute = partial(run_worker.execute_run, planned, runs, {}, 60)
    assert execute(weights=weights_basis(planned)).state == "failed"  # nothing was trained
    log = run_worker.log_of(planned, runs)
    assert log.read_text() == f"{planned.run_id}: evaluates again what {earlier.name} trained\n"
    shutil.rmtree(folder)
    execute()
    assert begun == [b"weights", b""]

    # A fault costs a training, and leaves nothing behind.
    (earlier / "metrics.jsonl").write_text("{")
    execute(weights=weights_basis(planned))
    assert begun[2:] == [b""] and "weights could not be taken up" in log.read_text()
    assert {path.name for path in runs.iterdir()} == {earlier.name, "notebooks"}


def test_workers_import_no_torch_to_look_for_weights(planned: PlannedRun, tmp_path: Path) -> None:
    made_before(planned, tmp_path / "runs")
    (tmp_path / "run.pickle").write_bytes(pickle.dumps((planned, weights_basis(planned))))
    code = (
        "import pickle, sys; from pathlib import Path; import poselib.experiments.run_worker\n"
        "from poselib.experiments.reused_weights import take_up_weights\n"
        f"run, basis = pickle.loads(Path({str(tmp_path / 'run.pickle')!r}).read_bytes())\n"
        f"assert take_up_weights(run, {str(tmp_path / 'runs')!r}, basis)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_plan_of_other_code_finds_no_weights(planned: PlannedRun, tmp_path: Path) -> None:
    assert weights_basis(planned)
    assert not weights_basis(replace(planned, run_id=planned.run_id[:-8] + "0" * 8))
    smoke = replace(planned, parameters={**planned.parameters, "preset": "smoke"})
    assert not weights_basis(smoke)
    folder = tmp_path / "runs" / "short"
    folder.mkdir(parents=True)
    write_json(folder / "weights_of.json", {"weights": "0" * 8})
    params, _ = meaning(planned.notebook, planned.parameters)
    with pytest.raises(ValueError, match="trained by other code"):
        start_run(folder.parent, "short", params, "short")


def test_a_changed_decoder_evaluates_again_and_trains_nothing(
    planned: PlannedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    monkeypatch.chdir(tmp_path)
    given = {"device": "cpu", "runs_dir": str(runs), "run_id": planned.run_id}
    namespace = {**notebook_parameters(planned.notebook), **planned.parameters, **given}
    exec(SHORT, {**namespace})
    first = load_run(runs / planned.run_id)
    metrics, losses, about = first.metrics, first.losses, first.about
    assert "weights_of" not in about
    # As if another decoder had been there.
    code = {**about["code"], "digest": "0" * 8}
    earlier = f"{first.id.rpartition('-')[0]}-{basis(first.params, code)}"
    write_json(first.folder / "run.json", {**about, "id": earlier, "code": code})
    write_json(first.folder / "metrics.json", {**metrics, "AP": 0.9})
    first.folder.rename(runs / earlier)

    write_json(first.folder.with_name(earlier) / "metrics.json", {**metrics, "precision": "auto"})
    assert take_up_weights(planned, runs, weights_basis(planned)) is not None
    exec(SHORT, {**namespace})
    again = load_run(runs / planned.run_id)
    # The time of the training too: it was not gone on with. What it says of itself stays.
    assert again.metrics == {**metrics, "precision": "auto"} and again.losses == losses
    origin = again.about["weights_of"]
    assert origin["id"] == earlier and origin["git_commit"] == about["git_commit"]
    kept = load_kept(keep_run(again, tmp_path / "figures"))
    assert kept.about["weights_of"] == origin == read_json(again.folder / "weights_of.json")

    # What takes up that one names who trained.
    other = {**again.about["code"], "digest": "1" * 8}
    third = runs / f"{again.id.rpartition('-')[0]}-{basis(again.params, other)}"
    write_json(again.folder / "run.json", {**again.about, "id": third.name, "code": other})
    again.folder.rename(third)
    shutil.rmtree(runs / earlier)
    assert take_up_weights(planned, runs, weights_basis(planned)) is not None
    assert read_json(runs / planned.run_id / "weights_of.json") == origin

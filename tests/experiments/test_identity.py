"""What the ids of planned runs follow from, and what they do not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poselib.experiments import fingerprint, runs
from poselib.experiments.identity import planned_id
from poselib.experiments.parameters import (
    current_parameters,
    notebook_parameters,
    parse_parameters,
)
from poselib.experiments.runs import start_run
from poselib.experiments.sweep import PlannedRun, plan, read_sweep
from poselib.papers.common_presets import COMMON_PRESETS
from tests.data.test_catalog import coco_folder
from tests.experiments.factories import write_notebook

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
TRAIN = NOTEBOOKS / "03_train.ipynb"
SYSTEMS = ("hae", "dekr", "grm", "logocap", "rpstn", "jre")
CROWD: Mapping[str, Any] = {"dataset": "crowd", "seed": 1}


def training_id(**given: Any) -> str:
    return planned_id(TRAIN, {**CROWD, **given})


def test_a_changed_loss_changes_the_ids_of_trainings_that_minimize_it(
    changed_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: training_id(system=name) for name in SYSTEMS}
    changed = partial(fingerprint.notebook_fingerprint, package=changed_package)
    monkeypatch.setattr(fingerprint, "notebook_fingerprint", changed)
    fingerprint.fingerprint_of_now.cache_clear()
    after = {name: training_id(system=name) for name in SYSTEMS}
    fingerprint.fingerprint_of_now.cache_clear()
    assert [n for n in SYSTEMS if after[n] != before[n]] == ["dekr", "grm", "logocap"]


def test_changed_settings_of_a_preset_change_its_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [
        {},
        {"system": "dekr"},  # its paper has a preset of its own
        {"dataset": "synthetic"},
        {"preset": "demo"},
        {"dataset": "clips", "system": "rpstn"},
    ]
    before = [training_id(**each) for each in wanted]
    usual = COMMON_PRESETS["small", "crowd"]
    longer = replace(usual, recipe=replace(usual.recipe, steps=usual.recipe.steps + 1))
    monkeypatch.setitem(COMMON_PRESETS, ("small", "crowd"), longer)  # type: ignore[arg-type]
    changed = [training_id(**each) != old for each, old in zip(wanted, before, strict=True)]
    assert changed == [True, False, False, False, False]
    smoke = training_id(preset="smoke")
    monkeypatch.setitem(COMMON_PRESETS, ("smoke", "crowd"), longer)  # type: ignore[arg-type]
    assert training_id(preset="smoke") != smoke


@settings(max_examples=15)
@given(st.permutations(["focal=true", "width=8", "relation=none", "sigma=2.0"]), st.booleans())
def test_the_order_of_options_does_not_matter(parts: list[str], last: bool) -> None:
    usual = training_id(preset="smoke", options="focal=true width=8 relation=none sigma=2.0")
    values = {"preset": "smoke", "options": "  ".join(parts), **CROWD}
    ordered = dict(reversed(values.items())) if last else values
    assert planned_id(TRAIN, ordered) == usual
    assert planned_id(TRAIN, {**ordered, "options": " ".join(parts[1:])}) != usual


@settings(max_examples=30)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "seed": st.integers(0, 3),
            "steps": st.integers(0, 3),
            "seconds": st.floats(0, 10),
            "size": st.sampled_from([0, 64, 128]),
            "translation": st.sampled_from([None, 0.0, 0.5]),
            "pretrained": st.sampled_from([None, "", "bundled", "imagenet"]),
            "options": st.sampled_from(["", "focal=true"]),
        },
    )
)
def test_ids_differ_as_parameters_do(values: dict[str, Any]) -> None:
    """Defaults may be given or not, and a command line gives the values that a plan does."""
    defaults = {**notebook_parameters(TRAIN), "preset": "smoke"}
    whole, changed = {**defaults, **values}, {**values, "preset": "smoke"}
    assert planned_id(TRAIN, changed) == planned_id(TRAIN, whole)
    assert parse_parameters(TRAIN, {k: str(v) for k, v in whole.items()}) == whole
    for name, value in values.items():
        without = {k: v for k, v in changed.items() if k != name}
        same = value == defaults[name] and type(value) is type(defaults[name])
        assert (planned_id(TRAIN, without) == planned_id(TRAIN, changed)) == same


def test_a_changed_default_changes_ids(tmp_path: Path) -> None:
    content = TRAIN.read_text(encoding="utf-8")
    copied = tmp_path / "03_train.ipynb"
    copied.write_text(content, encoding="utf-8")
    before = planned_id(copied, CROWD)
    assert before == training_id()  # wherever the notebook lies
    for old, new in (("steps = 0 ", "steps = 9 "), ('preset = \\"small', 'preset = \\"paper')):
        assert old in content
        copied.write_text(content.replace(old, new), encoding="utf-8")
        assert planned_id(copied, CROWD) != before
    copied.write_text(content.replace("seed = 0\\n", "seed = 0  # why\\n"), encoding="utf-8")
    assert planned_id(copied, CROWD) == before


def test_changed_annotations_and_weights_change_ids(tmp_path: Path) -> None:
    coco_folder(tmp_path)
    (tmp_path / "first.pt").write_bytes(b"weights")
    about = {"preset": "smoke", "dataset": "coco", "data_dir": str(tmp_path), "system": "dekr"}
    data = partial(planned_id, TRAIN, about)
    weights = partial(planned_id, TRAIN, {**about, "pretrained": str(tmp_path / "first.pt")})
    elsewhere = partial(planned_id, TRAIN, {**about, "data_dir": str(tmp_path / "x")})
    first, second, third = data(), weights(), elsewhere()
    (tmp_path / "val2017" / "new.jpg").write_bytes(b"an image")
    assert (data(), weights()) == (first, second)
    with (tmp_path / "annotations" / "person_keypoints_val2017.json").open("a") as file:
        file.write("\n")
    assert data() != first and elsewhere() == third
    first, second = data(), weights()
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "first.pt", tmp_path / "copy")
    elsewhere = partial(planned_id, TRAIN, {**about, "pretrained": f"{tmp_path}/copy/first.pt"})
    assert elsewhere() == second
    (tmp_path / "first.pt").write_bytes(b"others")
    assert weights() != second and data() == first and elsewhere() == second


def test_bundled_weights_count_for_trainings_that_start_from_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(NOTEBOOKS)
    params = {"notebook": "03_train", "preset": "small", **CROWD}
    for source, dataset, counted in (
        ("", "crowd", False),
        (None, "crowd", True),  # as its preset says
        (None, "synthetic", False),
        ("bundled", "crowd", True),
        ("a.pt,bundled", "crowd", True),
    ):
        given = {**params, "dataset": dataset, "pretrained": source}
        code = runs.executed_code(given, drawing=False)
        assert ("hae_tiny_synthetic.safetensors" in code["modules"]) == counted


@pytest.fixture
def planned() -> PlannedRun:
    return plan(read_sweep(NOTEBOOKS / "sweeps" / "dekr_components.json"), [2])[1]


def in_the_notebook(planned: PlannedRun) -> dict[str, Any]:
    """Return what the notebook of a planned run hands to ``start_run``."""
    namespace = {**notebook_parameters(planned.notebook), **planned.parameters}
    return current_parameters(planned.notebook.stem, namespace)


def test_the_process_of_a_run_derives_what_its_plan_says(
    planned: PlannedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(NOTEBOOKS)
    run = start_run(tmp_path, "train", in_the_notebook(planned), planned.run_id)
    assert planned.record(tmp_path) is None
    run.finish({"AP": 0.5})
    found = planned.record(tmp_path)
    assert found is not None and found.metrics == {"AP": 0.5}
    about = json.loads((run.folder / "run.json").read_text())
    assert about["code"]["digest"] and about["code"]["settings"]
    # A run that was made by other code does not pass, whoever wrote it there.
    for changes in ({"digest": "0" * 8}, {"settings": "0" * 8}):
        other = {**about, "code": {**about["code"], **changes}}
        (run.folder / "run.json").write_text(json.dumps(other))
        assert planned.record(tmp_path) is None


def test_code_that_changed_after_the_plan_is_refused(
    planned: PlannedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(NOTEBOOKS)
    params = in_the_notebook(planned)
    usual = runs.executed_code(params, drawing=False)
    for key in ("digest", "settings"):
        monkeypatch.setattr(runs, "executed_code", lambda *_, k=key, **__: {**usual, k: "0" * 8})
        with pytest.raises(ValueError, match=r"planned with other code, settings or files"):
            start_run(tmp_path, "train", params, planned.run_id)
        assert not list(tmp_path.iterdir())
    monkeypatch.setattr(runs, "executed_code", lambda *_, **__: usual)
    with pytest.raises(ValueError, match="planned with other code"):
        start_run(tmp_path, "train", {**params, "digests": {"data_dir": "0"}}, planned.run_id)
    run = start_run(tmp_path, "train", params, planned.run_id)
    run.log({"step": 1})
    monkeypatch.setattr(runs, "executed_code", lambda *_, **__: {**usual, "digest": "0" * 8})
    with pytest.raises(ValueError, match="planned with other code"):  # nor is it taken up again
        start_run(tmp_path, "train", params, planned.run_id)
    assert start_run(tmp_path, "train", params, "mine").id == "mine"
    assert start_run(tmp_path, "train", params).id != planned.run_id


def test_notebooks_that_are_no_plain_python_have_ids(tmp_path: Path) -> None:
    declared = {**json.loads(TRAIN.read_text(encoding="utf-8"))["cells"][3], "id": "a"}
    magic = {**declared, "id": "b", "metadata": {}, "source": "%magic"}
    assert planned_id(write_notebook(tmp_path / "n.ipynb", declared, magic), CROWD)

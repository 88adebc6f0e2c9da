"""The results explorer on folders of runs whose detections are the truth, moved."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anywidget")

from matplotlib.figure import Figure

import poselib
from poselib.analysis.compare import compare_detections
from poselib.analysis.image_errors import KINDS
from poselib.data.readers.coco import CocoKeypoints
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.export import write_scenes
from poselib.engine.evaluate import evaluate_poses
from poselib.experiments.runs import start_run
from poselib.skeletons import COCO
from poselib.structures import Poses
from poselib.widgets.results_explorer import ResultsExplorer, results
from tests.experiments.run_folders import (
    MOVES,
    evaluation,
    moved_images,
    toy_runs,
    training,
    write_dataset,
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, dict[str, list[Poses]]]:
    home = tmp_path_factory.mktemp("results")
    toy_runs(home)
    dataset = write_dataset(home / "toy")
    poses = {name: moved_images(dataset, *by) for name, by in MOVES.items()}
    evaluation(home / "runs", "lost", dataset, poses["one"], data=str(home / "absent"))
    (home / "runs" / "broken").mkdir()
    (home / "runs" / "broken" / "run.json").write_text('{"name": "tra')
    return home / "runs", dataset, poses


@pytest.fixture(scope="module")
def shared(found: Any) -> ResultsExplorer:
    return results(found[0])


@pytest.fixture
def explorer(shared: ResultsExplorer) -> ResultsExplorer:
    with shared.hold():
        for name, value in shared._defaults.items():
            shared.controls[name].value = value
    shared.wait()
    return shared


def ids(explorer: ResultsExplorer) -> list[str]:
    return [row[0] for row in explorer.table.rows]


def test_the_table_is_there_whatever_cannot_be_read(explorer: ResultsExplorer) -> None:
    assert explorer.error is None and set(ids(explorer)) == {"one", "two", "trained", "lost"}
    assert "1 cannot be read" in explorer.table.caption
    assert "broken" in explorer.table.caption
    assert [name for name, _, _ in explorer.table.columns[-2:]] == ["AP", "AR"]


def test_it_is_filtered_and_sorted(explorer: ResultsExplorer) -> None:
    explorer.set(filter="name=evaluation AP>=0.5", sort="run", descending=False)
    assert ids(explorer) == ["lost", "one", "two"]
    explorer.table.asked = ["run", 1]
    assert ids(explorer) == ["two", "one", "lost"] and explorer.seconds < 1
    explorer.table.asked = ["AP", 2]
    explorer.set(filter="", columns="lr nothing")
    assert ids(explorer)[0] == "trained" and "&#x27;nothing&#x27;" in explorer.status.value
    assert dict(explorer.table.rows)["trained"][-1] == "0.5000"
    explorer.set(filter="bogus=1")
    assert "no run has &#x27;bogus&#x27;" in explorer.status.value


def test_a_training_is_followed_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResultsExplorer, "every", 0.01)
    record = training(tmp_path, "live")
    explorer = results(tmp_path)
    explorer.wait()
    assert "step 4, not finished" in explorer.status.value
    for step, finish in ((5, False), (6, True)):
        before = explorer.training.loss.picture
        record.log({"step": step, "loss": 0.1, "heatmap": 0.1})
        if finish:
            record.finish({"AP": 0.5})
        until(lambda step=step: f"step {step}" in explorer.status.value)
        until(lambda before=before: explorer.training.loss.picture != before)
    until(lambda: dict(explorer.table.rows)["live"][4] == "finished")
    explorer.wait()
    assert "step 6, finished" in explorer.status.value
    until(explorer._stop.is_set)
    explorer.close()


def test_a_second_training_is_followed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResultsExplorer, "every", 0.01)
    training(tmp_path, "ended").finish({"AP": 0.5})
    record = training(tmp_path, "live")
    explorer = results(tmp_path, run="ended", against="live")
    explorer.wait()
    before = explorer.training.loss.picture
    with (record.folder / "metrics.jsonl").open("a") as file:
        file.write('half a line"}\n')
    until(lambda: "not JSON" in explorer.status.value)
    record.log({"step": 5, "loss": 0.1, "heatmap": 0.1})
    until(lambda: explorer.training.loss.picture != before)
    record.finish({"AP": 0.5})
    until(lambda: dict(explorer.table.rows)["live"][4] == "finished")
    explorer.close()


def until(is_so: Any) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_runs_are_compared_image_by_image(explorer: ResultsExplorer, found: Any) -> None:
    explorer.table.picked = ["one", False, 1]
    explorer.table.picked = ["two", True, 2]
    explorer.wait()
    assert explorer.values["view"] == "comparison" and explorer.table.second == "two"
    _, dataset, poses = found
    known = {name: evaluate_poses(dataset, each, COCO) for name, each in poses.items()}
    kept = {name: [each.above(0.1) for each in some] for name, some in poses.items()}
    expected = compare_detections(dataset, known, COCO, poses=kept)
    one, two = expected.totals["better"]
    assert f"A wins {one}, B {two}" in explorer.status.value and one and two
    gains = explorer.computed().pairs["gain"]
    assert gains.to_dict() == pytest.approx(expected.gain.to_dict(), abs=1e-5)
    last = explorer.images.canvases[2].picture
    explorer.set(number=5)
    assert explorer.images.canvases[2].picture != last
    assert explorer.images.canvases[0].title == f"truth, image {dataset.image_ids[gains.index[4]]}"
    assert "Parameters that differ" in explorer.comparison.tables.value


def test_the_worst_images_by_kind(explorer: ResultsExplorer, found: Any) -> None:
    explorer.set(view="images", run="one")
    explorer.wait()
    assert explorer.worst.rows[0][1][1] == str(found[1].image_ids[1])  # moved by 8 px
    seen = set()
    for kind in KINDS:
        explorer.set(errors=kind)
        errors = explorer.computed().results[0].errors
        assert len(explorer.worst.rows) == (errors[kind] > 0).sum()
        assert explorer.error is None and "image" in explorer.status.value
        seen.add(explorer.images.canvases[1].picture)
    assert len(seen) > 3
    explorer.set(number=99, errors="oks")
    assert explorer.values["number"] == len(explorer.worst.rows) == 5
    explorer.worst.asked = ["jitter", 1]
    assert explorer.values["errors"] == "jitter" and explorer.values["number"] == 1
    explorer.worst.asked = ["OKS", 2]
    explorer.worst.picked = ["2", False, 3]
    assert explorer.values["errors"] == "oks" and explorer.values["number"] == 2


def test_an_image_without_people_has_no_oks(tmp_path: Path) -> None:
    write_scenes(tmp_path / "toy", SceneConfig(64, people=(1, 1)), 2, 1, COCO)
    path = tmp_path / "toy" / "annotations.json"
    content = json.loads(path.read_text())
    empty = content["images"][1]["id"]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] != empty]
    path.write_text(json.dumps(content))
    dataset = CocoKeypoints(path, tmp_path / "toy" / "images", COCO)
    evaluation(tmp_path / "runs", "found", dataset, moved_images(dataset, 0.0, 0.0)[:1] * 2)
    explorer = results(tmp_path / "runs", view="images", errors="false")
    explorer.wait()
    assert explorer.images.canvases[1].title == "found: no person is labeled"
    assert "0 people, 1 detection" in explorer.status.value and explorer.error is None
    assert explorer.table.caption.startswith("1 run in ")
    titles = [ax.get_title() for ax in explorer.figure().axes]
    assert any("no person is labeled" in each for each in titles) and "nan" not in str(titles)


def test_a_changed_filter_begins_at_its_first_page(explorer: ResultsExplorer) -> None:
    explorer.set(page=3)
    explorer.controls["filter"].value = "name=evaluation"
    assert explorer.values["page"] == 1 and set(ids(explorer)) == {"one", "two", "lost"}


def test_an_image_opens_in_the_fitting_explorer(
    explorer: ResultsExplorer, found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    class Opened:
        code, box = "poselib.widgets.association()", explorer.status

        def __init__(self, model: Any, image: Any) -> None:
            opened.append((model, image))

        def close(self) -> None:
            opened.append("closed")

    monkeypatch.setattr(poselib.widgets, "association", Opened, raising=False)
    explorer.set(view="images", run="one")
    explorer.wait()
    explorer.images.buttons[0].click()
    ((model, sample),) = opened
    assert model == "hae_tiny_synthetic" and sample.image_id == found[1].image_ids[1]
    assert len(sample.keypoints) == 2 and "poselib.widgets.association" in explorer.status.value
    explorer.set(number=2)  # another image: what was opened is closed
    assert opened[1] == "closed" and explorer.images.explorer is None


def test_what_is_missing_is_said(explorer: ResultsExplorer) -> None:
    explorer.set(view="images", run="lost")
    explorer.wait()
    assert "absent: there is no such folder" in explorer.status.value and len(ids(explorer)) == 4
    explorer.set(run="trained")
    explorer.wait()
    assert "has no results.json" in explorer.status.value
    explorer.set(run="nothing")
    explorer.wait()
    assert "holds no run &#x27;nothing&#x27;" in explorer.status.value


def test_what_could_not_be_read_is_read_when_it_is_chosen_again(tmp_path: Path) -> None:
    toy, runs = write_dataset(tmp_path / "toy"), tmp_path / "runs"
    poses = moved_images(toy, *MOVES["one"])
    for name in ("first", "second"):
        evaluation(runs, name, toy, poses)
    annotations = tmp_path / "toy" / "annotations.json"
    annotations.rename(tmp_path / "away.json")
    explorer = results(runs, view="images", run="first")
    explorer.wait()
    assert "annotations.json" in explorer.status.value and explorer.worst.layout.display == "none"
    (tmp_path / "away.json").rename(annotations)
    explorer.table.picked = ["first", False, 1]  # it is chosen already
    explorer.wait()
    assert explorer.status.value.count("image ") and explorer.worst.layout.display is None

    path = runs / "second" / "results.json"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    explorer.set(run="second")
    explorer.wait()
    assert "results.json" in explorer.status.value
    explorer.set(run="first")
    path.write_text(whole)
    explorer.set(run="second")
    explorer.wait()
    assert "results.json" not in explorer.status.value and explorer.error is None


def test_what_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    for name in ("broken", "sound"):
        training(tmp_path, name).finish({"AP": 0.5})
    path = tmp_path / "broken" / "run.json"
    whole = path.read_text()
    path.write_text(whole[:20])
    explorer = results(tmp_path, run="sound")
    explorer.wait()
    assert "1 cannot be read" in explorer.table.caption and ids(explorer) == ["sound"]
    path.write_text(whole)
    explorer.set(columns="AP")  # whatever is done next
    explorer.wait()
    assert set(ids(explorer)) == {"broken", "sound"} and "cannot" not in explorer.table.caption
    metrics = tmp_path / "sound" / "metrics.json"
    metrics.write_text(metrics.read_text().replace("0.5", "0.75"))
    explorer.set(sort="run")
    explorer.wait()
    assert dict(explorer.table.rows)["sound"][-1] == "0.7500"
    scans = explorer.state()
    explorer.set(sort="AP")
    explorer.wait()
    assert explorer.state() == scans  # nothing is read that did not change
    training(tmp_path, "new").finish({"AP": 0.1})
    explorer.set(run="new")
    explorer.wait()
    assert explorer.error is None and "new" in ids(explorer)


def test_published_numbers_are_beside(explorer: ResultsExplorer) -> None:
    explorer.set(view="published", run="trained")
    explorer.wait()
    assert "HAE, Table III" in explorer.published.tables.value
    assert ">75.0<" in explorer.published.tables.value
    assert "not to be compared" in explorer.status.value


def test_its_code_gives_it_again(explorer: ResultsExplorer, found: Any) -> None:
    explorer.set(view="images", run="two", errors="jitter", number=2)
    explorer.wait()
    again = results(found[0], view="images", run="two", errors="jitter", number=2)
    again.wait()
    assert explorer.code == again.code
    assert explorer.code.endswith("view='images', run='two', errors='jitter', number=2)")
    assert again.images.canvases[1].picture == explorer.images.canvases[1].picture
    assert explorer._copy.text == explorer.code
    again.close()


@pytest.mark.parametrize(
    ("view", "runs"),
    [
        ("training", ["trained"]),
        ("comparison", ["one"]),
        ("images", ["one"]),
        ("published", ["one", "trained"]),
    ],
)
def test_each_view_is_a_figure(explorer: ResultsExplorer, view: str, runs: list[str]) -> None:
    for run in ("one", "trained"):
        explorer.set(view=view, run=run, against="two")
        figure = explorer.figure()
        drawn = any(ax.images or ax.lines or ax.patches or len(ax.texts) > 1 for ax in figure.axes)
        assert isinstance(figure, Figure)
        assert drawn == (run in runs)  # of others a sentence says what is missing


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    explorer = results(tmp_path / "absent")
    explorer.wait()
    assert "holds no run that can be read: there is no such folder" in explorer.status.value
    (tmp_path / "file").touch()
    run = start_run(tmp_path / "runs", "train", {})
    for path, said in ((tmp_path / "file", "it is a file"), (run.folder, "it is a run itself")):
        explorer = results(path)
        explorer.wait()
        assert f"holds no run that can be read: {said}" in explorer.status.value
    for wrong in (5, None, ["runs"], ""):
        with pytest.raises(ValueError, match="results takes the folder of the runs"):
            results(wrong)
    with pytest.raises(ValueError, match="view cannot be None; known: training"):
        results(tmp_path, view=None)
    with pytest.raises(ValueError, match="has no setting 'sorted'"):
        results(tmp_path, sorted="AP")

"""Training from the shell: a small dataset that is made on the spot, by the real command."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from poselib.cli import main
from poselib.engine.checkpoints import load_checkpoint, save_system
from poselib.engine.seed import seed_everything
from poselib.engine.trainer import TrainingState
from poselib.experiments.own_dataset import OwnData
from poselib.experiments.own_results import BEST, BestKeeper
from poselib.experiments.own_training import find_start, start_system
from poselib.papers.own_data import own_preset
from poselib.skeletons import COCO, CROWDPOSE
from poselib.systems import build
from poselib.systems.system import System
from tests.experiments.commands import refusal, run

SHORT = ("--steps", 4, "--batch", 4, "--size", 64, "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    arguments = [str(folder), "--count", "12", "--size", "64", "--people", "1", "2"]
    assert main(["synthetic", *arguments]) == 0
    return folder


def train(capsys: pytest.CaptureFixture[str], out: Path, *options: object) -> tuple[int, str, str]:
    return run(capsys, "train", "--out", out, *options)


def weights(file: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(file).system.model.state_dict()


@pytest.mark.slow
def test_a_training_leaves_what_predict_takes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs" / "mine"
    status, said, error = train(capsys, out, "--data", folder, *SHORT)
    assert (status, error) == (0, "")
    assert "12 images" in said and "no fault" in said and "kept 244 of 244 tensors" in said
    assert "4 steps of 4 images" in said and "drawn by seed 0" in said and "AP50" in said
    names = {path.name for path in out.iterdir()}
    pictures = {"annotations.png", "validation.png", "training.png"}
    assert names >= {*pictures, "check.json", "checkpoint.pt", "curves.csv", "results.json"}
    assert main(["predict", str(folder / "images" / "000000.png"), "--checkpoint", str(out),
                 "--out", str(tmp_path / "poses")]) == 0  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text())
    curves = pd.read_csv(out / "curves.csv")
    assert curves["step"].is_monotonic_increasing and curves["AP"].max() == metrics["AP"]
    best = load_checkpoint(out / "best.safetensors")
    assert best.system.input_size == 64 and best.provenance["AP"] == metrics["AP"]
    held_out = json.loads((out / "split.json").read_text())["val"]
    settled = {"system": "hae", "size": 64, "batch": 4, "lr": 1e-3, "epochs": round(16 / 11, 2)}
    assert {name: best.provenance[name] for name in settled} == settled
    assert best.provenance["val_images"] == len(held_out) == 1
    assert {row["image_id"] for row in json.loads((out / "results.json").read_text())} <= {
        *held_out
    }


def test_the_best_weights_so_far_are_known_though_they_find_nobody(tmp_path: Path) -> None:
    """An AP of 0 is one: a later validation that finds nobody either is not better."""
    save_system(tmp_path / BEST, _toy(), provenance={"AP": 0.0})
    (tmp_path / "checkpoint.pt").touch()
    data = OwnData("", [], [], "")  # type: ignore[arg-type]
    preset = own_preset("hae", {}, images=9, short_side=64, device=torch.device("cpu"))
    keeper = BestKeeper(tmp_path, preset, data, torch.device("cpu"))
    assert keeper.best == 0.0 and not keeper.better


@pytest.mark.slow
def test_an_interrupted_training_goes_on_and_ends_as_if_it_had_not_been(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert train(capsys, whole, "--data", folder, *SHORT)[0] == 0
    advance = TrainingState.advance

    def interrupted(state: TrainingState, batch: Any) -> None:
        if state.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        advance(state, batch)

    monkeypatch.setattr(TrainingState, "advance", interrupted)
    status, _, error = train(capsys, cut, "--data", folder, *SHORT)
    monkeypatch.undo()
    assert status == 130 and "--resume" in error and "interrupted" in error
    assert load_checkpoint(cut).system.name == "hae"  # of the folder: predict takes it already
    status, _, error = train(capsys, cut, "--data", folder, *SHORT)
    assert status == 2 and "holds a training: --resume goes on" in error
    status, _, error = train(capsys, cut, "--resume", "--lr", 1)
    assert status == 2 and "--lr is 1.0" in error and "leave it out" in error
    monkeypatch.chdir(folder.parent)  # the dataset is named from another folder than before
    lines, full = (cut / "metrics.jsonl").read_text(), OSError(28, "No space left on device")

    def refuse(*_: object) -> None:
        raise full

    monkeypatch.setattr("torch.save", refuse)
    status, _, error = train(capsys, cut, "--resume")
    monkeypatch.undo()
    file = cut / "checkpoint.pt"
    assert status == 2 and error.count("\n") == 1
    assert f"{file}: cannot be written: No space left on device; training stopped at step" in error
    assert f"the last good checkpoint, {file}, is of step 1; when this is mended" in error
    assert error.endswith(f": poselib train --resume --out {cut}\n")
    assert (cut / "metrics.jsonl").read_text().startswith(lines)
    monkeypatch.chdir(folder.parent)
    status, said, _ = train(capsys, cut, "--resume", "--data", folder.name, "--workers", 1)
    assert status == 0 and "resume: step 1 of 4" in said
    for name in ("checkpoint.pt", "best.safetensors"):
        after = weights(cut / name)
        for key, value in weights(whole / name).items():
            torch.testing.assert_close(after[key], value)
    status, _, error = train(capsys, cut, "--resume")
    assert status == 2 and "finished training" in error


def test_options_reach_the_training_and_stay_when_it_goes_on(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = []

    def interrupted(preset: Any, system: System, data: Any, out: Path, **_: Any) -> None:
        begun.append(preset.recipe)
        TrainingState(system, preset.recipe, out, torch.device("cpu")).save()
        raise KeyboardInterrupt

    monkeypatch.setattr("poselib.experiments.training.train_preset", interrupted)
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    options = ("--precision", "float16", "--compile", "--workers", 1, *SHORT)
    assert train(capsys, tmp_path / "out", "--data", folder, *options)[0] == 130
    again = ("--resume", "--device", "cpu", "--workers", 2)
    assert train(capsys, tmp_path / "out", *again)[0] == 130
    assert begun[1] == replace(begun[0], workers=2)
    assert (begun[0].precision, begun[0].compile, begun[0].workers) == ("float16", True, 1)
    status, _, error = train(capsys, tmp_path / "out", "--resume", "--precision", "bfloat16")
    assert status == 2 and "--precision is 'bfloat16', but the training in" in error


def _toy(skeleton: Any = COCO, **options: Any) -> System:
    seed_everything(4)
    return replace(build("hae", skeleton, backbone="hrnet_tiny", **options), input_size=64)


@pytest.mark.slow
def test_weights_of_other_keypoints_are_taken_over_by_name(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "crowd.safetensors"
    save_system(file, _toy(CROWDPOSE, deconv_blocks=1, deconv_channels=16))
    status, said, _ = train(capsys, tmp_path / "a", "--data", folder, "--init", file, *SHORT)
    assert status == 0 and "head of 17 keypoints: left_shoulder" in said
    assert "nose, left_eye, right_eye, left_ear, right_ear new" in said
    assert load_checkpoint(tmp_path / "a" / "best.safetensors").system.options["deconv_blocks"] == 1


def test_a_file_of_a_backbone_alone_fills_the_backbone(tmp_path: Path) -> None:
    file = tmp_path / "backbone.pth"
    source = load_checkpoint().system.model.state_dict()
    trunk = {k: v for k, v in source.items() if not k.startswith(("final_layers", "deconv"))}
    torch.save(trunk, file)
    start = find_start(str(file), "dekr", "", {}, torch.device("cpu"))
    assert start.source is None and start.pretrained == str(file)
    settings = own_preset(
        "dekr", start.options, images=9, short_side=64, device=torch.device("cpu")
    )
    system, kept = start_system(start, settings, COCO, 0)
    assert kept == f"start: backbone {file}"
    torch.testing.assert_close(system.model.state_dict()["conv1.weight"], trunk["conv1.weight"])


@pytest.mark.slow
def test_a_known_dataset_is_checked_too_and_trains_another_system(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "coco"
    (data / "annotations").mkdir(parents=True)
    for part in ("train2017", "val2017"):
        shutil.copytree(folder / "images", data / part)
        name = f"person_keypoints_{part}.json"
        shutil.copy(folder / "annotations.json", data / "annotations" / name)
    options = ("--data", "coco", "--data-dir", data, "--system", "dekr", *SHORT)
    status, said, error = train(capsys, tmp_path / "out", *options)
    assert (status, error) == (0, "") and said.count("no fault found") == 2
    assert "kept 222 of 344 tensors; the heads are new" in said and "AP is low: " in said
    assert f"validation on 12 images of {data}" in said
    assert load_checkpoint(tmp_path / "out" / "best.safetensors").system.name == "dekr"


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--data", "nowhere"], "no such folder or file, and no dataset of this name; known"),
        ([], "--data is wanted"),
        (["--data", "DATA", "--system", "yolo"], "unknown system 'yolo'"),
        (["--data", "DATA", "--init", "dekr_w99"], "dekr_w99"),
        (["--data", "DATA", "--option", "colour=3"], "has no option 'colour'"),
        (["--data", "DATA", "--steps", "4", "--epochs", "2"], "--steps or --epochs, not both"),
        (["--data", "DATA", "--size", "50"], "multiple of 32"),
        (["--data", "DATA", "--batch", "0"], "--batch must be positive"),
        (["--data", "DATA", "--lr", "-1"], "--lr must be positive"),
        (["--data", "DATA", "--workers", "-1"], "--workers must be 0 or more"),
        (["--data", "DATA", "--skeleton", "mpii"], "17 keypoints"),
        (["--data", "DATA", "--system", "rpstn"], "is trained on videos"),
        (["--data", "synthetic", "--data-dir", "x"], "synthetic images have no files"),
        (["--data", "coco", "--data-dir", "x"], "does not exist"),
        (["--resume"], "holds no training to resume"),
    ],
)
def test_wrong_options_are_one_sentence_before_any_training(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    wrong: str,
) -> None:
    given = [folder if option == "DATA" else option for option in options]
    assert wrong in refusal(capsys, "train", "--out", tmp_path / "out", *given)
    assert not (tmp_path / "out" / "checkpoint.pt").exists()


def test_a_check_names_faults_and_stops(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, _ = train(capsys, tmp_path / "good", "--data", folder, "--check")
    assert "flip pairs: " in said and "; without a partner: " in said
    assert status == 0 and "no fault found" in said and "11 images to train on" in said
    assert (tmp_path / "good" / "annotations.png").stat().st_size > 5000
    assert not (tmp_path / "good" / "run.json").exists()
    content = json.loads((folder / "annotations.json").read_text())
    content["images"][1]["file_name"] = "lost.png"
    content["annotations"][0]["bbox"][2] = -3
    bad = folder / "broken.json"
    bad.write_text(json.dumps(content))
    status, said, error = train(capsys, tmp_path / "bad", "--data", bad, "--check")
    assert status == 2 and "2 kinds of faults must be mended first" in error
    assert "lost.png" in said and "negative" in said
    shown = content["annotations"][0]["bbox"]
    listed = json.loads((tmp_path / "bad" / "check.json").read_text())["files"][0]["findings"]
    assert [each["where"] for each in listed] == [["id 1 (lost.png)"], [f"id 1 has {shown}"]]
    bad.unlink()


@pytest.mark.slow
def test_tensorboard_gets_scalars_and_pictures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = tmp_path / "board"
    assert train(capsys, out, "--data", folder, *SHORT, "--tensorboard")[0] == 0
    read = events.EventAccumulator(str(out / "tensorboard"))
    read.Reload()
    assert {"train/loss", "train/lr", "validation/AP"} <= set(read.Tags()["scalars"])
    curves = pd.read_csv(out / "curves.csv")
    losses = {e.step: e.value for e in read.Scalars("train/loss")}
    assert losses == pytest.approx(dict(zip(curves["step"], curves["loss"], strict=True)))
    assert len(read.Images("validation/0")) >= 1


def test_without_tensorboard_a_sentence_says_how_to_get_it(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, _, error = train(capsys, tmp_path / "out", "--data", folder, "--tensorboard")
    assert status == 2 and "TensorBoard is not installed: pip install" in error


def test_several_processes_are_started_with_the_same_command(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[int, tuple[str, ...]]] = []
    monkeypatch.setattr(
        "poselib.engine.launch.start_processes", lambda *given: calls.append(given) or 3
    )
    arguments = ["train", "--data", str(folder), "--out", str(tmp_path / "out"), "--device", "cpu"]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--processes", "2"])
    assert end.value.code == 3
    assert calls == [(2, ("-m", "poselib.cli", *arguments, "--processes", "2"))]
    status, _, error = train(capsys, tmp_path / "out", "--resume", "--processes", 2)
    assert status == 2 and "holds no training to resume" in error and len(calls) == 1
    assert "--processes must be 1 or more" in refusal(
        capsys, "train", "--data", folder, "--out", tmp_path / "out", "--processes", 0
    )

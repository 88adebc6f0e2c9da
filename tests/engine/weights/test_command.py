"""``poselib weights``, and predictions that name a model or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import poselib
from poselib.cli import main
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.weights.importing import import_weights
from poselib.engine.weights.open import load_model
from poselib.systems.published import PUBLISHED, PublishedWeights
from tests.engine.weights.factories import published_file, random_system, served, small, stored
from tests.engine.weights.servers import Behavior, serving


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSELIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> PublishedWeights:
    """An entry of the catalogue with a small network."""
    row = replace(small(PUBLISHED["hrnet_w32_ae_coco"]), name="tiny", input_size=64, file="t.pth")
    monkeypatch.setitem(PUBLISHED, "tiny", row)
    return row


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    assert main(["synthetic", str(folder), "--count", "1", "--size", "64"]) == 0
    return folder / "images" / "000000.png"


def test_all_names_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "data", "AP", "scales", "input", "file"]
    assert [line.split()[0] for line in lines] == list(PUBLISHED)
    dekr = next(line for line in lines if line.startswith("dekr_w32_coco "))
    assert dekr.split() == ["dekr_w32_coco", "COCO", "val2017", "68.6", "512", "download"]


@pytest.mark.parametrize("name", ["dekr_w32_coco", "hrnet_w32_udp_regress_coco_256x192"])
def test_an_entry_is_shown(name: str, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "show", name]) == 0
    shown = capsys.readouterr().out
    row = PUBLISHED[name]
    parts = (
        row.address,
        row.sha256,
        row.license,
        str(cache / row.file),
        row.unsupported,
        row.frame,
    )
    assert all(part in shown for part in parts)
    assert ("not supported" in shown) == bool(row.unsupported)


@pytest.mark.parametrize("action", ["show", "download"])
def test_the_bundled_model_is_no_file(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", action, "hae_tiny_synthetic"]) != 0
    assert "hae_tiny_synthetic comes with poselib" in capsys.readouterr().err


def test_an_entry_is_downloaded_and_predicts(
    tiny: PublishedWeights,
    cache: Path,
    scenes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = published_file(tiny, random_system(tiny).model)
    with serving(Behavior(content)) as address:
        monkeypatch.setitem(PUBLISHED, "tiny", served(tiny, address, content))
        assert main(["weights", "download", "tiny"]) == 0
    assert capsys.readouterr().out == f"tiny: {cache / 't.pth'}\n"
    assert main(["weights", "where"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == "t.pth"
    # the server is gone
    assert main(["predict", str(scenes), "--model", "tiny", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "results.json").is_file()


@pytest.mark.slow
def test_a_narrower_network_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = small(PUBLISHED["dekr_w32_coco"])
    system = random_system(replace(row, options={**row.options, "backbone": "hrnet_w32"}))
    path = tmp_path / "some.pth"
    path.write_bytes(published_file(row, system.model))
    assert main(["weights", "import", str(path), "--like", "dekr_w32_coco"]) == 2
    assert "does not fit" in capsys.readouterr().err


def full_file(tmp_path: Path, name: str, file: str) -> Path:
    row = PUBLISHED[name]
    path = tmp_path / file
    path.write_bytes(published_file(row, random_system(row).model))
    return path


@pytest.mark.slow
def test_what_a_file_tells_is_enough_or_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = full_file(tmp_path, "dekr_w32_coco", "some.pth")
    assert main(["weights", "import", str(told), "--out", str(tmp_path / "one.safetensors")]) == 0
    assert "DEKR on hrnet_w32 for 17 keypoints" in capsys.readouterr().out
    saved = load_checkpoint(tmp_path / "one.safetensors")
    assert dict(saved.system.options) == {
        **saved.system.options,
        **PUBLISHED["dekr_w32_coco"].options,
    }
    assert saved.system.input_size == 512
    assert saved.provenance == {"imported": "some.pth", "like": "dekr_w32_coco"}
    assert load_model(str(told)).system.options == saved.system.options

    hidden = full_file(tmp_path, "vipnas_r50_coco_256x192", "crops.pth")
    assert main(["weights", "import", str(hidden)]) == 2
    error = capsys.readouterr().err
    assert "does not tell" in error and "--like" in error and "vipnas_r50_coco_256x192" in error
    like = ["--like", "vipnas_r50_coco_256x192"]
    assert main(["weights", "import", str(hidden), *like]) == 0
    named = hidden.rename(tmp_path / PUBLISHED["vipnas_r50_coco_256x192"].file)
    model, what = import_weights(named)
    assert model.system.crop == (256, 192)
    assert "by its name" in what


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<html>Sign in</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (stored({"head.mlp.0.weight": torch.ones(1)}), "RTMPose"),
        (stored({"weird": torch.ones(1)}), "unknown network"),
    ],
)
def test_what_is_no_model_is_refused(
    tmp_path: Path, content: bytes, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    assert main(["weights", "import", str(path)]) == 2
    error = capsys.readouterr().err
    assert what in error and str(path) in error
    with pytest.raises(ValueError, match=what):
        poselib.load(path)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["list", "x"], "no name, not 1"),
        (["show"], "one name, not 0"),
        (["show", "a", "b"], "one name, not 2"),
        (["download"], "takes names, not 0"),
        (["download", "dekr_w32_cocoo"], "did you mean dekr_w32_coco"),
        (["list", "--out", "x.safetensors"], "--out and --like are of weights import"),
        (["import", "no.pth"], "no weights file no.pth"),
        (["import", "no.pth", "--out", "x.pth"], "saved as .safetensors"),
    ],
)
def test_wrong_options_are_named(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", *arguments]) == 2
    assert error in capsys.readouterr().err


def test_photographs_without_a_model_are_told_of_once(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph = tmp_path / "photo.png"
    photograph.write_bytes(scenes.read_bytes())
    out = ["--out", str(tmp_path / "out"), "--size", "64"]
    assert main(["predict", str(scenes), *out]) == 0
    assert capsys.readouterr().err == ""
    assert main(["predict", str(photograph), "--model", "hae_tiny_synthetic", *out]) == 0
    assert capsys.readouterr().err == ""
    assert main(["predict", str(photograph), str(scenes), *out]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("poselib predict: the bundled model hae_tiny_synthetic knows synthetic")
    assert line.endswith("--model dekr_w32_coco")

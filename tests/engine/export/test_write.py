"""Exported systems give what the network of PyTorch gives, through onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

import poselib
from poselib.cli import main
from poselib.data.synthetic.config import ClipConfig
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.export.tensors import to_tensors
from poselib.engine.export.write import export_system
from poselib.engine.person_boxes import AnnotatedBoxes
from poselib.engine.predict import predict
from poselib.engine.stream import PoseStream
from poselib.models.adaptive import AdaptiveBlock
from poselib.models.folding import fold
from poselib.ops.normalization import normalize, pixels
from poselib.structures import Poses
from poselib.systems import System
from tests.engine.export.micro_systems import SYSTEMS, micro_system

SIZES = ((1, 2, 3), (3, 1, 2), (2, 4, 4))  # images, and sides in multiples of the stride


def exported(system: System, folder: Path) -> System:
    export_system(system, folder / "model.onnx")
    return load_checkpoint(folder / "model.onnx").system


def images_for(system: System, number: int, rows: int, columns: int) -> Tensor:
    multiple = int(system.model.multiple)  # type: ignore[arg-type]
    size = (rows * multiple, columns * multiple)
    return normalize(torch.randint(256, (number, 3, *size), dtype=torch.uint8))


def assert_near(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape and found.dtype == expected.dtype
    assert float((found - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected) and found.image_size == expected.image_size
    tensors = to_tensors(expected)
    assert list(to_tensors(found)) == list(tensors)
    for name, tensor in to_tensors(found).items():
        assert_near(tensor, tensors[name])


def assert_same_poses(found: Poses, expected: Poses) -> None:
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1e-2)
    np.testing.assert_allclose(found.person_scores, expected.person_scores, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in SYSTEMS if kind != "rpstn"])
@torch.no_grad()
def test_outputs_are_those_of_the_network_at_any_size(kind: str, tmp_path: Path) -> None:
    system = micro_system(kind)
    other = exported(system, tmp_path)
    assert (other.name, other.options, other.crop) == (system.name, system.options, system.crop)
    assert other.skeleton == system.skeleton and other.flip_shift == system.flip_shift
    for shape in SIZES:
        images = images_for(system, *shape)
        found, expected = other.model(images), system.model(images)
        assert_same(found, expected)
        if kind == "logocap":
            near = {"rtol": 1e-4, "atol": 1e-3}  # of values around 10
            for poses in (0, 1, 5):
                context = torch.randn(poses, 17 * 4, 11, 11)
                maps = expected.attraction_network(context)
                assert found.attraction_network(context).shape == maps.shape
                torch.testing.assert_close(found.attraction_network(context), maps, **near)
        if kind == "dekr":
            for people in (0, 1, 4):
                shown = 30 * torch.randn(people, 17, 2), torch.rand(people, 17)
                torch.testing.assert_close(found.scorer(*shown), expected.scorer(*shown))
        if "tags" in to_tensors(expected):  # people are grouped by chance, where weights are
            continue
        for mine, theirs in zip(other.decode(found), system.decode(expected), strict=True):
            assert_same_poses(mine, theirs)
    with pytest.raises(ValueError, match="must be multiples of"):
        other.model(torch.zeros(1, 3, 12, 12))


@pytest.mark.slow
@torch.no_grad()
def test_a_clip_network_has_its_step_in_a_graph_of_its_own(tmp_path: Path) -> None:
    system = micro_system("rpstn")
    other = exported(system, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.step.onnx"]
    for number, *size in ((1, 8, 8), (3, 13, 21), (2, 14, 8)):  # kernels of 1x1, 3x5, 3x1 cells
        clips = images_for(system, 3 * number, *size).unflatten(0, (number, 3))
        assert_same(other.model(clips), system.model(clips))
    network: Any = fold(system.model)  # the state of which a graph has
    (found, mine), (expected, theirs) = other.model.start(clips[:, 0]), network.start(clips[:, 0])  # type: ignore[operator]
    assert_same(found, expected)
    found, mine = other.model.step(clips[:, 1], mine)  # type: ignore[operator]
    expected, theirs = network.step(clips[:, 1], theirs)
    assert_same(found, expected)
    assert_near(mine.features, theirs.features)
    for network in (other.model, system.model):
        with pytest.raises(ValueError, match=r"kernels of 2x1 cells.* of 64x64, 104x64 px fit"):
            network(clips[..., :72, :])
    inputs, _ = other.model.sessions["step"].signature  # type: ignore[index,union-attr]
    assert inputs == (
        "images (batch, 3, 8*h, 8*w)",
        "previous_heatmaps (batch, 17, 2*h, 2*w)",
        "previous_features (batch, 8, 2*h - 2, 2*w - 2)",
    )

    scenes = ClipConfig(size=96, people=(2, 2), height=(0.4, 0.6), frames=20)
    frames = poselib.open_dataset("clip_crowd", "train", count=1, scenes=scenes)
    found, expected = (predict(each, frames, boxes=AnnotatedBoxes()) for each in (other, system))
    for first, second in zip(found, expected, strict=True):
        assert_same_poses(first, second)
    streams = [PoseStream(each, boxes=AnnotatedBoxes()) for each in (other, system)]
    for number in range(4):
        first, second = (s.step(frames[number], number / 25) for s in streams)
        assert_same_poses(first, second)


@pytest.mark.slow
def test_a_graph_may_take_images_as_files_have_them(tmp_path: Path) -> None:
    system = micro_system("jre")
    (path,) = poselib.load(system).export(tmp_path / "model.onnx", uint8=True)
    other = load_checkpoint(path).system
    images = torch.randint(256, (2, 3, 24, 16), dtype=torch.uint8)
    torch.testing.assert_close(pixels(normalize(images)), images)
    with torch.no_grad():
        expected = system.model(normalize(images)).heatmaps
        assert_near(other.model(normalize(images)).heatmaps, expected)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (given,) = session.get_inputs()
    assert (given.type, given.shape) == ("tensor(uint8)", ["batch", "8*h", "8*w", 3])
    (heatmaps,) = session.run(None, {"images": images.permute(0, 2, 3, 1).numpy()})
    assert_near(torch.from_numpy(heatmaps), expected)


@pytest.mark.slow
def test_the_commands_export_a_model_and_predict_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "exported"
    assert main(["export", "--out", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "from images (batch, 3, 32*h, 32*w) to heatmaps_0 (batch, 17, 8*h, 8*w)" in said
    assert load_checkpoint(folder).provenance == load_checkpoint().provenance
    main(["synthetic", str(tmp_path / "scenes"), "--count", "3", "--people", "2", "3"])
    photos = str(next((tmp_path / "scenes").rglob("*.png")).parent)
    for name, model in (("torch", None), ("onnx", str(folder / "model.onnx"))):
        chosen = ["--checkpoint", model] if model else []
        options = ["--out", str(tmp_path / name), "--scales", "0.5", "1", *chosen]
        assert main(["predict", photos, *options]) == 0
    expected, found = (
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("torch", "onnx")
    )
    assert len(found) == len(expected) > 3
    for mine, theirs in zip(found, expected, strict=True):
        assert mine["image_id"] == theirs["image_id"]
        np.testing.assert_allclose(mine["keypoints"], theirs["keypoints"], atol=1e-2)
        assert mine["score"] == pytest.approx(theirs["score"], abs=1e-4)
    model = poselib.load(folder)
    assert model.options.size_for(model.system) == 128


def test_taps_of_the_adaptive_convolutions_are_not_those_of_an_ordinary_one() -> None:
    """Else parity would say nothing of grid sampling."""
    block = next(m for m in micro_system("dekr").model.modules() if isinstance(m, AdaptiveBlock))
    taps = block.taps(torch.randn(1, 17 * 15, 8, 8))
    steps = taps[:, :, 1] - taps[:, :, 0]
    assert float(steps.detach().std(dim=(0, 3, 4)).mean()) > 0.05

"""The front door: a model by name, images of any kind, poses and figures."""

from __future__ import annotations

import doctest
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import poselib
from poselib import api
from poselib.api import Predictor
from poselib.engine import predictor
from poselib.engine.checkpoints import BUNDLED, load_checkpoint
from poselib.engine.inference import PredictOptions
from poselib.engine.predict import predict
from poselib.engine.train import TrainResult
from poselib.poses import Poses
from poselib.structures import Sample


@pytest.fixture(scope="module")
def model() -> Predictor:
    return poselib.load(device="cpu")


@pytest.fixture(scope="module")
def scenes() -> list[Sample]:
    dataset = poselib.open_dataset("synthetic", "val", count=3)
    return [dataset[index] for index in range(3)]


@pytest.fixture(scope="module")
def pixels(scenes: list[Sample]) -> np.ndarray:
    """(H, W, 3) uint8, not square."""
    return np.ascontiguousarray(scenes[0].image.transpose(1, 2, 0)[8:120])


def same(one: Poses, other: Poses, tolerance: float = 0.0) -> bool:
    return len(one) == len(other) and bool(
        np.allclose(one.keypoints, other.keypoints, rtol=0, atol=tolerance)
    )


# The package


def test_importing_the_package_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys, time; start = time.process_time(); import poselib;"
        "taken = time.process_time() - start;"
        "assert not {'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules);"
        "assert taken < 0.05, taken; poselib.SKELETONS; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    assert set(poselib.__all__) <= set(dir(poselib))
    for name in poselib.__all__:
        assert getattr(poselib, name) is not None
    assert poselib.Poses is Poses and set(poselib.SYSTEMS) >= {"hae", "dekr"}
    with pytest.raises(AttributeError, match="'poselib' has no attribute 'pose'"):
        poselib.pose


# Loading


def test_a_model_by_name_file_or_system(model: Predictor) -> None:
    assert model.name == "hae_tiny_synthetic" and model.system.input_size == 128
    named, file = poselib.load("hae_tiny_synthetic"), poselib.load(BUNDLED)
    given, trained = poselib.load(model.system), TrainResult(model.system, 1, 1.0, [], "float32")
    assert poselib.load(trained).system is given.system is model.system
    assert named.skeleton == file.skeleton == model.skeleton
    assert repr(given).startswith("Predictor(system 'hae', 17 keypoints of 'coco', short side 128")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (("absent.safetensors",), FileNotFoundError, "absent.safetensors does not exist"),
        (("/absent/folder",), FileNotFoundError, "/absent/folder does not exist"),
        ((3,), ValueError, "a name, a file or a System is wanted, not int$"),
        (("higherhrnet",), ValueError, "'higherhrnet'; did you mean higherhrnet_.*known: hae_tiny"),
        ((None, {"size": 0}), ValueError, "size must be 1 or more"),
        ((None, {"scales": [2]}), ValueError, "scales must be positive and include 1"),
        ((None, {"device": "tpu"}), ValueError, "unknown device 'tpu'"),
        ((None, {"speed": {"fold": True}}), ValueError, "speed: SpeedOptions are wanted, not dict"),
    ],
)
def test_what_cannot_be_loaded_is_named(
    given: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    source, options = (*given, {})[:2]
    with pytest.raises(error, match=message):
        poselib.load(source, **options)


def test_a_model_is_loaded_from_the_folder_of_its_training(tmp_path: Path) -> None:
    shutil.copy(BUNDLED, tmp_path)
    assert poselib.load(tmp_path).system.input_size == 128
    (tmp_path / BUNDLED.name).rename(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match=r"holds no checkpoints; .* it holds notes\.txt"):
        poselib.load(tmp_path)


# Prediction


def test_images_are_shown_at_the_size_of_the_training(
    model: Predictor, scenes: list[Sample]
) -> None:
    (expected,) = predict(load_checkpoint().system, scenes[:1], PredictOptions(size=128))
    order = np.argsort(-expected.person_scores, kind="stable")
    poses = model(scenes[0])
    assert same(poses, expected[order]) and len(poses.above(0.3)) == 4
    assert poses.skeleton is model.skeleton and (np.diff(poses.person_scores) <= 0).all()


def test_an_image_is_a_path_an_array_a_tensor_or_a_pil_image(
    model: Predictor, pixels: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    expected = model(pixels)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    alike = [path, str(path), Image.open(path), tensor, tensor / 255, pixels / 255]
    assert len(expected) and all(same(model(image), expected) for image in alike)


def test_a_list_gives_a_list(
    model: Predictor, scenes: list[Sample], pixels: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    found = model([scenes[1], pixels, tmp_path / "photo.png"])
    assert [same(a, b) for a, b in zip(found[:2], (model(scenes[1]), model(pixels)), strict=True)]
    assert same(found[1], found[2]) and model([]) == []
    assert len(model((pixels,))) == 1
    dataset = poselib.open_dataset("synthetic", "val", count=2)
    assert len(model(dataset)) == 2


def test_options_count_for_a_model_or_for_one_call(
    model: Predictor, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(system: Any, samples: Any, options: PredictOptions, **other: Any) -> list[Poses]:
        seen.append(options)
        return predict(system, samples, options, **other)

    monkeypatch.setattr(predictor, "predict", watched)
    chosen = poselib.load(size=64, flip=False, device="cpu")
    chosen(pixels), chosen(pixels, flip=True, scales=[0.5, 1], batch_size=2, device="cpu")
    other = PredictOptions(size=64, flip=True, scales=(0.5, 1), batch_size=2)
    assert seen == [PredictOptions(size=64, flip=False), other]
    with pytest.raises(ValueError, match=r"unknown options \['mirror'\]; known: size, flip"):
        model(pixels, mirror=True)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        ("absent.jpg", FileNotFoundError, "absent.jpg does not exist"),
        (".", ValueError, r"\. is a folder, not an image file; give its images as a list"),
        (3, ValueError, "must be a path, a PIL image, an array .* not int"),
        (np.zeros((1, 20, 20, 3), np.uint8), ValueError, "several images as a list"),
    ],
)
def test_what_is_no_image_is_refused(
    model: Predictor, image: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model(image)
    with pytest.raises(error, match=message):
        model([np.zeros((20, 20, 3), np.uint8), image])


def test_absent_files_are_found_before_anything_is_predicted(
    model: Predictor, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "predict", lambda *_, **__: pytest.fail("predicted"))
    with pytest.raises(FileNotFoundError, match=r"absent\.png"):
        model([pixels, "absent.png"])


# Evaluation


def test_a_model_is_evaluated_with_its_own_options(model: Predictor) -> None:
    dataset = poselib.open_dataset("synthetic", "val", count=2)
    whole, system = poselib.evaluate(model, dataset), poselib.evaluate(model.system, dataset)
    assert whole.as_dict() == pytest.approx(system.as_dict(), nan_ok=True)
    smaller = model.with_options(size=64, flip=False)
    found = poselib.evaluate(smaller, dataset, explain=False)
    expected = poselib.evaluate(model.system, dataset, smaller.options, explain=False)
    assert all(map(same, found.poses, expected.poses))
    assert not all(map(same, found.poses, whole.poses))
    with pytest.raises(ValueError, match=r"from poselib\.load, or a System, is wanted, not str$"):
        poselib.evaluate("hae", dataset)


# Figures


def test_figures_show_people_above_a_score(model: Predictor, pixels: np.ndarray) -> None:
    poses = model(pixels)
    figure = model.plot(pixels, poses)
    assert len(figure.axes) == 1 and figure._repr_png_()[0].startswith(b"\x89PNG")
    fewer = model.plot(pixels, poses, min_score=2.0)
    assert len(fewer.axes[0].collections) < len(figure.axes[0].collections)
    assert fewer.axes[0].get_title() == f"0 of {len(poses)} drawn: score 2 or more"
    assert model.plot(pixels, poses, min_score=0).axes[0].get_title() == ""
    several = model.plot([pixels], [poses], min_score=2.0)
    assert several.axes[0].get_title() == fewer.axes[0].get_title()
    assert model.plot(pixels, poses, min_score=2, title="x").axes[0].get_title() == "x"
    assert len(model.plot(pixels).axes[0].collections) == len(figure.axes[0].collections)


def test_several_images_share_a_figure(model: Predictor, scenes: list[Sample]) -> None:
    assert len(model.plot(scenes).axes) >= 3
    with pytest.raises(ValueError, match="1 poses for 3 images"):
        model.plot(scenes, [model(scenes[0])])
    for wrong in (3, [3, 3, 3]):
        with pytest.raises(ValueError, match=r"Poses, or a list of them, are wanted, not int$"):
            model.plot(scenes, wrong)


def test_the_examples_of_the_docstring() -> None:
    if not torch.cuda.is_available():
        assert doctest.testmod(api).failed == 0


def test_a_system_without_a_size_is_shown_512_px(model: Predictor) -> None:
    assert "short side 512 px" in repr(poselib.load(replace(model.system, input_size=None)))

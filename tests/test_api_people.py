"""The front door and the command line for systems that see one person at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import poselib
from poselib.cli import main
from poselib.data.synthetic.config import ClipConfig
from poselib.engine.checkpoints import save_system
from poselib.engine.followed_boxes import FollowOptions
from poselib.engine.person_boxes import AnnotatedBoxes
from poselib.engine.predict import predict
from poselib.engine.seed import seed_everything
from poselib.engine.stream import PoseStream
from poselib.skeletons import POSETRACK18
from poselib.systems import System
from tests.engine.factories import toy_system
from tests.engine.stream_factories import color_system, frame

PEOPLE, HALF = np.array([(100.0, 50.0), (40.0, 40.0)]), np.array([12.0, 20.0])
BOXES = np.concatenate([PEOPLE - HALF, PEOPLE + HALF], axis=1)
IMAGE = frame(*((x, y) for x, y in PEOPLE))


@pytest.fixture(scope="module")
def jre() -> System:
    seed_everything(3)
    return poselib.build("jre", POSETRACK18, backbone="hrnet_tiny", height=64, width=64)


@pytest.fixture(scope="module")
def checkpoint(jre: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "jre.safetensors"
    save_system(path, jre)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in (7, 9):
        Image.fromarray(IMAGE).save(folder / f"{number:06d}.png")
    return folder


def listed(path: Path, ids: Sequence[int], boxes: Any = BOXES) -> Path:
    """Write the boxes of each image in COCO's results format, scores 0.9, 0.8, ..."""
    entries = [
        {
            "image_id": image,
            "category_id": 1,
            "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
            "score": 0.9 - 0.1 * number,
        }
        for image in ids
        for number, box in enumerate(boxes)
    ]
    path.write_text(json.dumps(entries))
    return path


def middles(poses: poselib.Poses) -> Any:
    return poses.keypoints.mean(axis=1)


# Boxes


def test_boxes_of_an_image_are_people_in_their_order() -> None:
    model = poselib.load(color_system(), boxes=BOXES, device="cpu")
    assert repr(model) == (
        "Predictor(system 'colors', 2 keypoints of 'middle', crops of 64x64 px, given boxes, "
        "on cpu)"
    )
    assert np.abs(middles(model(IMAGE)) - PEOPLE).max() < 2
    assert np.abs(middles(model(IMAGE, boxes=BOXES[::-1])) - PEOPLE[::-1]).max() < 2
    assert len(model(IMAGE, boxes=[])) == 0
    several = model([IMAGE, IMAGE, IMAGE], boxes=[BOXES, [], BOXES[1:].tolist()])
    assert [len(poses) for poses in several] == [2, 0, 1]
    assert np.abs(middles(several[2]) - PEOPLE[1:]).max() < 2
    assert len(model.plot(IMAGE).axes) == 1


def test_boxes_of_a_file_are_found_by_the_numbers_of_the_images(photos: Path) -> None:
    paths = sorted(photos.iterdir())
    file = listed(photos.parent / "boxes.json", [9])
    model = poselib.load(color_system(), boxes=file)
    none, two = model(paths)
    assert len(none) == 0 and np.abs(middles(two) - PEOPLE).max() < 2
    np.testing.assert_allclose(two.person_scores, two.scores.mean(axis=1) * (0.9, 0.8), rtol=1e-5)
    with pytest.raises(ValueError, match=r"of these images: image_id is \{9\}, and they are \[7\]"):
        model(paths[0])


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (BOXES[0], r"expected \(N, 4\) for each of 1 images, whose ids are different; found 4"),
        ([BOXES, BOXES], r"each of 1 images, whose ids are different; found 2"),
        (BOXES[:, :3], r"image 0: boxes: expected \(N, 4\), found \(2, 3\)"),
        ([["left", 0, 1, 1]], r"image 0: boxes: expected numbers \(N, 4\)"),
        ([[0, 0, 9, 9], [5, 5, 5, 9]], r"image 0: boxes\[1\]: expected left, top, right and bot"),
        ([[0, 0, np.nan, 9]], r"image 0: boxes\[0\]: expected left"),
        ("none.json", "none.json"),
    ],
)
def test_boxes_that_are_none(boxes: Any, message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        poselib.load(color_system(), boxes=boxes)(IMAGE)


# Detectors


def test_the_bundled_model_is_the_default_detector(jre: System) -> None:
    model = poselib.load(jre, device="cpu")
    assert repr(model).endswith("crops of 64x64 px, detector 'hae_tiny_synthetic', on cpu)")
    scene = poselib.open_dataset("synthetic", "val", count=1)[0]
    found = poselib.load(device="cpu")(scene).above(0.3)
    assert 0 < len(model(scene)) <= len(found)
    assert (np.diff(model(scene).person_scores) <= 0).all()
    blind = poselib.load(device="cpu", size=32)
    assert len(model(scene, detector=blind)) == len(blind(scene).above(0.3))


def test_a_detector_is_whatever_a_model_may_be(jre: System, checkpoint: Path) -> None:
    model = poselib.load(jre, detector=toy_system())
    assert "detector 'hae'" in repr(model)
    named = model.with_options(detector="hae_tiny_synthetic")
    with pytest.raises(ValueError, match="hae_tiny_syntetic"):  # not the model's absence
        poselib.load("absent/model.safetensors", detector="hae_tiny_syntetic")
    assert named.detector is not None and named.detector.system.input_size == 128
    given = model.with_options(boxes=BOXES)
    assert given.detector is None and given.with_options(flip=False).boxes is BOXES
    assert given.with_options(boxes=None, detector=None).boxes is BOXES
    same = model.with_options(boxes=None, detector=None, device=None, speed=None)
    assert same.detector is model.detector and same.speed == model.speed
    assert "detector 'hae_tiny_synthetic'" in repr(given.with_options(detector=named.detector))
    with pytest.raises(ValueError, match="a detector sees whole images; 'jre' sees one person"):
        poselib.load(jre, detector=checkpoint)
    with pytest.raises(ValueError, match="unknown model 'yolo'"):
        poselib.load(jre, detector="yolo")


def test_options_that_do_not_apply(jre: System) -> None:
    for options in ({"size": 64}, {"scales": (0.5, 1)}):
        with pytest.raises(ValueError, match="for systems of whole images; 'jre' is shown crops"):
            poselib.load(jre, **options)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="for systems of whole images; 'jre' is shown crops"):
            poselib.load(jre)(IMAGE, **options)
    with pytest.raises(ValueError, match="boxes and a detector are given"):
        poselib.load(jre, detector="hae_tiny_synthetic", boxes=BOXES)
    for options in ({"detector": "hae_tiny_synthetic"}, {"boxes": BOXES}):
        with pytest.raises(ValueError, match="of one person; 'hae' sees whole images"):
            poselib.load(toy_system(), **options)  # type: ignore[arg-type]


def test_narrow_images_have_people_too() -> None:
    strip = np.zeros((40, 4000, 3), np.uint8)
    assert len(poselib.load(color_system(), boxes=[[0, 0, 30, 40]])(strip)) == 1


# Videos


def test_a_video_is_followed(photos: Path, tmp_path: Path) -> None:
    video = poselib.open_video(sorted(photos.iterdir()), fps=10)
    boxes = listed(tmp_path / "boxes.json", [0, 1])
    model = poselib.load(color_system(), boxes=boxes)
    found = list(model(video))
    assert [poses.tracks.tolist() for poses in found] == [[0, 1], [0, 1]]
    assert [poses.time for poses in found] == [0.0, 0.1]
    assert isinstance(model.stream(video), PoseStream)
    asked = poselib.load(color_system(), detector=toy_system()).stream(
        follow=FollowOptions(every=5)
    )
    assert isinstance(asked, PoseStream) and asked.boxes is None
    assert asked._found is not None and asked._found.options.every == 5


def test_a_dataset_of_videos_is_seen_in_the_order_of_time() -> None:
    scenes = ClipConfig(size=64, frames=4)
    data = poselib.open_dataset("clips", "val", count=2, scenes=scenes).cached()
    seed_everything(3)
    tiny: dict[str, Any] = {"backbone": "hrnet_tiny", "height": 64, "width": 64}
    system = poselib.build(
        "rpstn", data.skeleton, initializer_backbone="hrnet_tiny", channels=16, **tiny
    )
    whole = predict(system, data, boxes=AnnotatedBoxes())
    model = poselib.load(system, boxes=AnnotatedBoxes())
    for poses, expected in zip(model(data), whole, strict=True):
        np.testing.assert_array_equal(poses.keypoints, expected.keypoints)
    alone = model(data[3])
    assert np.abs(alone.scores - whole[3].scores).max() > 0


# Evaluation and training


def test_boxes_in_evaluation(jre: System, tmp_path: Path) -> None:
    data = poselib.open_dataset("clips", "val", count=1, scenes=ClipConfig(frames=3))
    model = poselib.load(jre)
    truth = poselib.evaluate(model, data, explain=False)
    same = poselib.evaluate(jre, data, boxes=AnnotatedBoxes(), explain=False)
    assert truth.as_dict() == pytest.approx(same.as_dict(), nan_ok=True)
    ids = data.annotations().image_ids
    file = listed(tmp_path / "boxes.json", [ids[0]])
    found = poselib.evaluate(model, data, boxes=file, explain=False)
    assert [len(poses) for poses in found.poses[:2]] == [2, 0]
    detected = poselib.evaluate(model, data, boxes=poselib.load(), explain=False)
    assert len(detected.poses) == len(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jre", "rpstn"])
def test_what_was_trained_is_loaded(name: str, tmp_path: Path) -> None:
    data = poselib.open_dataset("clips", "train", count=1)
    options: dict[str, Any] = {"backbone": "hrnet_tiny", "height": 64, "width": 64}
    if name == "rpstn":
        options |= {"initializer_backbone": "hrnet_tiny", "channels": 16, "frames": 3}
    system = poselib.build(name, data.skeleton, **options)
    recipe = poselib.TrainConfig(steps=2, batch_size=2, checkpoint_every=0)
    result = poselib.train(system, data, recipe, tmp_path / "run", progress=False)
    for source in (result, tmp_path / "run"):
        poses = poselib.load(source, boxes=[[30, 30, 90, 120]])(data[0].image)
        assert len(poses) == 1 and poses.skeleton == data.skeleton


# Command line


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def test_predict_around_listed_boxes(
    checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, boxes = tmp_path / "out", listed(tmp_path / "boxes.json", [7, 9])
    command = ("predict", photos, "--out", out, "--checkpoint", checkpoint)
    status, text, _ = run(capsys, *command, "--boxes", boxes, "--draw-score", 0)
    assert status == 0 and "000007.png: 2, 000009.png: 2" in text
    results = json.loads((out / "results.json").read_text())
    assert sorted(each["image_id"] for each in results) == [7, 7, 9, 9]
    status, _, error = run(capsys, *command, "--boxes", listed(boxes, [8]))
    assert (
        status == 2
        and "boxes.json: none of its detections is of these images: image_id is {8}" in error
    )
    status, _, error = run(capsys, *command, "--size", 64)
    assert status == 2 and "size=64 is for systems of whole images" in error


def test_predict_with_a_detector(
    checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = tmp_path / "detector.safetensors"
    save_system(detector, replace(poselib.load().system, visualization_threshold=0.0))
    command = ("predict", photos, "--out", tmp_path / "out", "--checkpoint", checkpoint)
    assert run(capsys, *command, "--detector", detector)[0] == 0
    assert run(capsys, *command)[0] == 0
    status, _, error = run(capsys, *command, "--detector", checkpoint)
    assert status == 2 and "a detector sees whole images; 'jre' sees one person" in error

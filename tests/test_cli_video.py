"""Videos on the command line and at the front door."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import poselib
from poselib.cli import main
from poselib.data.video_writer import VideoWriter, video_suffix
from poselib.engine.checkpoints import save_system
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import ListedBoxes
from poselib.engine.predict_images import RESULTS
from poselib.engine.seed import seed_everything
from poselib.engine.stream import PoseStream
from tests.data.factories.videos import opencv_video


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two synthetic clips of 10 frames, in PoseTrack18's layout."""
    folder = tmp_path_factory.mktemp("clips") / "clips"
    arguments = ["--clips", "2", "--frames", "10", "--people", "2", "2"]
    assert main(["synthetic", str(folder), *arguments]) == 0
    return folder


@pytest.fixture(scope="module")
def film(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of them as a video file."""
    path = tmp_path_factory.mktemp("film") / "walk.webm"
    with VideoWriter(path, (128, 128), 25) as writer:
        for frame in poselib.open_video(clips / "images" / "val" / "000000_synthetic"):
            writer.write(frame.image, frame.time)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(["predict", *map(str, arguments), "--no-flip"])
    return status, *capsys.readouterr()


@pytest.mark.slow
def test_files_folders_and_images_together(
    clips: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = clips / "images" / "val" / "000001_synthetic" / "000000.png"
    options = ("--model", "hae_tiny_synthetic", "--smooth", "one-euro")
    status, text, error = run(capsys, film, image, "--out", tmp_path, *options)
    assert (status, error) == (0, "") and text.count("\n") == 2
    assert re.search(
        r"\d+ tracks?( \(\d+ drawn\))? in 10 frames; walk.json, walk.csv and walk", text
    )
    names = ["000000.png", *RESULTS, "walk.json", "walk.csv", f"walk{video_suffix()}"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    folders = sorted((clips / "images" / "val").iterdir())
    arguments = ["--video", "--fps", 10, "--out", tmp_path / "more"]
    status, text, error = run(capsys, *folders, *arguments)
    assert (status, error) == (0, "") and not (tmp_path / "more" / "results.json").exists()
    contents = [json.loads(p.read_text()) for p in sorted((tmp_path / "more").glob("*.json"))]
    assert [content["images"][-1]["time"] for content in contents] == [0.9, 0.9]
    assert [len(content["images"]) for content in contents] == [10, 10]


@pytest.mark.slow
def test_a_folder_without_the_flag_holds_images(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = clips / "images" / "val" / "000000_synthetic"
    assert run(capsys, folder, "--out", tmp_path)[0] == 0
    assert (tmp_path / "results.json").exists() and (tmp_path / "000009.png").exists()


def test_a_model_yields_the_poses_of_a_video(film: Path) -> None:
    model = poselib.load(device="cpu", flip=False)
    poses = model(str(film))
    assert iter(poses) is poses  # one frame at a time
    found = list(poses)
    assert [each.time for each in found] == pytest.approx(np.arange(10) / 25, abs=1e-3)
    for each, frame in zip(found, poselib.open_video(film), strict=True):
        alone = model(frame.image)
        np.testing.assert_array_equal(each.keypoints, alone.keypoints)
        assert each.tracks is not None and len(set(each.tracks.tolist())) == len(each)
    sure = [each.above(0.3).tracks for each in found]
    assert max(len(np.unique(np.concatenate(sure))), 1) <= 4  # of two people


def bad_inputs(folder: Path) -> dict[str, tuple[list[str], str]]:
    whole = opencv_video(folder / "whole.webm", 20, code="VP90")
    (folder / "cut.webm").write_bytes(whole.read_bytes()[:-300])
    (folder / "text.mp4").write_bytes(b"no video")
    for name in ("gap/1.png", "gap/3.png", "one/1.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((9, 9, 3), np.uint8))
    return {
        "cut short": ([str(whole), str(folder / "cut.webm")], "cut.webm: cut short"),
        "no video": ([str(folder / "text.mp4")], "text.mp4: not a video"),
        "absent": ([str(folder / "absent.mp4")], "absent.mp4 does not exist"),
        "gap": ([str(folder / "gap"), "--video"], "gap: frame 2 is missing"),
        "smooth": ([str(folder / "gap"), "--smooth", "savgol"], "--smooth is of videos"),
        "fps": ([str(whole), "--fps", "20"], "fps is of folders"),
        "bad fps": ([str(folder / "one"), "--video", "--fps", "-1"], "fps must be"),
        "itself": ([str(whole), "--out", str(folder)], "whole.webm"),
    }


@pytest.mark.parametrize(
    "case", ["cut short", "no video", "absent", "gap", "smooth", "fps", "bad fps", "itself"]
)
def test_bad_input_is_named_in_one_line_before_anything_is_written(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, named = bad_inputs(tmp_path)[case]
    capsys.readouterr()
    monkeypatch.setattr(
        "poselib.engine.predictor.predict", lambda *_, **__: pytest.fail("predicted")
    )
    monkeypatch.setattr("poselib.data.video_writer.has_h264", lambda: False)
    status = main(["predict", "--out", str(tmp_path / "out"), *arguments])
    text, error = capsys.readouterr()
    assert (status, text) == (2, "")
    assert error.startswith("poselib predict: ") and named in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def one_person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of random weights that sees one person at a time, and keeps a state of each."""
    seed_everything(3)
    sizes = {"channels": 16, "height": 64, "width": 64, "initializer_backbone": "hrnet_tiny"}
    system = poselib.build("rpstn", "posetrack18", backbone="hrnet_tiny", **sizes)
    path = tmp_path_factory.mktemp("checkpoint") / "random.safetensors"
    save_system(path, system)
    return path


@pytest.mark.slow
def test_systems_of_one_person_keep_a_state_of_each(
    film: Path, one_person: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"image_id": n, "category_id": 1, "bbox": [10 + 60 * side, 10, 50, 100], "score": 0.9}
        for n in range(10)
        for side in range(2)
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    start = [film, "--checkpoint", one_person]
    status, _, error = run(
        capsys, *start, "--boxes", tmp_path / "boxes.json", "--out", tmp_path / "listed"
    )
    assert (status, error) == (0, "")
    people = json.loads((tmp_path / "listed" / "walk.json").read_text())["annotations"]
    assert {row["track_id"] for row in people} == {0, 1}
    # As the library does it, one frame after another.
    boxes = ListedBoxes.read(tmp_path / "boxes.json", range(10))
    stream = PoseStream(
        poselib.load(one_person).system, boxes=boxes, options=PredictOptions(flip=False)
    )
    for number, frame in enumerate(poselib.open_video(film)):
        expected = stream.step(frame.image, frame.time)
        found = people[2 * number : 2 * number + 2]
        assert expected.tracks is not None
        assert [row["track_id"] for row in found] == expected.tracks.tolist()
        listed = np.array([row["keypoints"] for row in found]).reshape(2, 17, 3)
        listed = listed[:, [0, 1, 2, *range(5, 17)]]  # without the ears
        np.testing.assert_allclose(
            listed[..., :2] + 0.5 * listed[..., 2:], expected.keypoints, atol=2e-3
        )
    # The bundled model as the detector, named or not, finds the same boxes.
    for name, more in (("named", ["--detector", "hae_tiny_synthetic"]), ("default", [])):
        assert run(capsys, *start, *more, "--out", tmp_path / name)[0] == 0
    texts = [(tmp_path / name / "walk.json").read_text() for name in ("named", "default")]
    assert texts[0] == texts[1] and json.loads(texts[0])["annotations"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--detector", "hae_tiny_synthetic"], "a detector is for systems of one person; 'hae'"),
        (["--boxes", "boxes.json"], "--boxes are for systems of one person; 'hae'"),
    ],
)
def test_boxes_are_for_systems_of_one_person(
    more: list[str], said: str, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, error = run(capsys, film, "--out", tmp_path / "out", *more)
    assert status == 2 and said in error and not (tmp_path / "out").exists()


def test_boxes_are_of_the_frames_of_one_video(
    film: Path, one_person: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"image_id": 10, "category_id": 1, "bbox": [10, 10, 50, 100], "score": 0.9}
    (tmp_path / "boxes.json").write_text(json.dumps([row]))
    start = ["--checkpoint", one_person, "--boxes", tmp_path / "boxes.json"]
    start += ["--out", tmp_path / "out"]
    status, _, error = run(capsys, film, *start)
    assert status == 2 and "none of its detections is of these images: image_id is {10}" in error
    opencv_video(tmp_path / "b.mp4", 2)
    status, _, error = run(capsys, film, tmp_path / "b.mp4", *start)
    assert status == 2 and "--boxes are of images, or of one video" in error

"""The command line, from files to files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pycocotools import coco as pycocotools

import poselib
from poselib import __version__
from poselib.benchmarks.workloads import decode_inputs
from poselib.cli import main
from poselib.data.image_io import read_image
from poselib.data.readers.coco import CocoKeypoints
from poselib.decoders.associative import AssociativeOptions, decode_associative
from poselib.engine.checkpoints import load_checkpoint, save_system
from poselib.engine.inference import PredictOptions
from poselib.engine.predict import predict
from poselib.engine.predict_images import RESULTS
from poselib.engine.seed import seed_everything
from poselib.engine.speed import SpeedOptions
from poselib.engine.train import CHECKPOINT, train
from poselib.skeletons import COCO, CROWDPOSE
from poselib.systems import build
from tests.engine.factories import RECIPE, scenes
from tests.metrics.factories import ap_of


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of random weights, biased so that it sees people everywhere."""
    seed_everything(2)
    system = build("hae", COCO, backbone="hrnet_tiny", deconv_blocks=0, tag_threshold=0.2)
    with torch.no_grad():
        for name, value in system.model.named_parameters():
            if name.endswith("bias") and value.shape[0] in (17, 34):
                value[:17] = 0.3
    path = tmp_path_factory.mktemp("checkpoint") / "random.safetensors"
    save_system(path, replace(system, input_size=64))
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    arguments = ["synthetic", str(folder), "--count", "3", "--size", "64", "--people", "1", "2"]
    assert main(arguments) == 0
    return folder


@pytest.fixture
def image(dataset: Path) -> Path:
    return dataset / "images" / "000000.png"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert all(f"poselib {command} " in text for command in ("predict", "decode", "synthetic"))


@pytest.mark.parametrize("command", ["predict", "decode", "synthetic"])
def test_each_command_explains_its_arguments(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0 and "default" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"poselib {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [[], ["predict"], ["predict", "a.png"], ["decode", "a.npz"], ["fly"],
     ["decode", "a.npz", "--out", "b.npz", "--order", "sideways"]],
)  # fmt: skip
def test_incomplete_commands_end_with_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


def test_a_dataset_is_written_and_read_back(dataset: Path) -> None:
    written = CocoKeypoints(dataset / "annotations.json", dataset / "images", COCO)
    assert len(written) == 3
    assert all(sample.size == (64, 64) and len(sample.keypoints) for sample in written)


def test_a_dataset_of_another_skeleton(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--count", 2, "--people", 3, 4, "--crowd-index", 0.4, "--skeleton", "crowdpose"]
    status, out, _ = run(capsys, "synthetic", tmp_path / "crowd", *arguments, "--format", "jpg")
    assert status == 0 and str(tmp_path / "crowd") in out and "2 images" in out
    folder = tmp_path / "crowd"
    written = CocoKeypoints(folder / "annotations.json", folder / "images", CROWDPOSE)
    assert all(len(written[i].keypoints) >= 2 for i in range(2))


@pytest.mark.slow
def test_images_of_a_folder_are_predicted(
    dataset: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    status, text, error = run(
        capsys, "predict", dataset / "images", "--checkpoint", checkpoint, "--out", out,
        "--draw-score", 0,
    )  # fmt: skip
    assert (status, error) == (0, "")
    assert text.count("\n") == 1 and "000000.png: " in text and str(out) in text
    names = [f"{i:06d}.png" for i in range(3)]
    assert sorted(p.name for p in out.iterdir()) == sorted([*names, *RESULTS])
    changed = [
        np.abs(read_image(out / n).astype(int) - read_image(dataset / "images" / n)).max()
        for n in names
    ]
    assert max(changed) > 50
    assert all(read_image(out / name).shape == (64, 64, 3) for name in names)


@pytest.mark.slow
def test_the_results_are_what_the_library_predicts(
    dataset: Path, checkpoint: Path, tmp_path: Path
) -> None:
    main(["predict", str(dataset / "images"), "--checkpoint", str(checkpoint), "--out",
          str(tmp_path)])  # fmt: skip
    written = CocoKeypoints(dataset / "annotations.json", dataset / "images", COCO)
    poses = poselib.load(checkpoint, size=64, device="cpu")(written)
    results = json.loads((tmp_path / "results.json").read_text())
    assert len(results) == sum(map(len, poses)) > 0
    for image_id, expected in enumerate(poses):
        mine = [r for r in results if r["image_id"] == image_id]
        found = np.array([r["keypoints"] for r in mine]).reshape(-1, 17, 3)
        # COCO counts pixels from their corners' side: half a pixel less.
        shift = np.where(expected.found[..., None], 0.5, 0.0)
        np.testing.assert_allclose(found[..., :2] + shift, expected.keypoints, atol=1e-4)
        np.testing.assert_allclose([r["score"] for r in mine], expected.person_scores, atol=1e-6)


@pytest.mark.slow
def test_the_json_is_coco(dataset: Path, checkpoint: Path, tmp_path: Path) -> None:
    main(["predict", str(dataset / "images"), "--checkpoint", str(checkpoint), "--out",
          str(tmp_path)])  # fmt: skip
    results = str(tmp_path / "results.json")
    for truth in (dataset / "annotations.json", tmp_path / "images.json"):
        loaded = pycocotools.COCO(str(truth)).loadRes(results)
        assert loaded.getAnnIds() and set(loaded.getImgIds()) == {0, 1, 2}
    found = json.loads(Path(results).read_text())
    assert 0 <= ap_of(dataset / "annotations.json", found, COCO).AP <= 1
    document = json.loads((tmp_path / "images.json").read_text())
    assert document["images"][1] == {
        "id": 1,
        "file_name": str(dataset / "images" / "000001.png"),
        "height": 64,
        "width": 64,
        "drawing": "000001.png",
    }
    assert document["categories"][0]["keypoints"] == list(COCO.keypoints)


@pytest.mark.slow
def test_scores_choose_what_is_kept_and_what_is_drawn(
    image: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def predicted(name: str, *arguments: object) -> tuple[int, bool]:
        out = tmp_path / name
        status, text, _ = run(
            capsys, "predict", image, "--checkpoint", checkpoint, "--out", out, *arguments
        )
        assert status == 0
        same = np.array_equal(read_image(out / image.name), read_image(image))
        assert same == ("000000.png: 0" in text)
        kept = len(json.loads((out / "results.json").read_text()))
        assert (
            f"000000.png: {f'0 drawn ({kept} in results.json)' if same and kept else kept};" in text
        )
        return kept, same

    everyone, _ = predicted("all", "--draw-score", 0)
    assert predicted("hidden", "--draw-score", 99) == (everyone, True)
    assert predicted("none", "--min-score", 99) == (0, True)


def test_options_reach_the_prediction(
    image: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    seen = []

    def watched(system, samples, options, **others):
        seen.append((options, str(others["device"]), others["speed"]))
        return predict(system, samples, options, **others)

    monkeypatch.setattr("poselib.engine.predictor.predict", watched)
    start = ["predict", str(image), "--checkpoint", str(checkpoint), "--out", str(tmp_path)]
    options = ["--size", "128", "--no-flip", "--scales", "0.5", "1", "--batch-size", "3"]
    options += ["--multiple", "128", "--workers", "2", "--precision", "bfloat16", "--fold"]
    assert main([*start, *options, "--device", "cpu", "--format", "jpg", "--timing"]) == 0
    stages = [line.split()[0] for line in capsys.readouterr().out.splitlines()[-5:]]
    assert stages == ["load", "forward", "decode", "draw", "total"]
    assert main([*start, "--device", "cpu"]) == 0
    wanted = PredictOptions(size=128, multiple=128, flip=False, scales=(0.5, 1.0), batch_size=3)
    fast = SpeedOptions("bfloat16", fold=True, workers=2)
    assert seen == [(wanted, "cpu", fast), (PredictOptions(), "cpu", SpeedOptions())]
    assert (tmp_path / "000000.jpg").exists()


@pytest.mark.slow
def test_a_training_can_be_used_at_once(tmp_path: Path, image: Path) -> None:
    system = build("hae", COCO, backbone="hrnet_tiny", host="plain")
    train(system, scenes(4), replace(RECIPE, steps=1), tmp_path / "run", progress=False)
    out = tmp_path / "out"
    start = ["predict", str(image), "--checkpoint", str(tmp_path / "run" / CHECKPOINT)]
    assert main([*start, "--size", "64", "--out", str(out)]) == 0
    assert (out / "results.json").exists()


@pytest.mark.slow
def test_images_of_one_name_do_not_replace_each_other(
    image: Path, checkpoint: Path, tmp_path: Path
) -> None:
    pixels = cv2.imread(str(image))
    places = [tmp_path / p for p in ("a/x.png", "b/x.jpg", "b/X_2.png", "c/X.png")]
    for place in places:
        place.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(place), pixels)
    out = tmp_path / "out"
    # Named twice, an image is predicted once; patterns are followed where no shell does.
    arguments = [str(places[0]), str(places[0]), str(tmp_path / "[bc]" / "*")]
    assert main(["predict", *arguments, "--checkpoint", str(checkpoint), "--out", str(out)]) == 0
    images = json.loads((out / "images.json").read_text())["images"]
    assert sorted(i["file_name"] for i in images) == sorted(map(str, places))
    drawings = [i["drawing"] for i in images]
    assert len({d.lower() for d in drawings}) == 4 and all((out / d).exists() for d in drawings)
    assert [i["id"] for i in images] == [1, 2, 3, 4]


def bad_inputs(folder: Path, image: Path, checkpoint: Path) -> dict[str, tuple[list[str], str]]:
    """Return by name the arguments of a prediction and what the message must name."""
    good = image.read_bytes()
    files = {
        "cut.png": good[: len(good) // 2],
        "cut.jpg": cv2.imencode(".jpg", cv2.imread(str(image)))[1].tobytes()[:-300],
        "text.png": b"no image",
        "empty.png": b"",
        "cut.safetensors": checkpoint.read_bytes()[:1000],
        "other.pt": b"no checkpoint",
        "file": b"",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "bare").mkdir()
    with_checkpoint = ["--checkpoint", str(checkpoint)]
    cases = {
        "missing image": (["absent.png", *with_checkpoint], "absent.png"),
        "second image missing": ([str(image), "absent.png", *with_checkpoint], "absent.png"),
        "folder without images": ([str(folder / "bare"), *with_checkpoint], "bare"),
        "pattern without images": ([str(folder / "*.gif"), *with_checkpoint], "*.gif"),
        "missing checkpoint": ([str(image), "--checkpoint", "absent.pt"], "absent.pt"),
        "checkpoint is a folder": ([str(image), "--checkpoint", str(folder)], str(folder)),
        "zero size": ([str(image), *with_checkpoint, "--size", "0"], "predict: size"),
        "zero batch": ([str(image), *with_checkpoint, "--batch-size", "0"], "batch_size"),
        "scales": ([str(image), *with_checkpoint, "--scales", "2"], "predict: scales"),
        "graph": ([str(image), "--device", "cpu", "--cuda-graph"], "cuda_graph is for a GPU"),
        "boxes": ([str(image), "--boxes", "a", "--detector", "b"], "--boxes and --detector"),
    }
    for name in ("cut.png", "cut.jpg", "text.png", "empty.png"):
        cases[name] = ([str(image), str(folder / name), *with_checkpoint], name)
    for name in ("cut.safetensors", "other.pt"):
        cases[name] = ([str(image), "--checkpoint", str(folder / name)], name)
    return cases


@pytest.mark.parametrize(
    "case",
    ["missing image", "second image missing", "folder without images", "pattern without images",
     "missing checkpoint", "checkpoint is a folder", "zero size", "zero batch", "scales", "graph",
     "boxes", "cut.png", "cut.jpg", "text.png", "empty.png", "cut.safetensors", "other.pt"],
)  # fmt: skip
def test_bad_input_is_named_in_one_line_before_anything_is_written(
    case: str, tmp_path: Path, image: Path, checkpoint: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    arguments, named = bad_inputs(tmp_path, image, checkpoint)[case]
    monkeypatch.setattr(
        "poselib.engine.predictor.predict", lambda *_, **__: pytest.fail("predicted")
    )
    status, text, error = run(capsys, "predict", *arguments, "--out", tmp_path / "out")
    assert (status, text) == (2, "")
    assert error.startswith("poselib predict: ") and named in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_results_do_not_go_into_a_file(
    place: str, tmp_path: Path, image: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    status, _, error = run(
        capsys, "predict", image, "--checkpoint", checkpoint, "--out", tmp_path / place
    )
    assert status == 2 and str(tmp_path / place) in error and error.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="everyone may write here")
def test_a_folder_that_is_write_protected_is_refused(
    tmp_path: Path, image: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o500)
    status, _, error = run(
        capsys, "predict", image, "--checkpoint", checkpoint, "--out", tmp_path / "out"
    )
    assert status == 2 and str(tmp_path) in error


def test_an_image_is_never_replaced_by_its_drawing(
    tmp_path: Path, image: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.png"
    own.write_bytes(image.read_bytes())
    status, _, error = run(capsys, "predict", own, "--checkpoint", checkpoint, "--out", tmp_path)
    assert status == 2 and str(own) in error
    assert own.read_bytes() == image.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["own.png"]


def test_drawings_do_not_go_among_the_images(
    tmp_path: Path, image: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.jpg").write_bytes(image.read_bytes())
    for out in (tmp_path, f"{tmp_path}/../{tmp_path.name}"):
        status, _, error = run(
            capsys, "predict", tmp_path, "--checkpoint", checkpoint, "--out", out
        )
        assert status == 2 and "is a folder of the images" in error
    assert [path.name for path in tmp_path.iterdir()] == ["own.jpg"]


@pytest.mark.slow
@pytest.mark.parametrize(("least", "drawn"), [(0.0, True), (99.0, False)])
def test_a_system_says_from_which_score_on_people_are_drawn(
    image: Path,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    least: float,
    drawn: bool,
) -> None:
    loaded = load_checkpoint(checkpoint)
    told = replace(loaded, system=replace(loaded.system, visualization_threshold=least))
    monkeypatch.setattr("poselib.engine.weights.open.load_checkpoint", lambda path: told)
    status, text, _ = run(capsys, "predict", image, "--checkpoint", checkpoint, "--out", tmp_path)
    assert status == 0 and ("000000.png: 0" not in text) == drawn


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_refused(
    tmp_path: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, error = run(capsys, "predict", image, "--out", tmp_path / "o", "--device", "cuda")
    assert status == 2 and "'cuda': this machine has no usable GPU" in error


def test_an_interrupt_leaves_nothing(
    tmp_path: Path, image: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("poselib.engine.predictor.predict", interrupted)
    out = tmp_path / "out"
    status, _, error = run(capsys, "predict", image, "--checkpoint", checkpoint, "--out", out)
    assert status == 130 and error == "poselib predict: interrupted\n" and not out.exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--people", "3", "1"], "people"),
        (["--size", "5"], "size"),
        (["--count", "-1"], "--count must be 1 or more, not -1"),
        (["--count", "0"], "--count must be 1 or more, not 0"),
        (["--seed", "-1"], "seed"),
        (["--crowd-index", "9"], "crowd_index"),
    ],
)
def test_a_bad_dataset_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    status, _, error = run(capsys, "synthetic", tmp_path / "data", *arguments)
    assert status == 2 and named in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_of_something_else_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    status, _, error = run(capsys, "synthetic", tmp_path, "--count", "1")
    assert status == 2 and str(tmp_path) in error
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


# --- decode -------------------------------------------------------------------------------------


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Stored maps of four people who share no tag."""
    outputs = decode_inputs(4, (96, 128), missing=0.3)
    tags = outputs.tags[0].permute(0, 2, 3, 1)
    np.savez(tmp_path / "maps.npz", heatmaps=outputs.heatmaps[0][0], tags=tags)
    return tmp_path / "maps.npz"


@pytest.mark.parametrize(
    ("arguments", "order"),
    [([], "progressive"), (["--order", "associative", "--threads", "2"], "associative")],
)
def test_stored_maps_are_decoded_and_timed(
    maps: Path, arguments: list[str], order: str, capsys: pytest.CaptureFixture[str]
) -> None:
    threads, out = torch.get_num_threads(), maps.parent / "to" / "poses.npz"
    status, text, error = run(capsys, "decode", maps, "--out", out, "--repeats", "2", *arguments)
    assert (status, error) == (0, "") and text.count("\n") == 1
    options = AssociativeOptions(range(17) if order == "associative" else order)
    (poses,) = decode_associative(decode_inputs(4, (96, 128), missing=0.3), options)
    with np.load(out) as found:
        assert set(found.files) == {"keypoints", "scores", "person_scores"}
        for name, array in found.items():
            np.testing.assert_array_equal(array, getattr(poses, name))
    facts = json.loads(text)
    assert facts["people"] == len(poses) >= 4
    assert (facts["order"], facts["repeats"], facts["unit"]) == (order, 2, "ms")
    assert facts["threads"] == (2 if arguments else 1) and torch.get_num_threads() == threads
    stages = [facts[name] for name in ("nms", "match", "adjust", "refine")]
    assert min(stages) > 0 and facts["total"] > 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"maps": "absent.npz"}, "absent.npz: no such file"),
        ({"maps": "text.npz"}, "text.npz: no npz file"),
        ({"maps": "half.npz"}, "half.npz: no npz file with heatmaps and tags: no array 'tags'"),
        ({"--threads": "0"}, "--threads must be 1 or more, not 0"),
        ({"--repeats": "-1"}, "--repeats must be 1 or more, not -1"),
        ({"--out": "folder.npz"}, "folder.npz: this is a folder"),
        ({"--out": "text.npz/below.npz"}, "text.npz is not a folder"),
        ({"--out": "maps.npz"}, "the poses would replace the maps"),
        ({"--out": "new/out.json"}, "--out new/out.json: must end in .npz"),
    ],
)
def test_bad_input_of_decode_is_named_in_one_line(
    maps: Path, change: dict[str, str], named: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(maps.parent)
    monkeypatch.setattr(
        "poselib.engine.decode_maps.decode_associative", lambda *_: pytest.fail("decoded")
    )
    (maps.parent / "text.npz").write_text("mine")
    (maps.parent / "folder.npz").mkdir()
    np.savez(maps.parent / "half.npz", heatmaps=np.zeros((2, 8, 8), np.float32))
    before = sorted(maps.parent.rglob("*"))
    chosen = {"maps": "maps.npz", "--out": "new/out.npz", **change}
    options = [each for name, value in chosen.items() if name != "maps" for each in (name, value)]
    status, text, error = run(capsys, "decode", chosen["maps"], *options)
    assert (status, text) == (2, "")
    assert error.startswith("poselib decode: ") and named in error and error.count("\n") == 1
    assert sorted(maps.parent.rglob("*")) == before


def test_help_imports_nothing_that_takes_long() -> None:
    code = "import sys, poselib.cli; assert not {'torch', 'cv2', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

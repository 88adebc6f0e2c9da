"""Corpora of images, weights, maps, runs and command lines."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import torch

from poselib import cli
from poselib.data.image_folder import ImageFiles, image_paths
from poselib.data.image_io import as_rgb, read_image
from poselib.decoders.associative import decode_associative
from poselib.engine.checkpoints import load_checkpoint, save_system
from poselib.engine.decode_maps import read_maps, write_poses
from poselib.engine.weights.open import PHOTOGRAPHS
from poselib.experiments.parameters import parse_options
from poselib.models.pretrained import load_official, read_weights
from poselib.systems import build, known_options
from tests.data.factories.images import images
from tests.fuzz import arrays, command_lines, exported, pictures, published, videos, weights
from tests.fuzz.corpus import Corpus, Rng, try_all
from tests.fuzz.datasets import coco_folder
from tests.fuzz.records import RUN

ROOT = Path(__file__).resolve().parents[2]
TINY = {"backbone": "hrnet_tiny_light"}


def nothing(folder: Path) -> None:
    """There is nothing to prepare."""


def read_pictures(folder: Path) -> None:
    def check(pixels: np.ndarray) -> None:
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3

    path = folder / "a.png"
    try_all(
        folder,
        lambda _: check(read_image(path)),
        lambda _: check(as_rgb(path)),
        lambda _: ImageFiles(image_paths([folder]))[0],
    )


def prepare_weights(folder: Path) -> None:
    (whole := folder / "whole").mkdir()
    system = weights.tiny_system()
    save_system(whole / "system.safetensors", system)
    options = {"name": system.name, "skeleton": system.skeleton.name, **system.options}
    content = {"system": options, "recipe": {}, "step": 3, "average": {}}
    content |= {"model": system.model.state_dict(), "input": {"input_size": 64, "multiple": 32}}
    torch.save(content, whole / "training.pt")


def read_weight_file(folder: Path) -> None:
    (path,) = folder.glob("a.*")
    layer = torch.nn.Linear(2, 3)
    try_all(
        folder,
        lambda _: read_weights(path),
        lambda _: load_official(layer, path),
        lambda _: load_checkpoint(path),
    )


def read_npz(folder: Path) -> None:
    (poses,) = decode_associative(read_maps(folder / "a.npz"))
    for values in (poses.keypoints, poses.scores, poses.person_scores):
        assert np.isfinite(values).all(), "poses that are not finite"
    write_poses(folder / "poses.npz", poses)


# Command lines


def prepare_commands(folder: Path) -> None:
    prepare_weights(folder)
    images(folder / "whole", ["a.png"], (24, 32))
    coco_folder(folder / "whole" / "own")
    (folder / "whole" / "own" / "whole.json").rename(folder / "whole" / "own" / "annotations.json")
    (folder / "whole" / "run").mkdir()
    (folder / "whole" / "run" / "run.json").write_text(json.dumps(RUN["run.json"]))
    maps = {"heatmaps": np.ones((2, 4, 4), np.float32), "tags": np.zeros((2, 4, 4), np.float32)}
    np.savez(folder / "whole" / "maps.npz", **maps)
    (folder / "a.json").write_text("{}")


def write_command(rng: Rng, folder: Path) -> None:
    for path in folder.iterdir():
        if path.name not in ("whole", "a.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "line.json").write_text(json.dumps(command_lines.command_line(rng, folder)))


def run_command(folder: Path) -> None:
    line = json.loads((folder / "line.json").read_text())
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = cli.main(line)
        except SystemExit as end:  # of argparse, whose last line says why
            status = end.code
    said = errors.getvalue().strip()
    assert status in (0, 2), f"exit status {status}: {said}"
    if status == 2:
        usage = said.startswith("usage")
        raise ValueError(f"{folder}: {said.splitlines()[-1] if usage else said}")
    assert not said or PHOTOGRAPHS in said, f"success, but printed: {said}"


def write_options(rng: Rng, folder: Path) -> None:
    name = str(rng.choice(["hae", "dekr", "grm", "logocap"]))
    text = command_lines.options_text(rng, known_options(name))
    (folder / "options.json").write_text(json.dumps([name, text]))


def build_system(folder: Path) -> None:
    name, text = json.loads((folder / "options.json").read_text())
    try:
        build(name, "coco", **{**TINY, **parse_options(text)})
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error  # whose options: the command says


FILES: dict[str, Corpus] = {
    "images": Corpus(0.2, nothing, pictures.write_picture, read_pictures),
    "videos": Corpus(0.02, videos.prepare_videos, videos.write_video, videos.read_video),
    "weights": Corpus(0.1, prepare_weights, weights.write_weights, read_weight_file),
    "published": Corpus(0.005, nothing, published.write_published, published.read_published),
    "downloads": Corpus(0.02, nothing, published.write_answers, published.read_download),
    "onnx": Corpus(0.01, exported.prepare, exported.write, exported.read),
    "npz": Corpus(0.06, nothing, arrays.write_npz, read_npz),
    "commands": Corpus(0.015, prepare_commands, write_command, run_command),
    "options": Corpus(0.005, nothing, write_options, build_system),
}

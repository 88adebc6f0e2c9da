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
from poselib.data.coco_export import coco_category
from poselib.data.image_folder import ImageFiles, image_paths
from poselib.data.image_io import as_rgb, read_image
from poselib.decoders.associative import decode_associative
from poselib.engine.checkpoints import load_checkpoint, save_system
from poselib.engine.decode_maps import read_maps, write_poses
from poselib.experiments.ablation import check_runs, read_ablation
from poselib.experiments.parameters import parse_options
from poselib.experiments.runs import list_runs, load_run
from poselib.experiments.sweep import plan, read_sweep
from poselib.models.pretrained import load_official, read_weights
from poselib.papers.outcomes import outcomes
from poselib.skeletons import COCO, Skeleton, get_skeleton
from poselib.systems import build, known_options
from tests.data.factories.images import images
from tests.fuzz import arrays, command_lines, pictures, videos, weights
from tests.fuzz.corpus import Corpus, Rng, try_all
from tests.fuzz.json_values import encode, mutate
from tests.fuzz.raw_bytes import damage

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


# Sweeps and runs


def prepare_sweep(folder: Path) -> None:
    (folder / "sweeps").mkdir()


def write_sweep(rng: Rng, folder: Path) -> None:
    sources = sorted((ROOT / "notebooks" / "sweeps").glob("*.json"))
    whole = json.loads(sources[rng.integers(len(sources))].read_text())
    changed = rng.random() < 0.2  # the notebook
    sweep = json.dumps(whole).encode() if changed else encode(rng, mutate(rng, whole))
    (folder / "sweeps" / "a.json").write_bytes(sweep)
    for path in (ROOT / "notebooks").glob("03_*.ipynb"):
        notebook = json.loads(path.read_text())
        data = encode(rng, mutate(rng, notebook)) if changed else json.dumps(notebook).encode()
        (folder / path.name).write_bytes(data)


def read_sweep_file(folder: Path) -> None:
    path = folder / "sweeps" / "a.json"
    runs = plan(read_sweep(path), [0])
    assert not any(run.record(folder / "runs") for run in runs)
    check_runs(path, read_ablation(path), runs)


def write_skeleton(rng: Rng, folder: Path) -> None:
    COCO.to_toml(folder / "a.toml")
    data = (folder / "a.toml").read_bytes()
    (folder / "a.toml").write_bytes(damage(rng, data))
    (folder / "a.json").write_bytes(encode(rng, mutate(rng, {"categories": [coco_category(COCO)]})))


def read_skeleton(folder: Path) -> None:
    """Skeletons that are accepted come back whole."""

    def use(file: Path) -> None:
        skeleton = get_skeleton(file)
        assert Skeleton.from_fields(skeleton.fields()) == skeleton and skeleton.summary()
        assert len(skeleton.group_indices("limbs")) == len(skeleton) == len(skeleton.flip_indices)

    try_all(folder, lambda _: use(folder / "a.toml"), lambda _: use(folder / "a.json"))


RUN = {
    "run.json": {"id": "a", "name": "train", "notebook": "03_train", "started": "2026-01-01T00:00"},
    "params.json": {"seed": 0, "system": "hae", "options": "focal=true", "steps": 3},
    "metrics.json": {"AP": 0.5, "AP50": 0.7, "train_seconds": 3.0},
    "metrics.jsonl": {"step": 1, "loss": 0.5},
}


def prepare_run(folder: Path) -> None:
    (folder / "runs" / "a").mkdir(parents=True)


def write_run(rng: Rng, folder: Path) -> None:
    changed = str(rng.choice([*RUN, "sidecar"]))
    sidecar = {"parameters": {"data": "x", "preset": "demo"}, "outcome": "good", "created": "2026"}
    named = {f"runs/a/{name}": content for name, content in RUN.items()}
    for name, content in {**named, "hae_lambda.json": sidecar}.items():
        this = name.endswith(changed) or (changed == "sidecar" and content is sidecar)
        data = encode(rng, mutate(rng, content)) if this else json.dumps(content).encode()
        (folder / name).write_bytes(data)


def read_run(folder: Path) -> None:
    def read(_: Path) -> None:
        run = load_run(folder / "runs" / "a")
        assert isinstance(run.metrics, dict) and isinstance(run.history, list)

    try_all(
        folder,
        read,
        lambda _: list_runs(folder / "runs"),
        lambda _: outcomes("hae", folder),
    )


# Command lines


def prepare_commands(folder: Path) -> None:
    prepare_weights(folder)
    images(folder / "whole", ["a.png"], (24, 32))
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
    assert not said, f"success, but printed: {said}"


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
    "npz": Corpus(0.06, nothing, arrays.write_npz, read_npz),
    "sweeps": Corpus(0.03, prepare_sweep, write_sweep, read_sweep_file),
    "skeletons": Corpus(0.03, nothing, write_skeleton, read_skeleton),
    "runs": Corpus(0.02, prepare_run, write_run, read_run),
    "commands": Corpus(0.015, prepare_commands, write_command, run_command),
    "options": Corpus(0.005, nothing, write_options, build_system),
}

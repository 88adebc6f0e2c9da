"""Weights in the layouts in which others publish them, and servers that send files badly."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest.mock import patch

import torch
import torchvision

from poselib.engine.weights import download
from poselib.engine.weights.importing import import_weights
from poselib.engine.weights.open import load_model
from poselib.engine.weights.recognize import recognize
from poselib.models import BACKBONES
from poselib.models.hrnet import HRNet, HRNetConfig, StageConfig
from poselib.models.pretrained import load_backbone
from poselib.models.scoring import ScoringNet, load_official_scoring
from poselib.skeletons import COCO
from poselib.systems.published import PUBLISHED, PublishedWeights
from tests.engine.weights.factories import published_file, random_system, small, stored
from tests.fuzz.corpus import Rng, try_all
from tests.fuzz.raw_bytes import damage
from tests.fuzz.weights import odd_tensor

# Two channels where the networks have 32: files of kilobytes that the same rules recognize.
NARROW = HRNetConfig(
    stem=(2, 2),
    stage1=StageConfig(1, (1,), (2,)),
    stages=tuple(StageConfig(1, (4, 1, 1, 1)[:n], (2, 4, 8, 16)[:n]) for n in (2, 3, 4)),
)
NETWORKS = {"hrnet_w2": NARROW}
LISTED = (
    *("dekr_w32_coco", "higherhrnet_w32_coco_512", "hrnet_w32_ae_coco", "hourglass_ae_coco"),
    "hrnet_w32_aic_combine_coco_256x192",
)


@cache
def catalogue() -> dict[str, PublishedWeights]:
    """Return entries of the catalogue whose networks are narrow."""
    rows = {name: small(PUBLISHED[name]) for name in LISTED}
    return {
        name: replace(row, options={**row.options, "backbone": "hrnet_w2"})
        if "backbone" in row.options
        else row
        for name, row in rows.items()
    }


@cache
def files() -> tuple[bytes, ...]:
    """Return a file of each entry, of a classifier and of a scoring net."""
    made = []
    with patch.dict(BACKBONES, NETWORKS):
        for row in catalogue().values():
            made.append(published_file(row, random_system(row).model))
    with torch.device("meta"):
        classifier = torchvision.models.resnet18().state_dict()
        layers = ScoringNet(COCO).layers.state_dict()
    names = {"0": "l1", "2": "l2", "4": "l3"}
    scoring = {f"{names[name[0]]}{name[1:]}": value for name, value in layers.items()}
    for shapes in (classifier, scoring):
        made.append(stored({k: torch.zeros(()).expand(v.shape) for k, v in shapes.items()}))
    return tuple(made)


def write_published(rng: Rng, folder: Path) -> None:
    """Write a file under a name of the catalogue or another, mostly changed or damaged."""
    for path in folder.iterdir():
        path.unlink()
    data = files()[rng.integers(len(files()))]
    if rng.random() < 0.7:
        data = _changed(rng, data)
    names = [row.file for row in catalogue().values()]
    name = names[rng.integers(len(names))] if rng.random() < 0.3 else "a.pth"
    (folder / name).write_bytes(damage(rng, data) if rng.random() < 0.2 else data)


def _changed(rng: Rng, data: bytes) -> bytes:
    """Take weights away, rename, swap, cut or replace some, or put them into another nest."""
    content = torch.load(io.BytesIO(data), weights_only=True)
    weights = dict(content.get("state_dict", content))
    for _ in range(rng.integers(1, 4)):
        # the last layers, of which there are few, tell the most
        names = list(weights)[-int(rng.choice([4, 40, len(weights)])) :]
        name, other = (names[rng.integers(len(names))] for _ in range(2))
        value = weights.pop(name)
        kind = rng.choice(["remove", "rename", "swap", "odd", "rows", "all"])
        if kind == "rename":
            ends = [
                f"module.{name}",
                name.replace(".0.", ".1."),
                name[1:],
                "",
                "x.attn.y",
                "a" * 400,
            ]
            weights[ends[rng.integers(len(ends))]] = value
        elif kind == "swap" and other in weights:
            weights[name], weights[other] = weights[other], value
        elif kind == "odd":
            weights[name] = odd_tensor(rng)
        elif kind == "rows" and isinstance(value, torch.Tensor) and value.ndim:
            weights[name] = [value[:-1], value[:0], value.repeat_interleave(2, 0)][rng.integers(3)]
        elif kind == "all":
            prefix = str(rng.choice(["module.", "backbone.", "model.", "head."]))
            weights = {f"{prefix}{key}": each for key, each in weights.items()}
    nest = str(rng.choice(["state_dict", "model", "ema", ""]))
    return stored({nest: weights, "meta": odd_tensor(rng)} if nest else weights)


def read_published(folder: Path) -> None:
    (path,) = folder.iterdir()
    with patch.dict(BACKBONES, NETWORKS), patch.dict(PUBLISHED, catalogue(), clear=True):
        try_all(
            folder,
            lambda _: recognize(path),
            lambda _: import_weights(path, LISTED[0]),
            lambda _: load_model(str(path)),
            lambda _: load_backbone(HRNet(NARROW), path),
            lambda _: load_official_scoring(ScoringNet(COCO), path),
        )


# Downloads

CONTENT = bytes(range(256)) * 8


def write_answers(rng: Rng, folder: Path) -> None:
    """Write what a server answers, one file for each time that it is asked, and what is there."""
    for path in folder.iterdir():
        path.unlink()
    for number in range(rng.integers(1, 6)):
        (folder / f"answer{number}").write_bytes(_answer(rng))
    (folder / "answer9").write_bytes(_whole("200 OK", {}, CONTENT))  # at last a right one
    start = int(rng.choice([0, 1, 1000, len(CONTENT), 5000]))
    if rng.random() < 0.5:
        (folder / "a.pth.part").write_bytes((CONTENT + b"x" * 9000)[:start])
        version = [b'"one"', b"", b'"two"', rng.bytes(30), b"a\r\nX: y"][rng.integers(5)]
        (folder / "a.pth.part.version").write_bytes(version)
    if rng.random() < 0.1:
        (folder / "a.pth").write_bytes(damage(rng, CONTENT))


def _answer(rng: Rng) -> bytes:
    start = int(rng.choice([0, 0, 1, 1000, 2047, 2048, 5000]))
    last, total = (int(rng.choice([len(CONTENT) + more for more in (-1, 0, 7)])) for _ in range(2))
    states = ["200 OK", "206 Partial Content", "404 Not Found", "416 No", "500 Oops", "204 Empty"]
    status = str(rng.choice(states, p=[0.3, 0.4, 0.1, 0.1, 0.05, 0.05]))
    headers = {
        "ETag": str(rng.choice(['"one"', 'W/"one"', "", "é\x7f"])),
        "Content-Length": str(rng.choice(["2048", "1048", "0", "-1", "x", "٣", "9" * 30])),
        "Content-Range": f"bytes {start}-{last}/{rng.choice([str(total), '*', 'x'])}",
        "Transfer-Encoding": str(rng.choice(["chunked", "identity"], p=[0.2, 0.8])),
    }
    kept = {key: value for key, value in headers.items() if rng.random() < 0.6}
    body = [CONTENT[start:], CONTENT[start : start + 700], b"", b"<html>Quota"][rng.integers(4)]
    data = _whole(status, kept, body)
    return damage(rng, data) if rng.random() < 0.3 else data


def _whole(status: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{key}: {value}" for key, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + body


def read_download(folder: Path) -> None:
    """Download from a server with these answers; what is accepted is the published file."""
    path = folder / "a.pth"
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, sorted(folder.glob("answer*"))))
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.pth"
        try:
            with patch.object(download, "_PAUSE", 0.0):
                digest = hashlib.sha256(CONTENT).hexdigest()
                download.download(address, path, sha256=digest[:8], progress=False, timeout=5)
        except (ValueError, FileNotFoundError) as error:
            if address in str(error):  # the name of what did not come
                raise ValueError(f"{path}: {error}") from error
            raise
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert path.read_bytes() == CONTENT, "another file was accepted"
    assert not list(folder.glob("*.part*")), "parts are left"


def _serve(server: socket.socket, answers: list[Path]) -> None:
    """Answer each request with the bytes of a file and hang up; later ones with the last."""
    for number in range(100):
        try:
            connection, _ = server.accept()
        except OSError:  # it was shut down
            return
        with connection:
            connection.recv(65536)
            connection.sendall(answers[min(number, len(answers) - 1)].read_bytes())

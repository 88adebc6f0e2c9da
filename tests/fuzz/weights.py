"""Files of weights: whole, odd, damaged, and such that execute code where they are unpickled."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_safetensors

from poselib.systems import System, build
from tests.fuzz.json_values import mutate
from tests.fuzz.raw_bytes import damage

Rng = np.random.Generator
MARKER = "executed"
NAMES = ("a.pth", "a.pt", "a.safetensors", "a.ckpt", "a.pth.tar", "a.bin")


class Calls:
    """What is unpickled as the result of a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def malicious(rng: Rng, folder: Path) -> bytes:
    """Return a pickle, bare or in a file of ``torch.save``, that would write a marker file."""
    marker = str(folder / MARKER)
    code = f"open({marker!r}, 'w').close()"
    inner = pickle.dumps(Calls(os.system, f"touch {marker}"))
    calls = [
        Calls(os.system, f"touch {marker}"),
        Calls(exec, code),
        Calls(eval, code),
        Calls(open, marker, "w"),
        Calls(Path.touch, Path(marker)),
        Calls(subprocess.check_call, ["touch", marker]),
        Calls(pickle.loads, inner),
        Calls(np.dtype, Calls(exec, code)),
        Calls(np.float64(0).__reduce__()[0], np.dtype("O"), inner),  # type: ignore[arg-type]
        Calls(torch.load, io.BytesIO(inner)),
        Calls(getattr, os, "system"),
    ]
    evil = calls[rng.integers(len(calls))]
    places: list[Any] = [evil, {"state_dict": evil}, {"weight": torch.zeros(3, 2), "bias": evil}]
    content = places[rng.integers(3)]
    try:
        plain = pickle.dumps(content, protocol=int(rng.integers(0, 5)))
        kind = rng.integers(4)
        if kind == 0:
            return plain
        if kind == 1:
            return _zip({"archive/data.pkl": plain, "archive/version": b"3\n"})
        if kind == 2:  # as TorchScript is stored
            return _zip(
                {"a/constants.pkl": plain, "a/data.pkl": plain, "a/code/a.py": code.encode()}
            )
        return torch_file(content, legacy=bool(rng.integers(2)))
    except (pickle.PicklingError, TypeError, AttributeError):
        return inner


def _zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def torch_file(content: Any, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def odd_tensor(rng: Rng) -> Any:
    """Return what may stand for a tensor of 3 x 2 numbers."""
    odd: tuple[Any, ...] = (
        *(torch.full((3, 2), value) for value in (torch.nan, torch.inf, 1e38)),
        *(torch.zeros(3, 2, dtype=kind) for kind in (torch.int64, torch.bool, torch.complex64)),
        *(torch.zeros(3, 2, dtype=kind) for kind in (torch.float16, torch.bfloat16)),
        *(torch.zeros(shape) for shape in ((), (0,), (2, 3), (3, 2, 1), (1, 0))),
        *(
            torch.eye(3, 2).to_sparse(),
            torch.zeros(3, 2, device="meta"),
            torch.zeros(1).expand(3, 2),
        ),
        torch.quantize_per_tensor(torch.zeros(3, 2), 0.1, 0, torch.qint8),
        torch.nn.Parameter(torch.zeros(3, 2)),
        *(np.zeros((3, 2)), np.float32(1), np.float64(1), np.int64(1), np.bool_(True)),
        *({"weight": 1}, None, "x", 3, (1, 2), {1, 2}, b"x", 1j, range(3), Path("x")),
    )
    return odd[rng.integers(len(odd))]


def official_file(rng: Rng, folder: Path) -> bytes:
    """Return weights of a layer of 2 x 3, in one of the nests of training scripts."""
    tensors: dict[Any, Any] = {"weight": torch.randn(3, 2), "bias": torch.zeros(3)}
    if rng.random() < 0.5:
        tensors[rng.choice(["weight", "bias", "more", "module.weight"])] = odd_tensor(rng)
    if rng.random() < 0.1:
        tensors[int(rng.integers(3))] = torch.zeros(1)
    nests = ["state_dict", "model", "model_state_dict", "ema_state_dict", "net", "_orig_mod"]
    content: Any = tensors
    for nest in rng.choice(nests, rng.integers(0, 3)):
        content = {str(nest): content, "epoch": 3, "best": odd_tensor(rng)}
    return torch_file(content, legacy=rng.random() < 0.3)


def safetensors_file(rng: Rng, folder: Path) -> bytes:
    """Return a safetensors file whose header may be any JSON."""
    data = save_safetensors({"weight": torch.zeros(3, 2), "bias": torch.zeros(3)}, {"a": "b"})
    return changed_header(rng, data) if rng.random() < 0.6 else data


def changed_header(rng: Rng, data: bytes) -> bytes:
    (length,) = struct.unpack("<Q", data[:8])
    changed = mutate(rng, json.loads(data[8 : 8 + length]))
    header = json.dumps(changed).encode()
    stated = len(header) + int(rng.choice([0, 0, 0, 0, 1, -1, 1000, 10**9]))
    return struct.pack("<Q", max(0, stated)) + header + data[8 + length :]


def tiny_system() -> System:
    torch.manual_seed(0)
    options = {"backbone": "hrnet_tiny_light", "width": 1, "shared_width": 4, "blocks": 1}
    return build("dekr", "coco", **options)  # type: ignore[arg-type]


def system_file(rng: Rng, folder: Path) -> bytes:
    """Return a saved system, or the checkpoint of a training, with a changed description."""
    system = folder / "whole" / ("system.safetensors" if rng.random() < 0.7 else "training.pt")
    data = system.read_bytes()
    if system.suffix == ".pt":
        content = torch.load(system, weights_only=True)
        if rng.random() < 0.2:
            content["model"][next(iter(content["model"]))] = odd_tensor(rng)
        return torch_file(mutate(rng, content))
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    described = json.loads(header["__metadata__"]["poselib"])
    header["__metadata__"]["poselib"] = json.dumps(mutate(rng, described))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def write_weights(rng: Rng, folder: Path) -> Path:
    """Write a file of weights under any name; returns where."""
    for old in folder.glob("a.*"):
        old.unlink()
    kinds = [malicious, official_file, safetensors_file, system_file]
    data = kinds[rng.choice(4, p=[0.25, 0.42, 0.29, 0.04])](rng, folder)
    path = folder / str(rng.choice(NAMES))
    path.write_bytes(damage(rng, data) if rng.random() < 0.4 else data)
    return path

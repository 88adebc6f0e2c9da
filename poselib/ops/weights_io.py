"""Files of weights, told apart by what they hold and not by their names."""

from __future__ import annotations

import codecs
import os
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from poselib.ops.console import out_of_memory
from poselib.ops.file_kinds import HEAD, stand_in

Weights = dict[str, Tensor]

# What files of other kinds begin with.
_OTHERS = (
    (b"\x89HDF", "an HDF5 file"),
    (b"GGUF", "a GGUF file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF document"),
)
# What logs of mmengine are made of: a class, and the methods of it that they list.
_LOGS = ("mmengine.logging.history_buffer.HistoryBuffer", "getattr", "builtins.getattr")
_HEADER = 100_000_000  # bytes, of safetensors at most
_SHOWN = 4  # names of each kind in a report


class _Log:
    """Stands for what ``_LOGS`` would make, and is nothing."""

    def __new__(cls, *_: object) -> _Log:
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        pass


def read_stored(path: Path) -> tuple[Any, dict[str, str] | None]:
    """Read a file that ``torch.save`` or safetensors wrote, whatever its name, onto the CPU.

    Of pickled objects only tensors, plain values and NumPy's numbers and arrays are made, and empty
    stand-ins for the logs that mmengine keeps beside weights: no code of a file runs.

    Returns:
        What the file holds, and the metadata of a safetensors file, None of another.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is of another kind, incomplete, or holds other objects; the message names
            the file and says which.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
        header = int.from_bytes(head[:8], "little")
        if head[8:9] == b"{" and header < _HEADER:
            if 8 + header > path.stat().st_size:
                raise _unreadable(path, "a safetensors file that is incomplete")
            return _read_safetensors(path, file.fileno())
        if reason := _other_kind(path, head):
            raise _unreadable(path, reason)
        file.seek(0)
        try:
            known = [*_numpy_types(), *((_Log, name) for name in _LOGS)]
            with torch.serialization.safe_globals(known), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of formats that are old or to come
                # Not by its name, which PyTorch would judge it by.
                return torch.load(file, map_location="cpu", weights_only=True), None
        except Exception as error:
            # PyTorch raises errors of many types, with its advice to let code of the file run.
            reason = _as_text(head) or _reason(error)
    raise _unreadable(path, reason)


def fit_report(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """Say in what weights differ from those expected: names, shapes, kinds and numbers.

    Args:
        expected: of the network.
        weights: of a file.

    Returns:
        The report, empty if all is as expected.
    """
    known = {k: v for k, v in weights.items() if k in expected}
    wrong = {k: wrong_kind(v, expected[k]) for k, v in known.items()}
    fitting = {k: v for k, v in known.items() if not wrong[k] and v.shape == expected[k].shape}
    other = [k for k in known if not wrong[k] and k not in fitting]
    findings = {
        "missing": [k for k in expected if k not in weights],
        "unexpected": [k for k in weights if k not in expected],
        "of another shape": [
            f"{k} {tuple(known[k].shape)} for {tuple(expected[k].shape)}" for k in other
        ],
        "of another kind": [f"{k} {kind}" for k, kind in wrong.items() if kind],
        "not finite": [
            f"{k} {count} of {v.numel()}" for k, v in fitting.items() if (count := _not_finite(v))
        ],
    }
    return "; ".join(f"{len(v)} {kind} ({_few(v)})" for kind, v in findings.items() if v)


def wrong_kind(value: object, expected: Tensor) -> str:
    """Name what keeps a value of a file from being that of a tensor: its kind; "" if nothing."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.is_meta:
        return "without values"
    if value.is_quantized:
        return "quantized"
    if value.layout != torch.strided or value.is_nested:
        return "sparse"
    if value.is_complex() or expected.is_floating_point() > value.is_floating_point():
        return str(value.dtype).removeprefix("torch.")
    return ""


def _not_finite(value: Tensor) -> int:
    if not value.is_floating_point():
        return 0
    wide = value if value.dtype == torch.float64 else value.float()
    return value.numel() - int(wide.isfinite().sum())


def _few(names: list[str]) -> str:
    return ", ".join(map(str, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")


def _unreadable(path: Path, reason: str) -> ValueError:
    return ValueError(f"{path}: not a readable file of weights: {reason}")


def _read_safetensors(path: Path, descriptor: int) -> tuple[Weights, dict[str, str]]:
    try:
        text = os.fsencode(path).decode("utf-8", "ignore") == str(path)
        name = path if text else f"/dev/fd/{descriptor}"  # the library knows no other names
        with safe_open(name, framework="pt") as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return weights, file.metadata() or {}
    except (SafetensorError, OSError, MemoryError, TypeError, AttributeError) as error:
        reason = str(error)
    raise _unreadable(path, f"a safetensors file that is damaged: {reason}")


def _other_kind(path: Path, head: bytes) -> str:
    """Say what a file is that ``torch.save`` did not write, as far as its content tells."""
    if what := stand_in(head):
        return what
    if head.startswith(b"PK\x03\x04"):
        return _other_archive(path)
    return next((what for magic, what in _OTHERS if head.startswith(magic)), "")


def _as_text(head: bytes) -> str:
    """Quote the first line of what a person can read."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)  # its end may cut a letter
    except UnicodeDecodeError:
        return ""
    line = " ".join(text.split())[:80]
    return f"text: {line!r}" if line and line.isprintable() else ""


def _other_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # whatever a damaged list of files leads to
        return "incomplete: the end of its archive is missing"
    if any(name.endswith("constants.pkl") for name in names):
        return "a TorchScript model; save its state_dict instead"
    if any(name.endswith("data.pkl") for name in names):
        return ""
    if names and all(name.endswith(".npy") for name in names):
        return "NumPy's npz format"
    return "a zip archive; unpack it first"


def _numpy_types() -> list[Any]:
    """Return what unpickling NumPy's numbers and arrays needs, by the names of NumPy 1 and 2."""
    number, array = np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]
    buffer: Any = np.zeros(1).__reduce_ex__(5)[0]
    objects = {np.dtypes.ObjectDType, np.dtypes.VoidDType}
    kinds = {getattr(np.dtypes, name) for name in np.dtypes.__all__}
    return [
        *(number, (number, "numpy.core.multiarray.scalar")),
        *(array, (array, "numpy.core.multiarray._reconstruct")),
        *(buffer, (buffer, "numpy.core.numeric._frombuffer")),
        *(np.ndarray, np.dtype, bytes, *(kinds - objects)),
    ]


def _reason(error: Exception) -> str:
    """Say why a pickle could not be read, without advice to run its code."""
    if out_of_memory(error):
        return "there is not enough memory for what it claims to hold"
    text = str(error)
    found = re.search(r"GLOBAL ([\w.]+)|class ['<]*(?:class ')?([\w.]+)", text)
    refused = ("unsupported", "not allowed", "was not an allowed")
    if found and any(words in text.lower() for words in refused):
        name = found[1] or found[2]
        return (
            f"it holds an object of {name}, which is not made because that can run code. If you "
            "trust the file, save its state_dict alone with the program that wrote it"
        )
    return "incomplete, damaged, of another kind or pickled by another protocol than 2"

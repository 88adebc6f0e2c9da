"""Files of weights are known by their content, and whatever they hold runs no code."""

from __future__ import annotations

import argparse
import gzip
import io
import os
import pickle
import random
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from poselib.ops.weights_io import fit_report, read_stored

WEIGHTS = {"a": torch.arange(3.0)}
NUMBERS = [
    *(np.float16(1.5), np.float32(1.5), np.float64(1.5), np.longdouble(1.5), np.bool_(True)),
    *(np.int8(1), np.int16(1), np.int32(1), np.int64(1), np.uint8(1), np.uint64(1)),
    *(np.complex64(1j), np.str_("x"), np.bytes_(b"x"), np.datetime64("2020-01-01")),
]
ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.eye(2)),
    np.zeros((0, 3)),
    np.ones(2, ">f4"),
]


def saved(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def stored(folder: Path, content: bytes, name: str = "file.pth") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("value", NUMBERS, ids=lambda v: type(v).__name__)
def test_numbers_of_numpy_beside_weights_are_read(tmp_path: Path, value: Any) -> None:
    content, _ = read_stored(stored(tmp_path, saved({"state_dict": WEIGHTS, "perf": value})))
    assert content["perf"] == value and type(content["perf"]) is type(value)


@pytest.mark.parametrize("value", ARRAYS, ids=str)
def test_arrays_of_numpy_beside_weights_are_read(tmp_path: Path, value: Any) -> None:
    content, _ = read_stored(stored(tmp_path, saved({"state_dict": WEIGHTS, "curve": value})))
    np.testing.assert_array_equal(content["curve"], value)


class HistoryBuffer:
    """A log as mmengine keeps it beside weights: numbers, and methods of its own class."""

    def __init__(self) -> None:
        self._log_history, self.statistics_methods = np.ones(3), {"max": HistoryBuffer.largest}

    def largest(self) -> None:
        raise AssertionError("code of a file ran")


@pytest.mark.parametrize("new", [True, False])
def test_logs_of_a_toolbox_beside_weights_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: bool
) -> None:
    home = ModuleType("mmengine.logging.history_buffer")
    home.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        for name in ("mmengine", "mmengine.logging", home.__name__):
            patch.setitem(sys.modules, name, home)
        patch.setattr(HistoryBuffer, "__module__", home.__name__)
        patch.setattr(HistoryBuffer.largest, "__module__", home.__name__)
        hub = {"log_scalars": {"train/loss": HistoryBuffer()}, "runtime_info": {"iter": 3}}
        file = saved(
            {"message_hub": hub, "state_dict": WEIGHTS}, _use_new_zipfile_serialization=new
        )
    content, _ = read_stored(stored(tmp_path, file))
    assert torch.equal(content["state_dict"]["a"], WEIGHTS["a"])
    log = content["message_hub"]["log_scalars"]["train/loss"]
    assert not isinstance(log, HistoryBuffer) and not vars(log)
    assert content["message_hub"]["runtime_info"] == {"iter": 3}


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.safetensors", "a.ckpt", "a.PT", "a.png", "a"])
def test_every_format_is_read_under_every_name(tmp_path: Path, name: str) -> None:
    for content, metadata in (
        (saved(WEIGHTS), None),
        (saved(WEIGHTS, _use_new_zipfile_serialization=False), None),
        (save(WEIGHTS, {"by": "me"}), {"by": "me"}),
    ):
        read, described = read_stored(stored(tmp_path, content, name))
        assert torch.equal(read["a"], WEIGHTS["a"]) and described == metadata


class Harmful:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('code of a file ran')",)


class Shell:
    def __reduce__(self) -> Any:
        return os.system, ("exit 1",)


def script() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), buffer)
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(2))
    return buffer.getvalue()


def others() -> dict[str, tuple[bytes, str]]:
    """Files of other kinds, and what is said of them."""
    return {
        "empty": (b"", "empty"),
        "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        "annex": (b"/annex/objects/SHA256E-s9--0.pth\n", "git-annex pointer"),
        "page": (b"\n<!DOCTYPE html><html>Quota exceeded</html>", "a web page"),
        "denied": (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "a web page"),
        "text": (b"Quota exceeded\n", "text: 'Quota exceeded'"),
        "letters": ("Kontingent überschritten".encode(), "text: 'Kontingent überschritten'"),
        "gzip": (gzip.compress(saved(WEIGHTS)), "compressed by gzip"),
        "image": (b"\x89PNG\r\n", "a PNG image"),
        "npz": (npz(), "NumPy's npz format"),
        "script": (script(), "a TorchScript model"),
        "noise": (bytes(range(128, 256)) * 20, "incomplete, damaged, of another kind"),
        "cut": (saved(WEIGHTS)[:-30], "incomplete"),
        "cut early": (saved(WEIGHTS)[:30], "incomplete"),
        "byte": (b"P", "text: 'P'"),
        "zero": (b"\0", "damaged"),
        "safetensors": (save(WEIGHTS)[:-1], "a safetensors file that is"),
        "deep": (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "incomplete"),
        "pickle": (pickle.dumps(WEIGHTS, protocol=4), "another protocol than 2"),
        "namespace": (saved({"a": argparse.Namespace()}), "an object of argparse.Namespace"),
        "network": (saved(torch.nn.Linear(1, 1)), "an object of torch.nn.modules.linear.Linear"),
        "objects": (saved({"a": np.array([None])}), "not a readable"),
        "code": (saved({"a": Harmful()}), "an object of exec"),
        "shell": (pickle.dumps(Shell(), protocol=2), f"an object of {os.name}.system"),
    }


@pytest.mark.parametrize("kind", others())
def test_what_is_no_file_of_weights_is_called_what_it_is(tmp_path: Path, kind: str) -> None:
    content, named = others()[kind]
    path = stored(tmp_path, content)
    with pytest.raises(ValueError) as error:
        read_stored(path)
    text = str(error.value)
    assert text.startswith(f"{path}: not a readable file of weights: ") and named in text
    assert "weights_only" not in text and text.isprintable() and len(text) < 500
    shown_above = error.value.__cause__ or error.value.__context__
    assert shown_above is None, "advice of other libraries must not be shown above"


@pytest.mark.parametrize("new", [True, False])
def test_damaged_files_are_one_error_that_names_them(tmp_path: Path, new: bool) -> None:
    whole = saved({"state_dict": WEIGHTS, "x": 1.5}, _use_new_zipfile_serialization=new)
    chance = random.Random(0)
    damaged = [whole[:n] for n in range(0, len(whole), 7)]
    for _ in range(300):
        other = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            other[chance.randrange(len(other))] = chance.randrange(256)
        damaged.append(bytes(other))
    refused = 0
    for content in damaged:
        path = stored(tmp_path, content)
        try:
            read_stored(path)
        except ValueError as error:
            refused += 1
            assert str(error).startswith(f"{path}: not a readable file of weights: ")
    assert refused > len(whole) // 7 - 5


def test_a_report_says_each_kind_of_difference() -> None:
    expected = {name: torch.zeros(2) for name in "abcdefg"} | {"n": torch.tensor(1)}
    weights: dict[str, Any] = {
        **{"a": torch.zeros(2), "b": torch.zeros(3), "c": torch.tensor([1.0, torch.inf])},
        **{"d": torch.zeros(2, dtype=torch.complex64), "e": torch.zeros(2).to_sparse()},
        **{"n": torch.tensor(3), "x": torch.zeros(1), "g": np.float64(1)},
    }
    assert fit_report(expected, weights) == (
        "1 missing (f); 1 unexpected (x); 1 of another shape (b (3,) for (2,)); "
        "3 of another kind (d complex64, e sparse, g float64); 1 not finite (c 1 of 2)"
    )
    assert fit_report(expected, expected) == ""
    assert fit_report({"a": torch.zeros(2)}, {"a": torch.zeros(2, dtype=torch.float16)}) == ""
    odd: Any = {"a": 3, 7: None}
    assert fit_report({"a": torch.zeros(2)}, odd) == "1 unexpected (7); 1 of another kind (a int)"

"""Files of arrays: npz of NumPy and mat of MATLAB, with odd arrays or damaged bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.raw_bytes import damage
from tests.fuzz.weights import malicious

Rng = np.random.Generator
HEADERS = (
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 1000000)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}",
    "{'descr': '<f4', 'fortran_order': 1, 'shape': 3}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
    "{'descr': [('a', '<f4')], 'fortran_order': True, 'shape': (2, 4, 4)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4, 4), 'more': 0}",
    "__import__('os').system('touch executed')",
    "{'descr': " + "(" * 500,
)


def odd_array(rng: Rng, *shape: int) -> Any:
    """Return what may stand for a float32 array of a shape."""
    array = rng.normal(size=shape).astype(np.float32)
    with np.errstate(all="ignore"):
        odd: tuple[Callable[[], Any], ...] = (
            lambda: array * np.float32(1e38),
            lambda: np.where(rng.random(shape) < 0.1, np.nan, array).astype(np.float32),
            lambda: np.full(shape, rng.choice([np.nan, np.inf, 0, 1e38]), np.float32),
            lambda: array.astype(rng.choice(["f8", "f2", "i4", "?", "c8", ">f4", "S3", "U2"])),
            lambda: array[..., :0],
            lambda: array[0],
            lambda: array[..., None, None],
            lambda: array[None],
            lambda: np.asfortranarray(array),
            lambda: array[:, ::-1],
            lambda: np.float32(1),
            lambda: np.array([object(), None, "x"])[:2].astype("O")[1:],
            lambda: np.zeros(3, [("x", "f4")]),
        )
        return odd[rng.integers(len(odd))]()


def write_npz(rng: Rng, folder: Path) -> None:
    """Write maps of a network as ``poselib decode`` takes them."""
    keypoints, height, width, length = (int(rng.integers(1, n)) for n in (5, 9, 9, 3))
    shapes = {"heatmaps": (keypoints, height, width), "tags": (keypoints, height, width, length)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    if rng.random() < 0.7:
        name = str(rng.choice(["heatmaps", "tags"]))
        arrays[name] = odd_array(rng, *shapes[name])
    if rng.random() < 0.1:
        arrays.pop(str(rng.choice(["heatmaps", "tags"])))
    stream = io.BytesIO()
    save = np.savez_compressed if rng.random() < 0.3 else np.savez
    save(stream, **arrays)
    data = (
        _other_member(rng, folder, stream.getvalue()) if rng.random() < 0.25 else stream.getvalue()
    )
    (folder / "a.npz").write_bytes(damage(rng, data) if rng.random() < 0.4 else data)


def _other_member(rng: Rng, folder: Path, data: bytes) -> bytes:
    """Replace an array of an archive by one with another header, by a pickle or by nonsense."""
    header = HEADERS[rng.integers(len(HEADERS))].encode().ljust(117) + b"\n"
    version = bytes([int(rng.choice([1, 2, 3, 9])), 0])
    npy = b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + b"\0" * 100
    evil = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + malicious(rng, folder)
    member = [npy, evil, malicious(rng, folder), b"", rng.bytes(50)][rng.integers(5)]
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        names = old.namelist()
        replaced = str(rng.choice(names)) if names else "heatmaps.npy"
        for name in {*names, replaced}:
            new.writestr(name, member if name == replaced else old.read(name))
    return stream.getvalue()


def odd_fields(rng: Rng, content: Any) -> Any:
    """Change one field of a structure of MATLAB, at any depth, in place; return the structure."""
    here = content
    while True:
        if not isinstance(here, np.ndarray) or here.size == 0:
            return content
        place = tuple(int(rng.integers(side)) for side in here.shape)
        names = here.dtype.names
        if names is None and here.dtype != object:
            if here.dtype.kind == "f":
                here[place] = rng.choice([np.nan, np.inf, 1e300, -1e300, -1.0, 0.0, 2.0, 1e9])
            return content
        holder, key = (here[place], str(rng.choice(names))) if names else (here, place)
        value = holder[key]
        deeper = isinstance(value, np.ndarray) and value.dtype.hasobject and rng.random() < 0.75
        if deeper:
            here = value
            continue
        odd = [np.zeros((0, 0)), np.array([[np.nan]]), "x", np.array([[1e300]]), np.zeros((2, 29))]
        odd += [np.array([[-1]]), np.array([[2**63]], np.uint64), np.ones((3, 3, 3)), 1j, ""]
        holder[key] = odd[rng.integers(len(odd))]
        return content

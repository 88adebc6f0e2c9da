"""Damage to the bytes of any file: cut, flipped, overwritten, repeated, mixed up."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
# What is found under the name of a file: pages, pointers, archives, other formats.
STRANGERS = (
    b"",
    b"\0",
    b"\0" * 4096,
    b"\xff" * 64,
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
    b"<!DOCTYPE html><html><body>Quota exceeded</body></html>",
    b"PK\x05\x06" + b"\0" * 18,
    b"\x89HDF\r\n\x1a\n" + b"\0" * 32,
    b"\x80\x02]q\0.",
    b"\x93NUMPY\x01\0\xff\xff",
    b"MATLAB 7.3 MAT-file" + b" " * 105 + b"\0\2IM",
    b"\xff\xd8\xff\xd9",
    b"GIF89a",
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b"9" * 5000,
)


def damage(rng: Rng, data: bytes) -> bytes:
    """Return the bytes with one kind of damage."""
    if not data:
        return stranger(rng, data)
    kinds: list[Callable[[Rng, bytes], bytes]]
    kinds = [cut, flip_bits, overwrite, repeat, mix, append, stranger, compress]
    weights = [0.25, 0.3, 0.15, 0.08, 0.08, 0.06, 0.05, 0.03]
    return kinds[rng.choice(len(kinds), p=weights)](rng, data)


def cut(rng: Rng, data: bytes) -> bytes:
    return data[: rng.integers(len(data))]


def flip_bits(rng: Rng, data: bytes) -> bytes:
    values = np.frombuffer(data, np.uint8).copy()
    # Headers, at the beginning and the end, decide the most.
    reach = min(len(values), int(rng.choice([64, 512, len(values)])))
    places = rng.integers(reach, size=rng.integers(1, 9))
    places = len(values) - 1 - places if rng.random() < 0.2 else places
    values[places] ^= np.uint8(1) << rng.integers(8, size=len(places), dtype=np.uint8)
    return values.tobytes()


def overwrite(rng: Rng, data: bytes) -> bytes:
    first, length = rng.integers(len(data)), int(rng.choice([1, 2, 4, 8, 64, 1024]))
    length = min(length, len(data) - first)
    fill = [b"\0" * length, b"\xff" * length, b"\x7f" * length, rng.bytes(length)][rng.integers(4)]
    return data[:first] + fill + data[first + length :]


def repeat(rng: Rng, data: bytes) -> bytes:
    first, last = sorted(rng.integers(len(data), size=2))
    return data[:last] + data[first:]


def mix(rng: Rng, data: bytes) -> bytes:
    first, middle, last = sorted(rng.integers(len(data), size=3))
    return data[:first] + data[middle:last] + data[first:middle] + data[last:]


def append(rng: Rng, data: bytes) -> bytes:
    return data + [b"\0", b"\n", data, rng.bytes(100)][rng.integers(4)]


def stranger(rng: Rng, data: bytes) -> bytes:
    return STRANGERS[rng.integers(len(STRANGERS))]


def compress(rng: Rng, data: bytes) -> bytes:
    return gzip.compress(data, 1)

"""Command lines of ``poselib`` and parameters of notebooks: right, odd and contradictory ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

Rng = np.random.Generator
NUMBERS = ("0", "1", "2", "-1", "3.5", "nan", "inf", "-inf", "1e400", "", " ", "x", "1,5", "0x10")
NUMBERS += ("٣", "1_0", "--", "-", "16", "32", "64")  # not so many that it takes long
TEXTS = ("", " ", ".", "/", "/dev/null", "a b", "\x1b[1m", "é😀", "x" * 300, "$a$", "-h", "../..")


def option(rng: Rng, name: str, *good: str) -> list[str]:
    """Return an option, mostly with a good value, or nothing."""
    if rng.random() < 0.6:
        return []
    known = good if rng.random() < 0.85 else (*NUMBERS, *TEXTS)
    value = str(known[rng.integers(len(known))])
    return [f"{name}={value}"] if rng.random() < 0.3 else [name, value]


def some(rng: Rng, values: tuple[str, ...], odd: float = 0.05) -> str:
    chosen = (*NUMBERS, *TEXTS) if rng.random() < odd else values
    return str(chosen[rng.integers(len(chosen))])


def synthetic(rng: Rng, folder: Path) -> list[str]:
    out = str(
        folder / some(rng, (*("out", "out/a") * 3, "whole", "a.json")).replace("..", "x").strip("/")
    )
    line = ["synthetic", out, "--count", some(rng, ("0", "1", "2"))]
    line += ["--size", some(rng, ("32", "48", "64"))]
    line += ["--people", some(rng, ("1",)), some(rng, ("1", "2"))]
    line += option(rng, "--crowd-index", "0", "0.5", "1") + option(rng, "--seed", "0", "7")
    line += option(rng, "--skeleton", "coco", "mpii", "flic") + option(
        rng, "--format", "png", "jpg"
    )
    return line + option(rng, "--processes", "1")


def decode(rng: Rng, folder: Path) -> list[str]:
    maps = folder / some(rng, (*("whole/maps.npz",) * 6, "a.json", "absent.npz", "whole"))
    out = str(
        folder
        / some(rng, (*("poses.npz", "new/poses.npz") * 3, "whole")).replace("..", "x").strip("/")
    )
    line = ["decode", str(maps), "--out", out]
    line += option(rng, "--order", "progressive", "associative")
    return line + option(rng, "--threads", "1") + option(rng, "--repeats", "1", "2")


def predict(rng: Rng, folder: Path) -> list[str]:
    images = [
        str(
            folder
            / some(rng, (*("whole/a.png", "whole/*.png") * 3, "whole", "absent.png", "a.json"))
        )
    ]
    out = str(
        folder / some(rng, (*("out",) * 5, "whole", "a.json/x")).replace("..", "x").strip("/")
    )
    line = ["predict", *images, "--out", out, "--size", some(rng, ("16", "32", "48"))]
    line += option(rng, "--scales", "1", "0.5") + option(rng, "--batch-size", "1", "3")
    line += option(rng, "--min-score", "0", "0.5") + option(rng, "--draw-score", "0", "2")
    line += option(rng, "--format", "png", "jpg") + option(rng, "--device", "cpu", "auto")
    line += option(
        rng, "--checkpoint", str(folder / "whole" / "system.safetensors"), "hae_tiny_synthetic"
    )
    return line + (["--no-flip"] if rng.random() < 0.5 else [])


def command_line(rng: Rng, folder: Path) -> list[str]:
    """Return the arguments of a command, some of which may be missing, doubled or moved."""
    kinds = [synthetic, decode, predict]
    line = kinds[rng.choice(3, p=[0.4, 0.4, 0.2])](rng, folder)
    change = rng.random()
    if change < 0.05:
        line.pop(rng.integers(len(line)))
    elif change < 0.1:
        line.append(some(rng, ("--help", "--version", "more"), odd=0.7))
    elif change < 0.13:
        line = [line[0], *rng.permutation(line[1:]).tolist()]
    return [each.replace("\0", "") for each in line]


def options_text(rng: Rng, known: Mapping[str, object]) -> str:
    """Return options of a system as a notebook takes them, ``name=value name=value``.

    Args:
        known: all options with their defaults.
    """
    parts = []
    for _ in range(rng.integers(1, 4)):
        name = str(rng.choice(sorted(known)))
        default = str(known[name])
        values = {"True": ("true", "false"), "None": ("none", "3")}.get(default, (default,))
        if isinstance(known[name], int | float):
            values += ("-1", "0", "1", "2", "3", "9", "0.5", "-0.5", "1e400", "64")
        value = some(rng, (*values, "x", "__import__('os').getcwd()"), odd=0.1)
        name = name if rng.random() < 0.95 else some(rng, ("", "x", "__class__"))
        parts.append(f"{name}{'=' if rng.random() < 0.98 else ' '}{value}")
    return " ".join(parts)

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


def data(rng: Rng, folder: Path) -> str:
    names = (*("own",) * 6, "own/annotations.json", "absent", "a.json", "whole")
    return str(folder / "whole" / some(rng, names)).replace("\0", "")


def train(rng: Rng, folder: Path) -> list[str]:
    """Return a training of one step, or mostly the check of its dataset alone."""
    out = folder / some(rng, ("out", "out/a", "whole/run", "a.json"), odd=0).strip("/")
    line = ["train", "--data", data(rng, folder), "--out", str(out), "--device", "cpu"]
    line += ["--steps", some(rng, ("1",)), "--batch", some(rng, ("1", "2"))]
    line += ["--size", some(rng, ("64",)), *option(rng, "--workers", "0")]
    line += option(rng, "--skeleton", "coco", "crowdpose") + option(rng, "--lr", "0.001", "1e-9")
    line += option(rng, "--system", "hae", "dekr", "rpstn") + option(rng, "--epochs", "0.1")
    line += option(rng, "--init", "none", str(folder / "whole" / "system.safetensors"), "absent.pt")
    line += option(rng, "--backbone", "hrnet_tiny_light", "hrnet_tiny", "hrnet_tinier")
    line += option(rng, "--option", "width=1", "focal=false", "x=1") + option(rng, "--seed", "3")
    line += option(rng, "--data-dir", str(folder / "whole")) + option(rng, "--images", str(folder))
    return line + ["--check"] * (rng.random() < 0.85) + ["--resume"] * (rng.random() < 0.05)


def evaluate(rng: Rng, folder: Path) -> list[str]:
    out = folder / some(rng, ("out", "out/a", "whole/run", "a.json"), odd=0).strip("/")
    line = ["evaluate", "--data", data(rng, folder), "--out", str(out), "--size", "32"]
    line += ["--model", str(folder / "whole" / some(rng, ("system.safetensors",) * 4 + ("own",)))]
    line += option(rng, "--split", "val", "train", "test") + option(rng, "--limit", "1", "9")
    line += option(rng, "--skeleton", "coco", "mpii") + option(rng, "--scales", "1", "0.5")
    line += option(rng, "--boxes", str(folder / "a.json")) + option(rng, "--batch-size", "1", "2")
    line += option(rng, "--detector", str(folder / "whole" / "system.safetensors"), "absent.pt")
    return [each.replace("\0", "") for each in line]


def weights(rng: Rng, folder: Path) -> list[str]:
    """Return a look at the catalogue or an import; names that exist are not downloaded."""
    action = some(rng, ("list", "show", "where", "import", "download"))
    files = ("system.safetensors", "training.pt", "a.png", "maps.npz", "absent.pth")
    known = [str(folder / "whole" / name) for name in files]
    known += ["dekr_w99_coco", "dekr_w32"] if action == "download" else ["dekr_w32_coco"]
    names = [some(rng, (*known,)) for _ in range(rng.integers(0, 3))]
    line = ["weights", action, *names, *option(rng, "--like", "dekr_w32_coco", "dekr")]
    return line + option(rng, "--out", str(folder / "out.safetensors"), str(folder / "a.json"))


def export(rng: Rng, folder: Path) -> list[str]:
    """Return an export that cannot be, since one that can takes seconds."""
    model = str(folder / "whole" / some(rng, ("maps.npz", "a.png", "absent.pt", "own")))
    good = str(folder / "whole" / "system.safetensors")
    outs = [folder / "out.pt", folder / "a.json" / "model.onnx", Path("/dev/null/x.onnx")]
    line = ["export", "--model", good, "--out", str(outs[rng.integers(3)])]
    if rng.random() < 0.5:
        line = ["export", "--model", model, "--out", str(folder / "out")]
    return [*line, *(["--uint8"] if rng.random() < 0.5 else [])]


def command_line(rng: Rng, folder: Path) -> list[str]:
    """Return the arguments of a command, some of which may be missing, doubled or moved."""
    kinds = [synthetic, decode, predict, train, evaluate, weights, export]
    line = kinds[rng.choice(7, p=[0.2, 0.2, 0.15, 0.15, 0.1, 0.15, 0.05])](rng, folder)
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

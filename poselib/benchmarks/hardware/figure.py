"""The figure of a record: images a second by system and setup, and the verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from poselib.benchmarks.hardware.verdicts import PREDICTION, STREAM_MS, TRAINING
from poselib.ops.io import atomic_write, read_json
from poselib.plots.throughput import show_throughput

_PARTS = {
    ("inference", "end to end"): "images to poses",
    ("training", "step"): "training",
    ("stream", "end to end"): "streams",
}
_EAGER = "float32"


def draw_record(path: Path) -> Path:
    """Draw a record beside its file, as PNG, and return the path of the picture.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no record, or one without a rate.
    """
    content = read_json(path)
    figure, picture = figure_of(content, str(path)), path.with_suffix(".png")
    # Other figures' files beside them are written anew with them; this one is what is drawn.
    with atomic_write(picture) as temporary:
        options: dict[str, Any] = {"bbox_inches": "tight", "metadata": {"Software": None}}
        figure.savefig(temporary, format="png", **options)
    return picture


def figure_of(content: Mapping[str, Any], name: str) -> Figure:
    """Return the figure of a record; ``name`` is that of its file, for error messages."""
    if lacking := [key for key in ("rows", "verdicts", "parameters") if key not in content]:
        raise ValueError(f"{name}: no record of hardware: it lacks {', '.join(lacking)}")
    panels, targets = rates_of(content["rows"])
    if not panels:
        raise ValueError(f"{name}: rows: none has a rate that could be drawn")
    machine = content["parameters"]["machine"]
    where = machine["gpu"] or f"{machine['cpu']}, one thread"
    layout: dict[str, Any] = {"unit": "images/s", "columns": 2 if len(panels) < 7 else 3}
    layout["title"] = f"{where}, PyTorch {machine['torch']}, random weights: {content['outcome']}"
    return show_throughput(panels, targets, content["verdicts"], **layout)


def rates_of(rows: list[dict[str, Any]]) -> tuple[dict[str, pd.Series], dict[str, float]]:
    """Return the images a second of all setups by panel, float32 first, and the panels' targets."""
    panels: dict[str, dict[str, float]] = {}
    targets: dict[str, float] = {}
    for row in rows:
        if (heading := _PARTS.get((row["task"], row["part"]))) is None:
            continue
        system, batch = row["system"], row["batch"]
        name = f"{system}, {heading}, batch {batch}"
        rate = panels.setdefault(name, {_EAGER: float("nan")})
        rate[row["setup"]] = row["images_per_second"]
        eager = row["setup"] == _EAGER
        if eager and row["task"] == "training":
            targets[name] = TRAINING * row["images_per_second"]
        elif eager and row["task"] == "inference" and system == "hae" and batch > 1:
            targets[name] = PREDICTION * row["images_per_second"]
        elif row["task"] == "stream" and batch in STREAM_MS:
            targets[name] = 1000 * batch / STREAM_MS[batch]
    series = {name: pd.Series(rates) for name, rates in panels.items()}
    # As many rows abreast: panels of one system beside each other, the main one first.
    order = sorted(series, key=lambda name: (not name.startswith("hae"), name))
    return {name: series[name] for name in order}, targets

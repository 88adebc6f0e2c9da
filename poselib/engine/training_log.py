"""Curves of a training beside its checkpoint: a CSV file always, TensorBoard if it is wanted."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from numpy.typing import NDArray

from poselib.engine.trainer import METRICS
from poselib.ops.io import atomic_write, read_lines

CURVES, EVENTS = "curves.csv", "tensorboard"
_FIRST = ("step", "seconds", "lr", "loss")


def write_curves(folder: Path) -> Path:
    """Write the lines of ``metrics.jsonl`` as a table, one row a step, and return its file."""
    table = pd.DataFrame(read_lines(folder / METRICS, "step"), columns=None)
    if len(table):
        table = table.groupby("step", as_index=False, sort=True).last()
    known = [name for name in _FIRST if name in table]
    table = table[[*known, *(name for name in table if name not in known)]]
    with atomic_write(folder / CURVES) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    return folder / CURVES


class _Writer(Protocol):
    def add_scalar(self, tag: str, value: float, step: int, /) -> None: ...

    def add_image(self, tag: str, image: Any, step: int, /, *, dataformats: str) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Scalars and pictures of a training for TensorBoard, which shows them while it runs.

    Args:
        folder: of the training; the events go to its folder ``tensorboard``.

    Raises:
        ValueError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        check_tensorboard()
        from torch.utils.tensorboard import SummaryWriter  # the extra, which few need

        self.folder = folder / EVENTS
        self._writer: _Writer = SummaryWriter(str(self.folder))

    def record(self, line: Mapping[str, Any]) -> None:
        """Add the numbers of a line of ``metrics.jsonl``: validations apart from the loss."""
        step, group = int(line["step"]), "train" if "loss" in line else "validation"
        for name, value in line.items():
            if name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(f"{group}/{name}", float(value), step)

    def pictures(self, images: Sequence[NDArray[Any]], step: int) -> None:
        """Add pictures (H, W, 3) uint8, the same ones at every call, to compare over time."""
        for number, image in enumerate(images):
            self._writer.add_image(f"validation/{number}", image, step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


def check_tensorboard() -> None:
    """Raise ValueError if TensorBoard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ValueError(
            'TensorBoard is not installed: pip install "poselib-research[tensorboard]", or pip '
            "install tensorboard; the curves are in curves.csv without it"
        )

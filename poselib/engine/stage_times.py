"""Where the time of a prediction goes: reading, the network, decoding, drawing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import torch

# In the order of a table; others follow.
_STAGES = ("load", "forward", "decode", "draw")


class StageTimes:
    """Adds up the seconds of each stage of predictions; given to ``predict`` as ``timing``.

    Stages are ``"load"`` (read an image, decode its file, resize it), ``"forward"`` (copy to the
    device, network, merging of flips and scales), ``"decode"`` (outputs to poses) and ``"draw"``
    (draw and write). Reading and drawing take place beside the network, in threads of their own,
    so that the stages may add up to more than the total. A GPU is waited for at the end of each of
    its stages, which costs some of the speed that is measured: without ``timing`` it never is.

    Attributes:
        seconds: by stage.
        images: predicted.
        total: seconds from the begin to the end of each prediction, by the clock.

    Example:
        >>> times = StageTimes()
        >>> _ = predict(system, samples, timing=times)
        >>> list(times.to_dataframe().index)
        ['load', 'forward', 'decode', 'total']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.images, self.total = 0, 0.0
        self._lock, self._running = threading.Lock(), 0

    @contextmanager
    def stage(self, name: str, device: torch.device | None = None) -> Iterator[None]:
        """Add the time of a block to a stage; a GPU is waited for."""
        start = time.perf_counter()
        try:
            yield
        finally:
            if device is not None and device.type == "cuda":
                torch.cuda.synchronize(device)
            with self._lock:
                passed = time.perf_counter() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + passed

    @contextmanager
    def whole(self, images: int = 0) -> Iterator[None]:
        """Add the time of a block to the total, unless it is within another, and its images."""
        self._running += 1
        self.images += images
        start = time.perf_counter()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self.total += time.perf_counter() - start

    def to_dataframe(self) -> pd.DataFrame:
        """Return ms an image and images a second of each stage and of the total, by stage."""
        stages = {name: self.seconds[name] for name in _STAGES if name in self.seconds}
        seconds = pd.Series({**stages, **self.seconds, "total": self.total}, dtype=float)
        each = seconds / max(1, self.images)
        table = pd.DataFrame({"ms_per_image": 1e3 * each, "images_per_second": 1 / each})
        return table.rename_axis("stage")

    def __str__(self) -> str:
        rows = self.to_dataframe().itertuples()
        lines = [f"{row[0]:8} {row[1]:10.2f} {row[2]:10.1f}" for row in rows]
        return "\n".join([f"{'stage':8} {'ms/image':>10} {'images/s':>10}", *lines])


@contextmanager
def timed(
    timing: StageTimes | None, name: str, device: torch.device | None = None
) -> Iterator[None]:
    """Add the time of a block to a stage, if times are wanted."""
    if timing is None:
        yield
    else:
        with timing.stage(name, device):
            yield

"""Smoothing of poses over time: the One-Euro filter as frames arrive, Savitzky-Golay afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from poselib.structures import Poses
from poselib.typing import BoolArray, FloatArray

METHODS = ("one-euro", "savgol")


def smoothed(poses: Iterable[Poses], method: str) -> Iterator[Poses]:
    """Yield the poses of a video smoothed over time, in memory that does not grow with its length.

    Args:
        poses: of all frames in their order, with tracks and times.
        method: ``"one-euro"``, which waits for no later frame, or ``"savgol"``, Savitzky-Golay,
            which is 14 frames behind at most and takes frames to be evenly spaced.

    Raises:
        ValueError: the method is unknown; the poses have no tracks or no times.
    """
    if method not in METHODS:
        raise ValueError(f"smoothing must be one of {', '.join(METHODS)}, not {method!r}")
    return _one_euro(poses) if method == "one-euro" else _savitzky_golay(poses, 7, 2)


def _one_euro(poses: Iterable[Poses]) -> Iterator[Poses]:
    smooth = OneEuro()
    for frame in poses:
        if frame.time is None:
            raise ValueError("poses need times to be smoothed by the One-Euro filter")
        yield smooth(frame, frame.time)


def _savitzky_golay(poses: Iterable[Poses], window: int, order: int) -> Iterator[Poses]:
    """Yield what ``savitzky_golay`` returns for all poses together.

    A value depends on the frames that are less than a window away, as do the ends of a run.
    """
    kept: list[Poses] = []
    done = 0  # of those kept, which are there for the later ones alone
    for frame in poses:
        kept.append(frame)
        if len(kept) - done == 2 * window:
            ready = len(kept) - window
            yield from savitzky_golay(kept, window, order)[done:ready]
            kept, done = kept[max(ready - window, 0) :], min(ready, window)
    yield from savitzky_golay(kept, window, order)[done:]


@dataclass
class _State:
    """What the filter keeps of a person: time, position and speed (K, 2), and which are known."""

    time: float
    position: FloatArray
    speed: FloatArray
    known: BoolArray


@dataclass
class OneEuro:
    """The One-Euro filter (Casiez et al., CHI 2012) of every joint of every track.

    A joint is low-pass filtered with a cutoff frequency that rises with its speed, so that it is
    steady at rest and does not lag in motion::

        x̂ = x̂' + a (x - x̂'),    a = 1 / (1 + 1 / (2 π cutoff Δt)),
        cutoff = min_cutoff + beta * |speed|,

    where the speed is filtered in the same way with ``speed_cutoff``. A joint that was missing in
    the frame before starts anew, and so does a track that was lost.

    Attributes:
        min_cutoff: Hz, at rest: lower is steadier.
        beta: Hz per px a second: higher lags less.
        speed_cutoff: Hz, of the speed.

    Raises:
        ValueError: a cutoff is not positive, or beta is negative.
    """

    min_cutoff: float = 1.0
    beta: float = 0.02
    speed_cutoff: float = 1.0
    _states: dict[int, _State] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in ("min_cutoff", "speed_cutoff"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if not self.beta >= 0:
            raise ValueError(f"beta must be 0 or more, not {self.beta}")

    def __call__(self, poses: Poses, time: float) -> Poses:
        """Return the poses of the next frame, smoothed.

        Args:
            poses: people with tracks.
            time: of the frame, seconds; later than that of the frame before.

        Raises:
            ValueError: the poses have no tracks, or time does not advance.
        """
        if poses.tracks is None:
            raise ValueError("poses need tracks to be smoothed over time")
        keypoints = poses.keypoints.astype(np.float64)
        states = {}
        for row, track in enumerate(poses.tracks.tolist()):
            states[track] = self._next(
                self._states.get(track), keypoints[row], poses.found[row], time
            )
            keypoints[row] = states[track].position
        self._states = states
        shown = np.where(poses.found[..., None], keypoints, 0).astype(np.float32)
        return replace(poses, keypoints=shown)

    def _next(self, last: _State | None, xy: FloatArray, found: BoolArray, time: float) -> _State:
        if last is None:
            return _State(time, xy, np.zeros_like(xy), found)
        step = time - last.time
        if not step > 0:
            raise ValueError(f"time must advance, but {time:g} s follows {last.time:g} s")
        both = (found & last.known)[:, None]
        raw = np.where(both, (xy - last.position) / step, 0)
        speed = np.where(
            both, last.speed + _factor(self.speed_cutoff, step) * (raw - last.speed), 0
        )
        cutoff = self.min_cutoff + self.beta * np.linalg.norm(speed, axis=1, keepdims=True)
        position = last.position + _factor(cutoff, step) * (xy - last.position)
        return _State(time, np.where(both, position, xy), speed, found)


def savitzky_golay(poses: Sequence[Poses], window: int = 7, order: int = 2) -> list[Poses]:
    """Return the poses of all frames, each joint of each track fitted by polynomials over time.

    Frames must be evenly spaced. A joint is smoothed where it is found in consecutive frames; runs
    of at most ``order`` frames are left as they are.

    Args:
        poses: of all frames of a video, with tracks.
        window: frames that a polynomial is fitted to, an odd number.
        order: of the polynomials, less than the window.

    Raises:
        ValueError: the poses have no tracks, or window and order do not fit.
    """
    if window < 3 or window % 2 == 0 or not 0 <= order < window:
        raise ValueError(f"window must be odd and order less, not {window} and {order}")
    if any(frame.tracks is None for frame in poses):
        raise ValueError("poses need tracks to be smoothed over time")
    # Imported here: all other commands start sooner without it.
    from scipy.signal import savgol_filter

    keypoints = [frame.keypoints.copy() for frame in poses]
    rows: dict[int, list[tuple[int, int]]] = {}
    for t, frame in enumerate(poses):
        for row, track in enumerate([] if frame.tracks is None else frame.tracks.tolist()):
            rows.setdefault(track, []).append((t, row))
    for places in rows.values():
        for k in range(poses[0].scores.shape[1]):
            found = [(t, row) for t, row in places if poses[t].found[row, k]]
            for run in _runs(found):
                size = min(window, len(run) - (len(run) + 1) % 2)
                if size <= order:
                    continue
                values = np.array([poses[t].keypoints[row, k] for t, row in run], np.float64)
                smooth = savgol_filter(values, size, order, axis=0)
                for (t, row), xy in zip(run, smooth, strict=True):
                    keypoints[t][row, k] = xy
    return [replace(f, keypoints=xy) for f, xy in zip(poses, keypoints, strict=True)]


def _factor(cutoff: float | FloatArray, step: float) -> float | FloatArray:
    """Return the weight of a new value in a low-pass filter, from Hz and seconds."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))


def _runs(places: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Return runs of consecutive frames of (frame, row), which are in order."""
    runs = [places[:1]] if places else []
    for before, here in pairwise(places):
        if here[0] == before[0] + 1:
            runs[-1].append(here)
        else:
            runs.append([here])
    return runs

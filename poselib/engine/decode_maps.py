"""Decode stored maps of any network, and time each stage."""

from __future__ import annotations

import textwrap
import time
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from poselib.decoders.associative import STAGES, AssociativeOptions, Stage, decode_associative
from poselib.ops.console import without_addresses
from poselib.ops.file_kinds import HEAD, stand_in
from poselib.ops.io import atomic_write
from poselib.outputs import TagOutputs
from poselib.structures import Poses


@dataclass(frozen=True)
class StageTimes:
    """Times of the stages of a decoding, and the poses.

    Attributes:
        wall: (repeats, stages) float64, wall ms, of ``poselib.decoders.associative.STAGES``.
        cpu: (repeats, stages) float64, ms of all threads of the process; steadier than ``wall``
            where others use the machine.
        poses: one per image.
    """

    wall: NDArray[np.float64]
    cpu: NDArray[np.float64]
    poses: tuple[Poses, ...]

    def medians(self) -> dict[str, float]:
        """Return the median wall ms of each stage and, as ``"total"``, of whole decodings."""
        medians = dict(zip(STAGES, np.median(self.wall, axis=0).tolist(), strict=True))
        return {**medians, "total": float(np.median(self.wall.sum(axis=1)))}


def decode_stages(
    outputs: TagOutputs,
    options: AssociativeOptions | None = None,
    repeats: int = 1,
    warmup: int = 0,
) -> StageTimes:
    """Decode, and time each stage.

    The stages follow one another without a gap: together they are all the time from maps to poses.
    On a GPU each stage is waited for, which ordinary decoding does not do.

    Args:
        outputs: maps on any device.
        options: defaults to ``AssociativeOptions()``.
        repeats: decodings that are timed.
        warmup: decodings before those.

    Raises:
        ValueError: ``repeats`` is below 1, ``warmup`` is negative, or as for
            ``decode_associative``.
    """
    if repeats < 1 or warmup < 0:
        raise ValueError(f"repeats must be 1 or more and warmup not negative: {repeats}, {warmup}")
    for _ in range(warmup):
        decode_associative(outputs, options)

    last = np.zeros(2)

    def now() -> NDArray[np.float64]:
        if outputs.tags.device.type == "cuda":
            torch.cuda.synchronize(outputs.tags.device)
        return np.array([time.perf_counter(), time.process_time()])

    def stop(taken: NDArray[np.float64], stage: Stage) -> None:
        nonlocal last
        since, last = last, now()
        taken[STAGES.index(stage)] += 1e3 * (last - since)

    times = np.zeros((repeats, len(STAGES), 2))
    for taken in times:
        last = now()
        poses = decode_associative(outputs, options, partial(stop, taken))
    return StageTimes(times[..., 0], times[..., 1], tuple(poses))


def read_maps(path: Path) -> TagOutputs:
    """Read the maps of one image from an npz file.

    The file, of NumPy's npz format, holds ``heatmaps`` (K, H, W) and ``tags`` (K, H, W, L), both
    floating-point; of tags (K, H, W), L is 1. Float32 is returned as it is read, other types are
    converted.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it cannot be opened.
        ValueError: it is no npz file, lacks an array, one has another type or shape, or numbers
            that are not finite; the message names the file and the array.
    """
    heatmaps, tags = _read_arrays(path, "heatmaps", "tags")
    tags = tags[..., None] if tags.ndim == 3 else tags
    if heatmaps.ndim != 3 or 0 in heatmaps.shape:
        raise ValueError(f"{path}: heatmaps must be (K, H, W), not {heatmaps.shape}")
    if tags.ndim != 4 or tags.shape[:3] != heatmaps.shape or tags.shape[3] == 0:
        wanted = ", ".join(map(str, heatmaps.shape))
        raise ValueError(f"{path}: tags must be (K, H, W, L) = ({wanted}, L), not {tags.shape}")
    height, width = heatmaps.shape[1:]
    maps = torch.from_numpy(tags).permute(0, 3, 1, 2)
    return TagOutputs((torch.from_numpy(heatmaps)[None],), maps[None], (height, width))


def _read_arrays(path: Path, *names: str) -> list[NDArray[np.float32]]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    wanted = f"no npz file with {' and '.join(names)}"
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            what = stand_in(file.read(HEAD)) or "no archive of arrays"
            raise ValueError(f"{path}: {wanted}: it is {what}")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as stored:
                missing = [name for name in names if name not in stored.files]
                if missing:
                    raise ValueError(f"no array {missing[0]!r}, only {sorted(stored.files)}")
                arrays = [np.asarray(stored[name]) for name in names]
        except Exception as error:  # a file can claim to hold what is not there or fits no memory
            reason = textwrap.shorten(without_addresses(str(error)), 200)
            raise ValueError(f"{path}: {wanted}: {reason}") from error
    for name, array in zip(names, arrays, strict=True):
        if array.dtype.kind != "f":
            raise ValueError(f"{path}: {name} must be floating-point, not {array.dtype}")
    with np.errstate(over="ignore"):  # what is too large is found below
        maps = [np.ascontiguousarray(array, np.float32) for array in arrays]
    for name, array in zip(names, maps, strict=True):
        if odd := array.size - int(np.isfinite(array).sum()):
            counted = "1 number that is" if odd == 1 else f"{odd} numbers that are"
            raise ValueError(f"{path}: {name} has {counted} not finite in float32")
    return maps


def write_poses(path: Path, poses: Poses) -> None:
    """Write poses atomically to an npz file with the names and types of ``Poses``.

    ``keypoints`` (N, K, 2) float32, ``scores`` (N, K) float32, ``person_scores`` (N,) float32.
    """
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            keypoints=poses.keypoints,
            scores=poses.scores,
            person_scores=poses.person_scores,
        )

"""Bottom-up decoding with a loop over people and keypoints: slow, and easy to believe.

The same steps as published: max-pooling and top-k, matching with a reference embedding that is
averaged anew for every comparison, a quarter of a cell for each keypoint alone, and refinement
that scores every cell of every map for every person. What the library decides where the published
code does not (which of equal matchings, when the tag threshold applies, people without limit) is
decided alike here, so that groups and poses must be equal. Maps must be finite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from poselib.engine.timing import measure
from poselib.structures import Poses
from poselib.typing import FloatArray

STAGES = ("nms", "match", "adjust", "refine")


@dataclass(frozen=True)
class PlainOptions:
    """``order`` is "progressive" or every keypoint type once.

    ``every_keypoint`` searches for all keypoints of a person, as published, and throws away those
    that were not missing; false searches for the missing ones alone.
    """

    order: Literal["progressive"] | Sequence[int] = "progressive"
    detection_threshold: float = 0.1
    tag_threshold: float = 1.0
    max_candidates: int = 30
    kernel: int = 5
    every_keypoint: bool = True


@dataclass(frozen=True)
class PlainCandidates:
    """Peaks of each keypoint type: (K, M, 2) columns and rows, (K, M) heat, (K, M, L) tags."""

    cells: FloatArray
    values: FloatArray
    tags: FloatArray


def decode_plainly(heatmaps: Tensor, tags: Tensor, options: PlainOptions | None = None) -> Poses:
    """Decode one image: heatmaps (K, H, W) and tags (K, H, W, L), at the resolution of the image.

    Keypoints are in cells, with the center of cell (i, j) at (i + 0.5, j + 0.5).
    """
    options = options or PlainOptions()
    people = match(find_candidates(heatmaps, tags, options), options)
    placed = adjust(people, heatmaps)
    return _poses(placed, refine(placed, heatmaps, tags, options), len(heatmaps))


def time_stages(
    heatmaps: Tensor, tags: Tensor, options: PlainOptions, repeats: int, threads: int = 1
) -> tuple[dict[str, float], Poses]:
    """Return the median ms of each of ``STAGES`` and of their total, and the poses.

    ``cpu_total`` is the total of the processor's time.
    """
    taken: dict[str, float] = {}
    cpu: list[float] = []
    results: list[Any] = []
    device = heatmaps.device

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        timing = measure(
            lambda: results.append(work()), repeats, threads=threads, device=device, warmup=0
        )
        taken[stage] = timing.median
        cpu.append(timing.cpu_median)
        return results[-1]

    found = timed("nms", lambda: find_candidates(heatmaps, tags, options))
    people = timed("match", lambda: match(found, options))
    placed = timed("adjust", lambda: adjust(people, heatmaps))
    refined = timed("refine", lambda: refine(placed, heatmaps, tags, options))
    totals = {"total": sum(taken.values()), "cpu_total": sum(cpu)}
    return {**taken, **totals}, _poses(placed, refined, len(heatmaps))


def _poses(placed: list[FloatArray], refined: list[FloatArray], kinds: int) -> Poses:
    """Keypoints that refinement adds do not raise a person's score."""
    if not placed:
        return Poses.empty(kinds)
    scores = np.array([person[:, 2].mean() for person in placed], np.float32)
    stacked = np.stack(refined).astype(np.float32)
    return Poses(stacked[..., :2], stacked[..., 2], scores)


def find_candidates(heatmaps: Tensor, tags: Tensor, options: PlainOptions) -> PlainCandidates:
    """Stage "nms": the highest local maxima of each map and the tags there."""
    _, width = heatmaps.shape[-2:]
    highest = F.max_pool2d(heatmaps[None], options.kernel, 1, options.kernel // 2)[0]
    kept = heatmaps * (highest == heatmaps).float()
    flat = kept.flatten(1)
    values, index = flat.topk(min(options.max_candidates, flat.shape[1]), dim=1)
    flat_tags = tags.flatten(1, 2)
    found = [flat_tags[..., i].gather(1, index) for i in range(tags.shape[-1])]
    cells = torch.stack([index % width, index // width], dim=2)
    return PlainCandidates(
        cells.cpu().numpy(), values.cpu().numpy(), torch.stack(found, dim=2).cpu().numpy()
    )


def match(candidates: PlainCandidates, options: PlainOptions) -> list[FloatArray]:
    """Stage "match": a person is (K, 3 + L): column, row, heat and tag; zeros where missing."""
    kinds, _, length = candidates.tags.shape
    detections = [_detections(candidates, k, options) for k in range(kinds)]
    remaining = [k for k in range(kinds) if len(detections[k])]
    people: list[FloatArray] = []
    tags: list[list[FloatArray]] = []
    while remaining:
        references = [np.mean(of_person, axis=0) for of_person in tags]
        kind = _next_kind(detections, remaining, references, options)
        remaining.remove(kind)
        chosen = _assign(detections[kind], references, options)
        for joint, person in zip(detections[kind], chosen, strict=True):
            if person < 0:
                person = len(people)
                people.append(np.zeros((kinds, 3 + length)))
                tags.append([])
            people[person][kind] = joint
            tags[person].append(joint[3:])
    return people


def _detections(candidates: PlainCandidates, kind: int, options: PlainOptions) -> FloatArray:
    joints = np.concatenate(
        (candidates.cells[kind], candidates.values[kind, :, None], candidates.tags[kind]), axis=1
    )
    return joints[joints[:, 2] > options.detection_threshold]


def _next_kind(
    detections: list[FloatArray],
    remaining: list[int],
    references: list[FloatArray],
    options: PlainOptions,
) -> int:
    if not isinstance(options.order, str):
        return min(remaining, key=list(options.order).index)
    if not references:
        return remaining[0]
    nearest = [_distances(detections[kind], references).min() for kind in remaining]
    return remaining[int(np.argmin(nearest))]


def _distances(joints: FloatArray, references: list[FloatArray]) -> FloatArray:
    difference = joints[:, None, 3:] - np.array(references)[None]
    return np.linalg.norm(difference, axis=2)


def _assign(joints: FloatArray, references: list[FloatArray], options: PlainOptions) -> list[int]:
    """Return the person of each joint, or -1 for a new one."""
    chosen = [-1] * len(joints)
    if not references:
        return chosen
    distances = _distances(joints, references)
    cost = 100 * np.round(distances) - joints[:, 2:3]
    # Of equal matchings the one of the people who were started first; of these the nearest.
    rank = np.arange(len(references)) + distances**2 / (1 + distances**2) / (len(joints) + 1)
    cost += 1e-6 * rank / len(references)
    near = distances < options.tag_threshold
    # As many near pairs as possible. Far dearer, and rounding would hide what decides ties.
    cost[~near] = 100 * (options.tag_threshold + 1) * (len(joints) + 1)
    for row, column in zip(*linear_sum_assignment(cost), strict=True):
        if near[row, column]:
            chosen[row] = int(column)
    return chosen


def adjust(people: list[FloatArray], heatmaps: Tensor) -> list[FloatArray]:
    """Stage "adjust": a quarter of a cell towards the higher neighbor along each axis."""
    adjusted = [person.copy() for person in people]
    for person in adjusted:
        for kind, joint in enumerate(person):
            if joint[2] > 0:
                x, y = _quarter(heatmaps[kind], int(joint[0]), int(joint[1]))
                person[kind, :2] = x, y
    return adjusted


def _quarter(heatmap: Tensor | FloatArray, x: int, y: int) -> tuple[float, float]:
    height, width = heatmap.shape
    right = heatmap[y, min(width - 1, x + 1)] > heatmap[y, max(0, x - 1)]
    down = heatmap[min(height - 1, y + 1), x] > heatmap[max(0, y - 1), x]
    return x + (0.75 if right else 0.25), y + (0.75 if down else 0.25)


def refine(
    people: list[FloatArray], heatmaps: Tensor, tags: Tensor, options: PlainOptions
) -> list[FloatArray]:
    """Stage "refine": the best cell of ``heat - round(distance)`` for what a person lacks."""
    refined = []
    for person in people:
        refined.append(
            _refine_one(person.copy(), heatmaps.cpu().numpy(), tags.cpu().numpy(), options)
        )
    return refined


def _refine_one(
    person: FloatArray, heatmaps: FloatArray, tags: FloatArray, options: PlainOptions
) -> FloatArray:
    found = person[:, 2] > 0
    reference = person[found, 3:].mean(axis=0).astype(np.float32)
    for kind in range(len(heatmaps)):
        if found[kind] and not options.every_keypoint:
            continue
        distance = ((tags[kind] - reference[None, None, :]) ** 2).sum(axis=2) ** 0.5
        score = heatmaps[kind] - np.round(distance)
        y, x = np.unravel_index(np.argmax(score), score.shape)
        value = heatmaps[kind, y, x]
        place = _quarter(heatmaps[kind], int(x), int(y))
        if not found[kind] and value > 0:
            person[kind, :3] = (*place, value)
    return person

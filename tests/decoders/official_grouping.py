"""Published groups of candidates, and the costs by which they were found, step by step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from poselib.decoders.grouping import Candidates, GroupingOptions
from poselib.decoders.keypoint_order import keypoint_order
from poselib.skeletons import COCO

MAX_PEOPLE = 30  # the published code compares candidates with the first people alone, this many
OPTIONS = GroupingOptions(threshold_before_assignment=False)
FAR = 1e7  # above all costs, as is the published cost of a person of one's own


def golden_cases(folder: Path) -> list[tuple[dict, str, Candidates, np.ndarray | None]]:
    meta = json.loads((folder / "match_cases.meta.json").read_text())
    found = []
    with np.load(folder / "match_cases.npz") as arrays:
        for case in meta:
            c = f"c{case['case']}"
            candidates = Candidates(
                arrays[f"{c}_loc_k"].astype(np.int64), arrays[f"{c}_val_k"], arrays[f"{c}_tag_k"]
            )
            for method in ("ae", "pad"):
                name = f"{c}_{method}_out"
                out = arrays[name] if name in arrays.files else None
                found.append((case, method, candidates, out))
    return found


def published_order(method: str, kinds: int) -> tuple[int, ...] | None:
    """Return the order of the types in the published match cases; None if it is progressive."""
    if method == "pad":
        return None
    return keypoint_order(COCO, "torso_first") if kinds == len(COCO) else tuple(range(kinds))


def as_rows(candidates: Candidates, members: np.ndarray) -> np.ndarray:
    columns = candidates.cells, candidates.values[..., None], candidates.tags
    table = np.concatenate(columns, axis=-1)[np.arange(members.shape[1]), members]
    return np.where((members >= 0)[..., None], table, 0).astype(np.float32)


@dataclass(frozen=True)
class Step:
    """The candidates of one type, the people so far, and whom the published answer joins.

    Attributes:
        tags, values: of the candidates, (m, L) and (m,).
        references: (P, L), mean tags of the people, in their order.
        column: (m,), the person that each candidate was joined with, or -1 for one of its own.
    """

    tags: np.ndarray
    values: np.ndarray
    references: np.ndarray
    column: np.ndarray

    @property
    def distance(self) -> np.ndarray:
        return np.linalg.norm(self.tags[:, None] - self.references, axis=-1)

    def cost(self, before: bool = False) -> np.ndarray:
        """The published cost; a candidate too many takes a column beyond the people.

        With the threshold ``before`` the assignment all that is not near costs the same.
        """
        cost = 100 * np.round(self.distance) - self.values[:, None]
        if before:
            cost = np.where(self.distance < OPTIONS.tag_threshold, cost, FAR)
        return np.pad(cost, ((0, 0), (0, max(0, len(cost) - cost.shape[1]))), constant_values=FAR)

    def is_optimal(self, before: bool = False) -> bool:
        """Say whether the published matching is one of least cost."""
        forced = self.cost(before)
        for row, column in enumerate(self.column):
            others = np.arange(forced.shape[1]) != column if column >= 0 else self._near(row)
            forced[row, others] = 100 * FAR
        return least_cost(forced) <= least_cost(self.cost(before)) + 1e-5

    def is_unique(self, before: bool = False) -> bool:
        """Say whether any other matching costs more: no candidate could be joined otherwise."""
        for row, column in enumerate(self.column):
            other = self.cost(before)
            forbidden = np.arange(other.shape[1]) == column if column >= 0 else ~self._near(row)
            other[row, forbidden] = 100 * FAR
            least = least_cost(self.cost(before))
            if not forbidden.all() and least_cost(other) <= least + 1e-5:
                return False
        return True

    def _near(self, row: int) -> np.ndarray:
        near = self.distance[row] < OPTIONS.tag_threshold
        return np.pad(near, (0, self.cost().shape[1] - len(near)))


def least_cost(cost: np.ndarray) -> float:
    return float(cost[linear_sum_assignment(cost)].sum())


def replay(
    candidates: Candidates, out: np.ndarray, order: tuple[int, ...] | None
) -> Iterator[Step]:
    """Yield the steps after the first by which published people (n, K, 3 + L) came about.

    Args:
        candidates: as the published code was given them.
        out: what it returned, fewer than ``MAX_PEOPLE`` people.
        order: of the types; None if the nearest type is next.
    """
    members = published_members(candidates, out, OPTIONS)
    valid = candidates.valid(OPTIONS)
    visited: list[int] = []
    while remaining := [
        k for k in order or range(len(valid)) if valid[k].any() and k not in visited
    ]:
        known = (members[:, visited] >= 0).any(axis=1)
        references = published_references(candidates, members[known], visited)
        keypoint = remaining[0]
        if order is None and visited:
            keypoint = min(remaining, key=lambda k: nearest(candidates, k, valid, references))
        chosen = np.flatnonzero(valid[keypoint])
        people = np.array([np.flatnonzero(members[:, keypoint] == m)[0] for m in chosen])
        if visited:
            column = np.where(known, np.cumsum(known) - 1, -1)[people]
            tags, values = (each[keypoint, chosen] for each in (candidates.tags, candidates.values))
            yield Step(tags.astype(float), values, references, column)
        visited.append(keypoint)


def is_comparable(
    candidates: Candidates, out: np.ndarray, order: tuple[int, ...] | None, before: bool = True
) -> bool:
    """Say whether a published answer is the only one: no tie, and no limit of people.

    With the threshold ``before`` the assignment, as by default, it must be the only one by that
    rule too: where it applies after it, a distant pair can displace a near one.
    """
    if len(out) == 0:
        return True
    return len(out) < MAX_PEOPLE and all(
        step.is_unique() and (not before or (step.is_optimal(True) and step.is_unique(True)))
        for step in replay(candidates, out, order)
    )


@dataclass(frozen=True)
class DecodedCase:
    """Maps of one image, and what the published code makes of them stage by stage.

    Attributes:
        heatmaps, tags: (1, K, h, w) and (1, K, L, h, w).
        match, adjust, refine, scores: its people, (n, K, 3 + L), and their scores, (n,).
        comparable: whether no other people have the same cost; see ``is_comparable``.
    """

    heatmaps: torch.Tensor
    tags: torch.Tensor
    match: np.ndarray
    adjust: np.ndarray
    refine: np.ndarray
    scores: np.ndarray
    comparable: bool


def decoded_case(folder: Path, case: int, method: str) -> DecodedCase:
    with np.load(folder / "adjust_refine.npz") as golden:
        heat, tags = (
            torch.tensor(golden[f"c{case}_{name}_f16"].astype(np.float32))
            for name in ("heatmap", "tagmap")
        )
        cells, values, read = (golden[f"c{case}_{name}_k"] for name in ("loc", "val", "tag"))
        people = [golden[f"c{case}_{method}_{n}"] for n in ("match", "adjust", "refine", "scores")]
    candidates = Candidates(cells.astype(np.int64), values, read)
    order = None if method == "pad" else tuple(range(len(heat)))
    comparable = is_comparable(candidates, people[0], order)
    return DecodedCase(heat[None], tags.permute(0, 3, 1, 2)[None], *people, comparable)


def published_members(
    candidates: Candidates, out: np.ndarray, options: GroupingOptions
) -> np.ndarray:
    members = np.full(out.shape[:2], -1)
    for k, m in np.argwhere(candidates.valid(options)):
        row = (*candidates.cells[k, m], candidates.values[k, m], *candidates.tags[k, m])
        members[(out[:, k] == np.array(row, np.float32)).all(axis=1), k] = m
    assert ((members >= 0) == (out[..., 2] > 0)).all()
    return members


def published_references(
    candidates: Candidates, members: np.ndarray, visited: list[int]
) -> np.ndarray:
    people = [
        [candidates.tags[k, row[k]].astype(float) for k in visited if row[k] >= 0]
        for row in members
    ]
    return np.array([np.mean(tags, axis=0) for tags in people])


def nearest(
    candidates: Candidates, keypoint: int, valid: np.ndarray, references: np.ndarray
) -> float:
    tags = candidates.tags[keypoint, valid[keypoint]]
    return float(np.linalg.norm(tags[:, None] - references, axis=-1).min())

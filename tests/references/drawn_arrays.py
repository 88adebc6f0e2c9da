"""Arrays like those of the official implementations, drawn from a seed and computed by references.

They have the names and the layout of the golden arrays, so that the same tests read both: what a
test states must hold for any of them. The references are slow and share nothing with what is
tested: lists of people and every matching, loops over cells, maps enlarged as a whole.

To keep them: ``python -m tests.references.drawn_arrays FOLDER SEED``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from poselib.benchmarks.references.plain_decoder import (
    PlainOptions,
    adjust,
    find_candidates,
    refine,
)
from poselib.decoders.grouping import Candidates, GroupingOptions
from poselib.decoders.keypoint_order import keypoint_order
from poselib.skeletons import COCO
from tests.references import plain_inference
from tests.references.plain_grouping import slow_people
from tests.references.plain_regression import ByIndex, official_owners

Arrays = dict[str, NDArray]
OFFICIAL = GroupingOptions(threshold_before_assignment=False)
# (keypoint types, people, distance of their tags, deviation, missing keypoints), of match cases
SCENES = (
    *((14, 5, 1.1, 0.09, 0.2), (17, 6, 1.1, 0.09, 0.2), (14, 1, 1.0, 0.09, 0.1)),
    *((17, 0, 1.0, 0.0, 0.0), (17, 3, 4.0, 0.1, 0.3), (14, 4, 1.0, 0.0, 0.2)),
    *((17, 5, 0.0, 0.1, 0.1), (14, 4, 0.6, 0.25, 0.2)),
)
MAP = (24, 36)  # cells, of an input of 96 x 144 px


def write_arrays(folder: Path, seed: int) -> None:
    """Write ``match_cases``, ``adjust_refine``, ``dekr_targets`` and ``dekr_decode``."""
    rng = np.random.default_rng(seed)
    arrays, meta = match_cases(rng)
    (folder / "match_cases.meta.json").write_text(json.dumps(meta))
    np.savez(folder / "match_cases.npz", **arrays)
    for name, draw in (
        ("adjust_refine", adjust_refine),
        ("dekr_targets", dekr_targets),
        ("dekr_decode", dekr_decode),
    ):
        np.savez(folder / f"{name}.npz", **draw(rng))


def as_people(candidates: Candidates, method: str, torso_first: bool) -> NDArray[np.float32]:
    """Return people (n, K, 3 + L): column, row, value and tags; zeros where there is nothing."""
    kinds = len(candidates.values)
    order = np.arange(kinds)
    if method == "ae" and torso_first and kinds == len(COCO):
        order = np.array(keypoint_order(COCO, "torso_first"))
    ordered = Candidates(candidates.cells[order], candidates.values[order], candidates.tags[order])
    people = slow_people(ordered, method == "pad", OFFICIAL)
    found = np.zeros((len(people), kinds, 3 + candidates.tags.shape[2]), np.float32)
    for n, person in enumerate(people):
        for k, m in person:
            kind = order[k]
            found[n, kind, :2] = candidates.cells[kind, m]
            found[n, kind, 2] = candidates.values[kind, m]
            found[n, kind, 3:] = candidates.tags[kind, m]
    return found


def match_cases(rng: np.random.Generator) -> tuple[Arrays, list[dict]]:
    arrays: Arrays = {}
    meta = []
    for number, (kinds, people, apart, spread, missing) in enumerate(SCENES):
        length = 1 + number % 2
        cells = rng.integers(0, 128, (kinds, 30, 2))
        values = -np.sort(-rng.uniform(0, 0.06, (kinds, 30)))
        tags = rng.normal(size=(kinds, 30, length))
        own = apart * (rng.permutation(people) - (people - 1) / 2)
        for k in range(kinds):
            here = own[rng.random(people) >= missing]
            values[k, : len(here)] = -np.sort(-rng.uniform(0.12, 0.98, len(here)))
            tags[k, : len(here)] = here[:, None] + spread * rng.normal(size=(len(here), length))
        drawn = Candidates(cells, values.astype(np.float32), tags.astype(np.float32))
        name, case = f"c{number}", {"case": number, "kind": "drawn"}
        for key, array in (("loc", cells.astype(np.int16)), ("val", drawn.values)):
            arrays[f"{name}_{key}_k"] = array
        arrays[f"{name}_tag_k"] = drawn.tags
        for method in ("ae", "pad"):
            arrays[f"{name}_{method}_out"] = as_people(drawn, method, torso_first=True)
            case[method] = {"error": None}
        meta.append(case)
    return arrays, meta


def adjust_refine(rng: np.random.Generator) -> Arrays:
    arrays: Arrays = {}
    for case in range(10):
        kinds, people, (height, width) = (14, 17)[case % 2], case % 4 + 1, (36, 48)
        y, x = np.mgrid[:height, :width]
        heat = rng.uniform(0, 0.02, (kinds, height, width))
        tags = rng.normal(0, 0.5, (kinds, height, width, 2))
        for own in 1.1 * (rng.permutation(people) - (people - 1) / 2):
            for k in np.flatnonzero(rng.random(kinds) > 0.2):
                square = (x - rng.uniform(0, width)) ** 2 + (y - rng.uniform(0, height)) ** 2
                heat[k] = np.maximum(heat[k], rng.uniform(0.05, 0.95) * np.exp(-square / 8))
                near = square < 16
                tags[k][near] = own + 0.08 * rng.normal(size=(near.sum(), 2))
        stored = {"heatmap": heat.astype(np.float16), "tagmap": tags.astype(np.float16)}
        maps, read = (torch.tensor(each.astype(np.float32)) for each in stored.values())
        options = PlainOptions()
        found = find_candidates(maps, read, options)
        candidates = Candidates(found.cells, found.values, found.tags)
        name = f"c{case}"
        arrays |= {f"{name}_{key}_f16": each for key, each in stored.items()}
        arrays |= {f"{name}_loc_k": found.cells.astype(np.int16)}
        arrays |= {f"{name}_val_k": found.values, f"{name}_tag_k": found.tags}
        for method in ("ae", "pad"):
            match = as_people(candidates, method, torso_first=False)
            moved = adjust([person.astype(float) for person in match], maps)
            refined = np.stack(refine(moved, maps, read, options)).astype(np.float32)
            stages = {"match": match, "adjust": np.stack(moved).astype(np.float32)}
            stages |= {"refine": refined, "scores": stages["adjust"][..., 2].mean(axis=1)}
            arrays |= {f"{name}_{method}_{key}": each for key, each in stages.items()}
    return arrays


def dekr_targets(rng: np.random.Generator) -> Arrays:
    """In two cases people reach beyond the border, in one all coordinates are whole."""
    arrays: Arrays = {}
    for case in range(6):
        kinds, side, people = (14 if case in (3, 5) else 17), (48, 64)[case % 2], (1, 4)[case > 0]
        spread = 0.7 if case in (1, 5) else 0.2
        middle = rng.uniform(0.5 - spread / 2, 0.5 + spread / 2, (people, 1, 2))
        points = side * (middle + rng.normal(0, 0.12, (people, kinds, 2)))
        if case == 4:
            points = points.round()
        seen = rng.choice([0.0, 1, 2], (people, kinds, 1), p=[0.2, 0.3, 0.5])
        seen[:, 0] = 2
        weight = seen > 0
        centers = (points * weight).sum(axis=1) / weight.sum(axis=1)
        if case == 4:
            centers = centers.round()
        centers = centers.clip(0, side - 1)
        joints = np.concatenate([points, seen], axis=-1)
        squares = np.square(np.ptp(points, axis=1)).sum(axis=-1)
        owners = official_owners(joints, centers, squares, (side, side), radius=4)
        cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)))
        offset, scale = np.zeros((kinds, 2, side, side)), np.zeros((kinds, 2, side, side))
        for k, row, column in np.argwhere(owners >= 0):
            person = owners[k, row, column]
            offset[k, :, row, column] = cells[:, row, column] - points[person, k]
            scale[k, :, row, column] = 1 / np.sqrt(squares[person])
        sigmas = [2.0] * kinds + [4.0 if kinds == 17 else 2.0]
        shifted = joints + np.array([0.5, 0.5, 0])
        heat, weights = ByIndex((side, side), sigmas, centers).heatmaps(shifted)
        whole = np.concatenate([centers, np.ones((people, 1))], axis=-1)
        found = {"joints": np.concatenate([joints, whole[:, None]], axis=1)}
        found |= {"area": squares[:, None], "res": np.int64(side), "heatmap": heat}
        found |= {"ignored": weights.astype(np.float16), "offset": offset.reshape(-1, side, side)}
        found |= {"weight": scale.reshape(-1, side, side)}
        arrays |= {f"c{case}_{key}": np.asarray(each) for key, each in found.items()}
    return arrays


def center_maps(
    rng: np.random.Generator, people: list[NDArray], scale: float
) -> tuple[NDArray, NDArray]:
    """Return heatmaps (1, K + 1, h, w) and offsets (1, 2 K, h, w) of people (K, 2) in cells."""
    height, width = (round(side * scale) for side in MAP)
    y, x = np.mgrid[:height, :width]
    heat = rng.uniform(0, 0.002, (18, height, width))
    offsets = rng.normal(0, 4, (17, 2, height, width))
    for person in people:
        points = np.concatenate([person, person.mean(axis=0, keepdims=True)]) * scale
        squares = [(x - cx) ** 2 + (y - cy) ** 2 for cx, cy in points]
        for k, square in enumerate(squares):
            height_of_peak = rng.uniform(0.4, 0.95)
            heat[k] = np.maximum(heat[k], height_of_peak * np.exp(-square / (8 if k < 17 else 32)))
        near = squares[-1] < 25
        for k, point in enumerate(points[:-1]):
            exact = np.stack([x, y])[:, near] - point[:, None]
            offsets[k][:, near] = exact + 0.3 * rng.normal(size=exact.shape)
    return heat[None].astype(np.float16), offsets.reshape(1, 34, height, width).astype(np.float16)


def dekr_decode(rng: np.random.Generator) -> Arrays:
    arrays: Arrays = {}
    for case, count in enumerate((1, 2, 3, 5, 8, 2, 0, 4)):
        drawn = [rng.uniform(4, 20, 2) + rng.normal(0, 3, (17, 2)) for _ in range(count)]
        arrays |= decoded(f"c{case}", {"": center_maps(rng, drawn, 1.0)}, [1.0])
    drawn = [rng.uniform(4, 20, 2) + rng.normal(0, 3, (17, 2)) for _ in range(4)]
    scales = (2.0, 1.0, 0.5)
    maps = {f"_s{scale:g}": center_maps(rng, drawn, scale) for scale in scales}
    return arrays | decoded("ms", maps, scales)


def decoded(name: str, maps: dict, scales: tuple[float, ...] | list[float]) -> Arrays:
    arrays: Arrays = {}
    heats, found, centers = [], [], []
    for (key, (heat, offsets)), scale in zip(maps.items(), scales, strict=True):
        arrays |= {f"{name}{key}_heatmap_f16": heat, f"{name}{key}_offset_f16": offsets}
        read = torch.tensor(heat.astype(np.float32))[0]
        regressed = plain_inference.poses_in_cells(torch.tensor(offsets.astype(np.float32))[0])
        size = MAP[0] * plain_inference.STRIDE, MAP[1] * plain_inference.STRIDE
        heats.append(plain_inference.enlarged(read, size))
        poses, values = plain_inference.candidates(read, regressed, plain_inference.STRIDE / scale)
        found.append(poses)
        centers.append(values)
    pool, heat, values, kept = plain_inference.merged(heats, found, centers, scales.index(1.0))
    weighted = (heat * values[:, None])[kept]
    arrays[f"{name}_poses"] = torch.cat([pool[kept], weighted[..., None]], dim=-1).numpy()
    arrays[f"{name}_scores"] = weighted.mean(dim=1).numpy()
    arrays[f"{name}_proposals"], arrays[f"{name}_keep"] = pool.numpy(), np.array(kept, np.int64)
    arrays[f"{name}_heatval"] = heat[..., None].numpy()
    return arrays


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    write_arrays(Path(sys.argv[1]), int(sys.argv[2]))

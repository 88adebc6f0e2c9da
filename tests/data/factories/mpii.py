"""Writing MPII's files, with all that is empty or of another type in the real ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.data.factories.mat import NOTHING, cell, save, struct

Fields = dict[str, Any]


def point(joint: int, x: float, y: float, **fields: Any) -> Fields:
    return {"x": x, "y": y, "id": np.uint8(joint), "is_visible": np.uint8(1), **fields}


def points(x: float, y: float) -> list[Fields]:
    """All joints, k at (x + k, y + 2 k); that of the head has an empty visibility."""
    # The original has them in another order than that of their numbers.
    joints = [*range(6, 16), *range(6)]
    given = [point(k, x + k, y + 2 * k) for k in joints]
    return [p | {"is_visible": NOTHING} if p["id"] in (8, 9) else p for p in given]


def person(x: float, y: float, scale: float = 0.2, **fields: Any) -> Fields:
    """A person with joints from (x, y), center (x + 7, y + 15), and a head box of 3 x 4 px."""
    given = {
        **{"x1": np.uint16(x), "y1": np.uint16(y), "x2": np.uint16(x + 3), "y2": np.uint16(y + 4)},
        "annopoints": struct({"point": struct(*points(x, y))}),
        "scale": scale,
        "objpos": struct({"x": np.uint16(x + 7), "y": np.uint16(y + 15)}),
    }
    given.update(fields)
    return given


def unlabeled(x: float, y: float, scale: float = 0.2) -> Fields:
    """Of people in images for testing the file gives center and scale alone."""
    return {"scale": scale, "objpos": struct({"x": np.uint16(x), "y": np.uint16(y)})}


def image(name: str, *people: Fields, train: int = 1, single: Any = (), groups: Any = ()) -> Fields:
    return {"name": name, "people": people, "train": train, "single": single, "groups": groups}


def _numbers(values: Sequence[int]) -> np.ndarray:
    return np.array(values, np.uint8).reshape(-1, 1) if len(values) else NOTHING


def release(*images: Fields) -> Fields:
    annolist = struct(
        *(
            {
                "image": struct({"name": i["name"]}),
                "annorect": struct(*i["people"]) if i["people"] else NOTHING,
                "frame_sec": np.uint8(12),
                "vididx": np.uint8(1),
            }
            for i in images
        )
    )
    return {
        "annolist": annolist,
        "img_train": np.array([[i["train"] for i in images]], np.uint8),
        "version": "12",
        "single_person": cell([_numbers(i["single"]) for i in images]),
        "act": struct(*({"act_name": "curling", "act_id": 5} for _ in images)),
        "video_list": cell(["iNfqx2UCu-g"], column=False),
    }


def write_release(folder: Path, *images: Fields) -> Path:
    return save(folder / "mpii_human_pose_v1_u12_1.mat", RELEASE=struct(release(*images)))


def write_groups(folder: Path, *images: Fields) -> Path:
    """Write ``groups_v12.mat``: a cell an image, of a cell of numbers a group."""
    cells = [
        cell([_numbers(g) for g in i["groups"]], column=False) if i["groups"] else NOTHING
        for i in images
    ]
    return save(folder / "groups_v12.mat", groups=cell(cells))


def entry(name: str = "a.jpg", x: float = 10, y: float = 20, **fields: Any) -> Fields:
    """An entry of the JSON files: joint k at (x + k, y + 2 k), but no left ankle."""
    given = {
        "image": name,
        "center": [x + 7, y + 15],
        "scale": 0.2,
        "joints": [[x + k, y + 2 * k] if k != 5 else [-1, -1] for k in range(16)],
        "joints_vis": [int(k != 5) for k in range(16)],
    }
    given.update(fields)
    return {name: value for name, value in given.items() if value is not None}


def write_entries(folder: Path, content: Any) -> Path:
    path = folder / "train.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path

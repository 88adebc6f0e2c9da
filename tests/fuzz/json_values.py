"""Changes to a tree of JSON values: other types, odd numbers, missing and further fields."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np

from tests.fuzz.raw_bytes import damage

Rng = np.random.Generator
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e308, -1e308, 1e-320, 1e8, 2e8, -1e9),
    *(float("nan"), float("inf"), float("-inf"), 2**31, 2**31 - 1, -(2**31), 2**53 + 1),
    *(2**63, 2**64, -(2**63) - 1, 10**30, 10**400),
    *("", " ", "0", "1", "-1", "1e5", "NaN", "null", "x", "é😀", "\ud800", "a\0b", "\x1b[1m"),
    *("../a", "/", ".", "..", "a" * 300, "a\\b.png", "$x$", "%s", "{0}"),
    *([], {}, [[]], [None], [0], [0] * 51, [1, 2, 3], [[1, 2], [3, 4], [5, 6]], {"a": 1}),
    *([1e308, 1e308, 1e308, 1e308], [-1, -1, -1, -1], [0, 0, 0, 0], [5, 5, -3, -3]),
    *({"size": [1, 1], "counts": [1]}, {"size": [24, 32], "counts": "05"}, [[1] * 6, [2] * 8]),
)


def mutate(rng: Rng, tree: Any) -> Any:
    """Return a copy of a tree of dictionaries and lists with one change or several."""
    holder = [copy.deepcopy(tree)]
    for _ in range(rng.geometric(0.7)):
        places = _places(holder)
        parent, key = places[rng.integers(len(places))]
        _change(rng, parent, key, places)
    return holder[0] if holder else None


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """List each value as what holds it and where: deep ones, which are many, only in part."""
    found, queue = [], [tree]
    while queue and len(found) < 5000:
        here = queue.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here))
        found += [(here, key) for key in keys]
        queue += [here[key] for key in keys if isinstance(here[key], dict | list)]
    return found or [(tree, 0)]


def _change(rng: Rng, parent: Any, key: Any, places: list[tuple[Any, Any]]) -> None:
    try:
        value = parent[key]
    except (KeyError, IndexError):  # an earlier change removed it
        return
    kind = rng.choice(["odd", "number", "remove", "double", "other", "name", "add", "list"])
    if kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        parent[key] = _other_number(rng, value)
    elif kind == "remove":
        del parent[key]
    elif kind == "double" and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(value))
    elif kind == "other":
        holder, place = places[rng.integers(len(places))]
        if isinstance(holder, list) and not 0 <= place < len(holder):
            return
        parent[key] = copy.deepcopy(holder[place]) if place in _keys(holder) else value
    elif kind == "name" and isinstance(parent, dict):
        name = str(key)
        names = [name.upper(), name + "s", name[:-1], "", "id", "a" * 200, "__class__"]
        parent[names[rng.integers(len(names))]] = parent.pop(key)
    elif kind == "add" and isinstance(value, dict):
        value[str(rng.choice(["id", "x", "keypoints", "size", ""]))] = _odd(rng)
    elif kind == "list" and isinstance(value, list):
        flat = [e for each in value for e in (each if isinstance(each, list) else [each])]
        changed = [value[::-1], value[:-1], value + value, [*value, _odd(rng)], flat, [value]]
        parent[key] = changed[rng.integers(len(changed))]
    else:
        parent[key] = _odd(rng)


def _keys(holder: Any) -> Any:
    return holder if isinstance(holder, dict) else range(len(holder))


def _odd(rng: Rng) -> Any:
    return copy.deepcopy(ODD[rng.integers(len(ODD))])


def _other_number(rng: Rng, value: float) -> Any:
    if isinstance(value, int) and abs(value) > 2**64:
        return -value
    with np.errstate(all="ignore"):
        changed = (-value, value + 1, value - 1, value + 0.5, value * 1e9, value * 1e-9, str(value))
        return (*changed, [value], float("nan"), float("inf"))[rng.integers(len(changed) + 3)]


def encode(rng: Rng, tree: Any) -> bytes:
    """Write a tree as JSON, now and then in another encoding or damaged."""
    text = json.dumps(tree, indent=int(rng.integers(3)) or None, ensure_ascii=rng.random() < 0.7)
    coding = rng.choice(["utf-8", "utf-8-sig", "utf-16", "latin-1"], p=[0.94, 0.03, 0.02, 0.01])
    data = text.encode(str(coding), "surrogatepass" if "utf" in coding else "replace")
    return damage(rng, data) if rng.random() < 0.15 else data

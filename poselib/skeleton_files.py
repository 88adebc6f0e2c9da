"""The facts of a skeleton as plain values: from COCO categories and TOML files, and checked."""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poselib.skeleton_rules import MEAN_SIGMA, pair_sides, usual_sigma
from poselib.wording import shown

logger = logging.getLogger(__name__)

_LARGEST = 1e6  # sigma
_SHOWN = 24  # names in a message
Fields = dict[str, Any]
FIELDS = ("name", "keypoints", "sigmas", "flip_pairs", "left", "right", "limbs", "groups")


def read_toml(path: Path) -> Fields:
    """Return what a TOML file holds.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not TOML.
    """
    try:
        return tomllib.loads(_bytes(path).decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not TOML: {error or 'it is nested too deeply'}") from error


def read_category(
    source: Path | Mapping[str, Any], category: str, where: str, *, limbs: bool = True
) -> Fields:
    """Return the fields of a skeleton that a category of a COCO-format file states.

    Args:
        source: the JSON file, or what it holds.
        category: name of the category; may be empty if all of them that have keypoints have the
            same.
        where: names the file in errors.
        limbs: with its limbs; files such as CrowdPose's have COCO's beside other keypoints.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not COCO, has no such category or not one, or a field is wrong.
    """
    content: Any = source
    if not isinstance(source, Mapping):
        try:
            content = json.loads(_bytes(source))
        except (ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"{where}: not JSON: {error}") from error
    listed = content.get("categories") if isinstance(content, Mapping) else None
    if not isinstance(listed, list) or not all(isinstance(entry, Mapping) for entry in listed):
        raise ValueError(f"{where}: categories: expected a list of objects, found {_short(listed)}")
    chosen = [entry for entry in listed if entry.get("keypoints")]
    if category:
        chosen = [entry for entry in chosen if entry.get("name") == category]
    if not chosen or any(entry["keypoints"] != chosen[0]["keypoints"] for entry in chosen):
        named = [entry.get("name") for entry in listed if entry.get("keypoints")]
        wanted = f"{category!r} with keypoints" if category else "one with keypoints"
        found = f"those with keypoints are {_short(named)}" if named else "none has keypoints"
        several = "" if category or not named else "; choose one by Skeleton.from_coco and category"
        raise ValueError(f"{where}: categories: expected {wanted}; {found}{several}")
    first, here = chosen[0], f"{where}: categories: {_short(chosen[0].get('name'))}"
    fields = {"name": first.get("name", "unnamed"), "keypoints": first["keypoints"]}
    names = _names(fields["keypoints"], f"{here}: keypoints")
    if not limbs:
        return {**fields, "keypoints": names}
    return {**fields, "limbs": _numbered_limbs(first.get("skeleton"), names, f"{here}: skeleton")}


def _numbered_limbs(value: Any, names: tuple[str, ...], here: str) -> list[list[str]]:
    """Return limbs by name from pairs of numbers, which COCO counts from 1."""
    limbs = [] if value is None else value
    if not isinstance(limbs, list) or not all(_is_number_pair(limb) for limb in limbs):
        wrong = (
            limbs if not isinstance(limbs, list) else [x for x in limbs if not _is_number_pair(x)]
        )
        raise ValueError(f"{here}: expected pairs of keypoint numbers, found {_short(wrong)}")
    numbers = [number for limb in limbs for number in limb]
    first = 0 if 0 in numbers else 1
    if wrong := [n for n in numbers if not first <= n < first + len(names)]:
        raise ValueError(
            f"{here}: keypoints are numbered {first} to {first + len(names) - 1}, found {wrong[0]}"
        )
    if first == 0:
        logger.warning("%s: keypoints are numbered from 0 here; in COCO's format from 1", here)
    return [[names[a - first], names[b - first]] for a, b in limbs]


def checked_fields(fields: Mapping[str, Any], where: str) -> Fields:
    """Return the arguments of ``Skeleton``, each checked, with what is absent filled in.

    Raises:
        ValueError: a field is unknown, missing or wrong; the message names the file and it.
    """
    if unknown := sorted(map(str, set(fields) - set(FIELDS))):
        raise ValueError(f"{where}: unknown field {_short(unknown[0])}; known: {', '.join(FIELDS)}")
    names = _names(fields.get("keypoints"), f"{where}: keypoints")
    name = fields.get("name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ValueError(f"{where}: name: expected text, found {_short(name)}")
    groups = fields.get("groups", {})
    if not isinstance(groups, Mapping) or not all(
        isinstance(g, list | tuple) for g in groups.values()
    ):
        raise ValueError(
            f"{where}: groups: expected lists of lists by name, found {_short(groups)}"
        )
    return {
        "name": name,
        "keypoints": names,
        "sigmas": _sigmas(fields.get("sigmas", {}), names, f"{where}: sigmas"),
        "flip_pairs": _flip_pairs(fields, names, where),
        "limbs": _pairs(fields.get("limbs", []), names, f"{where}: limbs"),
        "groups": {
            str(key): tuple(
                _known(group, names, f"{where}: groups: {_short(key)}") for group in value
            )
            for key, value in groups.items()
        },
    }


def toml_text(fields: Mapping[str, Any]) -> str:
    """Return a TOML file of all facts of a skeleton, to be edited."""
    lines = [f"name = {_quoted(fields['name'])}", "", "# In the order of the annotation arrays."]
    lines += _array("keypoints", map(_quoted, fields["keypoints"]))
    left, right = zip(*fields["flip_pairs"], strict=True) if fields["flip_pairs"] else ((), ())
    lines += ["", "# These change places in a mirrored image: the first left with the first right."]
    lines += [*_array("left", map(_quoted, left)), *_array("right", map(_quoted, right))]
    lines += ["", "# Drawn as lines."]
    lines += _array("limbs", map(_quoted_list, fields["limbs"]))
    lines += ["", "# How far annotators differ, as a fraction of the root of a person's area."]
    lines += ["[sigmas]"]
    pairs = zip(fields["keypoints"], fields["sigmas"], strict=True)
    lines += [f"{_quoted(name)} = {float(sigma)!r}" for name, sigma in pairs]
    if fields["groups"]:
        lines += ["", "# Partitions of the keypoints.", "[groups]"]
    for key, groups in fields["groups"].items():
        lines += _array(_quoted(key), map(_quoted_list, groups))
    return "\n".join([*lines, ""])


def _flip_pairs(fields: Mapping[str, Any], names: tuple[str, ...], where: str) -> Any:
    sides = [side for side in ("left", "right") if side in fields]
    if "flip_pairs" in fields:
        if sides:
            raise ValueError(f"{where}: {sides[0]}: give flip_pairs, or left and right, not both")
        return _pairs(fields["flip_pairs"], names, f"{where}: flip_pairs")
    if not sides:
        return pair_sides(names)
    left, right = (_known(fields.get(s, []), names, f"{where}: {s}") for s in ("left", "right"))
    if len(left) != len(right):
        raise ValueError(
            f"{where}: left: {len(left)} keypoints, but right has {len(right)}: they are pairs"
        )
    return tuple(zip(left, right, strict=True))


def _sigmas(value: Any, names: tuple[str, ...], here: str) -> tuple[float, ...]:
    """Return one for each keypoint, from a list of all or from some of them by name."""
    if isinstance(value, list | tuple):
        if len(value) != len(names):
            raise ValueError(f"{here}: {len(value)} for {len(names)} keypoints")
        value = dict(zip(names, value, strict=True))
    if not isinstance(value, Mapping):
        raise ValueError(f"{here}: expected numbers, listed or by keypoint, found {_short(value)}")
    _known(list(value), names, here)
    for name, sigma in value.items():
        number = isinstance(sigma, int | float) and not isinstance(sigma, bool)
        if not number or not 0 < sigma < _LARGEST:
            raise ValueError(
                f"{here}: {_short(name)}: expected a positive number, found {_short(sigma)}"
            )
    return tuple(float(value.get(name, usual_sigma(name) or MEAN_SIGMA)) for name in names)


def _names(value: Any, here: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{here}: expected a list of names, found {_short(value)}")
    for name in value:
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ValueError(f"{here}: expected names, found {_short(name)}")
    if twice := [name for name in value if value.count(name) > 1]:
        raise ValueError(f"{here}: {_short(twice[0])} is named {value.count(twice[0])} times")
    return tuple(value)


def _known(value: Any, names: tuple[str, ...], here: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{here}: expected a list of keypoints, found {_short(value)}")
    if unknown := [name for name in value if name not in names]:
        raise ValueError(f"{here}: {_short(unknown[0])} is no keypoint; known: {listed(names)}")
    return tuple(value)


def _pairs(value: Any, names: tuple[str, ...], here: str) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{here}: expected pairs of keypoints, found {_short(value)}")
    for pair in value:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(f"{here}: expected pairs of keypoints, found {_short(pair)}")
    return tuple(_known(pair, names, here) for pair in value)


def _is_number_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(n, int) and not isinstance(n, bool) for n in value)
    )


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"skeleton file {path} does not exist")
    return path.read_bytes()


def _short(value: object) -> str:
    return "nothing" if value is None else shown(value)


def listed(names: Sequence[str], quote: str = "'") -> str:
    """Return names as messages show them: the beginnings of long ones, and the first of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    cut = [name if len(name) <= 32 else f"{name[:29]}..." for name in names[:_SHOWN]]
    return ", ".join(f"{quote}{name}{quote}" for name in cut) + more


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _quoted_list(names: tuple[str, ...]) -> str:
    return f"[{', '.join(map(_quoted, names))}]"


def _array(key: str, items: Any) -> list[str]:
    listed = list(items)
    if not listed:
        return [f"{key} = []"]
    return [f"{key} = [", *(f"    {item}," for item in listed), "]"]

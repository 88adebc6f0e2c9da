"""Values against the types of a dataclass's fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from poselib.ops.field_types import check_field_types


@dataclass
class Fields:
    whole: int
    number: float
    flag: bool
    text: str
    choice: Literal["a", "b"]
    optional: int | None
    anything: Any
    texts: Sequence[str]
    several: tuple[int, ...]
    pair: tuple[str, float]
    table: Mapping[str, Mapping[str, float | str]]


GOOD: dict[str, tuple[Any, ...]] = {
    "whole": (0, -3, 10**30),
    "number": (1, 0.5, float("inf")),
    "flag": (True,),
    "text": ("", "x"),
    "choice": ("a", "another"),  # which ones there are the dataclass says
    "optional": (None, 3),
    "anything": (None, [object()]),
    "texts": ([], ["a"], ("a", "b")),
    "several": ([1, 2], ()),
    "pair": (["a", 1], ("a", 0.5)),
    "table": ({}, {"a": {"b": 1, "c": "d"}}),
}


BAD: dict[str, tuple[Any, ...]] = {
    "whole": (0.5, True, "1", None, [1]),
    "number": ("1", False, None, [0.5], float("nan")),
    "flag": (1, "true", None),
    "text": (1, None, ["x"]),
    "choice": (1, None, ["a"]),
    "optional": (0.5, True, "none"),
    "texts": ("a", [1], {"a": "b"}, None),
    "several": ([1, "2"], 1, "12"),
    "pair": (["a"], ["a", 1, 2], [1, "a"], "ab"),
    "table": ([], {"a": 1}, {"a": {"b": None}}),
}


@pytest.mark.parametrize("name", GOOD)
def test_values_of_the_type_are_taken_and_others_are_refused(name: str) -> None:
    for value in GOOD[name]:
        check_field_types(Fields, {name: value})
    for value in BAD.get(name, ()):
        with pytest.raises(ValueError, match=f"^{name} must be "):
            check_field_types(Fields, {name: value})


def test_long_values_are_shortened() -> None:
    with pytest.raises(ValueError, match="whole must be a whole number, not 'x") as error:
        check_field_types(Fields, {"whole": "x" * 10_000})
    assert len(str(error.value)) < 100

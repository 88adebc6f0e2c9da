"""Fields of annotation files, each refused by name where it is not what it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from poselib.data.readers import json_fields as fields


def test_good_fields() -> None:
    holder: dict[str, Any] = {"n": 3, "x": 2.5, "s": "a", "v": [1, 2.5], "box": [9, 2, 1, 8]}
    assert fields.integer(holder, "n", "f") == 3 and fields.number(holder, "n", "f") == 3.0
    assert fields.number(holder, "x", "f") == 2.5 and fields.text(holder, "s", "f") == "a"
    assert fields.numbers(holder, "v", 2, "f") == [1, 2.5]
    # Any two opposite corners make a box.
    assert fields.corners(holder, "box", "f") == [1, 2, 9, 8]
    assert fields.entry({"a": 1}, "f") == {"a": 1} and fields.entries([{}, {}], "f") == [{}, {}]


@pytest.mark.parametrize("value", [None, "3", 3.0, True, [3]])
def test_whole_numbers(value: object) -> None:
    with pytest.raises(ValueError, match=r"f\.json: n: expected a whole number, found"):
        fields.integer({"n": value}, "n", "f.json")


@pytest.mark.parametrize("value", [None, "3", float("nan"), float("inf"), [3]])
def test_numbers(value: object) -> None:
    with pytest.raises(ValueError, match=r"f\.json: n: expected a finite number, found"):
        fields.number({"n": value}, "n", "f.json")


@pytest.mark.parametrize("value", [None, "", 3])
def test_text(value: object) -> None:
    with pytest.raises(ValueError, match=r"f\.json: n: expected text, found"):
        fields.text({"n": value}, "n", "f.json")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "expected 2 numbers, found None"),
        ([1], "expected 2 numbers, found 1"),
        ([1, "2"], "expected finite numbers"),
        ([1, float("nan")], "expected finite numbers"),
    ],
)
def test_lists_of_numbers(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=rf"f\.json: n: {words}"):
        fields.numbers({"n": value}, "n", 2, "f.json")


def test_objects() -> None:
    with pytest.raises(ValueError, match=r"f\.json: expected an object, found list"):
        fields.entry([], "f.json")
    with pytest.raises(ValueError, match=r"f\.json: expected a list of objects, found nothing"):
        fields.entries(None, "f.json")
    with pytest.raises(ValueError, match=r"f\.json\[1\]: expected an object, found int"):
        fields.entries([{}, 3], "f.json")


def test_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2]")
    assert fields.load_json(tmp_path / "a.json") == [1, 2]
    with pytest.raises(FileNotFoundError, match=r"annotation file .*b\.json does not exist"):
        fields.load_json(tmp_path / "b.json")
    (tmp_path / "b.json").write_bytes(b'\xff\xfe{"a"')
    with pytest.raises(ValueError, match=r"b\.json: not JSON"):
        fields.load_json(tmp_path / "b.json")


def test_rows_of_numbers_are_checked_at_once_and_refused_one_by_one() -> None:
    rows: list[dict[str, Any]] = [{"v": [1, 2]}, {"v": [0.5, 3]}]
    found = fields.number_rows(rows, "v", 2, "row {}".format)
    assert found.tolist() == [[1, 2], [0.5, 3]] and found.dtype == float
    assert fields.number_rows([], "v", 2, str).shape == (0, 2)
    for wrong, words in (([1], "2 numbers"), (None, "2 numbers"), (["1", 2], "finite numbers")):
        with pytest.raises(ValueError, match=f"row 1: v: expected {words}"):
            fields.number_rows([rows[0], {"v": wrong}], "v", 2, "row {}".format)


def test_numbers_that_arrays_cannot_hold_are_refused() -> None:
    for value in (10**400, 2e12, -1e300):
        with pytest.raises(ValueError, match=r"f: n: .* finite number, .* more than 1e\+12"):
            fields.number({"n": value}, "n", "f")
        with pytest.raises(ValueError, match=r"row 0: v: .* numbers, found .* at position 1"):
            fields.number_rows([{"v": [1, value]}], "v", 2, "row {}".format)
    for value in (2**63, -(10**30)):
        with pytest.raises(ValueError, match=r"f: n: expected a whole number, found"):
            fields.integer({"n": value}, "n", "f")
    assert fields.integer({"n": 2**63 - 1}, "n", "f") == 2**63 - 1


def test_columns_of_numbers_and_flags() -> None:
    rows: list[dict[str, Any]] = [{"n": 2, "f": True}, {}, {"n": None, "f": None}, {"f": 0}]
    column = fields.number_column(rows, "n", "row {}".format)
    assert column[0] == 2 and [value != value for value in column] == [False, True, True, True]
    assert fields.flags(rows, "f", "row {}".format).tolist() == [True, False, False, False]
    assert fields.number_column([], "n", str).shape == fields.flags([], "f", str).shape == (0,)
    with pytest.raises(ValueError, match=r"row 1: n: expected a finite number, found '2'"):
        fields.number_column([{}, {"n": "2"}], "n", "row {}".format)
    with pytest.raises(ValueError, match=r"row 1: f: expected 0, 1, true or false, found '0'"):
        fields.flags([{}, {"f": "0"}], "f", "row {}".format)


@pytest.mark.parametrize("content", ["[" * 100_000, "9" * 5000, '{"a": '])
def test_what_no_parser_reads_is_refused_with_the_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=r"a\.json: not JSON") as error:
        fields.load_json(tmp_path / "a.json")
    assert "\n" not in str(error.value)


def test_names_by_their_letters() -> None:
    spelled = ("left_shoulder", "Left Shoulder", "left-shoulder", "LeftShoulder", " LEFT.shoulder")
    assert {fields.letters(name) for name in spelled} == {"leftshoulder"}
    assert fields.letters(None) == fields.letters(["nose"]) == ""

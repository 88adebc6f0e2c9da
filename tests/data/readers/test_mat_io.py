"""Reading MATLAB's structures, cells and empty values."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from poselib.data.readers.mat_io import cells, field, indices, number, read_mat, structures, text
from tests.data.factories.mat import NOTHING, cell, save, struct


def entry_of(folder: Path, **fields: object) -> np.void:
    return structures(read_mat(save(folder / "a.mat", a=struct(fields)), "a"))[0]


def test_structures(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.mat", two=struct({"x": 1}, {"x": 2}), one=struct({"x": 3}), no=NOTHING
    )
    assert [number(entry, "x", "") for entry in structures(read_mat(path, "two"))] == [1, 2]
    assert [number(entry, "x", "") for entry in structures(read_mat(path, "one"))] == [3]
    assert structures(read_mat(path, "no")) == structures(None) == []


def test_cells(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mat", row=cell([1, "b"], column=False), column=cell([2]), no=NOTHING)
    assert [value.tolist() for value in cells(read_mat(path, "row"))] == [[[1]], ["b"]]
    assert [value.tolist() for value in cells(read_mat(path, "column"))] == [[[2]]]
    assert cells(read_mat(path, "no")) == cells(None) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (np.uint8(7), 7),
        (-2.5, -2.5),
        ("1", 1),
        ("0", 0),
        ("", math.nan),
        (NOTHING, math.nan),
    ],
)
def test_numbers(value: object, expected: float, tmp_path: Path) -> None:
    entry = entry_of(tmp_path, x=value)
    assert number(entry, "x", "") == pytest.approx(expected, nan_ok=True)
    assert math.isnan(number(entry, "y", ""))


@pytest.mark.parametrize("value", [[1, 2], "one", struct({"x": 1}), cell([1, 2])])
def test_values_that_are_no_number_are_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"here: x: expected a number, found"):
        number(entry_of(tmp_path, x=value), "x", "here")


def test_text(tmp_path: Path) -> None:
    entry = entry_of(tmp_path, name="a.jpg", count=3, nothing=NOTHING)
    assert text(entry, "name", "") == "a.jpg"
    for name in ("count", "nothing", "absent"):
        with pytest.raises(ValueError, match=f"here: {name}: expected text"):
            text(entry, name, "here")


def test_empty_and_missing_fields_are_none(tmp_path: Path) -> None:
    entry = entry_of(tmp_path, x=1, nothing=NOTHING)
    assert field(entry, "nothing") is None and field(entry, "absent") is None
    assert field(entry, "x") is not None


def test_positions_count_from_zero() -> None:
    assert indices(np.array([[3], [1]], np.uint8), 3, "") == (2, 0)
    assert indices(np.zeros((0, 0)), 3, "") == ()
    for bad in ([0], [4], [1.5], ["1"]):
        with pytest.raises(ValueError, match="here: expected whole numbers from 1 to 3"):
            indices(np.array(bad), 3, "here")


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.mat does not exist"):
        read_mat(tmp_path / "absent.mat", "a")
    whole = save(tmp_path / "whole.mat", a=struct({"x": np.arange(500)}, {"x": "text"}))
    with pytest.raises(ValueError, match=r"whole\.mat: expected a variable named 'b'"):
        read_mat(whole, "b")
    data, torn = whole.read_bytes(), tmp_path / "torn.mat"
    for length in (0, 20, 127, 140, len(data) // 2, len(data) - 40, len(data) - 4):
        torn.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"torn\.mat: "):
            read_mat(torn, "a")
    torn.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + bytes(600))
    with pytest.raises(ValueError, match="save it again in MATLAB with -v7"):
        read_mat(torn, "a")
    torn.write_text('{"images": []}' * 50)
    with pytest.raises(ValueError, match="not a MATLAB file"):
        read_mat(torn, "a")


def test_version_4_files(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"a": np.eye(2)}, format="4")
    assert (read_mat(tmp_path / "a.mat", "a") == np.eye(2)).all()

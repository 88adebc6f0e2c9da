"""Runs as a table that is searched by text, and what tells two runs apart."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from poselib.experiments.published_beside import published_beside, published_of_model
from poselib.experiments.run_table import (
    RunTable,
    differing,
    numbers_of,
    read_table,
    text_of,
    weights_of,
)
from poselib.experiments.runs import load_run, start_run
from poselib.papers.published import published_table


@pytest.fixture
def table(tmp_path: Path) -> RunTable:
    runs = (
        ("a", "train", {"system": "hae", "dataset": "crowd", "lr": 0.001}, {"AP": 0.5}),
        ("b", "train", {"system": "jre", "dataset": "clips", "lr": 0.01}, {"AP": 0.25, "lr": 9.0}),
        ("c", "evaluation", {"model": "dekr_w32_coco", "data": "/some/where/dogs"}, {"AP": None}),
        ("d", "study", {"data": "3 images of a kind", "seeds": [1, 2], "note": "[a] b"}, None),
    )
    for run, name, params, metrics in runs:
        record = start_run(tmp_path, name, params, run)
        if metrics is not None:
            record.finish(metrics)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "run.json").write_text('{"name": "tr')
    (tmp_path / "worse").mkdir()
    (tmp_path / "worse" / "run.json").write_text(json.dumps({"name": 3}))
    return read_table(tmp_path)


def test_what_cannot_be_read_is_said_and_the_rest_is_there(table: RunTable) -> None:
    assert list(table.rows.index) == ["a", "b", "c", "d"] and len(table.faults) == 2
    assert {"half", "worse"} == {Path(each.split(":")[0]).parent.name for each in table.faults}
    assert table.rows["system"].tolist() == ["hae", "jre", "dekr", ""]
    assert table.rows["dataset"].tolist() == ["crowd", "clips", "dogs", ""]
    assert table.rows["state"].tolist() == ["finished"] * 3 + ["running"]
    assert "lr" in table.names and "seeds" not in table.names


def test_a_run_that_is_not_written_to_has_stopped(table: RunTable, tmp_path: Path) -> None:
    for path in (tmp_path / "d").iterdir():
        os.utime(path, (0, 0))
    assert read_table(tmp_path).rows.at["d", "state"] == "stopped"
    assert not len(read_table(tmp_path / "absent").rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "abcd"),
        ("TRAIN", "ab"),
        ("train clips", "b"),
        ("system=hae", "a"),
        ("system!=hae name=train", "b"),
        ("params.lr=1e-3", "a"),
        ("lr=9", "b"),
        ("lr>1", "b"),
        ("AP>=0.25 AP<0.5", "b"),
        ("AP=", "abcd"),
        ("AP=*", "ab"),
        ("AP!=0.5", "b"),
        ("system=*", "abc"),
        ("system!=*", "d"),
        ("dataset=c*", "ab"),
        ("'where'", ""),
        ("state=running", "d"),
        ("run!=a", "bcd"),
        ("params.lr!=0.001", "b"),
        ("run=[a]", ""),
        ("note=[a]*", "d"),
    ],
)
def test_it_is_searched(table: RunTable, text: str, expected: str) -> None:
    assert "".join(table.search(text).index) == expected


def test_it_is_sorted_with_absent_values_last(table: RunTable) -> None:
    assert "".join(table.sort(table.rows, "AP").index) == "bacd"
    assert "".join(table.sort(table.rows, "AP", descending=True).index) == "abcd"
    assert "".join(table.sort(table.rows, "system").index) == "dcab"
    with pytest.raises(ValueError, match="no run has 'bogus'; known: run, name, system"):
        table.search("bogus=3")
    with pytest.raises(ValueError, match="a quotation mark is not closed"):
        table.search("name='own")


def test_what_tells_two_runs_apart() -> None:
    table = differing({"lr": 1, "seed": 0, "old": True}, {"lr": 2, "seed": 0})
    assert table.to_dict("index") == {
        "lr": {"first": 1, "second": 2},
        "old": {"first": True, "second": None},
    }
    nested = {"AP": 0.5, "errors": {"miss": 1}, "row": {}, "ok": True, "on": "images", "none": None}
    assert numbers_of(nested) == {"AP": 0.5, "errors.miss": 1.0}
    texts = [text_of(value) for value in (0.5, 2.0, 1e-5, None, float("nan"), "x", 3)]
    assert texts == ["0.5000", "2", "1e-05", "", "", "x", "3"]


def test_its_weights(table: RunTable, tmp_path: Path) -> None:
    assert weights_of(load_run(tmp_path / "c")) == "dekr_w32_coco"
    with pytest.raises(ValueError, match="keeps no weights and names no model"):
        weights_of(load_run(tmp_path / "a"))
    (tmp_path / "a" / "checkpoint.pt").write_bytes(b"")
    assert weights_of(load_run(tmp_path / "a")).endswith("checkpoint.pt")


def test_weights_are_found_from_where_a_run_was_started(tmp_path: Path) -> None:
    for folder in ("notebooks", "weights", "runs/dekr_w32_coco"):  # a run's name is no weights
        (tmp_path / folder).mkdir(parents=True)
    own = tmp_path / "weights" / "own.safetensors"
    save_file({"x": np.zeros(1)}, own, {"poselib": '{"system": "jre"}'})
    stated = ("weights/own.safetensors", "../weights/own.safetensors", "dekr_w32_coco", "absent.pt")
    runs = [start_run(tmp_path / "runs", "evaluate", {"model": each}) for each in stated]
    found = [weights_of(run) for run in runs]
    assert all(Path(each).samefile(own) for each in found[:2])
    assert found[2:] == ["dekr_w32_coco", "absent.pt"]
    table = read_table(tmp_path / "runs").rows
    assert [table.at[run.id, "system"] for run in runs] == ["jre", "jre", "dekr", ""]


def test_published_numbers_are_beside_and_apart() -> None:
    (table,) = published_beside("mine", "hae", "coco", {"AP": 0.5, "AP_M": 0.25})
    assert table.heading.endswith("Table III") and table.comparable
    assert table.published["AP"].equals(published_table("hae", "III")["AP"])
    assert table.measured.loc["mine", ["AP", "APM"]].tolist() == [50.0, 25.0]
    assert not any(each.comparable for each in published_beside("", "hae", "mine", {"AP": 0.5}))
    assert published_beside("", "", "coco", {}) == []
    assert "AP 68.6 on COCO val2017" in published_of_model("dekr_w32_coco")

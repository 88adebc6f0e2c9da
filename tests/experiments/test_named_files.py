"""Digests of the files that parameters name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from poselib.experiments import named_files
from poselib.experiments.named_files import annotation_files, file_digest, parameter_digests


def test_files_of_data_and_weights_have_digests(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt", "c.json"):
        (tmp_path / name).write_text(name)
    values = {
        "preset": "a.pt",
        "checkpoint": "a.pt",
        "checkpoint_hae": "absent.pt",
        "checkpoints": "a.pt b.pt",
        "pretrained": "b.pt,imagenet",
        "annotations": str(tmp_path / "c.json"),
        "checkpoint_grm": None,
    }
    found = parameter_digests(values, tmp_path)
    assert list(found) == ["checkpoint", "checkpoints", "pretrained", "annotations"]
    assert len(set(found.values())) == 4
    assert parameter_digests({"checkpoints": "b.pt a.pt"}, tmp_path) != {
        "checkpoints": found["checkpoints"]
    }
    assert parameter_digests({"dataset": "crowd", "data_dir": str(tmp_path)}) == {}
    assert parameter_digests({"dataset": "lsp", "data_dir": ""}, tmp_path) == {}


def test_annotation_files_of_a_dataset_count_by_name_and_content(tmp_path: Path) -> None:
    labels = tmp_path / "labels" / "train" / "track2&3"
    labels.mkdir(parents=True)
    for name in ("1.json", "2.json"):
        (labels / name).write_text(name)
    (tmp_path / "labels" / "notes.txt").write_text("not of the dataset")
    assert [path.name for path in annotation_files("hieve", tmp_path)] == ["1.json", "2.json"]
    values = {"dataset": "hieve", "data_dir": tmp_path.name}
    before = parameter_digests(values, tmp_path.parent)
    assert list(before) == ["data_dir"]
    (labels / "2.json").rename(labels / "3.json")
    renamed = parameter_digests(values, tmp_path.parent)
    (labels / "1.json").write_text("other")
    assert before != renamed != parameter_digests(values, tmp_path.parent) != before


def test_a_large_file_is_read_once_for_all_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSELIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(named_files, "_LARGE", 3)
    path = tmp_path / "large"
    path.write_bytes(b"large")
    os.utime(path, ns=(1, 1))
    before = file_digest(path)
    named_files._digest.cache_clear()  # as in another process
    path.write_bytes(b"other")
    os.utime(path, ns=(1, 1))
    assert file_digest(path) == before  # the same size and time
    os.utime(path, ns=(2, 2))
    other = file_digest(path)
    assert other != before and list((tmp_path / "cache").iterdir()) == [
        tmp_path / "cache" / "digests.json"
    ]
    (tmp_path / "cache" / "digests.json").write_text("{")
    named_files._digest.cache_clear()
    assert file_digest(path) == other
    monkeypatch.setenv("POSELIB_CACHE", str(path / "no folder"))
    named_files._digest.cache_clear()
    assert file_digest(path) == other

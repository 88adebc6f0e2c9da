"""The input of a training is timed part by part, and the command prints it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from poselib.benchmarks import input_pipeline
from poselib.benchmarks.input_pipeline import Photographs, time_parts
from poselib.data.augmentation import Augment
from poselib.skeletons import COCO


class Few(Photographs):
    """Small ones, and two of them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, files=2, count=6, side=64)


def test_files_follow_each_other_again_and_again(tmp_path: Path) -> None:
    photographs = Few(tmp_path / "few")
    assert len(photographs) == 6 and photographs[5].image_id == photographs[1].image_id
    assert [path.suffix for path in sorted((tmp_path / "few" / "images").iterdir())] == [".jpg"] * 2
    parts = time_parts(photographs, Augment(COCO, 32), batch=2).set_index("part")["cpu_ms"]
    assert list(parts.index) == ["read", "augment", "collate"] and (parts > 0).all()


def test_the_command_prints_and_writes_rates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_pipeline, "Photographs", Few)
    options = ("--size", "64", "--batch", "2", "--workers", "0", "--batches", "1", "--turns", "1")
    out = tmp_path / "rates.csv"
    assert input_pipeline.main([*options, "--device", "cpu", "--out", str(out)]) == 0
    (row,) = pd.read_csv(out).to_dict("records")
    assert row["workers"] == 0 and min(row[name] for name in ("loader", "step", "both")) > 0
    assert row["of_slower"] == pytest.approx(
        row["both"] / min(row["loader"], row["step"]), abs=0.02
    )
    assert "collate" in capsys.readouterr().out

"""The README's Python runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

import poselib

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)


def test_the_readme_shows_the_front_door() -> None:
    assert any("poselib.load()" in block and "model.plot(" in block for block in BLOCKS)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_the_readme_runs(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = poselib.open_dataset("synthetic", "val", count=1)[0].image
    Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    if "print(poses)" in block:
        assert "people, 17 keypoints, scores 0." in capsys.readouterr().out

"""Numbers in sentences."""

from __future__ import annotations

from poselib.wording import counted, people_label


def test_one_is_no_plural() -> None:
    assert [people_label(n) for n in (0, 1, 2)] == ["0 people", "1 person", "2 people"]
    assert [counted(n, "clip") for n in (0, 1, 2)] == ["0 clips", "1 clip", "2 clips"]

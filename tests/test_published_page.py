"""The page of published weights shows the catalogue; run this file to write its table anew."""

from __future__ import annotations

import re
from pathlib import Path

from poselib.systems.published import PUBLISHED, PublishedWeights

PAGE = Path(__file__).resolve().parents[1] / "docs" / "published_weights.md"
HEAD = ["| name | data | AP | several scales | input, px | file |", "|---|---|---|---|---|---|"]
TABLE = re.compile(r"^\| name .*?(?=\n\n)", re.M | re.S)


def line(row: PublishedWeights) -> str:
    size = f"{row.crop[0]}x{row.crop[1]}" if row.crop else row.input_size
    place = f"[download]({row.address})" if row.address else f"[by hand]({row.page})"
    place = "not supported" if row.unsupported else place
    cells = (f"`{row.name}`", row.data, row.ap, row.ap_scales or "", size, place)
    return f"| {' | '.join(map(str, cells))} |"


def table() -> str:
    return "\n".join([*HEAD, *map(line, PUBLISHED.values())])


def test_the_page_shows_the_catalogue() -> None:
    assert table() in PAGE.read_text(encoding="utf-8")


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda _: table(), text), encoding="utf-8")

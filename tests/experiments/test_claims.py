from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from poselib.experiments.claims import outcomes, paper_items
from poselib.experiments.published import published
from poselib.experiments.records import save_table

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def test_every_notebook_that_is_named_exists_and_writes_its_artefact() -> None:
    for item in paper_items("hae").itertuples():
        notebook = NOTEBOOKS / f"{item.notebook}.ipynb"
        assert notebook.is_file(), item
        assert str(item.artefact) in notebook.read_text(encoding="utf-8"), item


def test_every_published_table_has_a_notebook() -> None:
    named = " ".join(paper_items("hae")["item"])
    for table in {"VI", "VII", "VIII", "IX", "X", "XI"}:
        assert table in published("hae")["table"].to_numpy() and f"Table {table}" in named


def test_outcomes_come_from_the_sidecars(tmp_path: Path) -> None:
    params = {"preset": "small", "data": "12 scenes"}
    table = pd.DataFrame({"a": [1]})
    save_table(table, tmp_path / "hae_lambda.csv", params, outcome="no difference")
    told = outcomes("hae", tmp_path).set_index("item")
    assert told.loc["Table VI", "what came out"] == "no difference"
    assert told.loc["Table VI", "data"] == "12 scenes"
    assert told.loc["Table VI", "made"][:2] == "20"
    assert told.loc["Table IX", "what came out"] == "not run yet"
    assert told.loc["Table I", "what came out"] == ""


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"of 'hea'; there are those of \[.*'hae'"):
        paper_items("hea")
    (tmp_path / "hae_lambda.json").write_text("{")
    with pytest.raises(ValueError, match=r"hae_lambda\.json is not JSON"):
        outcomes("hae", tmp_path)

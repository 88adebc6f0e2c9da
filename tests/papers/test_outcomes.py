"""Tables and figures of the papers, and what came out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from poselib.experiments.parameters import notebook_parameters
from poselib.experiments.runs import save_table
from poselib.papers.outcomes import listed_papers, outcomes, paper_items
from poselib.papers.published import published

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.mark.parametrize("paper", listed_papers())
def test_every_notebook_that_is_named_exists_and_writes_its_artifact(paper: str) -> None:
    for item in paper_items(paper).itertuples():
        notebook = NOTEBOOKS / f"{item.notebook}.ipynb"
        assert notebook.is_file(), item
        given = dict(part.split("=") for part in str(item.parameters).split())
        assert set(given) <= set(notebook_parameters(notebook)), item
        written = notebook.read_text(encoding="utf-8")
        named = {"study": "{study}", "paper": "{paper}_comparison"}
        for name, pattern in named.items():
            if name in given:
                written += written.replace(pattern, pattern.format(**given))
        assert str(item.artifact) in written, item
        if "study" in given:
            assert (NOTEBOOKS / "sweeps" / f"{given['study']}.json").is_file()


def test_every_published_table_has_a_notebook() -> None:
    named = {"hae": "VI VII VIII IX X XI", "dekr": "1 3 5 6", "grm": "I", "logocap": "3 4 5 6 7"}
    named["rpstn"] = "I II III IV VIII"
    assert listed_papers() == list(named)
    for paper, tables in named.items():
        items = set(paper_items(paper)["item"])
        for table in tables.split():
            assert table in set(published(paper)["table"]) and f"Table {table}" in items
    assert {"Tables II–V"} <= set(paper_items("hae")["item"])
    assert {"Tables 2, 4, 7"} <= set(paper_items("dekr")["item"])
    assert {"Tables II–IV"} <= set(paper_items("grm")["item"])
    assert {"Tables V–VII, IX"} <= set(paper_items("rpstn")["item"])
    assert {"Tables 1, 2"} <= set(paper_items("logocap")["item"])


def test_outcomes_come_from_the_sidecars(tmp_path: Path) -> None:
    params = {"preset": "small", "data": "12 scenes"}
    table = pd.DataFrame({"a": [1]})
    save_table(table, tmp_path / "hae_lambda.csv", params, outcome="no difference")
    made = outcomes("hae", tmp_path).set_index("item")
    assert made.loc["Table VI", "what came out"] == "no difference"
    assert made.loc["Table VI", "data"] == "12 scenes"
    assert made.loc["Table VI", "made"][:2] == "20"
    assert made.loc["Table IX", "what came out"] == "not run yet"
    assert made.loc["Table I", "what came out"] == "shown in the notebook"


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"of 'hea'; there are those of \[.*'hae'"):
        paper_items("hea")
    (tmp_path / "hae_lambda.json").write_text("{")
    with pytest.raises(ValueError, match=r"hae_lambda\.json: not JSON"):
        outcomes("hae", tmp_path)
    (tmp_path / "hae_lambda.json").write_text('{"parameters": [1]}')
    with pytest.raises(ValueError, match=r"hae_lambda\.json: parameters: expected an object"):
        outcomes("hae", tmp_path)

"""Claims of the papers: what they say agrees with the published tables and the studies."""

from __future__ import annotations

from pathlib import Path

import pytest

from poselib.experiments.ablation import read_ablation
from poselib.experiments.sweep import read_sweep
from poselib.papers import claims
from poselib.papers.claims import Claim, read_claims
from poselib.papers.published import published_table

SWEEPS = Path(__file__).parents[2] / "notebooks" / "sweeps"
each_claim = pytest.mark.parametrize("claim", read_claims(), ids=lambda each: each.name)


def test_every_claim_is_there_once() -> None:
    found = read_claims()
    assert len({(each.paper, each.name) for each in found}) == len(found) == 39
    assert {each.paper for each in found} == {"hae", "grm", "logocap", "dekr", "rpstn"}
    assert all(each.claim.endswith(".") for each in found)
    assert found[0].source == "HAE, Table XI" and found[0].unit == "AP"


@each_claim
def test_an_effect_is_that_of_the_published_table(claim: Claim) -> None:
    if not claim.row:  # the text states the difference alone, or it is between two tables
        assert (claim.table, claim.effect) in {("Sec. 3.4", -0.4), ("6", 0.3)}
        return
    values = published_table(claim.paper, claim.table)[claim.metric]
    expected = values[claim.row] - values[claim.against]
    if claim.unit == "time":
        expected *= 100 / values[claim.against]
    assert claim.effect == pytest.approx(expected, abs=0.05)


@each_claim
def test_the_rows_that_test_it_are_those_of_a_study(claim: Claim) -> None:
    path = SWEEPS / f"{claim.study}.json"
    if not path.is_file():  # a notebook of its own
        assert claim.where or claim.study == "hae_runtime_cost"
        return
    ablation = read_ablation(path)
    rows = ablation.lines_of(list(read_sweep(path).rows))
    assert {claim.measured_row, claim.measured_against} <= rows.keys()
    assert claim.measured in ablation.metrics and ablation.paper == claim.paper


def test_a_fault_in_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(claims.__file__).with_suffix(".csv").read_text(encoding="utf-8")
    file = tmp_path / "claims.csv"
    monkeypatch.setattr(claims, "_FILE", file)
    file.write_text(text.replace(",1.9,hae_components,AP,", ",0,hae_components,AP,", 1))
    with pytest.raises(ValueError, match=r"claims.csv: hierarchical loss .* found 0 and 'AP'"):
        read_claims.__wrapped__()
    file.write_text("paper,name\n")
    with pytest.raises(ValueError, match="expected the columns"):
        read_claims.__wrapped__()

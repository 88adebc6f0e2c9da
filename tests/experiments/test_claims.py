"""What tables say about claims: by hand, from seeds, deviations and intervals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from poselib.experiments import claims
from poselib.experiments.claims import (
    NOT_SHOWN,
    OPPOSITE,
    SHOWN,
    UNTESTED,
    claim_outcome,
    claim_table,
    more_could_decide,
    tables_of,
    verdict,
)
from poselib.experiments.recipes import read_recipes
from poselib.experiments.statistics import summary
from poselib.papers.claims import Claim, read_claims

ROOT = Path(__file__).parents[2]
AP = {"base": [40.0, 44.0, 42.0], "up": [43.0, 46.0, 45.5], "top": [44.0, 47.5, 46.0]}
LINES = pd.DataFrame(
    [{"row": row, "seed": n, "AP": v} for row, each in AP.items() for n, v in enumerate(each)]
)
CLAIM = replace(
    read_claims()[0], study="toy", measured_row="up", measured_against="base", effect=1.9
)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Claim]:
    """The claims that are looked up, to be replaced by a test."""
    chosen = [CLAIM]
    monkeypatch.setattr(claims, "read_claims", lambda: chosen)
    return chosen


def line(folder: Path) -> dict[str, object]:
    return claim_table(folder).iloc[0].to_dict()


def test_rows_are_paired_by_seed(tmp_path: Path, given: list[Claim]) -> None:
    LINES.to_csv(tmp_path / "toy_seeds.csv", index=False)
    summary(LINES, ["AP"], "base").round(3).to_csv(tmp_path / "toy.csv", index=False)
    about = {"parameters": {"data": "3 scenes", "preset": "small", "steps": [500]}}
    about |= {"git_commit": "0123456789abcdef", "created": "2026-01-02T03:04"}
    (tmp_path / "toy_seeds.json").write_text(json.dumps(about))
    given[0] = replace(CLAIM, measured_row="top", measured_against="up")
    found = line(tmp_path)
    expected = ttest_rel(AP["top"], AP["up"]).confidence_interval(0.95)
    assert found["measured"] == pytest.approx(1.0) and found["over"] == "3 seeds"
    np.testing.assert_allclose([found["low"], found["high"]], expected)
    assert (found["verdict"], found["published"]) == (NOT_SHOWN, 1.9)
    assert (found["measured_on"], found["preset"], found["steps"]) == ("3 scenes", "small", "500")
    assert found["measured_by"] == "0123456789 2026-01-02"


def test_a_table_of_deviations_has_intervals(tmp_path: Path, given: list[Claim]) -> None:
    table = summary(LINES, ["AP"], "base")
    table.to_csv(tmp_path / "toy.csv", index=False)
    found = line(tmp_path)
    expected = ttest_rel(AP["up"], AP["base"]).confidence_interval(0.95)
    np.testing.assert_allclose([found["low"], found["high"]], expected)
    assert (found["verdict"], found["over"], found["paper"]) == (SHOWN, "3 seeds", "HAE")
    # Of rows that are not the baseline the deviation may be anything up to the sum.
    given[0] = replace(CLAIM, measured_row="top", measured_against="up")
    found, pair = line(tmp_path), ttest_rel(AP["top"], AP["up"]).confidence_interval(0.95)
    assert found["over"] == "3 seeds, at most" and found["measured"] == pytest.approx(1.0)
    assert found["low"] < pair.low < pair.high < found["high"]


def test_seeds_that_the_baseline_lacks_give_no_interval(tmp_path: Path, given: list[Claim]) -> None:
    lines = LINES[(LINES["row"] != "base") | (LINES["seed"] == 0)]
    summary(lines, ["AP"], "base").to_csv(tmp_path / "toy.csv", index=False)
    found = line(tmp_path)
    assert (found["verdict"], found["over"]) == (UNTESTED, "1 seed")
    assert found["measured"] == pytest.approx(43.0 - 40.0)
    lines.to_csv(tmp_path / "toy_seeds.csv", index=False)
    assert (line(tmp_path)["verdict"], line(tmp_path)["over"]) == (UNTESTED, "1 seed")
    (tmp_path / "toy_seeds.csv").unlink()
    # Nor do two rows that are both compared with that baseline.
    given[0] = replace(CLAIM, measured_row="top", measured_against="up")
    assert (line(tmp_path)["verdict"], line(tmp_path)["over"]) == (UNTESTED, "1 seed")


def test_seeds_are_those_of_the_pairs(tmp_path: Path, given: list[Claim]) -> None:
    more = pd.DataFrame({"row": "up", "seed": [3, 4], "AP": [45.0, 44.0]})
    summary(pd.concat([LINES, more]), ["AP"], "base").to_csv(tmp_path / "toy.csv", index=False)
    found = line(tmp_path)
    expected = ttest_rel(AP["up"], AP["base"]).confidence_interval(0.95)
    np.testing.assert_allclose([found["low"], found["high"]], expected)
    assert found["over"] == "3 seeds"


def test_times_are_of_scenes_without_a_training(tmp_path: Path, given: list[Claim]) -> None:
    table = summary(LINES.rename(columns={"AP": "time"}), ["time"], "base")
    table.to_csv(tmp_path / "toy.csv", index=False)
    given[0] = replace(CLAIM, measured="time")
    assert line(tmp_path)["over"] == "3 scenes"


def test_one_network_has_the_interval_over_images(tmp_path: Path, given: list[Claim]) -> None:
    table = pd.DataFrame({"row": ["", "it", "it"], "window": [None, 1, 11], "AP": [None, 48.0, 63]})
    ends = {"AP_gain": [None, 0, 15], "AP_gain_low": [None, 0, 14], "AP_gain_high": [None, 0, 16.5]}
    table.assign(**ends).to_csv(tmp_path / "toy.csv", index=False)
    given[0] = replace(CLAIM, where={"row": "it", "window": "11"})
    found = line(tmp_path)
    assert (found["measured"], found["low"], found["high"]) == (15, 14, 16.5)
    assert (found["over"], found["verdict"]) == ("images", SHOWN)


@pytest.mark.parametrize(
    "change",
    [{"study": "gone"}, {"measured_row": "x"}, {"measured_against": "x"}, {"measured": "AR"}],
)
def test_what_is_absent_is_not_tested(
    tmp_path: Path, given: list[Claim], change: dict[str, str]
) -> None:
    LINES.to_csv(tmp_path / "toy_seeds.csv", index=False)
    summary(LINES, ["AP"], "base").to_csv(tmp_path / "toy.csv", index=False)
    given[0] = replace(CLAIM, **change)
    found = line(tmp_path)
    assert found["verdict"] == UNTESTED and np.isnan(found["measured"])


@pytest.mark.parametrize(
    ("effect", "low", "high", "expected"),
    [
        (1.9, 0.1, 3, SHOWN),
        (-0.6, -3, -0.1, SHOWN),
        (1.9, -3, -0.1, OPPOSITE),
        (-0.6, 0.1, 3, OPPOSITE),
        (1.9, -0.1, 3, NOT_SHOWN),
        (1.9, 0.0, 0.0, NOT_SHOWN),
        (1.9, np.nan, np.nan, UNTESTED),
    ],
)
def test_a_verdict_is_about_the_sign(effect: float, low: float, high: float, expected: str) -> None:
    assert verdict(effect, low, high) == expected


def test_verdicts_are_counted() -> None:
    table = pd.DataFrame({"verdict": [SHOWN, SHOWN, OPPOSITE, UNTESTED]})
    assert claim_outcome(table) == (
        "of 4 claims 2 are shown, 0 are not, of 1 the opposite is; 1 are not tested"
    )


def test_claims_that_more_seeds_could_decide() -> None:
    # Three seeds with a deviation of 1: 2.48 to each side; five would have 1.24.
    ends = {"verdict": NOT_SHOWN, "over": "3 seeds", "study": "s", "name": "n"}
    lines = [
        {**ends, "measured": 1.3, "high": 1.3 + 2.484},
        {**ends, "measured": 1.2, "high": 1.2 + 2.484},
        {**ends, "measured": -1.3, "high": -1.3 + 2.484, "study": "t"},
        {**ends, "measured": 1.3, "high": 1.3 + 2.484, "verdict": UNTESTED},
        {**ends, "measured": 1.2, "high": 2.4, "over": "images"},
        {**ends, "measured": 1.2, "high": 2.4, "over": "5 seeds"},
        {**ends, "measured": 1.2, "high": 2.4, "over": "1 seed"},
    ]
    assert more_could_decide(pd.DataFrame(lines)) == ["s: n", "t: n"]


def test_the_recipe_names_the_tables_that_claims_read() -> None:
    recipes = read_recipes(ROOT / "notebooks")
    (recipe,) = (each for each in recipes if "claims.csv" in each.figures)
    made = {name for each in recipes for name in each.figures}
    wanted = {name for claim in read_claims() for name in tables_of(claim)}
    assert set(recipe.reads) == wanted & made
    assert all(made & set(tables_of(claim)) for claim in read_claims())

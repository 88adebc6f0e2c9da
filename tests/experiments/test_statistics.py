"""Statistics over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from poselib.experiments.statistics import (
    gains,
    mean_and_spread,
    outcome,
    side_by_side,
    summary,
    to_display,
    with_intervals,
)


def test_metrics_are_displayed_in_per_cent() -> None:
    columns = {"row": ["a"], "seed": [2], "run": ["x"], "decoding": ["d"], "AP": [0.25]}
    results = pd.DataFrame({**columns, "offset_loss": [3e-5], "ms": [7.0], "fps": [140.0]})
    shown = to_display(results)
    assert shown[["AP", "offset_loss", "ms", "fps", "seed"]].iloc[0].tolist() == [25, 3, 7, 140, 2]
    assert results["AP"][0] == 0.25 and list(shown) == list(results)


def test_unfinished_runs_do_not_count() -> None:
    runs = pd.DataFrame({"row": ["a", "b"], "seed": [0, 0], "finished": [False, False]})
    table = mean_and_spread(runs, ["AP"])
    assert table["seeds"].tolist() == [0, 0] and table["AP"].isna().all()


def test_means_and_deviations_are_over_seeds() -> None:
    results = pd.DataFrame(
        {
            "row": ["b", "a", "b", "a", "b"],
            "AP": [0.2, 0.5, 0.4, 0.7, None],
            "AR": [0.1, 0.1, 0.3, 0.1, 0.9],
        }
    )
    table = mean_and_spread(results, ["AP"])
    assert table["row"].tolist() == ["b", "a"] and table["seeds"].tolist() == [2, 2]
    np.testing.assert_allclose(table["AP"], [0.3, 0.6])
    np.testing.assert_allclose(table["AP_std"], [0.1 * 2**0.5] * 2)
    alone = mean_and_spread(results[:1], ["AP", "AR"])
    assert alone["seeds"].tolist() == [1] and np.isnan(alone["AP_std"][0])


def test_gains_compare_runs_of_one_seed() -> None:
    results = pd.DataFrame(
        {"row": ["base", "new", "base", "new"], "seed": [0, 0, 1, 1], "AP": [0.2, 0.3, 0.6, 0.5]}
    )
    found = gains(results, ["AP"], "base")
    np.testing.assert_allclose(found["AP"], [0, 0.1, 0, -0.1])
    with pytest.raises(ValueError, match="no row 'bas' among"):
        gains(results, ["AP"], "bas")
    with pytest.raises(ValueError, match="more than one line for a seed"):
        gains(pd.concat([results, results]), ["AP"], "base")


def test_a_summary_has_means_gains_and_spreads() -> None:
    ap = {"base": (40.0, 44.0, 42.0), "up": (43.0, 46.0, 45.5), "same": (41.0, 43.0, 42.5)}
    lines = [
        {"row": row, "seed": seed, "AP": value}
        for row, values in ap.items()
        for seed, value in enumerate(values)
    ]
    table = summary(pd.DataFrame(lines), ["AP"], "base").set_index("row")
    assert table["seeds"].tolist() == [3, 3, 3]
    np.testing.assert_allclose(table.loc["up", "AP"], np.mean(ap["up"]))
    np.testing.assert_allclose(table.loc["up", "AP_std"], np.std(ap["up"], ddof=1))
    np.testing.assert_allclose(table.loc["up", "AP_gain"], np.mean([3, 2, 3.5]))
    np.testing.assert_allclose(table.loc["up", "AP_gain_std"], np.std([3, 2, 3.5], ddof=1))
    assert table.loc["base", "AP_gain"] == 0
    line = outcome(table.reset_index(), "base", unit=" in %")
    assert line == (
        "AP in % against base: up +2.8 [+0.9, +4.7] (more); same +0.2 [-2.4, +2.8] (not told apart)"
    )


def test_intervals_of_gains_are_those_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    lines = pd.DataFrame({"row": ["base", "new", "off"] * 5, "seed": np.repeat(range(5), 3)})
    lines = lines.assign(AP=rng.normal(50, 3, 15), AR=rng.normal(60, 3, 15))
    table = summary(lines, ["AP", "AR"], "base").set_index("row")
    wide = lines.pivot(index="seed", columns="row", values="AR")
    expected = ttest_rel(wide["new"], wide["base"]).confidence_interval(0.95)
    ends = ["AR_gain_low", "AR_gain_high"]
    np.testing.assert_allclose(table.loc["new", ends].tolist(), expected)
    assert table.loc["base", ends].tolist() == [0, 0]
    table["published_AP_gain"] = 1.0  # has no deviation
    kept = table.drop(columns=[name for name in table if name.endswith(("low", "high"))])
    pd.testing.assert_frame_equal(with_intervals(kept), table)


def test_a_seed_that_the_baseline_lacks_is_no_pair() -> None:
    ap = {"base": [40.0, 44.0], "up": [43.0, 46.0, 45.5]}
    lines = [
        {"row": row, "seed": n, "AP": v} for row, each in ap.items() for n, v in enumerate(each)
    ]
    table = summary(pd.DataFrame(lines), ["AP"], "base").set_index("row")
    assert table.loc["up", "seeds"] == 3 and table.loc["up", "AP_gain"] == 2.5
    assert np.isnan(table.loc["up", "AP_gain_low"])


def test_a_summary_can_be_read() -> None:
    lines = [
        *({"row": "base", "seed": n, "AP": v} for n, v in enumerate((40.0, 44.0, 42.0))),
        *({"row": "up", "seed": n, "AP": v} for n, v in enumerate((43.0, 46.0, 45.5))),
    ]
    table = side_by_side(summary(pd.DataFrame(lines), ["AP"], "base"), ["AP"])
    assert table.loc["AP"].to_dict() == {
        "base, 3 seeds": "42.0 ± 2.0",
        "up, 3 seeds": "44.8 ± 1.6 (+2.8 [+0.9, +4.7])",
    }
    alone = side_by_side(summary(pd.DataFrame(lines[3:4]), ["AP"], "up"), ["AP"])
    assert alone.loc["AP"].to_dict() == {"up, 1 seed": "43.0"}
    unknown = pd.DataFrame(lines).assign(AP=np.nan)
    table = side_by_side(summary(unknown, ["AP"], "base"), ["AP"])
    assert set(table.loc["AP"]) == {"nan"}


def test_few_seeds_decide_nothing() -> None:
    lines = [{"row": "a", "seed": 0, "AP": 1.0}, {"row": "b", "seed": 0, "AP": 3.0}]
    line = outcome(summary(pd.DataFrame(lines), ["AP"], "a"), "a")
    assert line == "AP against a: b +2.0 (1 seed, too few to tell)"

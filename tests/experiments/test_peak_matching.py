"""Regression matched to heatmap peaks (DEKR, Table 6)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from poselib.analysis.compare import LOCALIZATION
from poselib.engine.evaluate import evaluate
from poselib.engine.inference import PredictOptions
from poselib.engine.variants import with_options
from poselib.experiments.peak_matching import (
    matching_gains,
    matching_table,
    measure_matching,
    published_matching,
    read_scales,
    summarize_matching,
)
from poselib.experiments.statistics import summary_by
from poselib.metrics.localization_errors import classify_localization, error_rates
from poselib.skeletons import COCO
from poselib.systems import build
from tests.analysis.factories import eager_regressor
from tests.engine.factories import scenes

OPTIONS = PredictOptions(size=64, multiple=32, flip=False, batch_size=3)


def test_published_gains_are_those_that_the_table_prints_beside_its_numbers() -> None:
    table = published_matching().set_index(["data", "network", "scales"])
    assert len(table) == 12 and list(table.columns) == ["direct", "matched", "gain"]
    # As small numbers with arrows in DEKR, Table 6; from left to right.
    printed = {
        "COCO val2017": [0.0, 0.0, 0.3, 0.5],
        "COCO test-dev2017": [0.0, 0.1, 0.4, 0.4],
        "CrowdPose test": [-0.2, -0.3, 0.5, 0.3],
    }
    for data, expected in printed.items():
        gains = [
            table.loc[(data, network, scales), "gain"]
            for scales in ("one scale", "several scales")
            for network in ("HRNet-W32", "HRNet-W48")
        ]
        assert gains == expected
    assert table.loc[("CrowdPose test", "HRNet-W48", "several scales"), "direct"] == 68.0


def test_scales_are_read_and_checked() -> None:
    assert read_scales("0.5 1 2") == (0.5, 1.0, 2.0)
    for text in ("1", "0.5 2", "1 1", "1 two", "", "1 -2"):
        with pytest.raises(ValueError, match=f"scales '{text}'"):
            read_scales(text)


@pytest.mark.slow
def test_numbers_are_those_of_an_evaluation() -> None:
    dataset, system = scenes(3), eager_regressor(1)
    table = measure_matching([system], dataset, OPTIONS, (0.5, 1.0), distance=6.0)
    one, several = "one scale", "several scales"
    assert table[["seed", "scales", "row"]].to_numpy().tolist() == [
        [0, one, "direct"],
        [0, one, "matched"],
        [0, several, "direct"],
        [0, several, "matched"],
    ]
    matched = with_options(system, match=True, match_distance=6.0)
    alone = evaluate(matched, dataset, replace(OPTIONS, scales=(0.5, 1.0)), explain=False)
    judged = classify_localization(alone.comparison)
    expected = error_rates(judged).loc["all", list(LOCALIZATION)] / 100
    assert table.loc[3, "AR50"] == alone.ap.AR50
    np.testing.assert_allclose(table.loc[3, list(LOCALIZATION)].astype(float), expected)


def test_systems_without_regression_are_refused() -> None:
    system = build("hae", COCO, backbone="hrnet_tiny", host="plain")
    with pytest.raises(ValueError, match="'hae' does not regress"):
        measure_matching([system], scenes(1), OPTIONS, (1.0, 2.0), distance=6.0)


RESULTS = pd.DataFrame(
    [
        (seed, scales, row, 50.0 + seed + 10 * (scales == "several scales") + add)
        for seed, one, several in ((0, 1.0, 2.0), (1, -1.0, 3.0), (2, 0.0, 4.0))
        for scales, gain in (("one scale", one), ("several scales", several))
        for row, add in (("direct", 0.0), ("matched", gain))
    ],
    columns=["seed", "scales", "row", "AP"],
)


def test_gains_are_over_direct_regression_at_the_same_scales() -> None:
    gains = matching_gains(RESULTS, ["AP"])
    assert gains["row"].tolist() == ["one scale"] * 3 + ["several scales"] * 3
    assert gains["AP"].tolist() == [1, -1, 0, 2, 3, 4]
    table = summary_by(RESULTS, "scales", ["AP"], "direct").set_index(["scales", "row"])
    assert table["AP"].tolist() == [51, 51, 61, 64]
    assert table.loc[("several scales", "matched"), ["AP_gain", "AP_gain_std"]].tolist() == [3, 1]
    line = summarize_matching(table.reset_index(), ["AP"])
    assert line == (
        "direct AP 51.0 at one scale, 61.0 at several scales; matched AP in % against direct: "
        "one scale +0.0 [-2.5, +2.5] (not told apart); several scales +3.0 [+0.5, +5.5] (more)"
    )


def test_published_and_measured_numbers_have_columns_of_their_own() -> None:
    lines = matching_table(summary_by(RESULTS, "scales", ["AP"], "direct"), "3 scenes")
    theirs = lines["published_on"].notna()
    assert theirs.sum() == 12 and (lines["measured_on"].notna() == ~theirs).all()
    assert lines.loc[theirs, "published_AP_gain"].notna().all()
    assert lines.loc[~theirs, [name for name in lines if "published" in name]].isna().all(axis=None)
    assert lines.loc[theirs, ["AP", "AP_gain", "seeds"]].isna().all(axis=None)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poselib.analysis.compare import evaluate_variants
from poselib.engine.checkpoints import save_system
from poselib.engine.predict import PredictOptions
from poselib.engine.variants import Variant
from poselib.experiments.ablation import (
    gains,
    measure_runs,
    missing_runs,
    outcome,
    side_by_side,
    summary,
    trained_file,
)
from poselib.experiments.runs import start_run
from poselib.experiments.sweep import PlannedRun
from poselib.skeletons import COCO
from poselib.systems import System, build
from tests.engine.toys import scenes

OPTIONS = PredictOptions(size=64, multiple=32, batch_size=4)
WAYS = {"fixed": {"progressive": False}, "PAD": {"progressive": True}}


@pytest.fixture
def system() -> System:
    return build("hae", COCO, backbone="hrnet_tiny", deconv_channels=8, detection_threshold=0.0)


def planned(rows: Sequence[str]) -> list[PlannedRun]:
    return [PlannedRun("s", row, 0, Path("03_train.ipynb"), {}, f"train-{row}") for row in rows]


def test_finished_runs_are_measured_and_others_listed(system: System, tmp_path: Path) -> None:
    runs = planned(["a", "b"])
    record = start_run(tmp_path, "train", {}, "train-a")
    save_system(
        record.folder / "hae_synthetic.safetensors", replace(system, input_size=64), provenance={}
    )
    assert missing_runs(runs, tmp_path)["row"].tolist() == ["a", "b"]
    with pytest.raises(FileNotFoundError, match=r"none of the 2 runs of \['s'\] is finished"):
        measure_runs(runs, tmp_path, scenes(2), OPTIONS, WAYS)
    record.finish({"AP": 0.0})
    assert missing_runs(runs, tmp_path)["row"].tolist() == ["b"]
    table = measure_runs(runs, tmp_path, scenes(2), OPTIONS, WAYS)
    assert table[["row", "decoding"]].values.tolist() == [["a", "fixed"], ["a", "PAD"]]
    variants = [Variant(name, options) for name, options in WAYS.items()]
    expected = evaluate_variants(system, scenes(2), variants, OPTIONS, errors=True).table
    np.testing.assert_equal(table[list(expected)].to_numpy(), expected.to_numpy())


def test_a_run_without_its_system_is_named(tmp_path: Path) -> None:
    (run,) = planned(["a"])
    with pytest.raises(FileNotFoundError, match="train-a is not finished"):
        trained_file(run, tmp_path)
    start_run(tmp_path, "train", {}, "train-a").finish({})
    with pytest.raises(FileNotFoundError, match=r"train-a holds 0 \.safetensors files"):
        trained_file(run, tmp_path)


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
    told = outcome(table.reset_index(), "base", unit=" in %")
    assert told == (
        "AP in % against base: up +2.8 ± 0.8 (more); same +0.2 ± 1.0 (within the spread)"
    )


def test_a_summary_can_be_read() -> None:
    lines = [
        *({"row": "base", "seed": n, "AP": v} for n, v in enumerate((40.0, 44.0, 42.0))),
        *({"row": "up", "seed": n, "AP": v} for n, v in enumerate((43.0, 46.0, 45.5))),
    ]
    table = side_by_side(summary(pd.DataFrame(lines), ["AP"], "base"), ["AP"])
    assert table.loc["AP"].to_dict() == {
        "base, 3 seeds": "42.0 ± 2.0",
        "up, 3 seeds": "44.8 ± 1.6 (+2.8 ± 0.8)",
    }
    alone = side_by_side(summary(pd.DataFrame(lines[3:4]), ["AP"], "up"), ["AP"])
    assert alone.loc["AP"].to_dict() == {"up, 1 seed": "43.0"}
    unknown = pd.DataFrame(lines).assign(AP=np.nan)
    table = side_by_side(summary(unknown, ["AP"], "base"), ["AP"])
    assert set(table.loc["AP"]) == {"nan"}


def test_few_seeds_decide_nothing() -> None:
    lines = [{"row": "a", "seed": 0, "AP": 1.0}, {"row": "b", "seed": 0, "AP": 3.0}]
    told = outcome(summary(pd.DataFrame(lines), ["AP"], "a"), "a")
    assert told == "AP against a: b +2.0 (1 seeds, too few to tell)"

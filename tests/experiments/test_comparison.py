from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from poselib.data.recipe import SceneRecipe
from poselib.engine.checkpoints import Checkpoint
from poselib.engine.evaluate import Evaluated
from poselib.experiments.comparison import (
    COMPARISONS,
    comparison_lines,
    measured_table,
    scores_of,
)
from poselib.experiments.presets import preset_named
from poselib.experiments.published import published_table
from poselib.metrics.ap import APResult
from poselib.metrics.pck import PartScores
from poselib.skeletons import COCO
from poselib.systems import build

TABLES = {table.number: table for table in COMPARISONS}
AP = APResult(*(n / 100 for n in range(1, 11)))
CROWDED = replace(AP, AP_crowd_easy=0.5, AP_crowd_medium=0.4, AP_crowd_hard=0.3)
PARTS = PartScores(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.6)


def evaluated(ap: APResult, parts: PartScores | None = None) -> Evaluated:
    return Evaluated(ap, [], [], pckh_ap=parts)


def test_what_is_measured_has_the_names_of_the_published_tables() -> None:
    found = evaluated(CROWDED, PARTS)
    for table in COMPARISONS:
        wanted = set(published_table("hae", table.number)) - {"params_m"}
        assert set(scores_of(table.protocol, found)) == wanted


def test_numbers_are_in_per_cent_and_in_their_places() -> None:
    # AP, AP50, AP75, AP_M, AP_L, AR, AR50, AR75, AR_M and AR_L are 1 to 10 %.
    found = scores_of("coco", evaluated(AP))
    assert found == pytest.approx(
        {"AP": 1, "AP50": 2, "AP75": 3, "APM": 4, "APL": 5, "AR": 6, "ARM": 9, "ARL": 10}
    )
    crowd = scores_of("crowdpose", evaluated(CROWDED))
    assert (crowd["APE"], crowd["APM"], crowd["APH"]) == pytest.approx((50, 40, 30))
    parts = scores_of("mpii", evaluated(AP, PARTS))
    assert parts["AP_head"] == pytest.approx(90) and parts["AP_total"] == pytest.approx(60)


def test_a_protocol_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="needs images that have a crowd index"):
        scores_of("crowdpose", evaluated(AP))
    with pytest.raises(ValueError, match="head sizes"):
        scores_of("mpii", evaluated(AP))


def test_drawn_scenes_take_the_place_of_a_dataset_that_is_not_at_hand() -> None:
    smoke = preset_named("smoke", "crowd")
    smoke = replace(smoke, scenes=SceneRecipe(size=64, people=(2, 2)), test_scenes=2)
    system = build("hae", COCO, **smoke.switches)
    loaded = Checkpoint(system, size=64)
    found, measured_on = measured_table(TABLES["IV"], loaded, smoke)
    assert list(found.index) == [f"poselib, hrnet_tiny, {way}" for way in
                                 ("progressive", "fixed order")]  # fmt: skip
    assert list(found) == ["params_m", "AP", "AP50", "AP75", "APE", "APM", "APH"]
    weights = sum(p.numel() for p in system.model.parameters())
    assert found["params_m"].tolist() == [weights / 1e6] * 2
    assert measured_on == "2 drawn scenes, 2 people, 64 px, network input 64 px"


def test_without_images_nothing_is_measured() -> None:
    smoke = preset_named("smoke")
    system = build("hae", COCO, **smoke.switches)
    found, measured_on = measured_table(TABLES["V"], Checkpoint(system), smoke)
    assert found.empty and measured_on == ""
    lines = comparison_lines(TABLES["V"], found, measured_on, "bundled")
    assert lines["measured"].isna().all() and lines["checkpoint"].isna().all()
    assert len(lines) == published_table("hae", "V").size


def test_published_and_measured_numbers_never_share_a_column() -> None:
    measured = pd.DataFrame({"AP": [31.0], "APM": [np.nan]}, index=["poselib, net, progressive"])
    lines = comparison_lines(TABLES["IV"], measured, "4 drawn scenes, 128 px", "bundled")
    assert (lines["published"].notna() ^ lines["measured"].notna()).all()
    ours = lines[lines["measured"].notna()]
    assert ours.to_dict("records") == [
        {"table": "IV", "row": "poselib, net, progressive", "metric": "AP",
         "published": pytest.approx(np.nan, nan_ok=True),
         "published_on": pytest.approx(np.nan, nan_ok=True), "measured": 31.0,
         "measured_on": "4 drawn scenes, 128 px", "checkpoint": "bundled"}
    ]  # fmt: skip
    theirs = lines[lines["published"].notna()]
    assert (theirs["published_on"] == TABLES["IV"].about).all()
    assert theirs["measured_on"].isna().all()
    row = theirs[(theirs["row"] == "Ours, HrHRNet-W32") & (theirs["metric"] == "AP")]
    assert row["published"].tolist() == [67.6]

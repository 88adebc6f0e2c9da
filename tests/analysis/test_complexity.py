from __future__ import annotations

import pandas as pd
import pytest

from poselib.analysis.complexity import Network, beside_published, count, grouped
from poselib.engine.complexity import Complexity, Cost
from poselib.skeletons import COCO, CROWDPOSE

PARTS = {"stem": Cost(10, 100, 100), "stage": Cost(20, 200, 250), "head": Cost(3, 30, 40)}


def test_a_network_is_counted_for_its_keypoints_and_size() -> None:
    tiny = {"backbone": "hrnet_tiny"}
    coco, crowd = (count(Network("dekr", 64, tiny), s) for s in (COCO, CROWDPOSE))
    assert coco.by_part["stage4"] == crowd.by_part["stage4"]
    # three branches more, each of 15 channels: two convolutions with affine maps, one to offsets
    branch = 2 * (9 * 15 * 15 + 9 * 15 * 6 + 6 + 2 * 15) + 2 * 15 + 2
    assert coco.by_part["head_offset"].params - crowd.by_part["head_offset"].params == 3 * branch
    larger = count(Network("dekr", 128, tiny), COCO)
    assert larger.params == coco.params and larger.macs == 4 * coco.macs
    with pytest.raises(ValueError, match="has no option 'backbon'"):
        count(Network("dekr", 64, {"backbon": "hrnet_tiny"}), COCO)


def test_parts_are_summed_by_group() -> None:
    found = Complexity(33, 330, 390, PARTS)
    groups = {"trunk": ["stem", "stage"], "relation": ["relation"], "head": ["head", "other"]}
    assert grouped(found, groups) == {
        "trunk": Cost(30, 300, 350),
        "relation": Cost(0, 0, 0),
        "head": Cost(3, 30, 40),
    }


def test_counted_numbers_stand_beside_the_published_ones() -> None:
    counted = {
        "HrHRNet": {"params_m": 63.8271, "gmac": 149.4688, "gmac_run": 149.4688},
        "DEKR48": {"params_m": 65.6846, "gmac": 141.5499, "gmac_run": 136.6399},
    }
    lines = beside_published("dekr", "3", counted, digits=1)
    assert list(lines) == ["table", "row", "metric", "published", "counted", "difference", "same"]
    assert set(lines["table"]) == {"3"} and "input_size" not in set(lines["metric"])
    line = lines.set_index(["row", "metric"])
    assert line.loc[("HrHRNet", "gmac"), "published"] == 154.3
    assert line.loc[("HrHRNet", "gmac"), "difference"] == pytest.approx(-4.8312)
    assert not line.loc[("HrHRNet", "gmac"), "same"]
    assert line.loc[("HrHRNet", "params_m"), "same"]
    assert line.loc[("DEKR48", "gmac"), "same"]  # 141.5, not 141.6
    assert pd.isna(line.loc[("DEKR48", "gmac_run"), ["published", "difference", "same"]]).all()
    assert pd.isna(line.loc[("PersonLab", "gmac"), ["counted", "difference", "same"]]).all()
    assert len(lines) == 5 * 2 + 2
    assert list(lines["row"].unique()) == ["AE-HG", "PersonLab", "HrHRNet", "DEKR32", "DEKR48"]


def test_digits_decide_what_is_the_same() -> None:
    counted = {"AA+SR": {"gmac": 45.3851}}
    same = [
        beside_published("dekr", "1", counted, digits)["same"].dropna().item() for digits in (2, 3)
    ]
    assert same == [True, False]


def test_a_row_that_the_table_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="table 3 of 'dekr' has no row 'DEKR64'"):
        beside_published("dekr", "3", {"DEKR64": {"gmac": 1.0}}, 1)

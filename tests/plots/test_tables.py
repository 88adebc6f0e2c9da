from __future__ import annotations

import pandas as pd
import pytest

from poselib.plots.tables import comparison_table, show_comparison

PUBLISHED = pd.DataFrame({"AP": [66.4, 67.3], "AR": [71.0, 72.0]}, index=["baseline", "ours"])
MEASURED = pd.DataFrame({"AP": [31.25], "AP50": [64.0]}, index=["ours"])
WHERE = {"published_on": "COCO val2017, 512 px", "measured_on": "200 synthetic scenes, 128 px"}


def test_published_and_measured_stay_apart():
    table = comparison_table(PUBLISHED, MEASURED, **WHERE)
    assert table.columns.get_level_values(0).nunique() == 2
    assert table.loc["ours", ("published: COCO val2017, 512 px", "AP")] == 67.3
    assert table.loc["ours", ("measured: 200 synthetic scenes, 128 px", "AP")] == 31.25
    assert table["measured: 200 synthetic scenes, 128 px"].loc["baseline"].isna().all()


def test_every_number_is_drawn_and_missing_ones_are_dashes():
    figure = show_comparison(PUBLISHED, MEASURED, title="table", **WHERE)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"66.4", "67.3", "71.0", "72.0", "31.2", "64.0"} <= set(texts)
    dashes = [text for text in figure.axes[0].texts if text.get_text() == "–"]
    assert [dash.get_color() for dash in dashes] == ["0.75"] * 2
    assert "measured\n200 synthetic scenes, 128 px" in texts
    (ours,) = [text for text in figure.axes[0].texts if text.get_text() == "31.2"]
    assert ours.get_fontweight() == "bold"


def test_numbers_have_as_many_digits_as_wanted():
    figure = show_comparison(PUBLISHED, MEASURED, digits=2, **WHERE)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"66.40", "67.30", "71.00", "72.00", "31.25", "64.00"} <= set(texts)
    whole = show_comparison(PUBLISHED, MEASURED, digits=0, **WHERE)
    assert {"66", "31"} <= {text.get_text() for text in whole.axes[0].texts}


def test_measured_numbers_of_other_methods_stand_below_in_the_same_columns():
    other = MEASURED.rename(index={"ours": "here"})
    texts = show_comparison(PUBLISHED, other, **WHERE).axes[0].texts
    places = {text.get_text(): text.get_position() for text in texts}
    assert [text.get_text() for text in texts].count("AP") == 1
    assert places["66.4"][0] == places["31.2"][0] == places["AP"][0]
    heading = places["measured: 200 synthetic scenes, 128 px"]
    assert places["ours"][1] < heading[1] < places["here"][1]
    assert places["64.0"] == (places["AP50"][0], places["here"][1])


def test_methods_measured_alone_are_added():
    more = pd.DataFrame({"AP": [1.0]}, index=["new"])
    assert list(comparison_table(PUBLISHED, more, **WHERE).index) == ["baseline", "ours", "new"]


def test_unclear_tables_are_refused():
    with pytest.raises(ValueError, match="which data"):
        comparison_table(PUBLISHED, MEASURED, published_on="COCO", measured_on=" ")
    twice = pd.concat([MEASURED, MEASURED])
    with pytest.raises(ValueError, match="more than one row"):
        comparison_table(PUBLISHED, twice, **WHERE)


@pytest.mark.parametrize(("value", "digits"), [(88.8, 1), (20888.8, 4)])
def test_no_text_lies_on_another_one_in_wide_tables(value: float, digits: int, no_overlap):
    metrics = ["AP", "AP50", "AP75", "shoulder", "AP_L", "AR", "AR_M", "AR_L"]
    published = pd.DataFrame(value, index=["a method, with a long backbone-104"], columns=metrics)
    measured = pd.DataFrame(value, index=["ours"], columns=metrics)
    where = (
        "200 synthetic scenes of 5 to 7 people, crowd index 0 to 1, 128 px, network input 128 px"
    )
    about = {"published_on": where, "measured_on": where, "digits": digits}
    no_overlap(show_comparison(published, measured, **about))
    no_overlap(show_comparison(published, published, **about))

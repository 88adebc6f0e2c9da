from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from poselib.plots.localization_errors import show_localization_errors

SHARES = pd.DataFrame(
    {
        "good": [50, np.nan, 50], "jitter": [25, np.nan, 25], "miss": [0, np.nan, 0],
        "inversion": [12.5, np.nan, 12.5], "swap": [12.5, np.nan, 12.5], "counted": [8, 0, 8],
    },
    index=["left_hand", "tail", "all"],
)  # fmt: skip
GAINS = pd.DataFrame({"gain": [0, 0.03, -0.002, 0.1]}, index=["nothing", "jitter", "miss", "all"])


def test_shares_follow_each_other_and_what_is_not_counted_has_no_bar() -> None:
    left, _ = show_localization_errors(SHARES, GAINS, title="Errors").axes
    bars = np.array([(bar.get_x(), bar.get_width()) for bar in left.patches]).reshape(5, 3, 2)
    assert bars[:, 0].tolist() == [[0, 50], [50, 25], [75, 0], [75, 12.5], [87.5, 12.5]]
    assert (bars[:, 1] == 0).all() and (bars[:, 2] == bars[:, 0]).all()
    assert left.get_title() == "8 keypoints of people found"
    assert [label.get_text() for label in left.get_yticklabels()] == ["left hand", "tail", "all"]
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert labels == ["good", "jitter", "miss", "inversion", "swap"]


def test_gains_are_points_in_the_colors_of_their_errors() -> None:
    left, right = show_localization_errors(SHARES, GAINS).axes
    assert [bar.get_width() for bar in right.patches] == pytest.approx([3, -0.2, 10])
    assert [text.get_text() for text in right.texts] == ["+3.0", "-0.2", "+10.0"]
    assert [label.get_text() for label in right.get_yticklabels()] == ["jitter", "miss", "all"]
    bottom, top = right.get_ylim()
    assert bottom > top and right.get_xlim()[0] <= -0.2
    of_kind = {bars.get_label(): bars.patches[0].get_facecolor() for bars in left.containers}
    jitter, miss, everything = (bar.get_facecolor() for bar in right.patches)
    assert (jitter, miss) == (of_kind["jitter"], of_kind["miss"])
    assert everything not in of_kind.values()


def test_numbers_that_do_not_exist_are_drawn_as_nothing() -> None:
    nothing = pd.DataFrame({"gain": [np.nan] * 3}, index=["nothing", "jitter", "all"])
    left, right = show_localization_errors(SHARES.assign(counted=0), nothing).axes
    assert left.get_title() == "0 keypoints of people found" and len(right.texts) == 0


def test_tables_that_lack_something_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lacks the columns \['swap'\]"):
        show_localization_errors(SHARES.drop(columns="swap"), GAINS)
    with pytest.raises(ValueError, match=r"lacks the columns \['gain'\]"):
        show_localization_errors(SHARES, GAINS.rename(columns={"gain": "AP"}))
    with pytest.raises(ValueError, match="no row"):
        show_localization_errors(SHARES.iloc[:0], GAINS)

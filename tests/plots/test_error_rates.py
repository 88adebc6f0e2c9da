from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from poselib.plots.error_rates import show_error_rates

TABLE = pd.DataFrame(
    {"good": [6, 0, 6], "swap": [2, 0, 2], "found": [3, 1, 4], "lost": [1, 0, 1]},
    index=["left_hand", "tail", "all"],
)
PREDICTED, ANNOTATED = {"good": "good", "swap": "swapped"}, {"found": "found", "lost": "lost"}


def test_bars_are_shares_that_follow_each_other() -> None:
    sheet = show_error_rates(TABLE, PREDICTED, ANNOTATED, title="What became of them")
    left, right = sheet.axes
    bars = np.array([(bar.get_x(), bar.get_width()) for bar in left.patches]).reshape(2, 3, 2)
    assert bars[0].tolist() == [[0, 75], [0, 0], [0, 75]]
    assert bars[1].tolist() == [[75, 25], [0, 0], [75, 25]]
    assert [bar.get_width() for bar in right.patches] == [75, 100, 80, 25, 0, 20]
    assert left.get_title() == "keypoints predicted, 8 in all"
    assert right.get_title() == "visible keypoints annotated, 5 in all"


def test_names_are_readable_and_run_from_the_top() -> None:
    left = show_error_rates(TABLE, PREDICTED, ANNOTATED).axes[0]
    assert [label.get_text() for label in left.get_yticklabels()] == ["left hand", "tail", "all"]
    bottom, top = left.get_ylim()
    assert bottom > top
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert labels == ["good", "swapped"]


def test_right_and_wrong_differ_in_color() -> None:
    for ax in show_error_rates(TABLE, PREDICTED, ANNOTATED).axes:
        colors = {patch.get_facecolor() for patch in ax.patches}
        assert len(colors) == 2


def test_unknown_columns_and_empty_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="one to 6 columns of"):
        show_error_rates(TABLE, {"good": "good", "bad": "bad"}, ANNOTATED)
    with pytest.raises(ValueError, match="one to 3 columns"):
        show_error_rates(TABLE, PREDICTED, {})
    with pytest.raises(ValueError, match="no row"):
        show_error_rates(TABLE.iloc[:0], PREDICTED, ANNOTATED)

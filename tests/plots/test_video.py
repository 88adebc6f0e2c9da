"""Precision over thresholds and joints over time: the numbers drawn are the numbers given."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from poselib.plots.style import LINES
from poselib.plots.video import show_joint_paths, show_thresholds

GROUPS = {"upper limbs": ["elbow", "wrist"], "all": ["total"]}
LEVELS = [0.1, 0.5, 1.0]
TIMES = np.arange(6) / 25


def pck(method: str, seed: int, reference: str, part: str, threshold: float) -> float:
    lost = 10 * (method == "b") + 3 * (part == "wrist") + 20 * (reference == "torso") + seed
    return 60 + 30 * threshold - lost


@pytest.fixture
def curves() -> pd.DataFrame:
    keys = ["method", "seed", "reference", "part", "threshold"]
    every = product("ab", (0, 2), ("torso", "person"), ("elbow", "wrist", "total"), LEVELS)
    return pd.DataFrame(
        [dict(zip((*keys, "PCK"), (*one, pck(*one)), strict=True)) for one in every]
    )


def thresholds(curves: pd.DataFrame, **more: Any) -> Figure:
    return show_thresholds(curves, **{"groups": GROUPS, "methods": ["b", "a", "c"], **more})


def lines(ax: Axes) -> list[Line2D]:
    return [line for line in ax.get_lines() if len(line.get_xdata())]


def test_a_line_is_the_mean_over_seeds_of_a_part(curves: pd.DataFrame) -> None:
    figure = thresholds(curves)
    for ax, reference, parts in zip(
        figure.axes, ("torso", "torso", "person", "person"), [*GROUPS.values()] * 2, strict=True
    ):
        drawn = {(line.get_color(), line.is_dashed()): line.get_ydata() for line in lines(ax)}
        assert len(drawn) == 2 * len(parts)
        for (number, method), part in product(enumerate("ba"), parts):
            mean = [pck(method, 1, reference, part, level) for level in LEVELS]
            np.testing.assert_allclose(drawn[LINES[number], part == "wrist"], mean)
        np.testing.assert_allclose(lines(ax)[0].get_xdata(), LEVELS)


def test_the_legend_has_the_methods_that_are_drawn(
    curves: pd.DataFrame, no_overlap: Callable[[Figure], None]
) -> None:
    figure = thresholds(curves, title="PCK by threshold")
    (legend,) = figure.legends
    colors = {
        t.get_text(): line.get_color()
        for t, line in zip(legend.texts, legend.get_lines(), strict=True)
    }
    assert colors == {"b": LINES[0], "a": LINES[1]}
    parts = [text.get_text() for text in figure.axes[2].get_legend().texts]
    assert parts == ["elbow", "wrist"]
    no_overlap(figure)


def test_a_part_without_labeled_joints_has_no_line(curves: pd.DataFrame) -> None:
    curves.loc[curves["part"] == "wrist", "PCK"] = np.nan
    assert {line.is_dashed() for line in lines(thresholds(curves).axes[0])} == {False}


def test_what_cannot_be_drawn_over_thresholds_is_refused(curves: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"lacks the columns \['seed'\]"):
        thresholds(curves.drop(columns="seed"))
    with pytest.raises(ValueError, match="at most 7 methods and 4 parts"):
        thresholds(curves, methods=list("abcdefgh"))
    with pytest.raises(ValueError, match="at most 7 methods and 4 parts"):
        thresholds(curves, groups={"many": list("abcde")})


@pytest.fixture
def paths() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {joint: rng.uniform(0, 128, (6, 2)) for joint in ("left_wrist", "nose")}


def test_paths_are_drawn_joint_by_joint(paths: dict[str, np.ndarray]) -> None:
    ways = {
        "raw": {k: v + 1 for k, v in paths.items()},
        "smooth": {k: v - 1 for k, v in paths.items()},
    }
    figure = show_joint_paths(TIMES, paths, ways, title="joints over time")
    places = [(joint, side) for joint in paths for side in (0, 1)]
    for ax, (joint, side) in zip(figure.axes, places, strict=True):
        assert ax.get_title() == joint.replace("_", " ")
        assert ax.get_ylabel() == f"{'xy'[side]}, px"
        for line, all_paths in zip(ax.get_lines(), (paths, *ways.values()), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), TIMES)
            np.testing.assert_array_equal(line.get_ydata(), all_paths[joint][:, side])
    names = [text.get_text() for text in figure.legends[0].texts]
    assert names == ["annotated", "raw", "smooth"]


def test_a_legend_is_no_wider_than_the_figure(paths: dict[str, np.ndarray]) -> None:
    ways = {f"{method}, by a filter of some name": paths for method in ("video", "image")}
    figure = show_joint_paths(
        TIMES, paths, {**ways, **{f"{way} {n}": paths for way in ways for n in "12"}}
    )
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1


def test_paths_that_do_not_fit_are_refused(paths: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="a joint or more"):
        show_joint_paths(TIMES, {}, {})
    with pytest.raises(
        ValueError, match=r"raw: there is no path of nose, only of \['left_wrist'\]"
    ):
        show_joint_paths(TIMES, paths, {"raw": {"left_wrist": paths["left_wrist"]}})
    short = {joint: path[1:] for joint, path in paths.items()}
    with pytest.raises(ValueError, match=r"raw: left_wrist must be \(6, 2\), not \(5, 2\)"):
        show_joint_paths(TIMES, paths, {"raw": short})

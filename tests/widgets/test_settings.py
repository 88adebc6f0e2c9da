"""Settings of explorers: values that controls can have, and the code that gives them again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("anywidget")

import ipywidgets as ipw

from poselib.widgets.settings import as_code, as_text, plain, reach, set_control

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-9, "1e-09"),
        (INF, "float('inf')"),
        ((0.5, -INF), "(0.5, float('-inf'))"),
        (("nose",), "('nose',)"),
        ((), "()"),
        (True, "True"),
        ("it's", '"it\'s"'),
    ],
)
def test_code_is_python_and_gives_exactly_the_same(value: Any, code: str) -> None:
    assert as_text(value) == code and eval(code) == value
    assert math.isnan(eval(as_text(NAN)))
    control = ipw.Text()
    assert as_code({"a": value}, {"a": "other"}, {"a": control}) == [f"a={code}"]


def test_values_of_other_types_are_those_of_python() -> None:
    for given, expected in (
        (np.float64(0.5), 0.5),
        (np.array([1, 2]), (1, 2)),
        (["nose", np.int64(3)], ("nose", 3)),
        (Path("a.png"), "a.png"),
        (np.array(2.0), 2.0),
    ):
        found = plain(given)
        assert found == expected and type(found) is type(expected)
    several = ipw.SelectMultiple(options=["nose", "left_eye"])
    set_control(several, "keypoints", ["nose"])
    file = ipw.Text()
    set_control(file, "file", Path("a.png"))
    assert several.value == ("nose",) and file.value == "a.png"


@pytest.mark.parametrize(
    ("control", "value", "message"),
    [
        (ipw.FloatSlider(0.5, min=0, max=1), 3.0, "a must be from 0.0 to 1.0, not 3.0"),
        (ipw.FloatSlider(0.5, min=0, max=1), NAN, "a must be from 0.0 to 1.0, not nan"),
        (ipw.FloatSlider(0.5, min=0, max=1), "x", "cannot be 'x'; it must be from 0.0 to 1.0"),
        (ipw.FloatRangeSlider(value=(0, 1), min=0, max=1), (NAN, 1.0), r"not \(nan, 1.0\)"),
        (ipw.IntRangeSlider(value=(0, 3), min=0, max=3), (3, 1), "the lower one first"),
        (ipw.FloatLogSlider(1.0, min=-2, max=2), 0.001, "from 0.01 to 100.0, not 0.001"),
        (ipw.IntSlider(1, 0, 3), 1.5, "a whole number from 0 to 3, not 1.5"),
        (ipw.IntText(1), 1.5, "a must be a whole number, not 1.5"),
        (ipw.Dropdown(options=["", "hae"]), None, "a cannot be None; known: '', hae"),
        (ipw.Dropdown(options=["", "hae"]), "dekr", "a cannot be 'dekr'; known: '', hae"),
        (ipw.Checkbox(True), "yes", "a cannot be 'yes'; it must be True or False"),
        (ipw.Text("old"), 5, "a cannot be 5; it must be a text"),
    ],
)
def test_a_control_that_cannot_have_a_value_says_so_and_keeps_its_own(
    control: Any, value: Any, message: str
) -> None:
    before = control.value
    with pytest.raises(ValueError, match=message):
        set_control(control, "a", value)
    assert control.value == before


def test_sliders_stay_finite() -> None:
    controls = {name: ipw.FloatSlider(0.5, min=0, max=1) for name in "abcd"}
    reach(controls, {"a": INF, "b": NAN, "c": "much", "d": np.float64(3.0)})
    assert [controls[name].max for name in "abcd"] == [1, 1, 1, 3]

"""Settings of a dataset's explorer, and their controls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets as ipw

from poselib.analysis.image_filter import ORDERS, ImageIndex
from poselib.papers.preset_names import PRESETS
from poselib.plots.style import display_name
from poselib.skeletons import Skeleton
from poselib.systems import SYSTEMS
from poselib.widgets.contact_tiles import PAGE
from poselib.widgets.sample_view import HEATMAPS, TARGETS
from poselib.widgets.settings import plain

FIRST = -1
SHOWN = "shown"  # the control, without a setting, of the image that is shown large
FILTERS = ("people", "crowding", "labeled", "keypoints", "size", "order")
RANGES = ("people", "crowding", "size")
SECTIONS = {
    "Images": (*FILTERS, "page", SHOWN),
    "Annotation": ("poses", "boxes", "numbers", "ignored"),
    "Training": ("augment", "seed", "epoch", "preset", "system", "target", "keypoint", "person"),
}
_STEP = 0.05  # of the crowd index


@dataclass(frozen=True)
class DatasetSettings:
    """What a dataset's explorer shows.

    Attributes:
        people: fewest and most labeled people of an image; None is all.
        crowding: lowest and highest crowd index; None is all.
        labeled: keypoints that are labeled of one of its people, at least.
        keypoints: names of keypoints that are all labeled of one of its people.
        size: smallest and largest size of one of its people, the square root of the area, px.
        order: "as is", "most people", "most crowded" or "smallest person".
        page: from 1.
        image: position in the dataset of the image shown large; -1 is the first of the page.
        poses, boxes, numbers, ignored: whether these are drawn; numbers are those of people and
            tracks and the size.
        augment: show it as a training sees it.
        seed, epoch: of the training; what is drawn follows from them.
        preset: of the training; empty is "small" for synthetic scenes and "paper" for others.
        system: whose training, and whose targets are shown; empty for none.
        target: "heatmaps", "centers" or "offsets".
        keypoint: of the target; empty for all.
        person: who is cropped for networks of one person.
    """

    people: tuple[int, int] | None = None
    crowding: tuple[float, float] | None = None
    labeled: int = 0
    keypoints: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    order: str = "as is"
    page: int = 1
    image: int = FIRST
    poses: bool = True
    boxes: bool = False
    numbers: bool = False
    ignored: bool = True
    augment: bool = False
    seed: int = 0
    epoch: int = 0
    preset: str = ""
    system: str = ""
    target: str = HEATMAPS
    keypoint: str = ""
    person: int = 0


def make_controls(index: ImageIndex, skeleton: Skeleton) -> dict[str, Any]:
    """Return the controls by the names of settings, with the ranges of a dataset.

    The setting ``image`` may be no image in particular: a control of its own says which is shown.
    """
    images, most = len(index), int(index.people.max(initial=0))
    crowded = math.ceil(index.crowding.max(initial=0) / _STEP) * _STEP
    finite = index.sizes[index.sizes < math.inf]
    largest = math.ceil(finite.max(initial=0))
    names = [(display_name(name), name) for name in skeleton.keypoints]
    systems = [("no system", ""), *((name, name) for name in SYSTEMS)]
    late: dict[str, Any] = {"continuous_update": False}
    crowding = {"max": max(_STEP, crowded), "step": _STEP, "description": "crowd index"}
    return {
        "people": _range(ipw.IntRangeSlider, max=max(1, most), description="people"),
        "crowding": _range(ipw.FloatRangeSlider, **crowding),
        "labeled": ipw.IntSlider(0, 0, len(skeleton), description="labeled ≥", **late),
        "keypoints": ipw.SelectMultiple(options=names, rows=4, description="with all of"),
        "size": _range(ipw.IntRangeSlider, max=max(1, largest), description="√area, px"),
        "order": ipw.Dropdown(options=list(ORDERS), description="sort"),
        "page": _number(1, max(1, -(-images // PAGE)), "page", at=1),
        "image": _number(FIRST, images - 1, "image", at=FIRST),
        SHOWN: _number(0, images - 1, "image", tip="its position in the dataset"),
        "poses": _check(True, "poses"),
        "boxes": _check(False, "boxes"),
        "numbers": _check(False, "numbers and sizes"),
        "ignored": _check(True, "ignored regions"),
        "augment": _check(False, "augment"),
        "seed": _number(0, 2**31 - 1, "seed"),
        "epoch": _number(0, 10**6, "epoch"),
        "preset": ipw.Dropdown(options=list(PRESETS), description="preset"),
        "system": ipw.Dropdown(options=systems, description="targets of"),
        "target": ipw.Dropdown(options=TARGETS, description="target"),
        "keypoint": ipw.Dropdown(options=[("all", ""), *names], description="keypoint"),
        "person": _number(0, max(0, most - 1), "person"),
    }


def resolved(
    settings: Mapping[str, Any], controls: Mapping[str, Any], preset: str
) -> dict[str, Any]:
    """Return settings in which every default has its value.

    Args:
        preset: the usual one of the dataset.
    """
    usual: dict[str, Any] = {name: (0, controls[name].max) for name in RANGES}
    usual["preset"] = preset
    given = {name: value for name, value in settings.items() if name not in usual or value}
    for name in given.keys() & set(RANGES):  # they may end beyond the dataset, not begin there
        most, value = usual[name][1], plain(given[name])
        if (
            not isinstance(value, tuple)
            or [type(each) in (int, float) for each in value] != [True] * 2
        ):
            raise ValueError(f"{name} must be two numbers, lowest and highest, not {value!r}")
        low, high = value
        given[name] = (low, high if low > most else min(high, most))
    return {**usual, **given}


def show_fitting(controls: Mapping[str, Any], one_person: bool) -> None:
    """Hide the controls of a training that change nothing as the others are set."""
    augment, system = controls["augment"].value, bool(controls["system"].value)
    fitting = {
        "seed": augment,
        "epoch": augment,
        "preset": augment or system,
        "target": system,
        "keypoint": system,
        "person": one_person,
    }
    for name, fits in fitting.items():
        display = None if fits else "none"
        if controls[name].layout.display != display:
            controls[name].layout.display = display


def _range(kind: Any, **options: Any) -> Any:
    return kind(value=(0, options["max"]), min=0, continuous_update=False, **options)


def _number(low: int, high: int, name: str, at: int = 0, tip: str = "") -> ipw.BoundedIntText:
    return ipw.BoundedIntText(at, min=low, max=high, description=name, tooltip=tip or None)


def _check(value: bool, description: str) -> ipw.Checkbox:
    return ipw.Checkbox(value, description=description, indent=False)

"""The controls of an explorer that decode heatmaps and tags: how peaks are grouped into people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import ipywidgets as ipw

from poselib.decoders.associative import AssociativeOptions
from poselib.decoders.grouping import DistanceReduction, ProgressiveUnit, TieRule
from poselib.decoders.keypoint_order import ORDERS, keypoint_order
from poselib.skeletons import Skeleton
from poselib.widgets.settings import reach

PROGRESSIVE, OWN = "progressive", "the model's own"
SECOND = "second_"  # before the names of the controls of a second decoding
_GROUPING = (
    "detection_threshold",
    "tag_threshold",
    "progressive_unit",
    "distance_reduction",
    "tie_rule",
    "round_distance",
    "threshold_before_assignment",
)
DECODING = ("order", *_GROUPING, "max_people", "resolution", "refine")


@dataclass(frozen=True)
class DecodingSettings:
    """How keypoints are grouped; None is what the model's own options say.

    Attributes:
        order: "progressive", or a fixed order of the keypoint types.
        detection_threshold, tag_threshold, progressive_unit, distance_reduction, tie_rule,
        round_distance, threshold_before_assignment: see ``decoders.grouping.GroupingOptions``.
        max_people: that keypoints are compared with; 0 for all.
        resolution, refine: see ``decoders.associative.AssociativeOptions``.
        second_order, ...: the same of a second decoding to compare with; by default in a fixed
            order where the first is progressive, and progressive where it is not.
    """

    order: str | None = None
    detection_threshold: float | None = None
    tag_threshold: float | None = None
    progressive_unit: str | None = None
    distance_reduction: str | None = None
    tie_rule: str | None = None
    round_distance: bool | None = None
    threshold_before_assignment: bool | None = None
    max_people: int | None = None
    resolution: str | None = None
    refine: bool | None = None
    second_order: str | None = None
    second_detection_threshold: float | None = None
    second_tag_threshold: float | None = None
    second_progressive_unit: str | None = None
    second_distance_reduction: str | None = None
    second_tie_rule: str | None = None
    second_round_distance: bool | None = None
    second_threshold_before_assignment: bool | None = None
    second_max_people: int | None = None
    second_resolution: str | None = None
    second_refine: bool | None = None


def own_settings(options: AssociativeOptions, skeleton: Skeleton) -> dict[str, Any]:
    """Return the settings of both decodings that a model's own options mean."""
    values = {name: getattr(options.grouping, name) for name in _GROUPING}
    values |= {"resolution": options.resolution, "refine": options.refine}
    values["max_people"] = options.grouping.max_people or 0
    values["order"] = PROGRESSIVE
    if not isinstance(options.order, str):
        known = {keypoint_order(skeleton, name): name for name in reversed(orders(skeleton))}
        values["order"] = known.get(tuple(options.order), OWN)
    other = "dataset" if values["order"] == PROGRESSIVE else PROGRESSIVE
    second = {SECOND + name: value for name, value in {**values, "order": other}.items()}
    return {**values, **second}


def orders(skeleton: Skeleton) -> list[Any]:
    """Return the names of the fixed orders that are defined for a skeleton."""
    found = []
    for name in ORDERS:
        try:
            keypoint_order(skeleton, name)
        except ValueError:  # the height of a keypoint is not known
            continue
        found.append(name)
    return found


def decoding_of(
    values: Mapping[str, Any], own: AssociativeOptions, skeleton: Skeleton, prefix: str = ""
) -> AssociativeOptions:
    """Return the options of the decoding that settings mean.

    Args:
        own: those of the model, for what there is no setting of.
        prefix: ``SECOND`` for the second decoding.
    """
    chosen = {name: values[prefix + name] for name in DECODING}
    grouping = replace(
        own.grouping,
        max_people=chosen["max_people"] or None,
        **{name: chosen[name] for name in _GROUPING},
    )
    order: Any = chosen["order"]
    if order == OWN:
        order = own.order if isinstance(own.order, str) else tuple(own.order)
    elif order != PROGRESSIVE:
        order = keypoint_order(skeleton, order)
    shown = {name: chosen[name] for name in ("resolution", "refine")}
    return replace(own, order=order, grouping=grouping, **shown)


def decoding_controls(
    skeleton: Skeleton, own: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the controls of both decodings, by the name of their setting.

    Args:
        own: of the model, see ``own_settings``.
        asked: settings that the controls have to reach, such as those of another model before.
    """
    controls: dict[str, Any] = {}
    for prefix in ("", SECOND):
        made: dict[str, Any] = {
            "order": ipw.Dropdown(options=(PROGRESSIVE,), description="order"),
            "detection_threshold": _slider(
                1.0, 0.01, "peaks above", "lowest heatmap value of a peak"
            ),
            "tag_threshold": _slider(
                5.0, 0.05, "tags within", "largest tag distance to the mean of a person"
            ),
            "progressive_unit": _choice(ProgressiveUnit, "a step is a", "of progressive decoding"),
            "distance_reduction": _choice(
                DistanceReduction, "nearest by", "distance of a type: of Eq. 18, or a mean"
            ),
            "tie_rule": _choice(TieRule, "tie rule", "which of several equal assignments"),
            "round_distance": _check("round distances", "cost of a pair as in official code"),
            "threshold_before_assignment": _check(
                "threshold first", "before the assignment, not after it as in official code"
            ),
            "max_people": ipw.BoundedIntText(
                0, 0, 1000, description="max. people", tooltip="compared with; 0: all"
            ),
            "resolution": ipw.Dropdown(options=("image", "map"), description="decode at"),
            "refine": _check("refinement", "look for the keypoints that a person lacks"),
        }
        controls |= {prefix + name: control for name, control in made.items()}
    suit_decoding(controls, own, skeleton)
    reach(controls, asked)
    return controls


def suit_decoding(controls: Mapping[str, Any], own: Mapping[str, Any], skeleton: Skeleton) -> None:
    """Let the controls of both decodings have what is a model's own, see ``own_settings``."""
    offered = (PROGRESSIVE, *orders(skeleton), *((OWN,) if own["order"] == OWN else ()))
    for name in own:
        if name.endswith("order"):
            controls[name].options = offered
    reach(controls, own)


def _slider(top: float, step: float, description: str, tooltip: str) -> Any:
    slider = ipw.FloatSlider(0.0, min=0.0, max=top, step=step, description=description)
    slider.tooltip = tooltip
    return slider


def _choice(kind: Any, description: str, tooltip: str) -> Any:
    return ipw.Dropdown(options=get_args(kind), description=description, tooltip=tooltip)


def _check(description: str, tooltip: str) -> Any:
    return ipw.Checkbox(description=description, indent=False, tooltip=tooltip)

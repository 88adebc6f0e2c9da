"""Settings and controls of the explorer of regressed poses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import ipywidgets as ipw

from poselib.analysis.local_filters import can_adapt
from poselib.analysis.regressed_people import Options
from poselib.decoders.local_global import LocalGlobalOptions, Prior
from poselib.engine.export.network import ExportedNetwork
from poselib.skeletons import COCO, Skeleton
from poselib.systems import System
from poselib.widgets.images import NAMES, ImageSettings
from poselib.widgets.settings import reach

CENTERS, HEATMAP = "center map", "keypoint heatmap"
SALIENCY, ACTIVATED, FILTER = "saliency", "activated pixels", "local filter"
VIEWS = (CENTERS, HEATMAP, SALIENCY, ACTIVATED, FILTER)
DECODING = ("center_threshold", "nms_distance", "min_score", "prior", "match")
SECTIONS = {
    "Model and image": ("model", *NAMES, "flip"),
    "What is looked into": ("view", "guided", "keypoint", "person", "cell", "truth"),
    "Decoding": DECODING,
}
_PREFERRED = ("left_wrist", "left_ankle")  # far from the center, and often wrong


@dataclass(frozen=True)
class RegressionSettings(ImageSettings):
    """What the explorer of regressed poses shows; None and empty stand for the system's own.

    Attributes:
        model: name or file of the model; empty for the one given.
        view: the map under the arrows.
        keypoint: name of the keypoint that is looked into; empty for a wrist.
        person: number of the person, from 1, the one with the highest score.
        cell: column and row of the cell whose pose is shown instead, as "12, 7".
        truth: whether annotations are shown, where they are known.
        guided: whether the saliency is that of guided backpropagation.
        center_threshold, nms_distance: as in ``decoders.center_options.CenterOptions``.
        min_score: people with a lower score are not drawn.
        prior: see ``decoders.local_global.LocalGlobalOptions``.
        match: see ``decoders.regression.RegressionOptions``.
        flip: average with the outputs of the mirrored image; saliency and activated pixels are
            those of the image itself.
    """

    model: str = ""
    view: str = CENTERS
    keypoint: str = ""
    person: int = 1
    cell: str = ""
    truth: bool = True
    guided: bool = False
    center_threshold: float | None = None
    nms_distance: float | None = None
    min_score: float | None = None
    prior: str = ""
    match: bool | None = None
    flip: bool = False


def control_widgets() -> dict[str, Any]:
    """Return the controls by the names of their settings, without those of model and image."""
    unit = {"min": 0.0, "max": 1.0, "step": 0.01, "readout_format": ".2f"}
    return {
        "flip": ipw.Checkbox(
            False,
            description="flip testing",
            indent=False,
            tooltip="average with the mirrored image",
        ),
        "view": ipw.Dropdown(options=VIEWS, description="view"),
        "guided": ipw.Checkbox(False, description="guided backpropagation", indent=False),
        "keypoint": ipw.Dropdown(options=COCO.keypoints, description="keypoint"),
        "person": ipw.IntSlider(1, 1, 30, description="person", tooltip="by score, from 1"),
        "cell": ipw.Text(
            "", description="cell", placeholder="column, row", continuous_update=False
        ),
        "truth": ipw.Checkbox(True, description="annotations", indent=False),
        "center_threshold": ipw.FloatSlider(
            0.01, description="min. center", tooltip="lowest score of a center", **unit
        ),
        "nms_distance": ipw.FloatSlider(
            0.05,
            description="pose NMS",
            tooltip="distance of duplicates, in diagonals of a pose",
            **unit,
        ),
        "min_score": ipw.FloatSlider(
            0.1, description="min. score", tooltip="lowest score of a person who is drawn", **unit
        ),
        "prior": ipw.Dropdown(options=get_args(Prior), description="adapt by"),
        "match": ipw.Checkbox(False, description="match heatmap peaks", indent=False),
    }


def suit_controls(controls: Mapping[str, Any], system: System) -> None:
    """Offer the keypoints and views of a system, and show the controls that it has a use for."""
    keypoints = system.skeleton.keypoints
    if tuple(controls["keypoint"].options) != keypoints:
        kept = controls["keypoint"].value
        controls["keypoint"].options = keypoints
        controls["keypoint"].value = keypoints[keypoint_index(kept, system.skeleton)]
    views = views_of(system)
    if tuple(controls["view"].options) != views:
        kept = controls["view"].value
        controls["view"].options = views
        controls["view"].value = kept if kept in views else CENTERS
    options: Options = system.decode_options
    controls["person"].max = options.max_people
    reach({name: controls[name] for name in DECODING}, own_settings(system))
    adapts = isinstance(options, LocalGlobalOptions)
    controls["prior"].layout.display = None if can_adapt(system) else "none"
    controls["match"].layout.display = "none" if adapts else None


def views_of(system: System) -> tuple[str, ...]:
    """Return the views that a system has something to show in."""
    taps = (ACTIVATED,) if hasattr(system.model, "taps") else ()
    exported = isinstance(system.model, ExportedNetwork)
    saliency = () if exported else (SALIENCY,)  # a graph of ONNX has no gradients
    return (CENTERS, HEATMAP, *saliency, *taps, *((FILTER,) if can_adapt(system) else ()))


def keypoint_index(name: str, skeleton: Skeleton) -> int:
    """Return the index of a keypoint, or of a usual one if the skeleton lacks it."""
    known = [each for each in (name, *_PREFERRED) if each in skeleton.keypoints]
    return skeleton.index(known[0]) if known else len(skeleton) - 1


def own_settings(system: System | None) -> dict[str, Any]:
    """Return the settings that the system's own stand for, by name."""
    if system is None:
        own = {"keypoint": _PREFERRED[0], "prior": "both", "match": False}
        return {**own, "center_threshold": 0.01, "nms_distance": 0.05, "min_score": 0.1}
    options: Options = system.decode_options
    own = {
        "keypoint": system.skeleton.keypoints[keypoint_index("", system.skeleton)],
        "center_threshold": options.center_threshold,
        "min_score": system.visualization_threshold,
    }
    if isinstance(options, LocalGlobalOptions):
        return {**own, "prior": options.prior, "match": False, "nms_distance": options.nms_distance}
    distance = options.distance_of(1)
    return {**own, "prior": "both", "match": options.match, "nms_distance": distance}


def options_of(values: Mapping[str, Any], system: System) -> Options:
    """Return the system's options of decoding with those that are set."""
    options: Options = system.decode_options
    names = ["center_threshold", "nms_distance"]
    if isinstance(options, LocalGlobalOptions):
        return replace(options, **{name: values[name] for name in [*names, "prior"]})
    return replace(options, **{name: values[name] for name in [*names, "match"]})


def parse_cell(text: str, size: tuple[int, int]) -> tuple[int, int]:
    """Return column and row; raises ValueError unless they are of a cell in (h, w)."""
    parts = text.replace(",", " ").split()
    if len(parts) == 2 and all(part.isdecimal() for part in parts):
        column, row = int(parts[0]), int(parts[1])
        if column < size[1] and row < size[0]:
            return column, row
    raise ValueError(
        f"cell must be a column below {size[1]} and a row below {size[0]}, such as 3, 4, "
        f"not {text!r}"
    )

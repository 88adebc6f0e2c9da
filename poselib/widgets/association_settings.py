"""Settings and controls of the explorer of association."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets as ipw

from poselib.engine.inference import PredictOptions
from poselib.plots.poses import MIN_SCORE
from poselib.plots.style import display_name
from poselib.skeletons import Skeleton
from poselib.widgets.association_image import MAPS
from poselib.widgets.association_sides import ALL
from poselib.widgets.decoding import DECODING, SECOND, DecodingSettings
from poselib.widgets.images import NAMES, ImageSettings

END = 9999  # the last step, until it is known how many there are
_SCALES = ("1", "1, 0.5", "1, 0.5, 2")
_USUAL = ("order", "detection_threshold", "tag_threshold", "refine")
_PAPER = "background:#fff;color:#212126;padding:0 8px;border-radius:3px;font-size:12px"
_MARKS = " &emsp; ".join(
    f'<span style="color:{color};font-weight:bold">{sign}</span> {text}'
    for color, sign, text in (
        ("#cc1a1f", "&#9711;", "went to the wrong person"),
        ("#7300d9", "&#9711;", "differs between the decodings"),
        ("inherit", "&#9711;", "grouped in this step, or chosen (large)"),
        ("inherit", "&#8729;", "a peak that waits"),
    )
)
_TAGS = "each dot of a person has the color of the person it lies on; red rings are outliers"
# On white, as the pictures are in any theme.
LEGEND = f'<div style="{_PAPER}">{_MARKS}<br>Tags: {_TAGS}</div>'


@dataclass(frozen=True)
class AssociationSettings(DecodingSettings, ImageSettings):
    """What the explorer of association shows.

    Attributes:
        model: its name or file; empty for the one given.
        size: short side of the network input, px; 0 for the model's own.
        scales: factors of it, such as "1, 0.5"; empty for the model's own.
        flip: average with the mirrored image; None for what the model does.
        map_shown: "image", "heatmap" or "tags".
        keypoint: whose map is shown, or "all".
        person: number of the person whose keypoint is explained; 0 for none.
        step: how many steps are done; -1 for all.
        poses: whether people are drawn.
        min_score: heatmap values up to which keypoints are left out.
        compare: show the second decoding beside the first.
        side: "first" or "second": the decoding whose distances and tags are shown.
    """

    scene: int = 21  # of which the bundled model groups some keypoints wrongly
    people: int = 4
    model: str = ""
    size: int = 0
    scales: str = ""
    flip: bool | None = None
    map_shown: str = MAPS[0]
    keypoint: str = ALL
    person: int = 0
    step: int = -1
    poses: bool = True
    min_score: float = MIN_SCORE
    compare: bool = False
    side: str = "first"


SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Image": NAMES,
    "Model": ("model", "size", "scales", "flip"),
    "Shown": ("map_shown", "keypoint", "person", "poses", "min_score"),
    "Decoding": _USUAL,
    "More of the decoding": tuple(name for name in DECODING if name not in _USUAL),
    "Compare with a second decoding": ("compare", *(SECOND + name for name in DECODING)),
}
FOLDED = tuple(SECTIONS)[4:]


def view_controls(skeleton: Skeleton, scales: str) -> dict[str, Any]:
    """Return the controls that are neither of the image nor of the decoding, nor ``model``.

    Args:
        scales: the model's own.
    """
    score = ipw.FloatSlider(0.0, min=0.0, max=1.0, step=0.01, description="scores above")
    return {
        "size": ipw.BoundedIntText(
            0, 0, 2048, step=32, description="short side", tooltip="px; 0: the model's own"
        ),
        "scales": ipw.Dropdown(
            options=tuple(dict.fromkeys((scales, *_SCALES))), description="scales"
        ),
        "flip": ipw.Checkbox(description="average with the mirrored image", indent=False),
        "map_shown": ipw.Dropdown(options=MAPS, description="show"),
        "keypoint": ipw.Dropdown(options=keypoint_options(skeleton), description="keypoint"),
        "person": ipw.BoundedIntText(0, 0, 999, description="of person", tooltip="0: none"),
        "poses": ipw.Checkbox(description="poses", indent=False),
        "min_score": score,
        "step": ipw.IntSlider(END, 0, END, description="step"),
        "compare": ipw.Checkbox(description="show it beside the first", indent=False),
        "side": ipw.ToggleButtons(options=("first", "second"), description="charts of"),
    }


def shown_by(options: PredictOptions) -> dict[str, Any]:
    """Return the settings that a predictor's own options stand for."""
    scales = ", ".join(f"{scale:g}" for scale in options.scales)
    return {"flip": options.flip, "scales": scales}


def keypoint_options(skeleton: Skeleton) -> list[tuple[str, str]]:
    """Return what the control of the keypoint offers, as it is shown and as it is set."""
    return [("all", ALL), *((display_name(name), name) for name in skeleton.keypoints)]

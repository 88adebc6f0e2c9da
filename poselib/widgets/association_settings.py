"""Settings and controls of the explorer of association."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as ipw

from poselib.engine.inference import PredictOptions
from poselib.plots.poses import MIN_SCORE
from poselib.plots.style import display_name
from poselib.skeletons import Skeleton
from poselib.widgets.association_image import MAPS
from poselib.widgets.association_sides import ALL
from poselib.widgets.decoding import DECODING, DecodingSettings, suit_decoding
from poselib.widgets.images import NAMES, ImageSettings

END = 9999  # the last step, until it is known how many there are
_SCALES = ("1", "1, 0.5", "1, 0.5, 2")
_USUAL = ("order", "detection_threshold", "tag_threshold", "refine")
# On white, as the pictures are in any theme. Red means the wrong person, and nothing else.
_PAPER = "background:#fff;color:#212126;padding:0 8px;border-radius:3px;font-size:12px"
_MARKS = {
    "on the image": (
        ("#cc1a1f", "&#9711;", "went to the wrong person"),
        ("#7300d9", "&#9711;", "differs between the decodings"),
        ("inherit", "&#9711;", "grouped in this step, or chosen (large)"),
        ("inherit", "&#8729;", "a peak that waits"),
    ),
    "distances": (("inherit", "&#9675;", "the type that the step groups"),),
    "tags": (
        ("inherit", "&#9679;", "in the color of the person it lies on"),
        ("#cc1a1f", "&#9711;", "of the wrong person"),
        ("inherit", "&#9633;", "outlier of its person"),
        ("inherit", "&#9671;", "mean"),
    ),
}
_ROWS = "<br>".join(
    f"{where}: "
    + " &emsp; ".join(
        f'<span style="color:{color};font-weight:bold">{sign}</span> {text}'
        for color, sign, text in marks
    )
    for where, marks in _MARKS.items()
)
LEGEND = f'<div style="{_PAPER}">{_ROWS}</div>'
MATRIX = "distance of types to people (Eq. 18): yellow near, dark far, dot: grouped in the step"
STRIPS = "tags by person: diamonds are means, squares outliers, gray is within the threshold"


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
}
FOLDED = tuple(SECTIONS)[4:]


def view_controls(skeleton: Skeleton, scales: Sequence[str]) -> dict[str, Any]:
    """Return the controls that are neither of the image nor of the decoding, nor ``model``.

    Args:
        scales: the model's own, and those that are asked for.

    Raises:
        ValueError: scales are no positive numbers with 1 among them.
    """
    for text in scales:
        parse_scales(text)
    score = ipw.FloatSlider(0.0, min=0.0, max=1.0, step=0.01, description="scores above")
    return {
        "size": ipw.BoundedIntText(
            0, 0, 2048, step=32, description="short side", tooltip="px; 0: the model's own"
        ),
        "scales": ipw.Dropdown(
            options=tuple(dict.fromkeys((*scales, *_SCALES))), description="scales"
        ),
        "flip": ipw.Checkbox(
            description="flip testing", indent=False, tooltip="average with the mirrored image"
        ),
        "map_shown": ipw.Dropdown(options=MAPS, description="show"),
        "keypoint": ipw.Dropdown(options=keypoint_options(skeleton), description="keypoint"),
        "person": ipw.BoundedIntText(0, 0, 999, description="of person", tooltip="0: none"),
        "poses": ipw.Checkbox(description="poses", indent=False),
        "min_score": score,
        "step": ipw.IntSlider(END, 0, END, description="step"),
        "compare": ipw.Checkbox(description="compare with a second decoding", indent=False),
        "side": ipw.ToggleButtons(
            options=("first", "second"),
            description="charts of",
            style={"button_width": "7em"},
            layout={"flex": "0 0 auto", "min_width": "30em"},
        ),
    }


def shown_by(options: PredictOptions) -> dict[str, Any]:
    """Return the settings that a predictor's own options stand for."""
    return {"flip": options.flip, "scales": scales_text(options.scales)}


def scales_text(scales: Any) -> str:
    """Return scales as their control has them: a text is one, and numbers keep all digits."""
    if isinstance(scales, str):
        return scales
    try:
        return ", ".join(f"{float(scale)!r}".removesuffix(".0") for scale in scales)
    except (TypeError, ValueError):
        raise ValueError(f"scales must be numbers, such as '1, 0.5', not {scales!r}") from None


def parse_scales(text: str) -> tuple[float, ...]:
    """Return the scales that a text states; raises ValueError as ``PredictOptions`` does."""
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        example = "numbers with commas between, such as '1, 0.5'"
        raise ValueError(f"scales must be {example}, not {text!r}") from None
    return PredictOptions(scales=scales).scales


def suit_model(
    controls: Mapping[str, Any],
    before: Mapping[str, Any],
    own: Mapping[str, Any],
    skeleton: Skeleton,
    scales: str,
) -> None:
    """Offer the keypoints, orders and scales of another model, with its own decoding.

    What was set otherwise than the last model's own stays.

    Args:
        before, own: the decoding of the last and of this model, see ``own_settings``.
        skeleton, scales: of this model.
    """
    keypoint, offered = controls["keypoint"], controls["scales"]
    kept = keypoint.value if keypoint.value in skeleton.keypoints else ALL
    keypoint.options = keypoint_options(skeleton)
    keypoint.value, controls["person"].value = kept, 0
    if scales not in offered.options:
        chosen = offered.value
        offered.options = (scales, *offered.options)
        offered.value = chosen
    values = {name: controls[name].value for name in own}
    suit_decoding(controls, own, skeleton)
    for name, value in own.items():
        lost = name.endswith("order") and values[name] not in controls[name].options
        controls[name].value = value if lost or values[name] == before[name] else values[name]


def keypoint_options(skeleton: Skeleton) -> list[tuple[str, str]]:
    """Return what the control of the keypoint offers, as it is shown and as it is set."""
    return [("all", ALL), *((display_name(name), name) for name in skeleton.keypoints)]

"""What the explorer of relations is set to, and the controls of it that choose no clip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets as ipw
import numpy as np

from poselib.metrics.person_pck import TORSO
from poselib.plots.style import display_name
from poselib.skeletons import Skeleton
from poselib.structures import Size
from poselib.widgets.clips import ClipSettings
from poselib.widgets.relations_frames import HERE, RUN, mask_text
from poselib.widgets.settings import plain

_JOINTS = ("left_wrist", "left_elbow")  # chosen at first, where known
_AT_FIRST = (0.41, 0.2, 0.59, 0.38)  # of the crop: a mask, so that something is to be recovered


@dataclass(frozen=True)
class RelationSettings(ClipSettings):
    """What the explorer shows.

    Attributes:
        frame: number in the clip.
        mask: left, top, right, bottom of a gray box, px of the crop; empty for none.
        masked: "this frame" or "a run of frames".
        run: first and last frame of the run.
        joint, other: the pair of joints whose relation is named; the maps are those of ``joint``.
        temperature: by which correlations are divided; by default that of the training.
        reference, threshold: a joint is found if it is right by PCK, see ``metrics.person_pck``.
        truth: show annotated joints.
    """

    frame: int = 8
    mask: str | tuple[float, float, float, float] | None = None
    masked: str = HERE
    run: tuple[int, int] = (6, 9)
    joint: str = ""
    other: str = ""
    temperature: float = 0.0
    reference: str = ""
    threshold: float = 0.2
    truth: bool = True


def relation_controls(skeleton: Skeleton, temperature: float | None) -> dict[str, Any]:
    """Return the controls by the name of their setting.

    Args:
        skeleton: names the joints.
        temperature: that of the training; None without an extractor.
    """
    joints = [(display_name(name), name) for name in skeleton.keypoints]
    torso = all(name in skeleton.keypoints for name in TORSO)
    usual = temperature or 1.0
    reach = max(2, math.ceil(abs(math.log10(usual))))  # powers of ten
    divisor = ipw.FloatLogSlider(usual, min=-reach, max=reach, step=0.02)
    divisor.description, divisor.continuous_update = "temperature", False
    divisor.disabled = temperature is None
    return {
        "frame": ipw.IntSlider(0, 0, 0, description="frame", layout={"flex": "1 1 auto"}),
        "mask": ipw.Text("", description="box, px", continuous_update=False),
        "masked": ipw.Dropdown(options=(HERE, RUN), description="covers"),
        "run": ipw.IntRangeSlider(value=(0, 0), min=0, max=0, description="frames"),
        "joint": ipw.Dropdown(options=joints, description="joint"),
        "other": ipw.Dropdown(options=joints, description="attends to"),
        "temperature": divisor,
        "reference": ipw.Dropdown(
            options=("torso", "person") if torso else ("person",),
            description="of the",
            tooltip="size by which PCK is measured",
        ),
        "threshold": ipw.FloatSlider(
            0.2, min=0.05, max=1, step=0.05, description="fraction", tooltip="PCK threshold"
        ),
        "truth": ipw.Checkbox(True, description="annotated joints", indent=False),
    }


def first_frames(last: int) -> dict[str, Any]:
    """Return the defaults of ``frame`` and ``run`` in a clip, by its last frame."""
    run = tuple(min(each, last) for each in RelationSettings.run)
    return {"frame": min(RelationSettings.frame, last), "run": run}


def resolved(
    found: dict[str, Any], controls: Mapping[str, Any], skeleton: Skeleton, crop: Size
) -> dict[str, Any]:
    """Return settings in which every default has its value.

    Args:
        found: settings by name, those of the clip with their values.
        controls: fit to the clip.
        skeleton: names the joints.
        crop: (H, W) that the network is shown, px.
    """
    known, last = skeleton.keypoints, controls["frame"].max
    for place, (name, usual) in enumerate(zip(("joint", "other"), _JOINTS, strict=True)):
        found[name] = found[name] or (usual if usual in known else known[place])
    found["temperature"] = found["temperature"] or controls["temperature"].value
    found["reference"] = found["reference"] or controls["reference"].options[0]
    found["run"] = plain(found["run"])
    for name, value in first_frames(last).items():
        if found[name] == getattr(RelationSettings, name):
            found[name] = value
    if found["mask"] is None:
        found["mask"] = np.tile(crop[::-1], 2) * _AT_FIRST
    if not isinstance(found["mask"], str):
        try:
            found["mask"] = mask_text(found["mask"])
        except (TypeError, ValueError):
            wanted = "left, top, right and bottom of a box, px"
            raise ValueError(f"mask must be {wanted}, not {found['mask']!r}") from None
    return found

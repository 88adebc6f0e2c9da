"""What the explorer of relations says of a frame: headings, and the sentences below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poselib.analysis.masked_frames import MaskedJoints
from poselib.analysis.relations import as_array
from poselib.plots.style import display_name
from poselib.skeletons import Skeleton
from poselib.typing import BoolArray
from poselib.widgets.relations_frames import View

HEADINGS = ("without the mask", "with the mask", "with the mask, before the extractor")

_DOT = '<span style="display:inline-block;width:0.7em;height:0.7em;border-radius:50%;{}"></span> {}'
_CROSS = ",".join(
    f"linear-gradient({way}deg,transparent 38%,#cc1a1f 38% 62%,transparent 62%)"
    for way in (45, -45)
)
_MARKS = {
    "background:#f0e442;border:1px solid #222": "annotated",
    "border:2px solid #00d973": "found under the mask",
    f"border-radius:0;background:{_CROSS}": "lost, with an arrow to where it is",
    "border:2px solid #212126;outline:1px solid #fff": "annotated, in a map",
    "background:#f3cf80;border:1px solid #222": "left side of the person",
    "background:#b98005;border:1px solid #222;border-radius:0": "right side",
    "background:#6e6e73;border-radius:0;width:0.25em": "joint under the mask, in a matrix",
    "border:3px solid #0078c8;border-radius:0": "the chosen pair",
}
LEGEND = " &emsp; ".join(_DOT.format(style, text) for style, text in _MARKS.items())


def heading(number: int, joints: MaskedJoints | None) -> str:
    """Return the heading of one of the three pictures, with how many joints are found."""
    if joints is None or not joints.masked.any():
        return HEADINGS[number]
    return f"{HEADINGS[number]}: {int(joints.found.sum())} of {int(joints.masked.sum())} found"


def maps_title(joint: str, view: View) -> str:
    """Return the heading of the maps of a joint."""
    title = f"heatmaps of {display_name(joint)}"
    if view.relations is not None:
        title += ": before and after the extractor"
    return title + ("; below with the mask" if view.differs else "")


def sentences(
    values: Mapping[str, Any],
    view: View,
    found: Sequence[MaskedJoints | None],
    skeleton: Skeleton,
) -> str:
    """Return what is seen: joints under the mask, and how the chosen pair is related.

    Args:
        values: the settings.
        view: the frame.
        found: joints under the mask in each of its poses.
        skeleton: names the joints.
    """
    said = f"{view.clip or 'clip'}, frame {values['frame']}: {_masked(view, found, skeleton)}."
    if view.relations is None:
        return f"{said} The network shows no relations of joints: there is no matrix."
    a, b = (skeleton.index(values[name]) for name in ("joint", "other"))
    weights = as_array(view.relations.weights[0])
    one, other = (display_name(values[name]).capitalize() for name in ("joint", "other"))
    itself = f"itself by {weights[a, a]:.3f}."
    if a == b:
        return f"{said} {one} attends to {itself}"
    return f"{said} {one} attends to {other.lower()} by {weights[a, b]:.3f}, to {itself}"


def _masked(view: View, found: Sequence[MaskedJoints | None], skeleton: Skeleton) -> str:
    masked, before = found[1], found[2]
    if masked is None:
        return "the mask covers other frames" if view.differs else "no mask here"
    if not masked.masked.any():
        return "no joint that PCK counts is under the mask"
    parts = [("found", masked.found), ("lost", masked.lost)]
    named = [f"{word} {_names(which, skeleton)}" for word, which in parts if which.any()]
    said = f"under the mask {', '.join(named)}"
    if before is not None:
        said += f" ({int(before.found.sum())} of {int(masked.masked.sum())} before the extractor)"
    return said if masked.annotated else f"{said}; the truth is the pose without the mask"


def _names(which: BoolArray, skeleton: Skeleton) -> str:
    names = [display_name(skeleton.keypoints[k]) for k in np.flatnonzero(which)]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))

"""The two decodings of an explorer of association: what is drawn of each, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poselib.analysis.association_walk import compare_poses
from poselib.widgets.association_image import SeenImage
from poselib.widgets.association_views import WalkView
from poselib.widgets.decoding import SECOND

ALL = "all"  # instead of a keypoint


def views_of(values: Mapping[str, Any], seen: SeenImage) -> tuple[dict[str, WalkView], str]:
    """Return what is drawn of each decoding, by its name, and in words how they differ."""
    first = seen.walk(values)
    walks, numbers = {"first": first}, {"first": np.arange(len(first.poses))}
    differs, text = {"first": np.zeros(first.step_of.shape, dtype=bool)}, ""
    if values["compare"]:
        walks["second"] = second = seen.walk(values, SECOND)
        reach = 1.5 * seen.outputs.image_size[1] / seen.outputs.resolution[1]
        drawn = seen.drawn(first), seen.drawn(second)
        found = compare_poses(*drawn, reach, values["min_score"])
        numbers["second"], text = found.numbers, str(found)
        for name, moved, alone in zip(walks, found.moved, found.alone, strict=True):
            differs[name] = moved | alone
    keypoints, views = (ALL, *seen.system.skeleton.keypoints), {}
    side = values["side"] if values["compare"] else "first"
    for name, walk in walks.items():
        (person,) = np.nonzero(numbers[name] == values["person"] - 1)
        views[name] = WalkView(
            seen=seen,
            walk=walk,
            count=min(values["step"], walk.length),
            numbers=numbers[name],
            errors=seen.errors(walk, values["min_score"]),
            differs=differs[name],
            person=int(person[0]) if len(person) and name == side else -1,
            keypoint=keypoints.index(values["keypoint"]) - 1,
            map_shown=values["map_shown"],
            min_score=values["min_score"],
            skeletons=values["poses"],
        )
    return views, text

"""An image as an associative network sees it, with its decodings: each is computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from poselib.analysis.association_walk import AssociationWalk, walk_association
from poselib.analysis.inspect_image import Inspection, decode_options
from poselib.metrics.association_errors import KeypointErrors, classify_keypoints
from poselib.plots.heatmaps import HEATMAP_COLORS, TAG_COLORS, tag_limits, tags_on_people
from poselib.structures import Poses
from poselib.systems import System
from poselib.typing import FloatArray
from poselib.widgets.decoding import decoding_of
from poselib.widgets.latest import Kept
from poselib.widgets.painting import Picture, over_image

IMAGE, HEATMAP, TAGS = "image", "heatmap", "tags"
MAPS = (IMAGE, HEATMAP, TAGS)


class SeenImage:
    """The outputs of an associative network for one image, and their decodings.

    Args:
        system: whose outputs they are.
        inspection: image, people and outputs, px of the network input.

    Attributes:
        heatmaps, tags: (K, h, w), at the finest resolution; of several embeddings the first.
        limits: the tags that get the first and the last color.
        maps: resized ones, kept while decodings change; they take the most memory.
    """

    def __init__(self, system: System, inspection: Inspection) -> None:
        self.system, self.sample, self.outputs = system, inspection.sample, inspection.outputs
        self.heatmaps = inspection.heatmaps.astype(np.float64)
        self.tags = inspection.tags.astype(np.float64)
        self.limits = tag_limits(self.tags, self.heatmaps)
        self.maps: dict[Any, Any] = {}
        self._walks = Kept(8)  # decodings

    @property
    def annotated(self) -> bool:
        """Whether people are annotated, with the keypoints that are predicted."""
        people, keypoints, _ = self.sample.keypoints.shape
        return people > 0 and keypoints == len(self.system.skeleton)

    def walk(self, values: Mapping[str, Any], prefix: str = "") -> AssociationWalk:
        """Return the steps of the decoding that settings mean, see ``decoding_of``."""
        own = decode_options(self.system)
        options = decoding_of(values, own, self.system.skeleton, prefix)
        if options not in self._walks:
            self._walks.put(options, walk_association(self.outputs, options, self.maps))
        found: AssociationWalk = self._walks[options]
        return found

    def errors(self, walk: AssociationWalk, min_score: float) -> KeypointErrors | None:
        """Return which grouped keypoints are wrong, if people are annotated.

        Those that refinement adds do not count: they are mostly copies of other people's.
        """
        if not self.annotated:
            return None
        grouped, skeleton = walk.after(len(walk.steps)), self.system.skeleton
        return classify_keypoints(grouped, self.sample, skeleton, min_score=min_score)

    def drawn(self, walk: AssociationWalk) -> Poses:
        """Return the poses without what refinement adds to people too weak to be drawn.

        It makes whole people of fragments, mostly copies of other people's keypoints.
        """
        weak = walk.poses.person_scores < self.system.visualization_threshold
        added = weak[:, None] & (walk.step_of == len(walk.steps))
        return replace(walk.poses, scores=np.where(added, np.float32(0), walk.poses.scores))

    def over_image(self, values: FloatArray) -> FloatArray:
        """Return a map so that it covers the image, each value where its cell stands."""
        return over_image(values, self.outputs.image_size, self.system.frame)

    def add_map(self, picture: Picture, map_shown: str, keypoint: int) -> None:
        """Paint a map over the image, of a keypoint type or of all, -1."""
        heatmaps, tags, over, k = self.heatmaps, self.tags, self.over_image, keypoint
        if map_shown == HEATMAP:
            values = heatmaps.max(axis=0) if k < 0 else heatmaps[k]
            top = max(float(values.max()), 1e-6)
            picture.add_map(over(values), (0.0, top), colors=HEATMAP_COLORS)
        elif map_shown == TAGS:
            values, opacity = tags_on_people(tags, heatmaps)
            if k >= 0:
                values, opacity = tags[k], np.full(values.shape, 0.8)
            spec: dict[str, Any] = {"colors": TAG_COLORS, "opacity": over(opacity)}
            picture.add_map(over(values), self.limits, **spec)

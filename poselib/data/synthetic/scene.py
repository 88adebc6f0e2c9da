"""Rendering of one synthetic scene and its annotations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from poselib.data.synthetic import body, body_parts, rendering
from poselib.data.synthetic.appearance import Appearance, sample_appearance
from poselib.data.synthetic.backgrounds import (
    apply_camera_effects,
    paint_background,
    paint_distractors,
)
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.placement import Bodies, place_crowded, place_loosely
from poselib.data.synthetic.pose_sampling import FAMILIES, sample_angles
from poselib.ops.crowd_index import crowd_index
from poselib.skeleton_files import listed
from poselib.skeleton_rules import split_side
from poselib.skeletons import CROWDPOSE, Skeleton
from poselib.typing import Float32Array, FloatArray

GIRTH = body.LENGTHS.index("girth")
_LYING = FAMILIES.index("lying")
_SAME_POINT = {"head_bottom": "upper_neck"}
_COUNTED = np.array([body.POINT_INDEX[name] for name in CROWDPOSE.keypoints])


@dataclass(frozen=True)
class Scene:
    """A rendered scene and its annotations.

    Attributes:
        image: (S, S, 3) uint8, RGB.
        keypoints: (N, len(body.KEYPOINTS), 3) float32, px and visibility: 0 outside the image,
            1 inside but hidden, 2 visible.
        areas: (N,) float32, px² of the whole silhouette inside the image, hidden parts included.
        boxes: (N, 4) float32, left, top, right, bottom of the silhouette inside the image, px.
        person_map: (S, S) uint8, 0 for the background, else 1 + the index of the person on top.
        families: the pose family of each person.
    """

    image: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    areas: NDArray[np.float32]
    boxes: NDArray[np.float32]
    person_map: NDArray[np.uint8]
    families: tuple[str, ...]

    @cached_property
    def crowd_index(self) -> float:
        """The crowd index of the scene, over CrowdPose's 14 keypoints."""
        return crowd_index(self.keypoints_of(CROWDPOSE), self.boxes)

    def keypoints_of(self, skeleton: Skeleton) -> NDArray[np.float32]:
        """Return the keypoints (N, K, 3) of a skeleton; see ``keypoint_indices``."""
        return self.keypoints[:, keypoint_indices(skeleton)]

    def labeled_people(self, skeleton: Skeleton) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Return keypoints, boxes and areas of the people with a labeled keypoint of a skeleton."""
        keypoints = self.keypoints_of(skeleton)
        kept = (keypoints[..., 2] > 0).any(axis=1)
        return keypoints[kept], self.boxes[kept], self.areas[kept]


def keypoint_indices(skeleton: Skeleton) -> NDArray[np.int64]:
    """Return the indices (K,) of a skeleton's keypoints in ``body.KEYPOINTS``, in any spelling.

    Raises:
        ValueError: the body lacks some of them; the message names them.
    """
    known = {split_side(name): k for k, name in enumerate(body.KEYPOINTS)}
    places = [known.get(split_side(_SAME_POINT.get(name, name)), -1) for name in skeleton.keypoints]
    if unknown := [name for name, k in zip(skeleton.keypoints, places, strict=True) if k < 0]:
        raise ValueError(
            f"synthetic people lack {len(unknown)} of the {len(skeleton)} keypoints of skeleton "
            f"{skeleton.name!r}: {listed(unknown)}; they have {', '.join(body.KEYPOINTS)}"
        )
    return np.array(places)


def render_scene(config: SceneConfig, seed: int, index: int) -> Scene:
    """Render scene ``index`` of a dataset; it depends on the arguments alone."""
    rng = np.random.default_rng([seed, index])
    count = int(rng.integers(config.min_people, config.people[1] + 1))
    families = np.array([FAMILIES.index(pose) for pose in config.poses])
    family = families[rng.integers(0, len(families), count)]
    proportions = body.sample_proportions(rng, count)
    points = _sample_bodies(rng, config, family, proportions)
    girth = proportions[:, GIRTH]
    positions, heights = place_people(rng, config, points, girth)
    px = points[..., :2] * heights[:, None, None] + positions[:, None]

    image = paint_background(rng, config.size)
    low, high = config.distractors
    paint_distractors(rng, image, int(rng.integers(low, high + 1)))
    appearances = [sample_appearance(rng) for _ in range(count)]
    facing = body_parts.facing_viewer(points)
    outlines = rendering.body_outlines(points, facing, px, heights, girth, appearances)
    # Taller people are mostly nearer.
    order: NDArray[np.int64] = np.argsort(heights * (1 + 0.25 * rng.normal(size=count)))
    maps = paint_people(image, outlines, appearances, order)
    apply_camera_effects(rng, image)
    return _label_scene(image, facing, px, maps, family)


def _sample_bodies(
    rng: np.random.Generator,
    config: SceneConfig,
    family: NDArray[np.int64],
    proportions: FloatArray,
) -> FloatArray:
    """Return the projected points (N, P, 3) of people in random poses, in standing heights."""
    count = len(family)
    angles = sample_angles(rng, family)
    yaw = sample_views(rng, config, count)
    roll = 7 * rng.normal(size=count)
    down = np.where(rng.random(count) < 0.5, -1.0, 1.0) * (90 + 2.5 * roll)
    roll = np.where(family == _LYING, down, roll)
    return body.project(
        body.forward_kinematics(angles, proportions), yaw, roll, 18 * float(rng.random())
    )


def sample_views(rng: np.random.Generator, config: SceneConfig, count: int) -> FloatArray:
    """Sample the yaw (N,) of people, degrees: from the front, the side or the back."""
    cumulative = np.cumsum(config.views) / sum(config.views)
    view = np.searchsorted(cumulative, rng.random(count), side="right").clip(max=2)
    left = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    middle, width = np.array([0.0, 90.0, 180.0])[view], np.array([45.0, 25.0, 45.0])[view]
    yaw: FloatArray = left * (middle + width * (2 * rng.random(count) - 1))
    return yaw


def place_people(
    rng: np.random.Generator, config: SceneConfig, points: FloatArray, girth: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return pelvis positions (N, 2) and standing heights (N,), px."""
    count, size = len(points), config.size
    cut = np.zeros((count, 4))
    edge = rng.choice(4, count, p=[0.3, 0.1, 0.3, 0.3])
    at_border = rng.random(count) < config.border
    cut[np.arange(count), edge] = np.where(at_border, 0.1 + 0.35 * rng.random(count), 0)
    bodies = Bodies(points[:, _COUNTED, :2], body_parts.body_boxes(points, girth), cut)
    low, high = (fraction * size for fraction in config.height)
    if config.crowd_range is not None and count > 1:
        lowest, highest = config.crowd_range
        target = lowest if lowest == highest else float(rng.uniform(lowest, highest))
        return place_crowded(rng, bodies, (low, high), size, target)
    heights = low + (high - low) * rng.random(count)
    return place_loosely(rng, bodies, heights, size), heights


@dataclass(frozen=True)
class LabelMaps:
    """Persons and parts on top at each pixel, with areas and boxes of whole silhouettes."""

    person_map: NDArray[np.uint8]
    part_map: NDArray[np.uint8]
    areas: NDArray[np.float32]
    boxes: NDArray[np.float32]


def paint_people(
    image: NDArray[np.uint8],
    outlines: rendering.Outlines,
    appearances: list[Appearance],
    order: NDArray[np.int64],
) -> LabelMaps:
    """Paint people in order, each also on a map of its own, which gives the whole silhouette."""
    side, count = len(image), len(appearances)
    person_map, part_map = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    areas, boxes = np.zeros(count, np.float32), np.zeros((count, 4), np.float32)
    for person in order.tolist():
        own = np.zeros((side, side), np.uint8)
        rendering.paint_person(image, own, outlines, person, appearances[person])
        rows, columns = (np.flatnonzero(own.max(axis)) for axis in (1, 0))
        if len(rows) == 0:
            continue
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        left, right = int(columns[0]), int(columns[-1]) + 1
        window = np.s_[top:bottom, left:right]
        silhouette = own[window] > 0
        np.copyto(part_map[window], own[window], where=silhouette)
        person_map[window][silhouette] = 1 + person
        areas[person] = np.count_nonzero(silhouette)
        boxes[person] = left, top, right, bottom
    return LabelMaps(person_map, part_map, areas, boxes)


def label_people(
    facing: NDArray[np.bool_], px: FloatArray, maps: LabelMaps
) -> tuple[Float32Array, NDArray[np.bool_]]:
    """Read the visibility of keypoints from the maps.

    Args:
        facing: (N, keypoints) from ``body_parts.facing_viewer``.
        px: (N, P, 2), the points of the bodies in px of the image.
        maps: what is on top at each pixel.

    Returns:
        (N, keypoints, 3) px and visibility, zeros outside the image; and (N,) true for people with
        a visible keypoint: others cannot be detected, and are not annotated.
    """
    size = len(maps.person_map)
    xy = px[:, body.KEYPOINT_INDICES]
    inside = ((xy >= 0) & (xy < size)).all(-1)
    column, row = np.clip(np.floor(xy).astype(np.int64), 0, size - 1).transpose(2, 0, 1)
    person, keypoint = np.ogrid[: len(xy), : len(body.KEYPOINTS)]
    on_top = maps.person_map[row, column] == 1 + person
    showing = body_parts.PARTS_SHOWING[keypoint, maps.part_map[row, column]]
    visible = inside & on_top & showing & facing
    keypoints = np.concatenate([xy, (inside * 1 + visible)[..., None]], -1).astype(np.float32)
    keypoints[~inside] = 0
    return keypoints, visible.any(1)


def _label_scene(
    image: NDArray[np.uint8],
    facing: NDArray[np.bool_],
    px: FloatArray,
    maps: LabelMaps,
    family: NDArray[np.int64],
) -> Scene:
    """Label the people with a visible keypoint and drop the others."""
    keypoints, seen = label_people(facing, px, maps)
    kept = np.flatnonzero(seen)
    numbers = np.zeros(len(px) + 1, np.uint8)
    numbers[1 + kept] = 1 + np.arange(len(kept))
    return Scene(
        image=image,
        keypoints=keypoints[kept],
        areas=np.maximum(maps.areas[kept], 4),
        boxes=maps.boxes[kept],
        person_map=numbers[maps.person_map],
        families=tuple(FAMILIES[f] for f in family[kept].tolist()),
    )

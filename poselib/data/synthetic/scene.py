"""One scene: who is in it, where they stand, and what of them can be seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from poselib.data.synthetic import body
from poselib.data.synthetic import body_parts as parts
from poselib.data.synthetic import rendering as figures
from poselib.data.synthetic.appearance import Look, draw_look
from poselib.data.synthetic.backgrounds import background, camera, distractors
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.placement import Bodies, crowd_index, place_crowded, place_loosely
from poselib.data.synthetic.pose_sampling import FAMILIES, draw_angles
from poselib.skeletons import CROWDPOSE, Skeleton
from poselib.typing import FloatArray

_GIRTH = body.LENGTHS.index("girth")
_LYING = FAMILIES.index("lying")
_COUNTED = np.array([body.POINT[name] for name in CROWDPOSE.keypoints])


@dataclass(frozen=True)
class Scene:
    """A rendered scene with all that is known of it.

    Attributes:
        image: (S, S, 3) uint8, RGB.
        keypoints: (N, len(body.KEYPOINTS), 3) float32, px and visibility: 0 outside the image,
            1 inside but hidden, 2 visible.
        areas: (N,) float32, px² of the whole silhouette inside the image, hidden parts included.
        boxes: (N, 4) float32, left, top, right, bottom of the silhouette inside the image, px.
        owners: (S, S) uint8, 0 for the background or 1 + the person on top.
        families: N pose families.
    """

    image: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    areas: NDArray[np.float32]
    boxes: NDArray[np.float32]
    owners: NDArray[np.uint8]
    families: tuple[str, ...]

    @cached_property
    def crowd_index(self) -> float:
        """The crowd index that was reached, over CrowdPose's 14 keypoints."""
        return crowd_index(self.keypoints_of(CROWDPOSE), self.boxes)

    def keypoints_of(self, skeleton: Skeleton) -> NDArray[np.float32]:
        """(N, K, 3) keypoints of a skeleton; raises ValueError for names the body lacks."""
        return self.keypoints[:, keypoint_columns(skeleton)]


def keypoint_columns(skeleton: Skeleton) -> NDArray[np.int64]:
    """(K,) places of a skeleton's keypoints among ``body.KEYPOINTS``.

    Raises:
        ValueError: the body lacks some of them; the message names them.
    """
    unknown = [name for name in skeleton.keypoints if name not in body.KEYPOINTS]
    if unknown:
        raise ValueError(
            f"synthetic people have no keypoints {unknown} of skeleton {skeleton.name!r}; "
            f"they have {body.KEYPOINTS}"
        )
    return np.array([body.KEYPOINTS.index(name) for name in skeleton.keypoints])


def render_scene(recipe: SceneConfig, seed: int, index: int) -> Scene:
    """Draw scene number ``index`` of a recipe; the same arguments give the same scene anywhere."""
    rng = np.random.default_rng([seed, index])
    count = int(rng.integers(recipe.least_people, recipe.people[1] + 1))
    families = np.array([FAMILIES.index(pose) for pose in recipe.poses])
    family = families[rng.integers(0, len(families), count)]
    proportions = body.draw_proportions(rng, count)
    points = _bodies(rng, recipe, family, proportions)
    girth = proportions[:, _GIRTH]
    spots, heights = _placed(rng, recipe, points, girth)
    px = points[..., :2] * heights[:, None, None] + spots[:, None]

    image = background(rng, recipe.size)
    low, high = recipe.distractors
    distractors(rng, image, int(rng.integers(low, high + 1)))
    looks = [draw_look(rng) for _ in range(count)]
    facing = parts.facing(points)
    shapes = figures.shape(points, facing, px, heights, girth, looks)
    # Larger people are mostly nearer.
    order: NDArray[np.int64] = np.argsort(heights * (1 + 0.25 * rng.normal(size=count)))
    painted = _paint(image, shapes, looks, order)
    camera(rng, image)
    return _seen(image, facing, px, painted, family)


def _bodies(
    rng: np.random.Generator,
    recipe: SceneConfig,
    family: NDArray[np.int64],
    proportions: FloatArray,
) -> FloatArray:
    """(N, P, 3) projected points of people in their poses, standing heights."""
    count = len(family)
    angles = draw_angles(rng, family)
    share = np.cumsum(recipe.views) / sum(recipe.views)
    view = np.searchsorted(share, rng.random(count), side="right").clip(max=2)
    left = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    middle, width = np.array([0.0, 90.0, 180.0])[view], np.array([45.0, 25.0, 45.0])[view]
    yaw = left * (middle + width * (2 * rng.random(count) - 1))
    roll = 7 * rng.normal(size=count)
    down = np.where(rng.random(count) < 0.5, -1.0, 1.0) * (90 + 2.5 * roll)
    roll = np.where(family == _LYING, down, roll)
    return body.project(body.pose(angles, proportions), yaw, roll, 18 * float(rng.random()))


def _placed(
    rng: np.random.Generator, recipe: SceneConfig, points: FloatArray, girth: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Pelvis positions (N, 2) and standing heights (N,), px."""
    count, size = len(points), recipe.size
    cut = np.zeros((count, 4))
    edge = rng.choice(4, count, p=[0.3, 0.1, 0.3, 0.3])
    at_border = rng.random(count) < recipe.border
    cut[np.arange(count), edge] = np.where(at_border, 0.1 + 0.35 * rng.random(count), 0)
    bodies = Bodies(points[:, _COUNTED, :2], parts.extents(points, girth), cut)
    low, high = (share * size for share in recipe.height)
    if recipe.crowding is not None and count > 1:
        least, most = recipe.crowding
        target = least if least == most else float(rng.uniform(least, most))
        return place_crowded(rng, bodies, (low, high), size, target)
    heights = low + (high - low) * rng.random(count)
    return place_loosely(rng, bodies, heights, size), heights


@dataclass(frozen=True)
class _Painted:
    owners: NDArray[np.uint8]
    tops: NDArray[np.uint8]
    areas: NDArray[np.float32]
    boxes: NDArray[np.float32]


def _paint(
    image: NDArray[np.uint8], shapes: figures.Shapes, looks: list[Look], order: NDArray[np.int64]
) -> _Painted:
    """Paint people in order, each on a map of its own so that its whole silhouette is known."""
    side, count = len(image), len(looks)
    owners, tops = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    areas, boxes = np.zeros(count, np.float32), np.zeros((count, 4), np.float32)
    for person in order.tolist():
        own = np.zeros((side, side), np.uint8)
        figures.paint(image, own, shapes, person, looks[person])
        rows, columns = (np.flatnonzero(own.max(axis)) for axis in (1, 0))
        if len(rows) == 0:
            continue
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        left, right = int(columns[0]), int(columns[-1]) + 1
        window = np.s_[top:bottom, left:right]
        mine = own[window] > 0
        np.copyto(tops[window], own[window], where=mine)
        owners[window][mine] = 1 + person
        areas[person] = np.count_nonzero(mine)
        boxes[person] = left, top, right, bottom
    return _Painted(owners, tops, areas, boxes)


def _seen(
    image: NDArray[np.uint8],
    facing: NDArray[np.bool_],
    px: FloatArray,
    painted: _Painted,
    family: NDArray[np.int64],
) -> Scene:
    """Read the visibility of every keypoint from what was painted, and drop who is not seen."""
    size = len(image)
    xy = px[:, body.KEYPOINT_POINTS]
    inside = ((xy >= 0) & (xy < size)).all(-1)
    column, row = np.clip(np.floor(xy).astype(np.int64), 0, size - 1).transpose(2, 0, 1)
    person, keypoint = np.ogrid[: len(xy), : len(body.KEYPOINTS)]
    mine = painted.owners[row, column] == 1 + person
    carried = parts.CARRIERS[keypoint, painted.tops[row, column]]
    visible = inside & mine & carried & facing
    keypoints = np.concatenate([xy, (inside * 1 + visible)[..., None]], -1).astype(np.float32)
    keypoints[~inside] = 0
    # Nobody could find a person of whom no keypoint is seen: such people are not labeled.
    kept = np.flatnonzero(visible.any(1))
    names = np.zeros(len(xy) + 1, np.uint8)
    names[1 + kept] = 1 + np.arange(len(kept))
    return Scene(
        image=image,
        keypoints=keypoints[kept],
        areas=np.maximum(painted.areas[kept], 4),
        boxes=painted.boxes[kept],
        owners=names[painted.owners],
        families=tuple(FAMILIES[f] for f in family[kept].tolist()),
    )

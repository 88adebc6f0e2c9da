"""One scene: who is in it, where they stand, and what of them can be seen."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from poselib.data import body, figures, parts
from poselib.data.backgrounds import background, camera, distractors
from poselib.data.crowding import Bodies, crowd_index, place_crowded, place_loosely
from poselib.data.looks import Look, draw_look
from poselib.data.poses import FAMILIES, draw_angles
from poselib.skeleton import Skeleton
from poselib.skeletons import CROWDPOSE

Array = NDArray[np.float64]

_GIRTH = body.LENGTHS.index("girth")
_LYING = FAMILIES.index("lying")
_COUNTED = np.array([body.POINT[name] for name in CROWDPOSE.keypoints])
# The index of n people is below about 0.9 * (n - 1); a little room makes it easy to meet.
_REACH = 0.8


@dataclass(frozen=True)
class SceneRecipe:
    """What scenes are like; with a seed it defines a data set.

    Attributes:
        size: side of the square image, px.
        people: least and greatest number of people.
        height: least and greatest standing height, as shares of ``size``.
        crowd_index: the crowd index that every scene should have (see ``crowd_index``), or
            None for people who stand loosely and overlap now and then.
        poses: pose families to draw from, of ``FAMILIES``.
        views: shares of people seen from the front, the side and the back.
        distractors: least and greatest number of sticks, blobs and boxes.
        border: probability that a person is cut by the border.

    Raises:
        ValueError: a field is out of its range; the message names it.
    """

    size: int = 128
    people: tuple[int, int] = (1, 4)
    height: tuple[float, float] = (0.45, 0.95)
    crowd_index: float | None = None
    poses: tuple[str, ...] = FAMILIES
    views: tuple[float, float, float] = (0.55, 0.25, 0.20)
    distractors: tuple[int, int] = (0, 4)
    border: float = 0.12

    def __post_init__(self) -> None:
        unknown = [pose for pose in self.poses if pose not in FAMILIES]
        checks = {
            "size": (32 <= self.size <= 4096, "a number of px from 32 to 4096"),
            "people": (1 <= self.people[0] <= self.people[1] <= 30, "ordered, from 1 to 30"),
            "height": (0.05 <= self.height[0] <= self.height[1] <= 3, "ordered, from 0.05 to 3"),
            "poses": (bool(self.poses) and not unknown, f"some of {FAMILIES}"),
            "views": (
                len(self.views) == 3 and min(self.views) >= 0 and sum(self.views) > 0,
                "three shares of front, side and back, not all 0",
            ),
            "distractors": (0 <= self.distractors[0] <= self.distractors[1], "ordered, from 0"),
            "border": (0 <= self.border <= 1, "a probability"),
            "crowd_index": (
                self.crowd_index is None or 0 <= self.crowd_index <= _REACH * (self.people[1] - 1),
                f"None or from 0 to {_REACH} * (people[1] - 1) = {_REACH * (self.people[1] - 1):g}",
            ),
        }
        for name, (fine, expected) in checks.items():
            if not fine:
                given = getattr(self, name)
                raise ValueError(f"SceneRecipe.{name} must be {expected}, got {given!r}")

    @property
    def least_people(self) -> int:
        """Fewest people that can reach the crowd index, and at least ``people[0]``."""
        needed = 1 if not self.crowd_index else 1 + int(np.ceil(self.crowd_index / _REACH))
        return max(self.people[0], needed)

    def as_dict(self) -> dict[str, object]:
        """The fields as JSON holds them: tuples become lists."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


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


def render_scene(recipe: SceneRecipe, seed: int, index: int) -> Scene:
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
    shapes = figures.shape(points, px, heights, girth, looks)
    # Larger people are mostly nearer.
    order: NDArray[np.int64] = np.argsort(heights * (1 + 0.25 * rng.normal(size=count)))
    painted = _paint(image, shapes, looks, order)
    camera(rng, image)
    return _seen(image, points, px, painted, family)


def _bodies(
    rng: np.random.Generator, recipe: SceneRecipe, family: NDArray[np.int64], proportions: Array
) -> Array:
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
    rng: np.random.Generator, recipe: SceneRecipe, points: Array, girth: Array
) -> tuple[Array, Array]:
    """Pelvis positions (N, 2) and standing heights (N,), px."""
    count, size = len(points), recipe.size
    cut = np.zeros((count, 4))
    edge = rng.choice(4, count, p=[0.3, 0.1, 0.3, 0.3])
    at_border = rng.random(count) < recipe.border
    cut[np.arange(count), edge] = np.where(at_border, 0.1 + 0.35 * rng.random(count), 0)
    bodies = Bodies(points[:, _COUNTED, :2], parts.extents(points, girth), cut)
    low, high = (share * size for share in recipe.height)
    if recipe.crowd_index is not None and count > 1:
        return place_crowded(rng, bodies, (low, high), size, recipe.crowd_index)
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
    points: Array,
    px: Array,
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
    visible = inside & mine & carried & parts.facing(points)
    keypoints = np.concatenate([xy, (inside * 1 + visible)[..., None]], -1).astype(np.float32)
    keypoints[~inside] = 0
    # Nobody could find a person of whom no keypoint is seen: such people are not labelled.
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

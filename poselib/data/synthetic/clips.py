"""Rendering of synthetic clips: people in motion, a moving camera, occluders and motion blur."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from poselib.data.boxes import keypoint_boxes
from poselib.data.synthetic import body, body_parts, rendering
from poselib.data.synthetic.appearance import Appearance, sample_appearance
from poselib.data.synthetic.backgrounds import (
    CAMERA_VALUES,
    degrade,
    paint_background,
    paint_distractors,
)
from poselib.data.synthetic.config import ClipConfig
from poselib.data.synthetic.motion import (
    PATH_SPACING,
    Motion,
    control_count,
    projected,
    sample_motion,
    spline,
)
from poselib.data.synthetic.pose_sampling import FAMILIES
from poselib.data.synthetic.scene import (
    GIRTH,
    LabelMaps,
    keypoint_indices,
    label_people,
    paint_people,
    place_people,
    sample_views,
)
from poselib.skeletons import Skeleton
from poselib.structures import AffineTransform
from poselib.typing import BoolArray, Float32Array, FloatArray

# Moments that a blurred image is the mean of, as fractions of the time that the shutter is open;
# labels are of the middle one.
_EXPOSURES = (0.0, -1 / 3, 1 / 3)
# The background goes beyond the image by this fraction of its side, so that the camera can move.
_MARGIN = 0.3
_HEAD = ("nose", "left_ear", "right_ear", "head_top", "upper_neck")


@dataclass(frozen=True)
class ClipFrame:
    """One frame of a synthetic clip; row n is person n in every frame.

    Attributes:
        image: (S, S, 3) uint8, RGB.
        keypoints: (N, len(body.KEYPOINTS), 3) float32, px and visibility, as of a ``Scene``; zeros
            for a person without a visible keypoint.
        areas, boxes: (N,), (N, 4) float32, as of a ``Scene``; zeros for such a person.
        head_boxes: (N, 4) float32, left, top, right and bottom of the head, px.
    """

    image: NDArray[np.uint8]
    keypoints: Float32Array
    areas: Float32Array
    boxes: Float32Array
    head_boxes: Float32Array

    def keypoints_of(self, skeleton: Skeleton) -> Float32Array:
        """Return the keypoints (N, K, 3) of a skeleton."""
        return self.keypoints[:, keypoint_indices(skeleton)]


class SyntheticClip:
    """Clip ``index`` of a dataset; it depends on the arguments alone.

    Attributes:
        people: their number.
        times: (T,) float64, seconds.
        background: the scene without people, of which a camera at rest shows the middle.
    """

    def __init__(self, config: ClipConfig, seed: int, index: int) -> None:
        rng = np.random.default_rng([seed, index])
        self._config = config
        self.times: FloatArray = np.arange(config.frames) / config.fps
        self.people = int(rng.integers(config.min_people, config.people[1] + 1))
        seconds = config.frames / config.fps
        families = np.array([FAMILIES.index(pose) for pose in config.poses])
        chosen = families[rng.integers(0, len(families), (3, self.people))]
        self._proportions = body.sample_proportions(rng, self.people)
        yaw = sample_views(rng, config, self.people)
        self.motion: Motion = sample_motion(rng, chosen, seconds, yaw, config.turn)
        self._elevation = 18 * float(rng.random())
        middle = self._bodies(np.array([seconds / 2]))[0]
        self._positions, self._heights = place_people(rng, config, middle, self._girth)
        self._order = np.argsort(self._heights * (1 + 0.25 * rng.normal(size=self.people)))
        self._appearances: list[Appearance] = [sample_appearance(rng) for _ in range(self.people)]
        beyond = int(_MARGIN * config.size)
        self.background = paint_background(rng, config.size + 2 * beyond)
        low, high = config.distractors
        paint_distractors(rng, self.background, int(rng.integers(low, high + 1)))
        self._occluders = _sample_occluders(rng, config, seconds)
        nodes = control_count(seconds, PATH_SPACING)
        # Shift in x and y, zoom and roll of the camera.
        self._camera = config.camera * rng.normal(size=(nodes, 4))
        self._lens, self._noise = rng.random(CAMERA_VALUES), rng.random((config.frames, 2))

    def __len__(self) -> int:
        return len(self.times)

    @property
    def _girth(self) -> FloatArray:
        return self._proportions[:, GIRTH]

    def _bodies(self, seconds: FloatArray) -> FloatArray:
        return projected(self.motion, self._proportions, self._elevation, seconds)

    def camera(self, seconds: float) -> AffineTransform:
        """Return the transform from px of a camera at rest to px of the image."""
        x, y, zoom, roll = spline(self._camera, np.array([1 + seconds / PATH_SPACING]))[0]
        scale, middle = np.exp(zoom), self._config.size / 2
        turn = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        shift = middle + self._config.size * np.array([x, y]) - turn @ [middle, middle]
        return AffineTransform(np.column_stack([turn, shift]))

    def frame(self, number: int, blur: bool = True) -> ClipFrame:
        """Render a frame: the mean of moments while the shutter is open, or its middle alone."""
        config, seconds = self._config, float(self.times[number])
        image, px, facing, maps = self._moment(seconds)
        if blur and config.shutter:
            open_for = config.shutter / config.fps
            others = [self._moment(seconds + open_for * at)[0] for at in _EXPOSURES[1:]]
            image = np.rint(np.mean([image, *others], axis=0)).astype(np.uint8)
        values = self._lens.copy()
        values[4:6] = self._noise[number]  # noise differs from frame to frame, exposure does not
        degrade(image, *values.tolist())
        keypoints, seen = label_people(facing, px, maps)
        heads = keypoint_boxes(np.insert(px[:, [body.POINT_INDEX[n] for n in _HEAD]], 2, 1, axis=2))
        return ClipFrame(
            image=image,
            keypoints=np.where(seen[:, None, None], keypoints, 0).astype(np.float32),
            areas=np.where(seen, np.maximum(maps.areas, 4), 0).astype(np.float32),
            boxes=np.where(seen[:, None], maps.boxes, 0).astype(np.float32),
            head_boxes=np.where(seen[:, None], heads, 0).astype(np.float32),
        )

    @cached_property
    def frames(self) -> list[ClipFrame]:
        """All frames, rendered once."""
        return [self.frame(number) for number in range(len(self))]

    def _moment(self, seconds: float) -> tuple[NDArray[np.uint8], FloatArray, BoolArray, LabelMaps]:
        """Return image, points (N, P, 2) px, facing keypoints and maps of one moment."""
        camera = self.camera(seconds)
        at = np.array([seconds])
        points = self._bodies(at)[0]
        heights = self._heights * np.exp(self.motion.path("growth", at)[0])
        px = camera(points[..., :2] * heights[:, None, None] + self._positions[:, None])
        image = self.view(camera)
        facing = body_parts.facing_viewer(points)
        outlines = rendering.body_outlines(
            points, facing, px, heights * camera.scale, self._girth, self._appearances
        )
        maps = paint_people(image, outlines, self._appearances, self._order)
        for corners, speed, color in self._occluders:
            moved = rendering.to_fixed_point(camera(corners + speed * seconds))
            cv2.fillConvexPoly(image, moved, color, cv2.LINE_AA, rendering.FIXED_POINT_BITS)
            for labels in (maps.person_map, maps.part_map):
                cv2.fillConvexPoly(labels, moved, 0, cv2.LINE_8, rendering.FIXED_POINT_BITS)
        return image, px, facing, maps

    def view(self, camera: AffineTransform) -> NDArray[np.uint8]:
        """Return the part (S, S, 3) of the background that a camera shows."""
        size = self._config.size
        outside = (len(self.background) - size) / 2
        matrix = camera.matrix.copy()
        # From pixel indices of the background, half a pixel before its centers, to the image's.
        matrix[:, 2] += camera.matrix[:, :2] @ np.full(2, 0.5 - outside) - 0.5
        image = cv2.warpAffine(
            self.background, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101
        )
        return np.ascontiguousarray(image, dtype=np.uint8)


_Occluder = tuple[FloatArray, FloatArray, tuple[int, int, int]]


def _sample_occluders(
    rng: np.random.Generator, config: ClipConfig, seconds: float
) -> list[_Occluder]:
    """Sample bars in front of people: corners (4, 2) px, speed (2,) px a second, and color.

    They cross the image in the time of the clip, or stand still.
    """
    low, high = config.occluders
    occluders: list[_Occluder] = []
    for _ in range(int(rng.integers(low, high + 1))):
        center = config.size * rng.uniform(0.15, 0.85, 2)
        long, wide = config.size * rng.uniform((0.3, 0.06), (0.9, 0.16))
        corners = cv2.boxPoints((center.tolist(), (long, wide), float(rng.uniform(0, 180))))
        speed = config.size / seconds * rng.uniform(-0.8, 0.8, 2) * (rng.random() < 0.6)
        color = tuple(rng.integers(25, 231, 3).tolist())
        # Half way at the middle of the clip.
        occluders.append((np.asarray(corners, np.float64) - speed * seconds / 2, speed, color))
    return occluders

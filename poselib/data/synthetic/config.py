"""The configuration of synthetic scenes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from poselib.data.synthetic.pose_sampling import FAMILIES

# The crowd index of n people is below about 0.9 * (n - 1); a little less is easy to reach.
_INDEX_PER_PERSON = 0.8
# Pose families by frequency: people mostly stand and walk and rarely lie.
DEFAULT_POSES = (
    *("standing", "standing", "standing", "walking", "walking", "sitting", "sitting"),
    *("arms_up", "reaching", "crouching", "lying"),
)


@dataclass(frozen=True)
class SceneConfig:
    """Configuration of synthetic scenes; with a seed it defines a dataset.

    Attributes:
        size: side of the square image, px.
        people: minimum and maximum number of people.
        height: minimum and maximum standing height, as fractions of ``size``.
        crowd_index: the crowd index of every scene (see ``ops.crowd_index``), a (min, max) pair to
            sample it from, or None to place people apart, so that they overlap only now and then.
        poses: pose families to sample from, of ``pose_sampling.FAMILIES``; one that is named twice
            is sampled twice as often.
        views: fractions of people seen from the front, the side and the back.
        distractors: minimum and maximum number of sticks, blobs and boxes.
        border: probability that a person is cut off by the image border.

    Raises:
        ValueError: a field is out of its range; the message names it.
    """

    size: int = 128
    people: tuple[int, int] = (1, 4)
    height: tuple[float, float] = (0.6, 0.95)
    crowd_index: float | tuple[float, float] | None = None
    poses: tuple[str, ...] = DEFAULT_POSES
    views: tuple[float, float, float] = (0.75, 0.15, 0.10)
    distractors: tuple[int, int] = (0, 4)
    border: float = 0.12

    def __post_init__(self) -> None:
        for name in ("people", "height", "poses", "views", "distractors"):
            # JSON and notebook parameters hold lists.
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if isinstance(self.crowd_index, list | tuple):
            object.__setattr__(self, "crowd_index", tuple(self.crowd_index))
        for name in ("people", "height", "distractors"):
            if len(getattr(self, name)) != 2:
                raise ValueError(f"SceneConfig.{name} must be a pair, got {getattr(self, name)!r}")
        unknown = [pose for pose in self.poses if pose not in FAMILIES]
        highest = _INDEX_PER_PERSON * (self.people[1] - 1)
        checks = {
            "size": (
                isinstance(self.size, int) and 32 <= self.size <= 4096,
                "a whole number of px from 32 to 4096",
            ),
            "people": (
                _are_integers(self.people) and 1 <= self.people[0] <= self.people[1] <= 30,
                "ordered whole numbers from 1 to 30",
            ),
            "height": (0.05 <= self.height[0] <= self.height[1] <= 3, "ordered, from 0.05 to 3"),
            "poses": (bool(self.poses) and not unknown, f"some of {FAMILIES}"),
            "views": (
                len(self.views) == 3 and min(self.views) >= 0 and sum(self.views) > 0,
                "three fractions of front, side and back, not all 0",
            ),
            "distractors": (
                _are_integers(self.distractors) and 0 <= self.distractors[0] <= self.distractors[1],
                "ordered whole numbers from 0",
            ),
            "border": (0 <= self.border <= 1, "a probability"),
            "crowd_index": (
                self._crowd_index_fits(),
                f"None, from 0 to {_INDEX_PER_PERSON} * (people[1] - 1) = {highest:g}, or an "
                "ordered pair of such numbers",
            ),
        }
        self._check(checks)

    def _check(self, checks: Mapping[str, tuple[bool, str]]) -> None:
        """Raise ValueError for the first field that is not valid; the text says what would be."""
        for name, (valid, expected) in checks.items():
            if not valid:
                given = getattr(self, name)
                raise ValueError(f"{type(self).__name__}.{name} must be {expected}, got {given!r}")

    @property
    def crowd_range(self) -> tuple[float, float] | None:
        """Minimum and maximum crowd index, or None if people are placed apart."""
        if self.crowd_index is None or isinstance(self.crowd_index, tuple):
            return self.crowd_index
        return self.crowd_index, self.crowd_index

    @property
    def min_people(self) -> int:
        """Minimum number of people: ``people[0]``, or as many as the crowd index needs."""
        if not self.crowd_range:
            return self.people[0]
        return max(self.people[0], 1 + int(np.ceil(self.crowd_range[1] / _INDEX_PER_PERSON)))

    def _crowd_index_fits(self) -> bool:
        if isinstance(self.crowd_index, tuple) and len(self.crowd_index) != 2:
            return False
        low, high = self.crowd_range or (0.0, 0.0)
        return 0 <= low <= high <= _INDEX_PER_PERSON * (self.people[1] - 1)

    def as_dict(self) -> dict[str, object]:
        """Return the fields as JSON holds them: tuples become lists."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def _are_integers(values: tuple[int, ...]) -> bool:
    return all(isinstance(value, int) for value in values)


# The crowd benchmark: association must fail now and then, or its ablations would show nothing. Half
# of a person's box belongs to others on average; the spread covers the easy, medium and hard
# thirds of CrowdPose's evaluation.
CROWD_SCENES = SceneConfig(size=128, people=(5, 7), height=(0.45, 0.85), crowd_index=(0.0, 1.0))
# Groups of people side by side, as those of MPII's evaluation.
GROUP_SCENES = SceneConfig(size=128, people=(2, 4))


@dataclass(frozen=True)
class ClipConfig(SceneConfig):
    """Configuration of synthetic clips; with a seed it defines a dataset.

    Attributes:
        frames: frames of a clip.
        fps: frames per second.
        turn: maximum turn of a person to either side, degrees.
        camera: motion of the camera: the standard deviation of its shift, as a fraction of
            ``size``, of the logarithm of its zoom and of its roll in radians.
        occluders: minimum and maximum number of bars in front of people, some of them moving.
        shutter: fraction of the time between frames for which the shutter is open; 0 is without
            motion blur.

    Raises:
        ValueError: a field is out of its range; the message names it.
    """

    people: tuple[int, int] = (1, 1)
    border: float = 0.0
    frames: int = 30
    fps: float = 25.0
    turn: float = 60.0
    camera: float = 0.05
    occluders: tuple[int, int] = (0, 2)
    shutter: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "occluders", tuple(self.occluders))
        super().__post_init__()
        few = len(self.occluders) == 2 and _are_integers(self.occluders)
        checks = {
            "frames": (isinstance(self.frames, int) and 1 <= self.frames <= 10_000, "1 to 10000"),
            "fps": (0 < self.fps <= 1000, "above 0, up to 1000"),
            "turn": (0 <= self.turn <= 180, "degrees from 0 to 180"),
            "camera": (0 <= self.camera <= 0.5, "from 0 to 0.5"),
            "occluders": (
                few and 0 <= self.occluders[0] <= self.occluders[1],
                "ordered whole numbers from 0",
            ),
            "shutter": (0 <= self.shutter <= 1, "a fraction"),
        }
        self._check(checks)


# Several people who walk through each other.
CROWD_CLIPS = ClipConfig(people=(3, 5), height=(0.45, 0.8))

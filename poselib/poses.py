"""The people found in one image."""

from __future__ import annotations

import html
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from poselib.skeletons import Skeleton
from poselib.typing import BoolArray, Float32Array, FloatArray, IntArray
from poselib.wording import counted, people_label

if TYPE_CHECKING:
    import pandas as pd

# Added to a pixel index, as COCO's files have it, it gives the coordinate of the pixel's center.
PIXEL_CENTER = 0.5
_SHOWN_SCORES = 10


@dataclass(frozen=True, repr=False)
class Poses:
    """The people found in one image: a sequence that can be indexed, filtered and converted.

    Attributes:
        keypoints: (N, K, 2) float32, (x, y), px, the first pixel's center at (0.5, 0.5): of the
            image in results of a model, of the network input in those of a decoder; (0, 0) where
            a keypoint is missing.
        scores: (N, K) float32, mostly heatmap values; 0 where a keypoint is missing.
        person_scores: (N,) float32, which rank detections; comparable within a system alone.
        skeleton: names of the keypoints, if known.
        tracks: (N,) int64, the number that a person keeps throughout a video; None in images.
        time: of the frame of a video, seconds; None in images.

    Example:
        >>> poses = Poses(np.ones((2, 17, 2)), np.ones((2, 17)), np.array([0.9, 0.2]))
        >>> poses
        2 people, 17 keypoints, scores 0.90, 0.20
        >>> poses.above(0.5)
        1 person, 17 keypoints, score 0.90
    """

    keypoints: Float32Array
    scores: Float32Array
    person_scores: Float32Array
    skeleton: Skeleton | None = None
    tracks: IntArray | None = None
    time: float | None = None

    @classmethod
    def empty(cls, keypoints: int) -> Poses:
        """Return no people, for a skeleton of so many keypoints."""
        return cls(
            np.zeros((0, keypoints, 2), np.float32),
            np.zeros((0, keypoints), np.float32),
            np.zeros(0, np.float32),
        )

    @classmethod
    def join(cls, parts: Sequence[Poses]) -> Poses:
        """Return the people of all parts, of one image; tracks where all parts have them.

        Raises:
            ValueError: there is no part.
        """
        if not parts:
            raise ValueError("poses to join: expected one or more")
        tracks = [part.tracks for part in parts if part.tracks is not None]
        return cls(
            np.concatenate([part.keypoints for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.person_scores for part in parts]),
            parts[0].skeleton,
            np.concatenate(tracks) if len(tracks) == len(parts) else None,
        )

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, index: int | slice | BoolArray | IntArray) -> Poses:
        """Return some of the people: of an integer one, else those of a slice, mask or index array.

        Raises:
            IndexError: there is no such person, or a mask has another length.
        """
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"person {index} of {len(self)}")
            index = np.array([index])
        elif not isinstance(index, slice) and not len(index):
            index = np.zeros(0, np.int64)
        return replace(
            self,
            keypoints=self.keypoints[index],
            scores=self.scores[index],
            person_scores=self.person_scores[index],
            tracks=None if self.tracks is None else self.tracks[index],
        )

    def __iter__(self) -> Iterator[Poses]:
        return (self[index] for index in range(len(self)))

    def above(self, score: float) -> Poses:
        """Return the people whose person score is at least ``score``.

        Raises:
            ValueError: the score is not a number.
        """
        if not isinstance(score, Real) or math.isnan(score):
            raise ValueError(f"score must be a number, not {score!r}")
        return self[self.person_scores >= score]

    @property
    def found(self) -> BoolArray:
        """(N, K) true where a keypoint is present."""
        return self.scores > 0

    @property
    def boxes(self) -> FloatArray:
        """(N, 4) x, y, width and height around the keypoints present, px; NaN without any."""
        points = np.where(self.found[..., None], self.keypoints.astype(np.float64), np.nan)
        boxes = np.full((len(self), 4), np.nan)
        some = self.found.any(axis=1)
        low, high = np.nanmin(points[some], axis=1), np.nanmax(points[some], axis=1)
        boxes[some] = np.concatenate([low, high - low], axis=1)
        return boxes

    @property
    def pixel_indices(self) -> FloatArray:
        """(N, K, 3) float64 pixel indices, as COCO's files have them, and scores; 0 if missing."""
        rows = np.empty((*self.scores.shape, 3))
        rows[..., :2] = self.keypoints - np.float32(PIXEL_CENTER)
        rows[..., 2] = self.scores
        rows[~self.found] = 0
        return rows

    def warped(self, warp: Callable[[ArrayLike], FloatArray]) -> Poses:
        """Return the poses in another frame; missing keypoints stay at (0, 0).

        Args:
            warp: an ``AffineTransform`` from the frame of the poses to the other one.
        """
        moved = warp(self.keypoints).astype(np.float32)
        return replace(self, keypoints=np.where(self.found[..., None], moved, np.float32(0)))

    def to_coco(self, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
        """Return the people as COCO results, keypoints as (x, y, score) triples.

        Coordinates are pixel indices, half a px less than here; missing keypoints are 0, 0, 0.
        People of a video have their ``track_id`` too.

        Args:
            image_id, category_id: the dataset's numbers of the image and the category.
        """
        rows = self.pixel_indices.reshape(len(self), 3 * self.scores.shape[1]).tolist()
        results = [
            {"image_id": image_id, "category_id": category_id, "keypoints": row, "score": score}
            for row, score in zip(rows, self.person_scores.astype(float).tolist(), strict=True)
        ]
        if self.tracks is not None:
            for result, track in zip(results, self.tracks.tolist(), strict=True):
                result["track_id"] = track
        return results

    def to_dataframe(self, skeleton: Skeleton | None = None) -> pd.DataFrame:
        """Return one row a person and keypoint; coordinates are NaN where a keypoint is missing.

        Args:
            skeleton: names the keypoints; by default the poses' own, and numbers if they have none.

        Returns:
            Columns ``person`` and ``keypoint``, ``x`` and ``y`` (px), ``score``, ``person_score``;
            in videos also ``track``.
        """
        import pandas as pd

        people, count = self.scores.shape
        skeleton = skeleton or self.skeleton
        names = list(range(count)) if skeleton is None else list(skeleton.keypoints)
        xy = np.where(self.found[..., None], self.keypoints, np.nan).reshape(-1, 2)
        table = pd.DataFrame(
            {
                "person": np.repeat(np.arange(people), count),
                "keypoint": names * people,
                "x": xy[:, 0],
                "y": xy[:, 1],
                "score": self.scores.reshape(-1),
                "person_score": np.repeat(self.person_scores, count),
            }
        )
        return table if self.tracks is None else table.assign(track=np.repeat(self.tracks, count))

    def to_supervision(self) -> Any:
        """Return the poses as ``supervision.KeyPoints``, for its annotators and trackers.

        Its ``data`` has ``person_score`` and ``class_name``, and ``tracker_id`` in videos. From
        version 0.29 on, it has ``detection_confidence`` and ``visible`` too.

        Raises:
            ModuleNotFoundError: the package supervision is not installed.
        """
        try:
            import supervision
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "to_supervision needs the package supervision: pip install supervision"
            ) from error
        if not len(self):  # arrays of no people are refused before version 0.29
            return supervision.KeyPoints.empty()
        names = np.full(len(self), "person")
        data: dict[str, Any] = {"person_score": self.person_scores, "class_name": names}
        if self.tracks is not None:
            data["tracker_id"] = self.tracks
        later = {"detection_confidence": self.person_scores, "visible": self.found}
        known = inspect.signature(supervision.KeyPoints).parameters
        more: dict[str, Any] = {name: v for name, v in later.items() if name in known}
        # By position: the third argument has had several names.
        classes = np.zeros(len(self), np.int64)
        return supervision.KeyPoints(self.keypoints, classes, self.scores, data=data, **more)

    def __repr__(self) -> str:
        people = people_label(len(self)) if len(self) else "no people"
        text = f"{people}, {counted(self.scores.shape[1], 'keypoint')}"
        if not len(self):
            return text
        scores = ", ".join(f"{score:.2f}" for score in self.person_scores[:_SHOWN_SCORES])
        more = ", ..." if len(self) > _SHOWN_SCORES else ""
        return f"{text}, {'score' if len(self) == 1 else 'scores'} {scores}{more}"

    def _repr_html_(self) -> str:
        titles = ("person", "score", "keypoints", "x, y, width, height")
        head = "<tr>" + "".join(f"<th>{title}</th>" for title in titles) + "</tr>"
        count, rows = self.scores.shape[1], []
        for number, (score, found, box) in enumerate(
            zip(self.person_scores, self.found.sum(axis=1), self.boxes, strict=True)
        ):
            place = ", ".join(f"{value:.0f}" for value in box) if found else ""
            cells = (number, f"{score:.2f}", f"{found} of {count}", place)
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        return f"<p>{html.escape(repr(self))}</p><table>{head}{''.join(rows)}</table>"


def poses_of_images(poses: Any, count: int) -> list[Poses]:
    """Return the poses of each of several images; ``Poses`` alone are those of one.

    Raises:
        ValueError: they are something else than poses, or not one for each of ``count`` images.
    """
    alone = isinstance(poses, Poses) or not isinstance(poses, Iterable)
    found = [poses] if alone else list(poses)
    for each in found:
        if not isinstance(each, Poses):
            raise ValueError(f"Poses, or a list of them, are wanted, not {type(each).__name__}")
    if len(found) != count:
        raise ValueError(f"{len(found)} poses for {count} images")
    return found

"""Crops around people: one region for all frames of a clip, or one for each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from poselib.data.boxes import keypoint_boxes
from poselib.data.transforms import check_positive, crop_transform, warp_sample
from poselib.ops.map_coordinates import CROP_FRAMES, CropFrame
from poselib.structures import AffineTransform, Clip, Sample, Size
from poselib.typing import FloatArray

_Item = TypeVar("_Item", Sample, Clip)
# By how much of its longer side a person moves, or by what factor it changes, within a region.
_MOVED, _CHANGED = 0.1, 1.25


@dataclass(frozen=True)
class CropRule:
    """Which part of an image is shown to a network of single people.

    Attributes:
        margin: factor of the box's sides.
        per_frame: crop each frame of a clip around its own box; otherwise all frames around the
            boxes of all, so that the background does not move.
        stretch: scale the width and the height of the region apart, so that it becomes the target;
            otherwise it is widened to the target's proportions. The official code of RPSTN is
            ``per_frame=True, stretch=True, margin=1``.
        frame: of the targets; with ``"aligned"`` (UDP) the sides of the region are those between
            the centers of the outermost pixels: W - 1 and H - 1 px of the crop.

    Raises:
        ValueError: the margin is not positive, or the frame unknown.
    """

    margin: float = 1.25
    per_frame: bool = False
    stretch: bool = False
    frame: CropFrame = "center"

    def __post_init__(self) -> None:
        check_positive(margin=self.margin)
        if self.frame not in CROP_FRAMES:
            raise ValueError(f"frame must be one of {CROP_FRAMES}, not {self.frame!r}")

    def boxes(self, item: Sample | Clip) -> FloatArray:
        """Return the region of each frame, (T, 4) left, top, right, bottom, px, without margin.

        The person is that of the item's only row. Without a box, it is that of the keypoints; see
        ``regions`` for frames that have neither.

        Raises:
            ValueError: there is not one person.
        """
        frames = item.frames if isinstance(item, Clip) else (item,)
        return self.regions(np.stack([_box(frame) for frame in frames]), frames[0].size)

    def regions(self, boxes: FloatArray, image: Size) -> FloatArray:
        """Return the region (T, 4) of each frame that a person is shown in together.

        Args:
            boxes: (T, 4) of the person; without area where not known. Such a frame has the region
                of the frame before, or else of the next one that is known; where none is, it is the
                whole image.
            image: (H, W), px.
        """
        known = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        if not len(known):
            return np.tile([0.0, 0.0, image[1], image[0]], (len(boxes), 1))
        if not self.per_frame:
            low, high = boxes[known, :2].min(axis=0), boxes[known, 2:].max(axis=0)
            return np.tile(np.concatenate([low, high]), (len(boxes), 1))
        before = np.searchsorted(known, np.arange(len(boxes)), side="right") - 1
        return boxes[known[np.maximum(before, 0)]]

    def follow(self, region: FloatArray, box: FloatArray) -> FloatArray:
        """Return the region (4,) of the next frame of a stream, from the one before and the box.

        It stays while the person stays in it, as it does in a clip: until the center has moved by
        a tenth of the longer side, or that side has changed by a quarter. With ``per_frame`` it is
        the box. Where the box is not known, without area, it stays.
        """
        if not (box[2:] > box[:2]).all():
            return region
        old, new = region[2:] - region[:2], box[2:] - box[:2]
        moved = np.abs((region[:2] + region[2:] - box[:2] - box[2:]) / 2).max()
        changed = max(old.max() / new.max(), new.max() / old.max())
        stays = moved <= _MOVED * old.max() and changed <= _CHANGED and not self.per_frame
        return region if stays else box

    def transform(
        self,
        box: FloatArray,
        size: Size,
        scale: float = 1.0,
        rotation: float = 0.0,
        shift: tuple[float, float] = (0.0, 0.0),
        flip: bool = False,
    ) -> AffineTransform:
        """Return the transform from px of the image to px of the crop.

        Args:
            box: (4,) left, top, right, bottom, px.
            size: (H, W) of the crop.
            scale: factor of the region's sides.
            rotation, flip: see ``crop_transform``.
            shift: of the region's center in x and y, as fractions of its sides.
        """
        width, height = (self.margin * scale * (box[2:] - box[:2])).tolist()
        if not self.stretch:
            wide = max(width, height * size[1] / size[0])
            width, height = wide, wide * size[0] / size[1]
        x, y = ((box[:2] + box[2:]) / 2).tolist()
        center = x + shift[0] * width, y + shift[1] * height
        if self.frame == "aligned":
            width *= size[1] / max(1, size[1] - 1)
            height *= size[0] / max(1, size[0] - 1)
        return crop_transform(center, (width, height), size, rotation, flip)


def crop_person(item: _Item, size: Size, rule: CropRule | None = None) -> _Item:
    """Return the crop of an image or clip around its only person.

    Args:
        item: with one row of people.
        size: (H, W) of the result.
        rule: the region; by default ``CropRule()``.

    Raises:
        ValueError: there is not one person.

    Example:
        >>> clip = VideoClips(open_dataset("clips", "val", count=1), frames=5)[0]
        >>> crop_person(clip, (64, 48)).size
        (64, 48)
    """
    rule = rule or CropRule()
    boxes = rule.boxes(item)
    if isinstance(item, Clip):
        return item.each(lambda frame, t: warp_sample(frame, rule.transform(boxes[t], size), size))
    return warp_sample(item, rule.transform(boxes[0], size), size)


def _box(sample: Sample) -> FloatArray:
    """Return the box (4,) of the only person of a frame; zeros if not known."""
    if len(sample.keypoints) != 1:
        found = len(sample.keypoints)
        raise ValueError(f"image {sample.image_id}: expected one person to crop, found {found}")
    if sample.boxes is not None and (sample.boxes[0, 2:] > sample.boxes[0, :2]).all():
        return sample.boxes[0].astype(np.float64)
    return keypoint_boxes(sample.keypoints)[0].astype(np.float64)

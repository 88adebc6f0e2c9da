"""Random crops, rotations, flips and light, drawn once for an image or for all frames of a clip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from poselib.data.crops import CropRule
from poselib.data.transforms import check_positive, crop_transform, warp_sample
from poselib.skeletons import Skeleton
from poselib.structures import AffineTransform, Clip, Sample, Size
from poselib.typing import FloatArray

Range = tuple[float, float]
_Item = TypeVar("_Item", Sample, Clip)


@dataclass(frozen=True)
class Augment:
    """A random crop with rotation, scale, translation, flip, brightness and contrast.

    One draw is for all frames of a clip. People without a keypoint in the crop, in any frame, are
    dropped.

    Attributes:
        skeleton: gives the pairs of keypoints that a flip exchanges.
        size: side, or (H, W), of the result, px.
        rotation: maximum rotation in either direction, degrees.
        scale: range of the crop's side as a fraction of the image's short side, or of the region
            around the person.
        translation: maximum shift in x and in y as a fraction of the crop's side. The default
            interprets the papers' "±40" as px of a 512 px input (HAE, Sec. IV-B). HigherHRNet's
            code multiplies 40 by the crop's side over 200, which is a fraction of 0.2.
        flip: probability of a horizontal flip.
        brightness: maximum change of brightness as a fraction of 255.
        contrast: maximum relative change of contrast.
        ignore_outside: see ``warp_sample``.
        crop: the region around the only person of an item, to be cropped; by default it is the
            middle of the image.

    Raises:
        ValueError: a range is empty or negative, or a fraction or probability is out of bounds.
    """

    skeleton: Skeleton
    size: int | Size
    rotation: float = 30.0
    scale: Range = (0.75, 1.5)
    translation: float = 40 / 512
    flip: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    ignore_outside: bool = False
    crop: CropRule | None = None

    def __post_init__(self) -> None:
        check_positive(size=min(self._target), scale=min(self.scale))
        if not self.scale[0] <= self.scale[1]:
            raise ValueError(f"Augment: scale must be (low, high), not {self.scale}")
        for name in ("rotation", "translation", "flip", "brightness", "contrast"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"Augment: {name} must be 0 or more, not {getattr(self, name)}")
        for name in ("flip", "brightness", "contrast"):
            if getattr(self, name) > 1:
                raise ValueError(f"Augment: {name} must be at most 1, not {getattr(self, name)}")

    def __call__(self, sample: _Item, rng: np.random.Generator) -> _Item:
        """Return the augmented sample or clip; it depends on it and the generator only."""
        # Always the same number of random values, so that one option does not affect the others.
        draws = rng.uniform(-1, 1, size=6)
        flip = bool(rng.random() < self.flip)
        boxes = self.crop.boxes(sample) if self.crop is not None else None

        def apply(frame: Sample, t: int) -> Sample:
            box = None if boxes is None else boxes[t]
            return self._apply(frame, self._random_transform(frame.size, draws, flip, box), draws)

        if isinstance(sample, Clip):
            clip = sample.each(apply)
            return clip.only(clip.labeled)
        result = apply(sample, 0)
        return result.only(np.any(result.keypoints[..., 2] > 0, axis=1))

    @property
    def _target(self) -> Size:
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def _apply(self, sample: Sample, warp: AffineTransform, draws: FloatArray) -> Sample:
        """Return an image that is changed as the random values say, with all of its people."""
        if sample.keypoints.shape[1] != len(self.skeleton):
            raise ValueError(
                f"image {sample.image_id}: {sample.keypoints.shape[1]} keypoints, but skeleton "
                f"{self.skeleton.name!r} has {len(self.skeleton)}"
            )
        result = warp_sample(sample, warp, self._target, ignore_outside=self.ignore_outside)
        if np.linalg.det(warp.matrix[:, :2]) < 0:
            result = replace(result, keypoints=result.keypoints[:, self.skeleton.flip_indices])
        return _change_light(result, self.brightness * draws[4], self.contrast * draws[5])

    def _random_transform(
        self, size: Size, draws: FloatArray, flip: bool, box: FloatArray | None
    ) -> AffineTransform:
        low, high = self.scale
        scale, rotation = low + (high - low) * (draws[0] + 1) / 2, self.rotation * draws[1]
        if self.crop is not None and box is not None:
            shift = (self.translation * draws[2:4]).tolist()
            return self.crop.transform(
                box, self._target, scale, rotation, (shift[0], shift[1]), flip
            )
        side = min(size) * scale
        offset = self.translation * side * draws[2:4]
        center = (size[1] / 2 + offset[0], size[0] / 2 + offset[1])
        height, width = self._target
        short = min(self._target)
        sides = (side * (width / short), side * (height / short))
        return crop_transform(center, sides, self._target, rotation, flip)


def _change_light(sample: Sample, brightness: float, contrast: float) -> Sample:
    if brightness == 0 and contrast == 0:
        return sample
    levels = (np.arange(256) - 127.5) * (1 + contrast) + 127.5 + 255 * brightness
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return replace(sample, image=table[sample.image])

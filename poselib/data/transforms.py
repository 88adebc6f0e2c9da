"""Geometry of samples: one affine matrix for the image, the ignore mask and the keypoints.

Everything here is in continuous coordinates with pixel centers at integer + 0.5. OpenCV puts
pixel centers at integers; only ``_warped`` knows that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from poselib.skeletons import Skeleton
from poselib.structures import AffineTransform, Sample, Size

Range = tuple[float, float]


def crop_warp(
    center: tuple[float, float], side: float, size: int, rotation: float = 0.0, flip: bool = False
) -> AffineTransform:
    """Return the warp from a turned square of an image to an upright image of ``size`` px.

    Args:
        center: (x, y) of the square, px of the source; it lands in the middle of the target.
        side: of the square, px of the source.
        size: of the target, px.
        rotation: degrees; a positive angle turns the picture anticlockwise as it is seen.
        flip: mirror the target left to right.
    """
    scale, angle = size / side, math.radians(rotation)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[cosine, sine], [-sine, cosine]])
    offset = np.full(2, size / 2) - linear @ np.asarray(center, dtype=np.float64)
    warp = AffineTransform(np.column_stack([linear, offset]))
    # x -> size - x maps the left edge to the right one; with pixel indices it would lose one.
    mirror = AffineTransform(np.array([[-1.0, 0.0, float(size)], [0.0, 1.0, 0.0]]))
    return warp.then(mirror) if flip else warp


def warp_sample(
    sample: Sample, warp: AffineTransform, size: Size, *, ignore_outside: bool = False
) -> Sample:
    """Warp image, ignore mask, keypoints and areas of a sample with one matrix.

    Keypoints that leave the image become (0, 0, 0); nobody is dropped and left and right keep
    their places. Pixels that come from outside the image are black.

    Args:
        sample: any sample.
        warp: from px of ``sample.image`` to px of the result.
        size: (H, W) of the result.
        ignore_outside: mark pixels from outside the image as ignored, as HigherHRNet's code
            does; otherwise they are background.
    """
    return replace(
        sample,
        image=_warped(sample.image.transpose(1, 2, 0), warp, size).transpose(2, 0, 1),
        keypoints=_inside(_moved(sample.keypoints, warp), size),
        areas=(sample.areas * warp.scale**2).astype(np.float32),
        ignore_mask=_warped_mask(sample.ignore_mask, warp, size, ignore_outside),
        to_original=warp.inverse().then(sample.to_original),
    )


def letterbox(sample: Sample, size: int, multiple: int = 64) -> Sample:
    """Resize the short side to ``size`` px and pad right and bottom to a multiple.

    HigherHRNet's code does the same with the padding on both sides. No keypoint is lost, unless
    it lay outside the image or in the last fraction of a pixel.

    Raises:
        ValueError: ``size`` or ``multiple`` is not positive.
    """
    _check_positive(size=size, multiple=multiple)
    scale = letterbox_scale(sample.size, size)
    # Less than a pixel beyond a multiple is cut off: it must not cost another 64 of padding.
    height, width = (
        int((side * scale + multiple - 1) // multiple) * multiple for side in sample.size
    )
    return warp_sample(sample, _scaling(scale), (height, width))


def letterbox_scale(image: Size, size: int) -> float:
    """Return how long a px of an image is after ``letterbox``, for the (H, W) of the image."""
    return size / min(image)


def fit(sample: Sample, size: int) -> Sample:
    """Resize the long side to ``size`` px and pad right and bottom to a square.

    Raises:
        ValueError: ``size`` is not positive.
    """
    _check_positive(size=size)
    return warp_sample(sample, _scaling(size / max(sample.size)), (size, size))


@dataclass(frozen=True)
class Augment:
    """A random square crop: rotation, scale, translation, flip and, if asked for, light.

    People of whom no keypoint is left are dropped.

    Attributes:
        skeleton: tells which keypoints exchange places in a flip.
        size: of the result, px.
        rotation: up to this many degrees either way.
        scale: range of the crop's side as a share of the image's short side.
        translation: up to this share of the crop's side either way, in x and in y. The default
            reads the papers' "±40" as px of a 512 px input (HAE, Sec. IV-B). HigherHRNet's code
            multiplies 40 by the crop's side over 200, which is a share of 0.2.
        flip: probability of a mirrored image.
        brightness: up to this share of 255 is added or taken away.
        contrast: the contrast changes by up to this share.
        ignore_outside: see ``warp_sample``.

    Raises:
        ValueError: a range is empty or negative, or a share or probability is out of bounds.
    """

    skeleton: Skeleton
    size: int
    rotation: float = 30.0
    scale: Range = (0.75, 1.5)
    translation: float = 40 / 512
    flip: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    ignore_outside: bool = False

    def __post_init__(self) -> None:
        _check_positive(size=self.size, scale=min(self.scale))
        if not self.scale[0] <= self.scale[1]:
            raise ValueError(f"Augment: scale must be (low, high), not {self.scale}")
        for name in ("rotation", "translation", "flip", "brightness", "contrast"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"Augment: {name} must be 0 or more, not {getattr(self, name)}")
        for name in ("flip", "brightness", "contrast"):
            if getattr(self, name) > 1:
                raise ValueError(f"Augment: {name} must be at most 1, not {getattr(self, name)}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the augmented sample; the generator is the only source of chance."""
        if sample.keypoints.shape[1] != len(self.skeleton):
            raise ValueError(
                f"image {sample.image_id}: {sample.keypoints.shape[1]} keypoints, but skeleton "
                f"{self.skeleton.name!r} has {len(self.skeleton)}"
            )
        # Always the same number of draws, so that one setting does not shift the others.
        draws = rng.uniform(-1, 1, size=6)
        flip = bool(rng.random() < self.flip)
        warp = self._warp(sample.size, draws, flip)
        size = (self.size, self.size)
        result = warp_sample(sample, warp, size, ignore_outside=self.ignore_outside)
        if flip:
            result = replace(result, keypoints=result.keypoints[:, self.skeleton.flip_indices])
        return _relit(
            _with_people_left(result), self.brightness * draws[4], self.contrast * draws[5]
        )

    def _warp(self, size: Size, draws: NDArray[np.float64], flip: bool) -> AffineTransform:
        low, high = self.scale
        side = min(size) * (low + (high - low) * (draws[0] + 1) / 2)
        shift = self.translation * side * draws[2:4]
        center = (size[1] / 2 + shift[0], size[0] / 2 + shift[1])
        return crop_warp(center, side, self.size, self.rotation * draws[1], flip)


def _scaling(scale: float) -> AffineTransform:
    return AffineTransform(np.array([[scale, 0.0, 0.0], [0.0, scale, 0.0]]))


def _shifting(shift: float) -> AffineTransform:
    return AffineTransform(np.array([[1.0, 0.0, shift], [0.0, 1.0, shift]]))


def _moved(keypoints: NDArray[np.float32], warp: AffineTransform) -> NDArray[np.float32]:
    xy, visibility = warp(keypoints[..., :2]), keypoints[..., 2:]
    return np.concatenate([xy, visibility], axis=-1).astype(np.float32)


def _inside(keypoints: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """Zero the rows of keypoints that are not labeled or not in [0, W) x [0, H)."""
    limits = np.array([size[1], size[0]], dtype=np.float32)
    within = ((keypoints[..., :2] >= 0) & (keypoints[..., :2] < limits)).all(axis=-1)
    labeled = within & (keypoints[..., 2] > 0)
    return np.where(labeled[..., None], keypoints, np.float32(0))


def _with_people_left(sample: Sample) -> Sample:
    left = (sample.keypoints[..., 2] > 0).any(axis=1)
    return replace(sample, keypoints=sample.keypoints[left], areas=sample.areas[left])


def _warped(
    image: NDArray[np.uint8], warp: AffineTransform, size: Size, outside: float = 0.0
) -> NDArray[np.uint8]:
    """Resample an image (H, W) or (H, W, 3) bilinearly; ``outside`` is the value beyond it."""
    image, warp = _reduced(np.ascontiguousarray(image), warp)
    # OpenCV counts pixel centers as 0, 1, ...: go to our frame, warp, and come back.
    index_warp = _shifting(0.5).then(warp).then(_shifting(-0.5))
    border = (outside, outside, outside)
    return cv2.warpAffine(
        image, index_warp.matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderValue=border
    )  # type: ignore[return-value]


def _reduced(
    image: NDArray[np.uint8], warp: AffineTransform
) -> tuple[NDArray[np.uint8], AffineTransform]:
    """Shrink by averaging first where bilinear sampling would skip whole pixels."""
    factor = int(1 / warp.scale)
    if factor < 2:
        return image, warp
    height, width = image.shape[:2]
    small = max(1, round(height / factor)), max(1, round(width / factor))
    image = cv2.resize(image, (small[1], small[0]), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    stretch = np.diag([width / small[1], height / small[0], 1.0])[:2]
    return image, AffineTransform(stretch).then(warp)


def _warped_mask(
    mask: NDArray[np.bool_], warp: AffineTransform, size: Size, ignore_outside: bool
) -> NDArray[np.bool_]:
    if not ignore_outside and not mask.any():
        return np.zeros(size, dtype=bool)
    return _warped(mask.astype(np.uint8) * 255, warp, size, 255 * ignore_outside) > 127


def _relit(sample: Sample, brightness: float, contrast: float) -> Sample:
    if brightness == 0 and contrast == 0:
        return sample
    levels = (np.arange(256) - 127.5) * (1 + contrast) + 127.5 + 255 * brightness
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return replace(sample, image=table[sample.image])


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value}")

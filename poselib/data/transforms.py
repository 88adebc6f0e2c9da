"""Resizing and cropping of samples with affine transforms.

One matrix maps the image, the ignore mask, the keypoints and the areas.

Coordinates are continuous, with pixel centers at integer + 0.5. OpenCV puts pixel centers at
integers; ``_warp_image`` alone converts.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from poselib.ops.map_coordinates import CropFrame, half_pixel
from poselib.structures import AffineTransform, Sample, Size


def crop_transform(
    center: tuple[float, float],
    side: float | tuple[float, float],
    size: int | Size,
    rotation: float = 0.0,
    flip: bool = False,
) -> AffineTransform:
    """Return the transform from a rotated rectangle of an image to an upright image.

    Args:
        center: (x, y) of the rectangle, px of the source; it lands in the middle of the target.
        side: side of a square, or (width, height) of a rectangle, px of the source. A rectangle of
            other proportions than the target is stretched, and rotated after that.
        size: side, or (H, W), of the target, px.
        rotation: degrees; a positive angle rotates the image content counterclockwise.
        flip: mirror the target horizontally.
    """
    height, width = (size, size) if isinstance(size, int) else size
    sides = side if isinstance(side, tuple) else (side, side)
    angle, x, y = math.radians(rotation), width / sides[0], height / sides[1]
    cosine, sine = math.cos(angle), math.sin(angle)
    linear = np.array([[x * cosine, y * sine], [-x * sine, y * cosine]])
    middle = np.array([width / 2, height / 2])
    offset = middle - linear @ np.asarray(center, dtype=np.float64)
    warp = AffineTransform(np.column_stack([linear, offset]))
    # With continuous coordinates, x -> width - x maps the left edge to the right one.
    mirror = AffineTransform(np.array([[-1.0, 0.0, float(width)], [0.0, 1.0, 0.0]]))
    return warp.then(mirror) if flip else warp


def warp_sample(
    sample: Sample,
    warp: AffineTransform,
    size: Size,
    *,
    ignore_outside: bool = False,
    antialias: bool = True,
) -> Sample:
    """Transform image, ignore mask, keypoints, boxes and areas of a sample.

    Keypoints that leave the image become (0, 0, 0). No person is dropped, and left and right are
    not exchanged. Pixels from outside the image are black.

    Args:
        sample: any sample.
        warp: transform from px of ``sample.image`` to px of the result.
        size: (H, W) of the result.
        ignore_outside: mark pixels from outside the image as ignored, as HigherHRNet's code
            does; otherwise they are background.
        antialias: average the pixels of an image first that bilinear sampling would skip; the
            official implementations do not.
    """
    image, mask = _warp_pixels(sample, warp, size, ignore_outside, antialias)
    points = np.concatenate([warp(sample.keypoints[..., :2]), sample.keypoints[..., 2:]], axis=-1)
    return replace(
        sample,
        image=image.transpose(2, 0, 1),
        keypoints=_zero_outside(points.astype(np.float32), size),
        areas=(sample.areas * warp.scale**2).astype(np.float32),
        boxes=None if sample.boxes is None else warp_boxes(sample.boxes, warp),
        ignore_mask=mask,
        to_original=warp.inverse().then(sample.to_original),
    )


def warp_boxes(boxes: NDArray[np.float32], warp: AffineTransform) -> NDArray[np.float32]:
    """Return the boxes (N, 4) around the transformed corners of boxes; empty ones stay zeros."""
    corners = warp(boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2))
    around = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    empty = (boxes == 0).all(axis=1, keepdims=True)
    return np.where(empty, 0, around).astype(np.float32)


def letterbox(sample: Sample, size: int, multiple: int = 64, frame: CropFrame = "center") -> Sample:
    """Resize the short side to ``size`` px and pad to a multiple.

    No keypoint is lost, unless it lies outside the image or in its outermost fraction of a pixel.

    Args:
        sample: any sample.
        size: short side of the image in the result, px.
        multiple: of px, to which both sides are padded.
        frame: how pixels are resampled. ``"center"``: by their centers, and padding is right and
            bottom. ``"index"``: as in the official code of HigherHRNet, DEKR and LOGO-CAP, by
            pixel indices and without averaging, with half of the padding on each side and the
            image's center rounded to a whole pixel. ``"aligned"``, as in the public code of UDP:
            the centers of the short side's outermost pixels become those of the result, without
            averaging, and padding is right and bottom.

    Raises:
        ValueError: ``size`` or ``multiple`` is not positive.
    """
    check_positive(size=size, multiple=multiple)
    scale = letterbox_scale(sample.size, size)
    height, width = letterbox_size(sample.size, size, multiple)
    if frame == "center":
        return warp_sample(sample, _scaling(scale), (height, width))
    if frame == "aligned":
        scale = (size - 1) / max(1, min(sample.size) - 1)
        warp = in_frame(_scaling(scale), frame)
        return warp_sample(sample, warp, (height, width), antialias=False)
    y, x = (int(side / 2 + 0.5) for side in sample.size)
    padding = width / 2 - scale * x, height / 2 - scale * y
    warp = in_frame(_scaling(scale).then(_shifting(*padding)), frame)
    return warp_sample(sample, warp, (height, width), antialias=False)


def in_frame(warp: AffineTransform, frame: CropFrame) -> AffineTransform:
    """Return the transform, in px of poselib's frame, of one that is written in px of a frame."""
    half = half_pixel(frame)
    return _shifting(-half, -half).then(warp).then(_shifting(half, half))


def letterbox_size(image: Size, size: int, multiple: int = 64) -> Size:
    """Return the (H, W) that ``letterbox`` gives an image of size (H, W)."""
    scale = letterbox_scale(image, size)
    # Less than a pixel beyond a multiple is cut off, to save another ``multiple`` px of padding.
    height, width = (int((side * scale + multiple - 1) // multiple) * multiple for side in image)
    return height, width


def letterbox_scale(image: Size, size: int) -> float:
    """Return the scale factor of ``letterbox`` for an image of size (H, W)."""
    return size / min(image)


def fit(sample: Sample, size: int) -> Sample:
    """Resize the long side to ``size`` px and pad right and bottom to a square.

    Raises:
        ValueError: ``size`` is not positive.
    """
    check_positive(size=size)
    return warp_sample(sample, _scaling(size / max(sample.size)), (size, size))


def _scaling(scale: float) -> AffineTransform:
    return AffineTransform(np.array([[scale, 0.0, 0.0], [0.0, scale, 0.0]]))


def _shifting(x: float, y: float) -> AffineTransform:
    return AffineTransform(np.array([[1.0, 0.0, x], [0.0, 1.0, y]]))


def _zero_outside(keypoints: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """Set keypoints to zero that are not labeled or not in [0, W) x [0, H)."""
    limits = np.array([size[1], size[0]], dtype=np.float32)
    within = ((keypoints[..., :2] >= 0) & (keypoints[..., :2] < limits)).all(axis=-1)
    labeled = within & (keypoints[..., 2] > 0)
    return np.where(labeled[..., None], keypoints, np.float32(0))


def _warp_pixels(
    sample: Sample, warp: AffineTransform, size: Size, ignore_outside: bool, antialias: bool
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Resample the image, (H, W, 3), and the ignore mask of a sample bilinearly.

    They are four channels of one image: OpenCV resamples four faster than three, and to the same
    values.
    """
    image = np.ascontiguousarray(sample.image.transpose(1, 2, 0))
    masked = ignore_outside or bool(sample.ignore_mask.any())
    outside = 255.0 * ignore_outside
    before, after = f"{image.shape[1]} x {image.shape[0]}", f"{size[1]} x {size[0]}"
    try:
        pixels = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
        apart = masked and not antialias and _factor(warp) > 1  # a mask is averaged all the same
        if masked and not apart:
            pixels[..., 3] = sample.ignore_mask
            pixels[..., 3] *= 255
        pixels = _warp_channels(pixels, warp, size, (0.0, 0.0, 0.0, outside), antialias)
        rgb: NDArray[np.uint8] = cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)  # type: ignore[assignment]
        if not masked:
            return rgb, np.zeros(size, dtype=bool)
        if apart:
            alone = sample.ignore_mask.astype(np.uint8) * 255
            return rgb, _warp_channels(alone, warp, size, (outside,)) > 127
        return rgb, pixels[..., 3] > 127
    except cv2.error as error:
        # Versions before 5 take no side of more than 32766 px; or the memory is not enough.
        raise ValueError(f"{before} px cannot be resampled to {after} px: {error.err}") from error


def _warp_channels(
    image: MatLike,
    warp: AffineTransform,
    size: Size,
    outside: tuple[float, ...],
    antialias: bool = True,
) -> MatLike:
    """Resample an image (H, W) or (H, W, C) bilinearly; ``outside`` fills the rest."""
    if antialias:
        image, warp = _shrink(image, warp)
    # OpenCV has pixel centers at 0, 1, ...: convert to ours, transform, and convert back.
    index_warp = _shifting(0.5, 0.5).then(warp).then(_shifting(-0.5, -0.5))
    return cv2.warpAffine(
        image, index_warp.matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderValue=outside
    )


def _shrink(image: MatLike, warp: AffineTransform) -> tuple[MatLike, AffineTransform]:
    """Shrink by averaging first if bilinear sampling would skip whole pixels."""
    factor = _factor(warp)
    if factor < 2:
        return image, warp
    height, width = image.shape[:2]
    small = max(1, round(height / factor)), max(1, round(width / factor))
    image = cv2.resize(image, (small[1], small[0]), interpolation=cv2.INTER_AREA)
    stretch = np.diag([width / small[1], height / small[0], 1.0])[:2]
    return image, AffineTransform(stretch).then(warp)


def _factor(warp: AffineTransform) -> int:
    """Return how many pixels along each axis become one."""
    return int(1 / warp.scale)


def check_positive(**values: float) -> None:
    """Raise ValueError that names the first value that is not positive."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value}")

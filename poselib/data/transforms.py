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
            official codes do not.
    """
    image = sample.image.transpose(1, 2, 0)
    points = np.concatenate([warp(sample.keypoints[..., :2]), sample.keypoints[..., 2:]], axis=-1)
    return replace(
        sample,
        image=_warp_image(image, warp, size, antialias=antialias).transpose(2, 0, 1),
        keypoints=_zero_outside(points.astype(np.float32), size),
        areas=(sample.areas * warp.scale**2).astype(np.float32),
        boxes=None if sample.boxes is None else warp_boxes(sample.boxes, warp),
        ignore_mask=_warp_mask(sample.ignore_mask, warp, size, ignore_outside),
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
            bottom. ``"index"``: as in the official codes of HigherHRNet, DEKR and LOGO-CAP, by
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


def _warp_image(
    image: NDArray[np.uint8],
    warp: AffineTransform,
    size: Size,
    outside: float = 0.0,
    antialias: bool = True,
) -> NDArray[np.uint8]:
    """Resample an image (H, W) or (H, W, 3) bilinearly; ``outside`` fills the rest."""
    image = np.ascontiguousarray(image)
    if antialias:
        image, warp = _shrink(image, warp)
    # OpenCV has pixel centers at 0, 1, ...: convert to ours, transform, and convert back.
    index_warp = _shifting(0.5, 0.5).then(warp).then(_shifting(-0.5, -0.5))
    border = (outside, outside, outside)
    try:
        return cv2.warpAffine(
            image, index_warp.matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderValue=border
        )  # type: ignore[return-value]
    except cv2.error as error:
        # Versions before 5 take no side of more than 32766 px; or the memory is not enough.
        before, after = f"{image.shape[1]} x {image.shape[0]}", f"{size[1]} x {size[0]}"
        raise ValueError(f"{before} px cannot be resampled to {after} px: {error.err}") from error


def _shrink(
    image: NDArray[np.uint8], warp: AffineTransform
) -> tuple[NDArray[np.uint8], AffineTransform]:
    """Shrink by averaging first if bilinear sampling would skip whole pixels."""
    factor = int(1 / warp.scale)
    if factor < 2:
        return image, warp
    height, width = image.shape[:2]
    small = max(1, round(height / factor)), max(1, round(width / factor))
    image = cv2.resize(image, (small[1], small[0]), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    stretch = np.diag([width / small[1], height / small[0], 1.0])[:2]
    return image, AffineTransform(stretch).then(warp)


def _warp_mask(
    mask: NDArray[np.bool_], warp: AffineTransform, size: Size, ignore_outside: bool
) -> NDArray[np.bool_]:
    if not ignore_outside and not mask.any():
        return np.zeros(size, dtype=bool)
    return _warp_image(mask.astype(np.uint8) * 255, warp, size, 255 * ignore_outside) > 127


def check_positive(**values: float) -> None:
    """Raise ValueError that names the first value that is not positive."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value}")

"""Scenes with keypoints painted as blobs, to see whether pixels and keypoints move together."""

from __future__ import annotations

import numpy as np

from poselib.skeletons import COCO
from poselib.structures import AffineTransform, Sample

# The keypoints painted as blobs, one in each color channel.
BLOBS = (COCO.index("nose"), COCO.index("left_wrist"), COCO.index("right_wrist"))


def blob(size: tuple[int, int], xy: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian at (x, y) where the first pixel's center is (0.5, 0.5)."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    return np.exp(-((x - xy[0]) ** 2 + (y - xy[1]) ** 2) / (2 * sigma**2))


def centroid(channel: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: channel.shape[0], : channel.shape[1]] + 0.5
    weight = channel.astype(np.float64)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def scene(size: tuple[int, int] = (240, 320), sigma: float = 6.0) -> Sample:
    """One person whose nose and wrists are blobs; the nose is covered by the ignore mask."""
    middle = np.array([size[1], size[0]]) / 2
    points = middle + np.array([[1.3, -20.6], [31.8, 12.25], [-28.45, 17.9]])
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, BLOBS, :2] = points
    keypoints[0, BLOBS, 2] = 2
    blobs = [blob(size, xy, sigma) for xy in points]
    return Sample(
        image=np.rint(255 * np.stack(blobs)).astype(np.uint8),
        keypoints=keypoints,
        areas=np.array([1000.0], np.float32),
        ignore_mask=blobs[0] > 0.1,
        image_id=7,
        to_original=AffineTransform.identity(),
    )


def without_people(height: int, width: int) -> Sample:
    return Sample(
        image=np.zeros((3, height, width), np.uint8),
        keypoints=np.zeros((0, 17, 3), np.float32),
        areas=np.zeros(0, np.float32),
        ignore_mask=np.zeros((height, width), bool),
        image_id=1,
        to_original=AffineTransform.identity(),
    )


def assert_blobs_at_keypoints(sample: Sample, tolerance: float = 0.1) -> None:
    keypoints = sample.keypoints[0, BLOBS]
    assert (keypoints[:, 2] == 2).all()
    for channel, (x, y, _) in zip(sample.image, keypoints, strict=True):
        assert np.abs(centroid(channel) - [x, y]).max() < tolerance
    assert np.abs(centroid(sample.ignore_mask) - keypoints[0, :2]).max() < 0.3

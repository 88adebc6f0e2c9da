"""People who stand in an image, poses found of them, and systems that may find them."""

from __future__ import annotations

import numpy as np

from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.engine.predict import PredictOptions
from poselib.skeletons import COCO, Skeleton
from poselib.structures import AffineTransform, Poses, Sample
from poselib.systems import OptionValue, System, build

OPTIONS = PredictOptions(size=128, multiple=64, flip=False)
SCENES = SyntheticScenes(SceneConfig(size=96, people=(2, 3)), 3, 4, COCO).cached()

STANDING = np.array(
    [
        *((50, 10), (53, 8), (47, 8), (56, 10), (44, 10), (62, 25), (38, 25), (68, 45)),
        *((32, 45), (70, 62), (30, 62), (58, 65), (42, 65), (59, 92), (41, 92), (60, 118)),
        (40, 118),
    ],
    dtype=np.float32,
)


def moved(x: float, y: float) -> np.ndarray:
    return STANDING + np.array([x, y])


def sample_of(people: np.ndarray, to_original: AffineTransform | None = None) -> Sample:
    """People (N, 17, 3) in an image of 128 px."""
    return Sample(
        image=np.zeros((3, 128, 128), np.uint8),
        keypoints=people.astype(np.float32),
        areas=np.full(len(people), 2000, np.float32),
        ignore_mask=np.zeros((128, 128), bool),
        image_id=0,
        to_original=to_original or AffineTransform.identity(),
    )


def labeled(points: np.ndarray, visibility: int = 2) -> np.ndarray:
    return np.concatenate([points, np.full((17, 1), visibility)], axis=1)


def poses_at(*points: np.ndarray, heat: float = 0.5) -> Poses:
    count = len(points)
    places = np.array(points, np.float32).reshape(count, 17, 2)
    return Poses(places, np.full((count, 17), heat, np.float32), np.ones(count, np.float32))


def build_tiny(skeleton: Skeleton = COCO, name: str = "dekr", **options: OptionValue) -> System:
    """An untrained system, which finds people everywhere."""
    backbone = "hrnet_tiny" if name == "dekr" else "hrnet_tiny_light"
    tiny = {"backbone": backbone, "width": 4, "heatmap_width": 8, "center_threshold": 0.0}
    return build(name, skeleton, **{**tiny, **options})

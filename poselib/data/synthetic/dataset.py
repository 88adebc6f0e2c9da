"""Synthetic scenes as a dataset: rendered from a configuration and a seed.

``SyntheticScenes`` renders them on demand; ``write_scenes`` writes the same scenes as an ordinary
COCO-format folder, which ``poselib.data.readers.coco.CocoKeypoints`` reads like any other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poselib.annotations import AnnotationTable
from poselib.data.annotation_table import AnnotatedImage, gather
from poselib.data.boxes import head_sizes
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.export import check_arguments, write_scenes
from poselib.data.synthetic.scene import Scene, render_scene
from poselib.skeletons import Skeleton
from poselib.structures import AffineTransform, Sample, sample_index

__all__ = ["SceneConfig", "SyntheticScenes", "write_scenes"]


class SyntheticScenes:
    """Synthetic scenes, each rendered on demand from the configuration, the seed and its index.

    Args:
        config, count: configuration and number of the scenes.
        seed: scenes of different seeds are unrelated.
        skeleton: the keypoints that a sample has, found by name.

    Raises:
        ValueError: the count or the seed is negative, or the skeleton has a keypoint that the
            body lacks.
    """

    def __init__(self, config: SceneConfig, count: int, seed: int, skeleton: Skeleton) -> None:
        check_arguments(count, seed, skeleton)
        self.config, self.seed, self.skeleton = config, seed, skeleton
        self._count = count
        self._scenes: list[Scene] | None = None

    def __repr__(self) -> str:
        return (
            f"<{len(self)} synthetic scenes of seed {self.seed}, skeleton {self.skeleton.name!r}>"
        )

    def __len__(self) -> int:
        return self._count

    @property
    def image_ids(self) -> tuple[int, ...]:
        return tuple(range(self._count))

    def scene(self, index: int) -> Scene:
        """Render a scene with all its annotations; raises IndexError past the end."""
        index = sample_index(index, self._count)
        if self._scenes is not None:
            return self._scenes[index]
        return render_scene(self.config, self.seed, index)

    def __getitem__(self, index: int) -> Sample:
        index = sample_index(index, self._count)
        scene = self.scene(index)
        keypoints, boxes, areas = scene.labeled_people(self.skeleton)
        return Sample(
            image=np.ascontiguousarray(scene.image.transpose(2, 0, 1)),
            keypoints=keypoints,
            areas=areas,
            ignore_mask=np.zeros(scene.image.shape[:2], dtype=bool),
            image_id=index,
            to_original=AffineTransform.identity(),
            boxes=boxes,
        )

    def cached(self) -> SyntheticScenes:
        """Render all scenes once and return a dataset that keeps them in memory."""
        copy = SyntheticScenes(self.config, self._count, self.seed, self.skeleton)
        copy._scenes = [self.scene(i) for i in range(self._count)]
        return copy

    @property
    def unit(self) -> str:
        """``"group"`` if people have the head sizes of MPII's evaluation, else empty."""
        return "group" if {"upper_neck", "head_top"} <= {*self.skeleton.keypoints} else ""

    def head_sizes(self, index: int) -> NDArray[np.float32]:
        """Return the head sizes (n,), px, of the people of a scene: see ``boxes.head_sizes``."""
        return head_sizes(self[index].keypoints, self.skeleton)

    def annotations(self) -> AnnotationTable:
        """Return the people of all scenes, with as many decimals as ``write_scenes`` gives them."""
        images = [self._annotated(index) for index in range(self._count)]
        source = Path(f"synthetic scenes of seed {self.seed}")
        return gather(source, images, len(self.skeleton), need_people=False, decimals=3)

    def _annotated(self, index: int) -> AnnotatedImage:
        scene = self.scene(index)
        keypoints, boxes, areas = scene.labeled_people(self.skeleton)
        return AnnotatedImage(
            file_name=f"{index:06d}.png",
            keypoints=keypoints,
            boxes=boxes,
            areas=areas,
            image_id=index,
            size=(scene.image.shape[0], scene.image.shape[1]),
            crowd_index=round(scene.crowd_index, 4),
        )

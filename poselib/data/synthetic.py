"""The embedded default data: scenes of drawn people, from a recipe and a seed.

``SyntheticScenes`` draws them when asked for; ``write`` makes an ordinary COCO-format folder of
the same scenes, which ``poselib.data.coco.CocoKeypoints`` reads like any other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from poselib.data.crowding import crowd_index
from poselib.data.recipe import SceneRecipe
from poselib.data.scene import Scene, keypoint_columns, render_scene
from poselib.data.synthetic_folder import check, document, entries, write_folder
from poselib.skeleton import Skeleton
from poselib.structures import Sample, Warp

__all__ = ["Scene", "SceneRecipe", "SyntheticScenes", "crowd_index", "render_scene", "write"]


class SyntheticScenes(Dataset[Sample]):
    """Drawn scenes, each made when asked for, from (seed, index) alone.

    Args:
        recipe: what the scenes are like.
        count: number of scenes.
        seed: scenes of two seeds are unrelated.
        skeleton: which keypoints a sample has, found by name.

    Raises:
        ValueError: the count or the seed is negative, or the skeleton has a keypoint that the
            body lacks.
    """

    def __init__(self, recipe: SceneRecipe, count: int, seed: int, skeleton: Skeleton) -> None:
        check(count, seed, skeleton)
        self.recipe, self.seed, self.skeleton = recipe, seed, skeleton
        self._count, self._columns = count, keypoint_columns(skeleton)
        self._scenes: list[Scene] | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def image_ids(self) -> tuple[int, ...]:
        return tuple(range(self._count))

    def scene(self, index: int) -> Scene:
        """Draw a scene with everything known of it; raises IndexError past the end."""
        if not 0 <= index < self._count:
            raise IndexError(f"scene {index} of {self._count}")
        if self._scenes is not None:
            return self._scenes[index]
        return render_scene(self.recipe, self.seed, index)

    def __getitem__(self, index: int) -> Sample:
        scene = self.scene(index)
        keypoints = scene.keypoints[:, self._columns]
        kept = (keypoints[..., 2] > 0).any(1)
        return Sample(
            image=np.ascontiguousarray(scene.image.transpose(2, 0, 1)),
            keypoints=keypoints[kept],
            areas=scene.areas[kept],
            ignore=np.zeros(scene.image.shape[:2], dtype=bool),
            image_id=index,
            to_original=Warp.identity(),
        )

    def cached(self) -> SyntheticScenes:
        """Draw all scenes once and return a data set that keeps them in memory."""
        copy = SyntheticScenes(self.recipe, self._count, self.seed, self.skeleton)
        copy._scenes = [self.scene(i) for i in range(self._count)]
        return copy

    def ground_truth(self) -> dict[str, Any]:
        """Describe all scenes as a COCO-format document, with COCO's pixel indices."""
        described = (entries(self.scene(i), self.skeleton, i, "png") for i in range(self._count))
        return document(described, self.recipe, self._count, self.seed, self.skeleton)


def write(
    folder: Path,
    recipe: SceneRecipe,
    count: int,
    seed: int,
    skeleton: Skeleton,
    image_format: str = "png",
    processes: int = 1,
    progress: bool = False,
) -> Path:
    """Write scenes as a COCO-format folder: ``images/000000.png`` ... and ``annotations.json``.

    The folder appears whole or not at all. If it already holds these very scenes, nothing is
    done.

    Args:
        image_format: ``"png"`` or ``"jpg"``.
        processes: how many processes draw; the result does not depend on it.
        progress: show a progress bar.

    Returns:
        The folder.

    Raises:
        ValueError: an argument is out of range, or the folder holds something else.
    """
    check(count, seed, skeleton, image_format)
    return write_folder(
        Path(folder), recipe, count, seed, skeleton, image_format, processes, progress
    )

"""Synthetic clips, and their annotated people as poses, for the tests of this room."""

from __future__ import annotations

import numpy as np

from poselib.annotations import AnnotationTable
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig
from poselib.skeletons import POSETRACK18
from poselib.structures import Poses

CLIPS = SyntheticClips(ClipConfig(size=64, frames=6, people=(2, 2)), 2, 5, POSETRACK18)


def poses_of(table: AnnotationTable, noise: float = 0.0) -> list[Poses]:
    """Return the labeled people of each frame, px off at random."""
    rng, found = np.random.default_rng(0), []
    for frame in range(len(table.image_ids)):
        people, _ = table.people(frame)
        off = rng.normal(0, 1, people[..., :2].shape) * noise
        seen = people[..., 2] > 0
        xy = np.where(seen[..., None], people[..., :2] + off, 0).astype(np.float32)
        found.append(Poses(xy, seen.astype(np.float32), np.ones(len(xy), np.float32)))
    return found

"""Inference of people one by one, and the state that a video network keeps of each of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from poselib.data.boxes import box_areas
from poselib.data.collation import collate
from poselib.data.transforms import warp_sample
from poselib.decoders.pose_nms import suppress_by_oks
from poselib.engine.inference import device_of, mirrored
from poselib.engine.speed import FastNetwork
from poselib.models.folding import fold
from poselib.ops.normalization import normalize
from poselib.structures import Poses, Sample
from poselib.systems import System
from poselib.typing import FloatArray, IntArray

# Crops that are in the network together: people of one frame, or of several images.
_MOST = 64
_NMS_OKS = 0.9  # as in SimpleBaseline's official code


def folded(system: System) -> System:
    """Return a system for many images: its network is prepared for inference, and a copy.

    One that is run by ``SpeedOptions`` is prepared already.
    """
    if isinstance(system.model, FastNetwork):
        return system
    return replace(system, model=fold(system.model))


class PersonStream:
    """A network of crops and the state of each person, of whole videos or of one frame each.

    Args:
        system: with ``crop``; its model is in evaluation mode.
        flip: combine with the outputs of the mirrored crops, which have a state of their own.
    """

    def __init__(self, system: System, flip: bool = True) -> None:
        self.system, self.flip = system, flip
        self._states: dict[Hashable, Any] = {}

    def copy(self) -> PersonStream:
        """Return a stream that goes on from the same states."""
        other = PersonStream(self.system, self.flip)
        other._states = dict(self._states)
        return other

    def keep(self, people: Sequence[Hashable]) -> None:
        """Forget the state of everyone else."""
        kept = set(people)
        self._states = {key: state for key, state in self._states.items() if key[0] in kept}  # type: ignore[index]

    def forget(self) -> None:
        """Forget all states: everyone starts anew."""
        self._states.clear()

    @torch.no_grad()
    def step(self, crops: Sequence[Sample], people: Sequence[Hashable]) -> list[Any]:
        """Return the outputs for one crop of each of several people, as parts in their order.

        Args:
            crops: of the size that the system is shown; one or more.
            people: a key for each, all different; that of a person is the same in all frames.
        """
        parts = []
        for begin in range(0, len(crops), _MOST):
            some = slice(begin, begin + _MOST)
            images = normalize(collate(crops[some]).images.to(device_of(self.system)))
            outputs = self._outputs(images, [(key, False) for key in people[some]])
            if self.flip:
                images = mirrored(images, self.system.flip_shift)
                other = self._outputs(images, [(key, True) for key in people[some]])
                outputs = outputs.merge_flipped(other.flip(self.system.skeleton))
            parts.append(outputs)
        return parts

    def _outputs(self, images: Tensor, keys: Sequence[Hashable]) -> Any:
        """Return the outputs of images (N, 3, H, W) of N people, and keep their new states."""
        model: Any = self.system.model
        if not self.system.clips:
            return model(images)
        parts, states, order = [], [], []
        for begun in (False, True):
            rows = [row for row, key in enumerate(keys) if (key in self._states) == begun]
            if not rows:
                continue
            if begun:
                former = [self._states[keys[row]] for row in rows]
                outputs, state = model.step(images[rows], type(former[0]).join(former))
            else:
                outputs, state = model.start(images[rows])
            parts.append(outputs)
            states += state.split()
            order += rows
        for row, state in zip(order, states, strict=True):
            self._states[keys[row]] = state
        back = torch.tensor(order, device=images.device).argsort()
        return type(parts[0]).join(parts)[back]


def person_crop(system: System, image: Sample, region: FloatArray) -> Sample:
    """Return what a system of one person is shown of a region (4,) of an image, px."""
    assert system.crop is not None
    bare = image.only(np.zeros(0, np.int64))
    return warp_sample(bare, system.crop_rule.transform(region, system.crop), system.crop)


def person_poses(system: System, crop: Sample, poses: Poses, score: float) -> Poses:
    """Return the pose in a crop in px of the file; its score is times that of the box."""
    return replace(
        poses.warped(crop.to_original),
        person_scores=poses.person_scores * np.float32(score),
        skeleton=system.skeleton,
    )


def distinct_poses(poses: Poses, ranks: ArrayLike | None = None) -> IntArray:
    """Return which poses of an image stay: of nearly equal ones the best.

    Args:
        poses: with their skeleton.
        ranks: (N,), the highest is best; by default the person scores.
    """
    assert poses.skeleton is not None
    ranked = poses if ranks is None else replace(poses, person_scores=np.asarray(ranks, np.float32))
    sides = np.nan_to_num(poses.boxes)
    areas = box_areas(np.concatenate([sides[:, :2], sides[:, :2] + sides[:, 2:]], axis=1))
    return suppress_by_oks(ranked, areas, poses.skeleton.sigmas, _NMS_OKS)

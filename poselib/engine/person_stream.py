"""Inference of people one by one, and the state that a video network keeps of each of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from poselib.data.loaders import collate
from poselib.engine.inference import device_of, mirrored
from poselib.ops.normalization import normalize
from poselib.structures import Sample
from poselib.systems import System

# Crops that are in the network together: people of one frame, or of several images.
_MOST = 64


class PersonStream:
    """A network of crops and the state of each person, of whole videos or of one frame each.

    Args:
        system: with ``crop``; its model is in evaluation mode.
        flip: combine with the outputs of the mirrored crops, which have a state of their own.
    """

    def __init__(self, system: System, flip: bool = True) -> None:
        self.system, self.flip = system, flip
        self._states: dict[Hashable, Any] = {}

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
        known = torch.tensor([key in self._states for key in keys], device=images.device)
        parts, states, order = [], [], []
        for begun in (False, True):
            (rows,) = torch.nonzero(known == begun, as_tuple=True)
            if not len(rows):
                continue
            if begun:
                former = [self._states[keys[row]] for row in rows.tolist()]
                outputs, state = model.step(images[rows], type(former[0]).join(former))
            else:
                outputs, state = model.start(images[rows])
            parts.append(outputs)
            states += state.split()
            order += rows.tolist()
        for row, state in zip(order, states, strict=True):
            self._states[keys[row]] = state
        back = torch.tensor(order, device=images.device).argsort()
        return type(parts[0]).join(parts)[back]

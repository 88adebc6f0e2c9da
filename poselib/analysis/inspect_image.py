"""Inspect the heatmaps, tags and keypoint grouping of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from poselib.decoders.associative import AssociativeOptions, decoded_size, find_candidates
from poselib.decoders.keypoint_order import OrderName, fixed_order_steps, keypoint_order
from poselib.decoders.progressive import progressive_steps
from poselib.engine.inference import PredictOptions, infer, present
from poselib.metrics.matching import assign_one_to_one
from poselib.outputs import TagOutputs
from poselib.structures import GroupingStep, Poses, Sample
from poselib.systems import System
from poselib.typing import IntArray


@dataclass(frozen=True)
class Inspection:
    """The outputs of an associative network for one image.

    Attributes:
        sample: image and people in px of the network input.
        outputs: heatmaps and tags of this one image.
        poses: detections, px of the network input.
    """

    sample: Sample
    outputs: TagOutputs
    poses: Poses

    @property
    def heatmaps(self) -> NDArray[np.float32]:
        """(K, h, w) mean over all resolutions, at the finest one."""
        return self._maps.heatmaps[0][0].float().cpu().numpy()

    @property
    def tags(self) -> NDArray[np.float32]:
        """(K, h, w) first embedding, at the same resolution."""
        return self._maps.tags[0, :, 0].float().cpu().numpy()

    @property
    def _maps(self) -> TagOutputs:
        return self.outputs.resize(self.outputs.resolution)


def inspect_image(
    system: System, sample: Sample, options: PredictOptions, *, combined: bool = False
) -> Inspection:
    """Run a system on one image and keep its outputs.

    Args:
        system: predicts heatmaps and tags, on any device; its model is put into evaluation mode.
        options: how it is presented, at one scale and not mirrored.
        combined: at all scales of the options, and mirrored too if they say so.
    """
    system.model.eval()
    views = present(system, sample, options if combined else replace(options, scales=(1.0,)))
    outputs = infer(system, [views], combined and options.flip)
    return Inspection(views[0], outputs, system.decode(outputs)[0])


def decode_options(system: System) -> AssociativeOptions:
    """Return the decoding options of an associative system.

    Raises:
        ValueError: the system does not group keypoints by tags.
    """
    options = system.decode_options
    if not isinstance(options, AssociativeOptions):
        raise ValueError(f"system {system.name!r} does not group keypoints by tags")
    return options


def inspect_grouping(
    system: System,
    outputs: TagOutputs,
    order: OrderName | None = None,
    min_score: float | None = None,
) -> tuple[GroupingStep, ...]:
    """Return the steps in which the keypoints of one image are grouped; none without keypoints.

    Args:
        order: a fixed order of the keypoint types; progressive if None.
        min_score: heatmap score below which candidates are left out, if it is higher than the
            system's detection threshold, so that a drawing shows people rather than noise.
    """
    options = decode_options(system)
    if min_score is not None:
        threshold = max(min_score, options.grouping.detection_threshold)
        grouping = replace(options.grouping, detection_threshold=threshold)
        options = replace(options, grouping=grouping)
    candidates = find_candidates(outputs, options)[0]
    if order is None:
        return progressive_steps(candidates, options.grouping)
    types = keypoint_order(system.skeleton, order)
    return fixed_order_steps(candidates, types, options.grouping)


def cell_size(system: System, outputs: TagOutputs) -> tuple[float, float]:
    """Return the width and height of a cell of the decoded maps, px of the network input."""
    height, width = decoded_size(outputs, decode_options(system))
    return outputs.image_size[1] / width, outputs.image_size[0] / height


def number_alike(groupings: Mapping[str, Sequence[GroupingStep]]) -> dict[str, IntArray]:
    """Number the people of several groupings of the same candidates, alike in all of them.

    People of the later groupings have the number of the person of the first one that shares most
    keypoints with them; those that share none get further numbers.

    Returns:
        By name, (P,) a number for each person.
    """
    owners = {
        name: {
            (step.keypoint, *map(int, cell)): int(person)
            for step in steps
            for cell, person in zip(step.cells, step.people, strict=True)
        }
        for name, steps in groupings.items()
    }
    first, numbers = next(iter(owners.values())), {}
    known = max(first.values(), default=-1) + 1
    for name, grouping in owners.items():
        shared = np.zeros((max(grouping.values(), default=-1) + 1, known))
        for cell in grouping.keys() & first.keys():
            shared[grouping[cell], first[cell]] += 1
        partners = assign_one_to_one(shared)
        numbers[name] = np.where(partners >= 0, partners, known + np.arange(len(shared)))
    return numbers

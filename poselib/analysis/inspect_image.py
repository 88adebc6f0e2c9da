"""A close look at what a network makes of one image, and at how its keypoints are grouped."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from poselib.decoders.associative import AssociativeOptions, decoded_size, find_candidates
from poselib.decoders.grouping import GroupingStep
from poselib.decoders.keypoint_order import OrderName, fixed_order_steps, keypoint_order
from poselib.decoders.progressive import progressive_steps
from poselib.engine.predict import PredictOptions, infer, present
from poselib.outputs import TagOutputs
from poselib.structures import Poses, Sample
from poselib.systems import System


@dataclass(frozen=True)
class Inspection:
    """An image as the network saw it, and what it made of it.

    Attributes:
        sample: image and people in px of the network input.
        outputs: heatmaps and tags of this one image.
        poses: the people found, px of the network input.
    """

    sample: Sample
    outputs: TagOutputs
    poses: Poses

    @property
    def heatmaps(self) -> NDArray[np.float32]:
        """(K, h, w) the mean of all scales, at the resolution of the finest."""
        return self._maps.heatmaps[0][0].float().cpu().numpy()

    @property
    def tags(self) -> NDArray[np.float32]:
        """(K, h, w) the first embedding, at the same resolution."""
        return self._maps.tags[0, :, 0].float().cpu().numpy()

    @property
    def _maps(self) -> TagOutputs:
        return self.outputs.resize(self.outputs.resolution)


def inspect_image(
    system: System, sample: Sample, options: PredictOptions, *, flip: bool = False
) -> Inspection:
    """Let a system look at one image and keep everything it says.

    Args:
        system: one that predicts heatmaps and tags, on any device; its model is put into
            evaluation mode.
        sample: the image, with or without people.
        options: how it is presented; ``flip`` among them is not looked at.
        flip: join with the mirrored image's outputs; with it a keypoint has two embeddings.
    """
    system.model.eval()
    views = present(system, sample, replace(options, scales=(1.0,)))
    outputs = infer(system, [views], flip)
    return Inspection(views[0], outputs, system.decode(outputs)[0])


def decode_options(system: System) -> AssociativeOptions:
    """Return the options a system decodes with; raises ValueError if it groups no tags."""
    options = system.decode_options
    if not isinstance(options, AssociativeOptions):
        raise ValueError(f"system {system.name!r} does not group keypoints by tags")
    return options


def inspect_grouping(
    system: System,
    outputs: TagOutputs,
    order: OrderName | None = None,
    least_heat: float | None = None,
) -> tuple[GroupingStep, ...]:
    """Return the steps in which the keypoints of one image are grouped; none without keypoints.

    Args:
        system: gives the options of its decoding.
        outputs: of one image.
        order: a fixed order of the keypoint types; progressive if None.
        least_heat: leaves out more than the system's own detection threshold does, so that a
            drawing shows people rather than noise.
    """
    options = decode_options(system)
    if least_heat is not None:
        least = max(least_heat, options.grouping.detection_threshold)
        options = replace(options, grouping=replace(options.grouping, detection_threshold=least))
    candidates = find_candidates(outputs, options)[0]
    if order is None:
        return progressive_steps(candidates, options.grouping)
    types = keypoint_order(system.skeleton, order)
    return fixed_order_steps(candidates, types, options.grouping)


def cell_size(system: System, outputs: TagOutputs) -> tuple[float, float]:
    """Return the px of the network input that a cell of the decoded maps covers, (across, down)."""
    height, width = decoded_size(outputs, decode_options(system))
    return outputs.image_size[1] / width, outputs.image_size[0] / height

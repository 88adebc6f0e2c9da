"""RPSTN: relation-based pose semantics transfer network, for clips of one person."""

from __future__ import annotations

from dataclasses import dataclass

from poselib.models.pose_propagation import Initializer, PropagationConfig, PropagationNetwork
from poselib.models.propagator import check_kernel_size
from poselib.skeletons import Skeleton
from poselib.systems.single_person import STRIDE, SinglePersonOptions, single_person_system
from poselib.systems.system import System, options_for


@dataclass(frozen=True)
class RpstnOptions(SinglePersonOptions):
    """Options of RPSTN; each of the paper's ablations is one.

    Attributes:
        backbone, initializer, initializer_backbone, propagator_layers, channels, official,
            normalize_pseudo: see ``models.pose_propagation.PropagationConfig``, where ``channels``
            is its ``width``.
        frames: T of the clips that it is trained on. Predicting, it takes one frame after another,
            of any number.
    """

    width: int = 256
    backbone: str = PropagationConfig.backbone
    initializer: Initializer = PropagationConfig.initializer
    initializer_backbone: str = PropagationConfig.initializer_backbone
    propagator_layers: int = PropagationConfig.propagator_layers
    channels: int = PropagationConfig.width
    official: bool = PropagationConfig.official
    normalize_pseudo: bool = PropagationConfig.normalize_pseudo
    frames: int = 5


def build(skeleton: Skeleton, options: RpstnOptions) -> System:
    """Build the video network.

    Raises:
        ValueError: a name is unknown, an option out of range, or crops of this size give kernels
            with an even side.
    """
    if options.frames < 1:
        raise ValueError(f"frames must be 1 or more, not {options.frames}")
    if options.channels < 1:
        raise ValueError(f"channels must be 1 or more, not {options.channels}")
    settings = {**options_for(PropagationConfig, options), "width": options.channels}
    limbs = skeleton.limb_indices.tolist()
    model = PropagationNetwork(len(skeleton), PropagationConfig(**settings), limbs)
    system = single_person_system(
        "rpstn", skeleton, model, options, frames=options.frames, clips=True
    )
    if options.propagator_layers:
        size = (options.height, options.width)
        check_kernel_size(size, (size[0] // STRIDE, size[1] // STRIDE), model.multiple)
    return system

"""Systems of heatmaps of one person, whatever network gives them, from images or from clips."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from torch import nn

from poselib.data.crops import CropRule
from poselib.decoders.argmax import ArgmaxOptions, decode_argmax
from poselib.encoders.heatmap import heatmap_targets
from poselib.losses.heatmap import heatmap_mse
from poselib.models.joint_relation import RelationKind
from poselib.ops.map_coordinates import CropFrame
from poselib.ops.taylor_peaks import PeakSubpixel
from poselib.outputs import HeatmapOutputs
from poselib.skeletons import Skeleton
from poselib.structures import Targets
from poselib.systems.system import LossTerms, System, as_mapping, options_for

STRIDE = 4  # px a cell of the heatmaps
_INDEX_SHIFT = STRIDE - 1


@dataclass(frozen=True)
class SinglePersonOptions:
    """Options of every system that is shown one person at a time.

    Attributes:
        height, width: of the crops, px.
        margin, per_frame, stretch: which region of the image they show, see
            ``data.crops.CropRule``.
        sigma: of the target Gaussians, in cells of 4 px.
        subpixel_targets: Gaussians centered on the keypoints, not on their cells as in official
            implementations.
        background: weight of heatmap cells near no keypoint, see ``losses.heatmap.heatmap_mse``; 1
            in the papers.
        frame: what a cell stands for; ``"aligned"`` is that of unbiased data processing (UDP).
        subpixel, kernel: see ``decoders.argmax.ArgmaxOptions``; ``"taylor"`` is DARK's.
        relation, relation_convs, temperature: of the heatmaps to each other (JRE, Eqs. 6-9), see
            ``models.joint_relation.build_relation``.
    """

    height: int = 256
    width: int = 192
    margin: float = CropRule.margin
    per_frame: bool = CropRule.per_frame
    stretch: bool = CropRule.stretch
    sigma: float = 2.0
    subpixel_targets: bool = True
    background: float = 1.0
    frame: CropFrame = ArgmaxOptions.frame
    subpixel: PeakSubpixel = ArgmaxOptions.subpixel
    kernel: int = ArgmaxOptions.kernel
    relation: RelationKind = "joint"
    relation_convs: int = 0
    temperature: float = 1.0


def single_person_system(
    name: str,
    skeleton: Skeleton,
    model: nn.Module,
    options: SinglePersonOptions,
    *,
    frames: int = 1,
    clips: bool = False,
) -> System:
    """Build a system of heatmaps of one person around a network.

    Args:
        name: of the system.
        skeleton: the keypoints to predict.
        model: from images, or clips, to ``HeatmapOutputs`` at stride 4.
        options: of everything else.
        frames, clips: see ``System``.

    Raises:
        ValueError: an option is unknown or out of range.
    """
    size = (options.height, options.width)
    multiple = int(getattr(model, "multiple", STRIDE))
    if min(size) < multiple or size[0] % multiple or size[1] % multiple:
        raise ValueError(
            f"height and width must be positive multiples of {multiple} px, not {size[0]} and "
            f"{size[1]}"
        )
    if not options.sigma > 0:
        raise ValueError(f"sigma must be a positive number of cells, not {options.sigma}")
    cast(Any, model).frame = options.frame  # official weights in another one are warned of
    decode_options = ArgmaxOptions(**options_for(ArgmaxOptions, options))
    return System(
        name=name,
        skeleton=skeleton,
        model=model,
        encode=partial(
            heatmap_targets,
            strides=(STRIDE,),
            sigma=options.sigma,
            subpixel=options.subpixel_targets,
            frame=options.frame,
            labeled_only=True,
        ),
        losses=partial(single_person_losses, background=options.background),
        decode=partial(decode_argmax, options=decode_options),
        options=as_mapping(options),
        decode_options=decode_options,
        multiple=multiple,
        flip_shift=_INDEX_SHIFT if options.frame == "index" else 0,
        visualization_threshold=0.1,  # of a product of heatmap values
        clips=clips,
        frames=frames,
        crop=size,
        crop_rule=CropRule(**options_for(CropRule, options)),
    )


def single_person_losses(
    outputs: HeatmapOutputs, targets: Targets, *, background: float = 1.0
) -> LossTerms:
    """Return the mean squared error of the heatmaps of labeled keypoints, of all stages.

    RPSTN/JRE, Eq. 5: frames of a clip count alike.
    """
    goal, mask = targets.heatmaps[0], targets.masks[0]
    errors = [
        heatmap_mse(stage.heatmaps.float(), goal, mask, background).mean()
        for stage in outputs.stages
    ]
    names = [f"stage_{number}" for number in range(1, len(errors))]
    return dict(zip([*names, "heatmap"], errors, strict=True))

"""The type of every system: a model, and the functions that train it and decode its outputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor, nn

from poselib.data.crops import CropRule
from poselib.ops.map_coordinates import CropFrame
from poselib.skeletons import Skeleton
from poselib.structures import Batch, Poses, Size, Targets
from poselib.wording import counted

LossTerms = dict[str, Tensor]
OptionValue = bool | int | float | str | None


@dataclass(frozen=True, repr=False)
class System:
    """A pose estimation method, ready to train, predict and evaluate.

    Attributes:
        name: key in ``poselib.systems.SYSTEMS``.
        skeleton: the keypoints it predicts.
        model: network from normalized images (B, 3, H, W), or clips (B, T, 3, H, W), to outputs;
            it never sees targets.
        encode: returns the dense targets of a batch.
        losses: returns weighted terms, scalar tensors, whose sum is minimized.
        decode: returns the poses in each image of the outputs, px of the network input.
        options: those it was built with, defaults included, from which a checkpoint builds it
            again.
        decode_options: the options of ``decode``, if it has any.
        input_size: short side, px, of the images that the network was trained on and should be
            shown; None if unknown.
        multiple: images are padded to a multiple of this many px.
        frame: what pixel coordinates the network's maps stand for, by which images are resampled;
            see ``ops.map_coordinates``. ``"index"`` is that of official weights, ``"aligned"`` that
            of unbiased data processing (UDP).
        flip_shift: px by which flip testing shifts the mirrored image to the left, so that its
            outputs align with those of the image. 0 for networks trained here, whose cells are
            symmetric; the stride less one for weights trained with pixel indices instead of pixel
            centers.
        visualization_threshold: minimum person score of a detection to be drawn.
        clips: whether the model is given clips; its outputs are those of their B·T images. It has
            ``start`` and ``step`` too, for one frame after another.
        frames: T of the clips that it is trained on; 1 for images.
        crop: (H, W), px: the model sees one person at a time, in a region of this size. None for
            whole images with all of their people.
        crop_rule: which region that is.
    """

    name: str
    skeleton: Skeleton
    model: nn.Module
    encode: Callable[[Batch], Targets]
    losses: Callable[[Any, Targets], LossTerms]
    decode: Callable[[Any], list[Poses]]
    options: Mapping[str, OptionValue]
    decode_options: Any = None
    input_size: int | None = None
    multiple: int = 64
    frame: CropFrame = "center"
    flip_shift: int = 0
    visualization_threshold: float = 0.3
    clips: bool = False
    frames: int = 1
    crop: Size | None = None
    crop_rule: CropRule = field(default_factory=CropRule)

    def __repr__(self) -> str:
        skeleton = f"{counted(len(self.skeleton), 'keypoint')} of {self.skeleton.name!r}"
        parameters = sum(each.numel() for each in self.model.parameters())
        size = "" if self.input_size is None else f", short side {self.input_size} px"
        if self.crop is not None:
            size = f", crops of {self.crop[0]}x{self.crop[1]} px"
        return f"System({self.name!r}: {skeleton}, {parameters:,} parameters{size})"

    def run(self, images: Tensor, frames: int = 1) -> Any:
        """Return the outputs of the model for images (B·T, 3, H, W), of clips of T frames.

        Raises:
            ValueError: in training, a map of a single value would be normalized by itself, as of
                one small image or clip.
        """
        try:
            return self.model(images.unflatten(0, (-1, frames)) if self.clips else images)
        except ValueError as error:
            if "when training" not in str(error):  # torch has no class for it
                raise
            kind = "clip" if self.clips else "image"
            raise ValueError(
                f"a batch of {counted(len(images) // frames, kind)} of {images.shape[3]}x"
                f"{images.shape[2]} px is too small to train {self.name!r}: a layer would "
                f"normalize a map of one value by itself; let batch_size and the dataset have two "
                f"{kind}s or more, or the {kind}s be larger"
            ) from error

    def check_dataset(self, dataset: object) -> None:
        """Raise ValueError if a dataset annotates other keypoints than the system predicts."""
        other = getattr(dataset, "skeleton", None)
        if isinstance(other, Skeleton) and other.keypoints != self.skeleton.keypoints:
            raise ValueError(
                f"the dataset annotates the {len(other)} keypoints of {other.name!r}; the system "
                f"predicts the {len(self.skeleton)} of {self.skeleton.name!r}"
            )


def as_mapping(options: Any) -> dict[str, OptionValue]:
    """Return the options of a system, a dataclass, by their names."""
    return {each.name: getattr(options, each.name) for each in fields(options)}


def options_for(function: Callable[..., Any], options: Any) -> dict[str, Any]:
    """Return those options of a system that a function or dataclass takes under the same name."""
    names = inspect.signature(function).parameters
    return {name: getattr(options, name) for name in names if hasattr(options, name)}

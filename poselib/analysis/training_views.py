"""What a network is shown of an image in training, and what it is trained to predict there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from poselib.data.collation import collate
from poselib.data.crops import crop_person
from poselib.data.loaders import augmentation_generator
from poselib.data.transforms import letterbox
from poselib.models import BACKBONES
from poselib.ops.map_coordinates import cell_to_px, half_pixel
from poselib.papers.preset import Preset
from poselib.papers.presets import get_preset
from poselib.skeletons import Skeleton
from poselib.structures import RegressionTargets, Sample, Size, Targets
from poselib.systems import System, build, known_options
from poselib.systems.system import OptionValue
from poselib.typing import FloatArray, IntArray

_SMALLEST = "hrnet_tiny"
_NAMES = ("uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_")
# What draws random numbers into its first argument, and returns it.
_DRAWS = {Tensor.uniform_, Tensor.normal_, *(getattr(nn.init, name) for name in _NAMES)}


@dataclass(frozen=True)
class TrainingViews:
    """Images as a training presents them; the network itself is not needed.

    Attributes:
        preset: size of images and augmentation.
        skeleton: what the images are annotated with.
        system: what is trained, without its network; None for the augmentation alone.
    """

    preset: Preset
    skeleton: Skeleton
    system: System | None = None

    @classmethod
    def of(cls, preset: str, dataset: str, skeleton: Skeleton, system: str = "") -> TrainingViews:
        """Return those of a preset by its name.

        Args:
            preset: one of ``papers.presets.PRESETS``.
            dataset: a name of ``open_dataset``; empty for others.
            system: key in ``poselib.systems.SYSTEMS``; empty for none.

        Raises:
            ValueError: the preset or the system is unknown.

        Example:
            >>> from poselib import open_dataset
            >>> scenes = open_dataset("synthetic", "val", count=1)
            >>> views = TrainingViews.of("small", "synthetic", scenes.skeleton, "dekr")
            >>> sample = views.augmented(scenes[0], seed=0, epoch=3, index=0)
            >>> sample.size, tuple(views.targets(sample).heatmaps[0].shape)
            ((128, 128), (1, 18, 32, 32))
        """
        settings = get_preset(preset, dataset, system) if system else get_preset(preset, dataset)
        return cls(settings, skeleton, _without_network(system, settings, skeleton))

    @property
    def one_person(self) -> bool:
        """Whether the network sees one person at a time."""
        return self.system is not None and self.system.crop is not None

    def plain(self, sample: Sample, person: int = 0) -> Sample:
        """Return an image at the size of training, without augmentation.

        Args:
            person: which of the people is cropped, if one is.

        Raises:
            ValueError: there is no such person to crop.
        """
        if self.system is not None and self.system.crop is not None:
            alone = _only(sample, person)
            return crop_person(alone, self.system.crop, self.system.crop_rule)
        return letterbox(sample, self.preset.input_size, self.preset.multiple)

    def augmented(
        self, sample: Sample, *, seed: int, epoch: int, index: int, person: int = 0
    ) -> Sample:
        """Return an image as a training with this seed sees it in one of its epochs.

        Args:
            index: of the image in the dataset. The items of networks that see one person at a time
                are people: they are numbered otherwise in a training.
            person: which of the people is cropped, if one is.

        Raises:
            ValueError: there is no such person to crop.
        """
        augment = self.preset.augmentation(self.skeleton, self.system)
        shown = _only(sample, person) if self.one_person else sample
        return augment(shown, augmentation_generator(seed, epoch, index))

    def targets(self, sample: Sample) -> Targets:
        """Return what the system is trained to predict, of a batch of one image.

        Raises:
            ValueError: there is no system.
        """
        if self.system is None:
            raise ValueError("targets need a system")
        return self.system.encode(collate([replace(sample, boxes=None, tracks=None)]))


def _only(sample: Sample, person: int) -> Sample:
    count = len(sample.keypoints)
    if not 0 <= person < count:
        raise ValueError(
            f"image with id {sample.image_id}: there is no person {person} to crop, "
            f"{count} are labeled"
        )
    return sample.only(np.array([person]))


def _without_network(name: str, preset: Preset, skeleton: Skeleton) -> System | None:
    if not name:
        return None
    meant = {**known_options(name, preset.options.get("head", "")), **preset.options}
    shape, small = BACKBONES.get(str(meant["backbone"])), dict[str, OptionValue]()
    if shape is not None and shape.stem_stride == BACKBONES[_SMALLEST].stem_stride:
        small["backbone"] = _SMALLEST  # targets depend on its stride alone
    # The few numbers that are drawn nevertheless change no later ones.
    with torch.random.fork_rng(devices=()), _Undrawn():
        system = build(name, skeleton, **{**preset.options, **small})
    return replace(system, model=nn.Identity(), options=meant)


class _Undrawn(TorchFunctionMode):
    """Leave new weights as they lie in memory: drawing them takes most of the time of building.

    It holds in one thread alone, so that a network built meanwhile in another one is drawn.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _DRAWS:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def offset_arrows(
    targets: RegressionTargets, keypoint: int | None = None
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return the offsets that a network is trained to predict, of the first image of a batch.

    Args:
        keypoint: from each cell of the center regions to this keypoint of its person; by default
            from each center to all labeled keypoints.

    Returns:
        Starts and ends (n, 2), px of the network input, and (n,) the persons.
    """
    points = targets.keypoints[0].double().numpy()
    labeled = points[..., 2] > 0
    if keypoint is None:
        centers = targets.centers[0].double().numpy()
        people, types = np.nonzero(labeled & (centers[:, 2:] > 0))
        return centers[people, :2], points[people, types, :2], people
    owners = targets.center_assignment[0]
    owner = (owners if owners.ndim == 2 else owners[keypoint]).numpy()
    ys, xs = np.nonzero(owner >= 0)
    people = owner[ys, xs]
    kept = labeled[people, keypoint]
    size: Size = (owner.shape[0], owner.shape[1])
    cells = torch.from_numpy(np.stack([xs, ys], axis=1)[kept])
    starts = cell_to_px(cells, targets.image_size, size, targets.frame).double().numpy()
    starts += half_pixel(targets.frame)
    return starts, points[people[kept], keypoint, :2], people[kept]

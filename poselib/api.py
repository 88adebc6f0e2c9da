"""The front door: load a model, show it images of any kind, get poses and figures.

Example:
    >>> import poselib
    >>> model = poselib.load()
    >>> model
    Predictor('hae_tiny_synthetic': system 'hae', 17 keypoints of 'coco', short side 128 px, on cpu)
    >>> image = poselib.open_dataset("synthetic", "val", count=1)[0].image
    >>> len(model(image).above(0.3)) > 0
    True
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from poselib.data.image_folder import ImageSamples
from poselib.data.image_io import image_size
from poselib.data.video_files import Video, is_video_file, open_video
from poselib.engine.checkpoints import BUNDLED, load_checkpoint
from poselib.engine.device import get_device
from poselib.engine.image_stream import FrameStream, ImageStream, follow
from poselib.engine.inference import PredictOptions, input_sizes
from poselib.engine.person_boxes import BoxSource, DetectedBoxes
from poselib.engine.predict import detected_boxes, predict
from poselib.engine.stream import PoseStream
from poselib.engine.train import TrainResult
from poselib.poses import Poses, poses_of_images
from poselib.skeletons import Skeleton
from poselib.structures import Sample, Size
from poselib.systems import System

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODELS = {BUNDLED.stem: BUNDLED}

ImageLike = str | Path | Image.Image | NDArray[Any] | Tensor | Sample


class Images(Protocol):
    """A list, a tuple or a dataset of images."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> ImageLike: ...


@dataclass(frozen=True, repr=False)
class Predictor:
    """A system that finds people in images.

    Call it with an image: a path, a PIL image, an array (H, W, 3), a tensor (3, H, W) or a
    ``Sample``; ``data.image_io.as_rgb`` says what else is understood. A list gives a list.

    Attributes:
        system: the system, ready to predict.
        options: how images are presented to it.
        device: where the network runs.
        name: of the model, or the file it came from.
        boxes: where the people are, for a system that sees one at a time; by default the bundled
            model finds them.
    """

    system: System
    options: PredictOptions
    device: torch.device
    name: str = ""
    boxes: BoxSource | None = None

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that are predicted."""
        return self.system.skeleton

    @overload
    def __call__(self, images: ImageLike, *, progress: bool = ..., **options: Any) -> Poses: ...

    @overload
    def __call__(self, images: Images, *, progress: bool = ..., **options: Any) -> list[Poses]: ...

    @overload
    def __call__(
        self, images: Video, *, progress: bool = ..., **options: Any
    ) -> Iterator[Poses]: ...

    def __call__(
        self, images: ImageLike | Images | Video, *, progress: bool = False, **options: Any
    ) -> Poses | list[Poses] | Iterator[Poses]:
        """Find the people in an image, in each of several, or in each frame of a video.

        Args:
            images: one image, or a list, tuple or dataset of them; or a video, the path of a file
                such as ``"clip.mp4"`` or what ``poselib.open_video`` returns.
            progress: show a bar.
            **options: ``size``, ``flip``, ``scales``, ``batch_size`` and ``device`` as in
                ``load``, for this call alone.

        Returns:
            The poses of each image, px of the image as a viewer shows it, the highest person score
            first. Files and PIL images are turned as their EXIF orientation asks.

        Raises:
            FileNotFoundError: a file is absent; before anything is predicted.
            ValueError: an image cannot be understood, or is a strip or too large; a video is not
                one, or is cut short; or an option is unknown or out of range.
        """
        chosen = self.with_options(**options)
        if isinstance(images, Video) or (isinstance(images, str | Path) and is_video_file(images)):
            video = images if isinstance(images, Video) else open_video(images)
            input_sizes(chosen.system, video.size, chosen.options)
            return (poses for _, poses in follow(chosen.stream(), video))
        samples, several = _samples(images)
        paths = samples.paths()
        chosen.check_sizes(paths, [image_size(path, upright=True) for path in paths])
        poses = predict(
            chosen.system,
            samples,
            chosen.options,
            boxes=chosen.boxes,
            device=chosen.device,
            progress=progress,
        )
        found = [each[np.argsort(-each.person_scores, kind="stable")] for each in poses]
        return found if several else found[0]

    def plot(
        self,
        images: ImageLike | Images,
        poses: Poses | Sequence[Poses] | None = None,
        *,
        min_score: float | None = None,
        titles: Sequence[str] | None = None,
        title: str = "",
    ) -> Figure:
        """Draw the people found over an image, or over each of several.

        Args:
            images: one image, or several.
            poses: what was found in it, or in each of them; predicted if not given.
            min_score: people whose score is below it are left out; by default the threshold that
                suits the system.
            titles: a heading for each of several images; by default, how many people are drawn
                where some are left out.
            title: heading of the figure.

        Returns:
            A figure, which a notebook shows and ``savefig`` writes.

        Raises:
            ValueError: as in a call, or the poses are not one for each image.
        """
        from poselib.plots.poses import draw_poses, show_poses

        samples, several = _samples(images)
        if poses is None:
            poses = self(samples)
        found = poses_of_images(poses, len(samples))
        least = self.system.visualization_threshold if min_score is None else min_score
        pixels = [sample.image for sample in samples]
        drawn = [_drawn_label(each, least) for each in found]
        if several:
            return show_poses(
                pixels, found, self.skeleton, titles or drawn, min_person_score=least, title=title
            )
        heading = title or drawn[0]
        return draw_poses(pixels[0], found[0], self.skeleton, min_person_score=least, title=heading)

    def check_sizes(self, paths: Sequence[Path], sizes: Sequence[Size]) -> None:
        """Raise ValueError if an image file of (H, W) px cannot be presented to the network."""
        for path, size in zip(paths, sizes, strict=True):
            try:
                input_sizes(self.system, size, self.options)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error

    def stream(self) -> FrameStream:
        """Return what finds the people of a video; its frames are given to ``step`` one by one."""
        if self.system.crop is None:
            return ImageStream(self, self.skeleton)
        found = isinstance(self.boxes, DetectedBoxes)  # asked now and then, not in every frame
        return PoseStream(
            self.system,
            self.boxes if found else None,
            boxes=None if found else self.boxes,
            options=self.options,
            device=self.device,
        )

    def with_options(self, **options: Any) -> Predictor:
        """Return a predictor of the same system with other options of ``load``.

        Raises:
            ValueError: an option is unknown or out of range.
        """
        known = ("size", "flip", "scales", "batch_size", "device")
        if unknown := sorted(set(options) - set(known)):
            raise ValueError(f"unknown options {unknown}; known: {', '.join(known)}")
        device = get_device(options.pop("device", self.device))
        if "scales" in options:
            options["scales"] = tuple(options["scales"])
        return replace(self, options=replace(self.options, **options), device=device)

    def __repr__(self) -> str:
        skeleton = f"{len(self.skeleton)} keypoints of {self.skeleton.name!r}"
        size = f"short side {self.options.size_for(self.system)} px"
        name = f"{self.name!r}: " if self.name else ""
        return f"Predictor({name}system {self.system.name!r}, {skeleton}, {size}, on {self.device})"


def load(
    source: str | Path | System | TrainResult | None = None,
    *,
    size: int | None = None,
    flip: bool = True,
    scales: Iterable[float] = (1.0,),
    batch_size: int = 1,
    device: str | torch.device = "auto",
    detector: str | Path | System | TrainResult | None = None,
) -> Predictor:
    """Load a model that finds people in images.

    Args:
        source: a checkpoint file (``.safetensors``, or the ``checkpoint.pt`` of a training), a
            folder that holds one, a ``System``, what ``train`` returned, or the name of a model.
            There is one, the default: ``"hae_tiny_synthetic"``, which comes with poselib and was
            trained on synthetic images alone.
        size: px to which the short side of images is resized; by default that of the training.
        flip: average with the outputs of the mirrored image.
        scales: factors of ``size`` whose outputs are combined; 1 must be among them.
        batch_size: images of one size predicted together.
        device: ``"auto"`` is a GPU if there is one, else the CPU.
        detector: what finds the people for a system that sees one at a time, given as the source
            is; by default the bundled model.

    Raises:
        FileNotFoundError: the file or folder is absent.
        ValueError: the source is none of these, the name is unknown, the file is not a checkpoint,
            the folder does not hold one, or an option is out of range or not for the system.
    """
    options = PredictOptions(size=size, flip=flip, scales=tuple(scales), batch_size=batch_size)
    place = get_device(device)
    system, name = _system(source)
    if detector is None:
        return Predictor(system, options, place, name)
    if system.crop is None:
        raise ValueError(f"a detector is for systems of one person; {system.name!r} finds all")
    boxes = detected_boxes(_system(detector)[0], device=place)
    return Predictor(system, options, place, name, boxes)


def _system(source: str | Path | System | TrainResult | None) -> tuple[System, str]:
    """Return the system that a source of ``load`` is, and its name."""
    system = source.system if isinstance(source, TrainResult) else source
    if isinstance(system, System):
        return system, ""
    if not isinstance(source, str | Path | None):
        raise ValueError(f"a name, a file or a System is wanted, not {type(source).__name__}")
    name = BUNDLED.stem if source is None else str(source)
    if name not in MODELS and name == Path(name).stem and not Path(name).exists():
        known = ", ".join(MODELS)
        raise ValueError(
            f"unknown model {name!r}; known: {known}; checkpoint files end in .safetensors or .pt"
        )
    return load_checkpoint(MODELS.get(name, Path(name))).system, name


def _drawn_label(poses: Poses, min_score: float) -> str:
    """Return how many people are drawn, if some are left out."""
    drawn = len(poses.above(min_score))
    left_out = f"{drawn} of {len(poses)} drawn: score {min_score:g} or more"
    return left_out if drawn < len(poses) else ""


def _samples(images: Any) -> tuple[ImageSamples, bool]:
    """Return images as samples, and whether they are several or one alone."""
    single = isinstance(images, str | Path | Image.Image | np.ndarray | Tensor | Sample)
    several = not single and hasattr(images, "__len__") and hasattr(images, "__getitem__")
    return ImageSamples(images if several else [images]), several

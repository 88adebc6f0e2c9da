"""A model that finds people in images of any kind, with the options of its use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import torch
from tqdm import tqdm

from poselib.data.image_folder import ImageLike, Images, as_samples
from poselib.data.image_io import image_size
from poselib.data.video_files import Video, is_video_file, open_video
from poselib.engine.device import get_device, keep_freed_memory
from poselib.engine.export.write import export_system
from poselib.engine.followed_boxes import FollowOptions
from poselib.engine.given_boxes import given_boxes
from poselib.engine.image_stream import FrameStream, ImageStream, follow
from poselib.engine.inference import PredictOptions, check_image_sizes
from poselib.engine.person_boxes import BoxSource
from poselib.engine.predict import check_person_options, detected_boxes, predict
from poselib.engine.speed import SpeedOptions, fast_systems
from poselib.engine.stage_times import StageTimes
from poselib.engine.stream import PoseStream
from poselib.engine.weights.open import HUB, check_name, open_model, warn_of_photographs
from poselib.poses import Poses, poses_of_images
from poselib.skeletons import Skeleton
from poselib.systems import System
from poselib.wording import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Those of ``poselib.load``.
_PRESENTED = ("size", "flip", "scales", "batch_size", "multiple")
_OPTIONS = (*_PRESENTED, "device", "detector", "boxes", "speed")


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
        detector: finds the people for a system that sees one person at a time.
        boxes: where they are, instead of a detector; see ``load``.
        provenance: how it was trained, or where its weights come from, as far as recorded.
        speed: what the network is computed with.
    """

    system: System
    options: PredictOptions
    device: torch.device
    name: str = ""
    detector: Predictor | None = None
    boxes: Any = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    speed: SpeedOptions = field(default_factory=SpeedOptions)
    _fast: dict[Any, System] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        keep_freed_memory()
        if not isinstance(self.speed, SpeedOptions):
            raise ValueError(f"speed: SpeedOptions are wanted, not {type(self.speed).__name__}")
        detector = getattr(self.detector, "system", self.detector)
        check_person_options(self.system, self.options, detector, self.boxes)

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that are predicted."""
        return self.system.skeleton

    @overload
    def __call__(self, images: ImageLike, **options: Any) -> Poses: ...

    @overload
    def __call__(self, images: Images, **options: Any) -> list[Poses]: ...

    @overload
    def __call__(self, images: Video, **options: Any) -> Iterator[Poses]: ...

    def __call__(
        self,
        images: ImageLike | Images | Video,
        *,
        progress: bool = False,
        timing: StageTimes | None = None,
        on_found: Callable[[int, Poses], object] | None = None,
        **options: Any,
    ) -> Poses | list[Poses] | Iterator[Poses]:
        """Find the people in an image, in each of several, or in each frame of a video.

        Args:
            images: one image, or a list, tuple or dataset of them; or a video, the path of a file
                such as ``"clip.mp4"`` or what ``poselib.open_video`` returns.
            progress: show a bar.
            timing: receives where the time goes, of images; see ``engine.stage_times``.
            on_found: called with the index and the poses of each of several images as soon as they
                are found, in the order of batches.
            **options: those of ``load``, for this call alone.

        Returns:
            The poses of each image, px of the image as a viewer shows it, the highest person score
            first; of ``boxes`` that are arrays, in their order. Files and PIL images are turned as
            their EXIF orientation asks. Of a video, a generator of the poses of each frame, with
            tracks and its time.

        Raises:
            FileNotFoundError: a file is absent; before anything is predicted.
            ValueError: an image cannot be understood, or is a strip or too large; a video is not
                one, or is cut short; or an option is unknown or out of range.
        """
        chosen = self.with_options(**options)
        if isinstance(images, Video) or (isinstance(images, str | Path) and is_video_file(images)):
            video = images if isinstance(images, Video) else open_video(images)
            check_image_sizes(chosen.system, chosen.options, [Path(video.name)], [video.size])
            warn_of_photographs(chosen._finder, [] if isinstance(images, Video) else [images])
            frames = tqdm(video, total=video.frames, disable=not progress, desc=video.name)
            return (poses for _, poses in follow(chosen.stream(video), frames))
        samples, several = as_samples(images)
        sizes = [image_size(path, upright=True) for path in samples.paths]
        check_image_sizes(chosen.system, chosen.options, samples.paths, sizes)
        warn_of_photographs(chosen._finder, samples.paths)
        boxes = chosen._people(samples.image_ids if chosen.boxes is not None else ())
        shown: dict[str, Any] = {"boxes": boxes, "device": chosen.device, "progress": progress}
        shown |= {"speed": chosen.speed, "timing": timing, "on_found": on_found}
        found = predict(chosen._computed, samples, chosen.options, best_first=True, **shown)
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
        """Draw the people found over an image, or over each of several, as a matplotlib figure.

        Args:
            images: one image, or several.
            poses: what was found in it, or in each of them; predicted if not given.
            min_score: people whose score is below it are left out; by default the threshold that
                suits the system.
            titles: a heading for each of several images; by default, how many people are drawn
                where some are left out.
            title: heading of the figure.

        Raises:
            ValueError: as in a call, or the poses are not one for each image.
        """
        from poselib.plots.poses import draw_poses, drawn_label, show_poses

        samples, several = as_samples(images)
        found = poses_of_images(self(samples) if poses is None else poses, len(samples))
        least = self.system.visualization_threshold if min_score is None else min_score
        pixels = [sample.image for sample in samples]
        drawn = [drawn_label(each, least) for each in found]
        draw = partial(show_poses if several else draw_poses, min_person_score=least, title=title)
        if several:
            return draw(pixels, found, self.skeleton, titles or drawn)
        return draw(pixels[0], found[0], self.skeleton, title=title or drawn[0])

    def export(self, path: str | Path, uint8: bool = False) -> list[Path]:
        """Write ONNX files, which ``load`` reads; see ``engine.export.write.export_system``."""
        return [each.path for each in export_system(self.system, path, uint8, self.provenance)]

    def stream(
        self, video: Video | None = None, follow: FollowOptions | None = None
    ) -> FrameStream:
        """Return what finds the people of a video; its frames are given to ``step`` one by one.

        Args:
            video: that of the frames, if their boxes are in a file: images 0, 1, and so on there.
            follow: how detected people are followed, by a system of one person.
        """
        if self.system.crop is None:
            return ImageStream(self, self.skeleton)
        shown: dict[str, Any] = {"options": self.options, "device": self.device}
        people = self._people(range(0 if video is None else video.frames))
        shown |= {"detector": people, "follow": follow} if self.boxes is None else {"boxes": people}
        return PoseStream(self._computed, **shown)

    def save_pretrained(self, folder: str | Path, **card: Any) -> Path:
        """Write the model as a folder that Hugging Face's hub takes: weights and a model card.

        ``hf upload OWNER/NAME FOLDER`` puts it there; ``from_pretrained`` loads it.

        Args:
            folder: receives ``model.safetensors`` and ``README.md``.
            **card: ``license``, ``metrics`` by name, and the ``data`` they were measured on.
        """
        from poselib.engine.weights.hub import save_pretrained

        known = {"name": Path(self.name).stem, "provenance": self.provenance, **card}
        return save_pretrained(Path(folder), self.system, **known)

    @staticmethod
    def from_pretrained(source: str | Path, **options: Any) -> Predictor:
        """Load a folder, or else ``OWNER/NAME`` of the hub, with the options of ``load``."""
        name = source if Path(source).exists() else f"{HUB}{source}"
        return open_predictor(name).with_options(**options)

    @property
    def _computed(self) -> System:
        """The system as ``speed`` runs it; copies of this predictor share it."""
        key = self.system.model, self.device, self.speed.of_network
        if key not in self._fast:
            self.system.model.to(self.device).eval()
            self._fast[key] = fast_systems([self.system], self.speed)[0]
        return replace(self.system, model=self._fast[key].model)

    @property
    def _finder(self) -> str:
        """The name of the model that finds people."""
        return self.name if self.detector is None else self.detector.name

    def _people(self, image_ids: Sequence[int]) -> BoxSource | None:
        """Return where the people of images are, for a system of one person."""
        if self.boxes is not None:
            return given_boxes(self.boxes, image_ids)
        if self.detector is None:
            return None
        return detected_boxes(self.detector.system, self.detector.options, device=self.device)

    def with_options(self, **options: Any) -> Predictor:
        """Return a predictor of the same system with other options of ``load``.

        ``detector``, ``boxes``, ``device`` and ``speed`` that are None stay as they are; a
        ``detector`` takes the place of boxes, and the other way round.

        Raises:
            ValueError: an option is unknown or out of range.
        """
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise ValueError(f"unknown options {unknown}; known: {', '.join(_OPTIONS)}")
        presented = {name: options[name] for name in _PRESENTED if name in options}
        if "scales" in presented:
            presented["scales"] = tuple(presented["scales"])
        device = get_device(options.get("device") or self.device)
        detector, boxes = options.get("detector"), options.get("boxes")
        if detector is None and boxes is None:
            detector, boxes = self.detector, self.boxes
        else:
            detector = _detector(self.system, detector, boxes, device)
        changed: dict[str, Any] = {"device": device, "speed": options.get("speed") or self.speed}
        shown = replace(self.options, **presented)
        return replace(self, options=shown, detector=detector, boxes=boxes, **changed)

    def __repr__(self) -> str:
        skeleton = f"{counted(len(self.skeleton), 'keypoint')} of {self.skeleton.name!r}"
        size = f"short side {self.options.size_for(self.system)} px"
        if self.system.crop is not None:
            height, width = self.system.crop
            people = "given boxes"
            if self.detector is not None:
                people = f"detector {self.detector.name or self.detector.system.name!r}"
            size = f"crops of {height}x{width} px, {people}"
        name = f"{self.name!r}: " if self.name else ""
        return f"Predictor({name}system {self.system.name!r}, {skeleton}, {size}, on {self.device})"


def open_predictor(
    source: Any,
    options: PredictOptions | None = None,
    device: str | torch.device = "auto",
    detector: Any = None,
    boxes: Any = None,
    speed: SpeedOptions | None = None,
) -> Predictor:
    """Return the model of ``poselib.load``, whose arguments and errors these are."""
    if isinstance(detector, str | Path):
        check_name(str(detector))  # a model may take long to load
    model, name = open_model(source)
    system, place = model.system, get_device(device)
    finder = _detector(system, detector, boxes, place)
    shown, computed = options or PredictOptions(), speed or SpeedOptions()
    return Predictor(system, shown, place, name, finder, boxes, model.provenance, computed)


def _detector(system: System, detector: Any, boxes: Any, device: torch.device) -> Any:
    """Return a detector as a model; by default the bundled one, if a system needs any."""
    if system.crop is None or boxes is not None or isinstance(detector, Predictor):
        return detector
    return open_predictor(detector, device=device)

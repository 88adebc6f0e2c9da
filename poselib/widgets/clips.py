"""The control of an explorer that chooses a clip of one person: synthetic, given, or of a file."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import ipywidgets as ipw
import numpy as np

from poselib.analysis.masked_frames import person_frames
from poselib.api import Predictor
from poselib.data.catalog import SYNTHETIC as SYNTHETIC_DATASETS
from poselib.data.catalog import open_dataset
from poselib.data.clips import PersonClips, VideoClips, join_frames
from poselib.data.footage import Footage, footage
from poselib.data.synthetic.clip_dataset import ClipConfig, SyntheticClips
from poselib.data.video_files import Video
from poselib.structures import Clip
from poselib.widgets.given import IMAGE, check_items, frames_of
from poselib.wording import counted

SYNTHETIC, GIVEN, FILE = "synthetic clip", "clips given", "file"
NAMES = ("source", "number", "people", "crowd_index", "file", "begin", "person")
_WANTED = (
    "clip must be a Clip or several, consecutive images of one size, a dataset, a video, a folder "
    "of frames or an image"
)
LONGEST = 60  # frames of a clip; memory is bounded by it
_FRAMES, _SEED, _MOST = 30, 5, 999  # of synthetic clips, and the number of the last one
_SHOWN = {
    SYNTHETIC: ("number", "people", "crowd_index", "person"),
    GIVEN: ("number", "begin", "person"),
    FILE: ("file", "begin", "person"),
}


@dataclass(frozen=True)
class ClipSettings:
    """Which person of which clip an explorer shows.

    Attributes:
        source: "synthetic clip", "clips given" or "file"; empty is the clips given, or else the
            file, or a synthetic clip.
        number: of the synthetic clip, or of the clip among those given.
        people: how many a synthetic clip has.
        crowd_index: how much they overlap in its first frame, in [0, 1].
        file: path of a video, of a folder of frames or of an image.
        begin: the first frame of a longer video; a clip ends after 60.
        person: which of the people, by the order in which they appear.
    """

    source: str = ""
    number: int = 0
    people: int = 1
    crowd_index: float = 0.0
    file: str = ""
    begin: int = 0
    person: int = 0


class ClipSource:
    """Controls that choose a clip, and the clip that they choose.

    Args:
        given: what ``data.footage.footage`` takes, or the name of a synthetic dataset; None for
            none.
        predictor: finds people where none is annotated.

    Attributes:
        controls: by the name of a setting.
        first: the source that an empty one means.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: what is given has no frames, or other keypoints than the model.
    """

    def __init__(self, given: Any, predictor: Predictor) -> None:
        self._predictor, self._skeleton = predictor, predictor.skeleton
        if isinstance(given, str) and given in SYNTHETIC_DATASETS:
            given = open_dataset(given, "val", skeleton=predictor.skeleton)
        if isinstance(given, PersonClips | VideoClips):
            given = frames_of(given)
        if given is not None and not isinstance(given, (*IMAGE, Clip, Video)):
            check_items(given, (*IMAGE, Clip), _WANTED)
        self._listed = isinstance(given, list | tuple)
        self._given = [] if given is None else footage(given)
        predictor.system.check_dataset(given)
        crop = predictor.system.crop
        assert crop is not None
        self._size = max(128, min(512, 2 * max(crop)))
        count = len(self._given)
        kinds = [SYNTHETIC, *([GIVEN] if count else []), FILE]
        self.controls: dict[str, Any] = {
            "source": ipw.Dropdown(options=kinds, description="clip"),
            "number": ipw.BoundedIntText(0, 0, _MOST, description="number"),
            "people": ipw.IntSlider(1, 1, 5, description="people"),
            "crowd_index": ipw.FloatSlider(
                0.0, min=0, max=0.9, step=0.05, description="crowd index"
            ),
            "file": ipw.Text("", description="file", continuous_update=False),
            "begin": ipw.BoundedIntText(0, 0, 10**6, description="from frame"),
            "person": ipw.BoundedIntText(0, 0, 99, description="person"),
        }
        for name in ("people", "crowd_index"):
            self.controls[name].continuous_update = False
        self.controls["file"].placeholder = "video, folder of frames, image"
        self.first = GIVEN if count else SYNTHETIC
        self.controls["source"].value = self.first
        self.controls["source"].observe(self._show_fitting, "value")
        self._show_fitting()
        self._opened = lru_cache(maxsize=4)(_open)
        self._read = lru_cache(maxsize=1)(self._make)  # 370 MB at 1080p

    def resolve(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the clip's settings with the source that an empty one means."""
        source = settings["source"] or (FILE if settings["file"] else self.first)
        return {**settings, "source": source}

    def length(self, values: Mapping[str, Any]) -> int:
        """Return how many frames the clip has; 1 where it cannot be read."""
        if values["source"] == SYNTHETIC:
            return _FRAMES
        try:
            frames = self._chosen(values["source"], values["number"], values["file"]).frames
        except (OSError, ValueError):
            return 1  # said when the clip is asked for
        return max(1, min(LONGEST, frames - values["begin"]))

    def read(self, values: Mapping[str, Any]) -> Clip:
        """Return the clip of the person that the values choose.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it cannot be read, or has no such frame or person.
        """
        clip = self._read(*(values[name] for name in NAMES[:-1]))
        person, count = values["person"], len(clip.frames[0].keypoints)
        if person >= count:
            raise ValueError(
                f"person {person} is not in the clip: {counted(count, 'person', 'people')}, from 0"
            )
        return clip.only(np.array([person]))

    def _make(
        self, source: str, number: int, people: int, crowd_index: float, file: str, begin: int
    ) -> Clip:
        if source == SYNTHETIC:
            return self._synthetic(number, people, crowd_index)
        chosen = self._chosen(source, number, file)
        if begin >= chosen.frames:
            raise ValueError(f"frame {begin} is not in the clip, which has {chosen.frames}")
        try:
            clip = chosen.read(begin, begin + LONGEST)
        except ValueError as error:
            if source == GIVEN and self._listed:  # perhaps of images that are no clip
                raise ValueError(f"{_WANTED}; {error}") from error
            raise
        people, keypoints, _ = clip.frames[0].keypoints.shape
        skeleton = self._skeleton
        if people and keypoints != len(skeleton):
            raise ValueError(
                f"the clip has {keypoints} keypoints of each person; the system predicts the "
                f"{len(skeleton)} of {skeleton.name!r}"
            )
        if people:
            return clip
        return person_frames(clip.frames, clip.times, self._predictor.stream(), clip.video)

    def _chosen(self, source: str, number: int, file: str) -> Footage:
        if source == FILE:
            if not file:
                raise ValueError("name a video, a folder of frames or an image")
            return self._opened(file)
        if number >= len(self._given):
            raise ValueError(f"clip {number} is not among the {len(self._given)} given, from 0")
        return self._given[number]

    def _synthetic(self, number: int, people: int, crowd_index: float) -> Clip:
        parts: dict[str, Any] = {"people": (people, people), "frames": _FRAMES}
        if people > 1:
            parts |= {"crowd_index": crowd_index, "height": (0.45, 0.8)}
        dataset = SyntheticClips(
            ClipConfig(self._size, **parts), number + 1, _SEED, self._predictor.skeleton
        )
        window = range(number * _FRAMES, (number + 1) * _FRAMES)
        times = [dataset.times[each] for each in window]
        return join_frames([dataset[each] for each in window], times, f"synthetic clip {number}")

    def _show_fitting(self, _: Any = None) -> None:
        source = self.controls["source"].value
        fitting = _SHOWN[source]
        self.controls["number"].max = len(self._given) - 1 if source == GIVEN else _MOST
        for name in NAMES[1:]:
            self.controls[name].layout.display = None if name in fitting else "none"


def _open(file: str) -> Footage:
    return footage(os.path.expanduser(file))[0]

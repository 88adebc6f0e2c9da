"""Prediction by systems that see one person at a time: crops around boxes, merged by image."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby, islice

import numpy as np

from poselib.data.loaders import SampleSource
from poselib.engine.inference import PredictOptions, device_of
from poselib.engine.person_boxes import BoxSource, BoxTracks
from poselib.engine.person_stream import (
    PersonStream,
    distinct_poses,
    folded,
    person_crop,
    person_poses,
)
from poselib.engine.prefetch import map_ahead
from poselib.engine.speed import SpeedOptions
from poselib.engine.stage_times import StageTimes, timed
from poselib.structures import Poses, Sample
from poselib.systems import System

# Images from which on it takes less time to prepare the network for inference.
_MANY = 16


@dataclass
class _Sequence:
    """The frames of one video, or one image: its number, their indices, and where people are."""

    number: int
    indices: list[int]
    people: BoxTracks


@dataclass(frozen=True)
class _Window:
    """Consecutive frames of videos side by side, by their indices, and whether all begins anew."""

    videos: list[tuple[_Sequence, list[int]]]
    anew: bool


def predict_people(
    systems: Sequence[System],
    samples: SampleSource | Sequence[Sample],
    options: PredictOptions,
    boxes: BoxSource,
    receive: Callable[[int, Sequence[Poses]], object],
    speed: SpeedOptions,
    timing: StageTimes | None = None,
) -> None:
    """Predict each person of each image, and for clip systems of each frame of each video.

    Several videos, or images, are predicted side by side. A person's score is that of the box times
    the mean of the keypoint scores. Of nearly equal poses the best is kept, unless the boxes are
    exact; then the poses of an image are those of its boxes, in order.

    Args:
        systems: share one network, in evaluation mode, and differ in how they decode it.
        samples: images; those of a dataset with ``videos`` are frames in order.
        options: ``flip``, ``batch_size``, of videos side by side, and ``renew``.
        boxes: of the people.
        receive: called with the index of each image, and its poses by each system, px of the file
            that it was read from.
        speed, timing: as in ``predict``; of the times ``"boxes"`` are those of finding people.

    Raises:
        ValueError: an option does not apply to crops, or a track is in an image twice.
    """
    check_crop_options(systems[0], options)
    shown = folded(systems[0]) if len(samples) > _MANY else systems[0]
    run = _Run(systems, shown, options, boxes, timing)
    windows = list(_windows(_sequences(systems[0], samples), options))
    order = [index for window in windows for _, indices in window.videos for index in indices]

    def read(index: int) -> Sample:
        with timed(timing, "load"):
            return samples[index]

    threads, ahead = min(speed.workers, len(order) - 1), 2 * max(options.batch_size, speed.workers)
    with closing(map_ahead(read, order, threads, ahead)) as images:
        for window in windows:
            for index, several in run.predict(window, images).items():
                receive(index, several)


def check_crop_options(system: System, options: PredictOptions) -> None:
    """Raise ValueError if options of whole images are given for a system of crops."""
    of_whole_images = {"size": None, "multiple": None, "scales": (1.0,)}
    for name, usual in of_whole_images.items():
        value = getattr(options, name)
        if value != usual:
            raise ValueError(
                f"{name}={value} is for systems of whole images; {system.name!r} is shown crops of "
                f"{system.crop} px"
            )


def _sequences(system: System, samples: SampleSource | Sequence[Sample]) -> list[_Sequence]:
    """Return the frames of each video, if the system knows time, else each image."""
    videos = getattr(samples, "videos", ()) if system.clips else ()
    if not videos:
        return [_Sequence(n, [n], BoxTracks(system.crop_rule)) for n in range(len(samples))]
    groups = groupby(range(len(samples)), key=lambda index: videos[index])
    return [
        _Sequence(number, list(frames), BoxTracks(system.crop_rule))
        for number, (_, frames) in enumerate(groups)
    ]


def _windows(sequences: Sequence[_Sequence], options: PredictOptions) -> Iterator[_Window]:
    """Yield the frames that are predicted together, of as many videos or images as a batch has."""
    length = options.renew or 1
    for first in range(0, len(sequences), options.batch_size):
        group = sequences[first : first + options.batch_size]
        for start in range(0, max(len(each.indices) for each in group), length):
            videos = [(each, each.indices[start : start + length]) for each in group]
            yield _Window(videos, anew=start == 0 or options.renew is not None)


class _Run:
    """The prediction of windows one after the other, with the states of their people."""

    def __init__(
        self,
        systems: Sequence[System],
        shown: System,
        options: PredictOptions,
        boxes: BoxSource,
        timing: StageTimes | None,
    ) -> None:
        self.systems, self.boxes, self.timing = systems, boxes, timing
        self.stream = PersonStream(shown, options.flip)
        self.shared, self.device = options.renew is not None, device_of(shown)

    def predict(self, window: _Window, read: Iterator[Sample]) -> dict[int, list[Poses]]:
        """Return the poses by each system of some consecutive frames of videos, by index.

        Regions may be shared by all frames of a window.
        """
        if window.anew:
            self.stream.forget()
        system, shown = self.systems[0], []
        for sequence, indices in window.videos:
            images = list(islice(read, len(indices)))
            people = sequence.people
            with timed(self.timing, "boxes"):
                listed = [people.linked(self.boxes(each), each.image_id) for each in images]
            regions = people.regions(listed, [each.size for each in images], self.shared)
            shown.append((sequence, indices, images, listed, regions))
        found: dict[int, list[Poses]] = {}
        for step in range(max(len(indices) for _, indices in window.videos)):
            crops: list[Sample] = []
            keys: list[Hashable] = []
            owners: list[tuple[int, float, int]] = []  # image, score of the box, track
            for sequence, indices, images, listed, regions in shown:
                if step >= len(indices):
                    continue
                found[indices[step]] = [_no_poses(system) for _ in self.systems]
                tracks = listed[step].tracks
                assert tracks is not None
                for row, track in enumerate(tracks.tolist()):
                    crops.append(person_crop(system, images[step], regions[step][row]))
                    keys.append((sequence.number, track))
                    owners.append((indices[step], float(listed[step].scores[row]), track))
            if crops:
                self._decode(crops, keys, owners, found)
            self.stream.keep(keys)
        return found

    def _decode(
        self,
        crops: Sequence[Sample],
        keys: Sequence[Hashable],
        owners: Sequence[tuple[int, float, int]],
        found: dict[int, list[Poses]],
    ) -> None:
        """Find the poses of crops, and put those of each image together."""
        with timed(self.timing, "forward", self.device):
            parts = self.stream.step(crops, keys)
        with timed(self.timing, "decode", self.device):
            for place, system in enumerate(self.systems):
                decoded = [poses for part in parts for poses in system.decode(part)]
                by_image: dict[int, list[Poses]] = {}
                for crop, (image, score, track), poses in zip(crops, owners, decoded, strict=True):
                    moved = person_poses(system, crop, poses, score)
                    if system.clips:
                        moved = replace(moved, tracks=np.array([track]))
                    by_image.setdefault(image, []).append(moved)
                for image, several in by_image.items():
                    joined = Poses.join(several)
                    kept = joined if self.boxes.exact else joined[distinct_poses(joined)]
                    found[image][place] = kept


def _no_poses(system: System) -> Poses:
    """Return the poses of an image without people."""
    tracks = np.zeros(0, np.int64) if system.clips else None
    return replace(Poses.empty(len(system.skeleton)), skeleton=system.skeleton, tracks=tracks)

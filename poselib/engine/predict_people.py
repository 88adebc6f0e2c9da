"""Prediction by systems that see one person at a time: crops around boxes, merged by image."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from tqdm import tqdm

from poselib.data.loaders import SampleSource
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import BoxSource, BoxTracks
from poselib.engine.person_stream import (
    PersonStream,
    distinct_poses,
    folded,
    person_crop,
    person_poses,
)
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


def predict_people(
    systems: Sequence[System],
    samples: SampleSource | Sequence[Sample],
    options: PredictOptions,
    boxes: BoxSource,
    progress: bool = False,
) -> list[list[Poses]]:
    """Predict each person of each image, and for clip systems of each frame of each video.

    Several videos, or images, are predicted side by side. A person's score is that of the box times
    the mean of the keypoint scores. Of nearly equal poses the best is kept, unless the boxes are
    exact; then the poses of an image are those of its boxes, in order.

    Args:
        systems: share one network, in evaluation mode, and differ in how they decode it.
        samples: images; those of a dataset with ``videos`` are frames in order.
        options: ``flip``, ``batch_size``, of videos side by side, and ``renew``.
        boxes: of the people.
        progress: show a bar.

    Returns:
        For each system the poses of each sample, px of the file that it was read from.

    Raises:
        ValueError: an option does not apply to crops, or a track is in an image twice.
    """
    check_crop_options(systems[0], options)
    sequences = _sequences(systems[0], samples)
    shown = folded(systems[0]) if len(samples) > _MANY else systems[0]
    found: list[dict[int, Poses]] = [{} for _ in systems]
    with tqdm(total=len(samples), disable=not progress, desc="predict") as bar:
        for first in range(0, len(sequences), options.batch_size):
            group = sequences[first : first + options.batch_size]
            stream = PersonStream(shown, options.flip)
            window = options.renew or 1
            shared = options.renew is not None
            for start in range(0, max(len(each.indices) for each in group), window):
                if options.renew:
                    stream.forget()
                frames = range(start, start + window)
                _window(systems, stream, group, samples, frames, boxes, shared, found)
                bar.update(sum(len(each.indices[start : start + window]) for each in group))
    return [[mine[index] for index in range(len(samples))] for mine in found]


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


def _window(
    systems: Sequence[System],
    stream: PersonStream,
    group: Sequence[_Sequence],
    samples: SampleSource | Sequence[Sample],
    frames: range,
    boxes: BoxSource,
    shared: bool,
    found: Sequence[dict[int, Poses]],
) -> None:
    """Predict some consecutive frames of a group of videos, in which regions may be shared."""
    system, shown = systems[0], []
    for sequence in group:
        indices = sequence.indices[frames.start : frames.stop]
        images = [samples[index] for index in indices]
        listed = [sequence.people.linked(boxes(image), image.image_id) for image in images]
        regions = sequence.people.regions(listed, [image.size for image in images], shared)
        shown.append((sequence, indices, images, listed, regions))
    for step in range(len(frames)):
        crops: list[Sample] = []
        people: list[Hashable] = []
        owners: list[tuple[int, float, int]] = []  # image, score of the box, track
        for sequence, indices, images, listed, regions in shown:
            if step >= len(indices):
                continue
            for mine in found:
                mine[indices[step]] = _no_poses(system)
            tracks = listed[step].tracks
            assert tracks is not None
            for row, track in enumerate(tracks.tolist()):
                crops.append(person_crop(system, images[step], regions[step][row]))
                people.append((sequence.number, track))
                owners.append((indices[step], float(listed[step].scores[row]), track))
        if crops:
            _decode(systems, stream, crops, people, owners, boxes.exact, found)
        stream.keep(people)


def _decode(
    systems: Sequence[System],
    stream: PersonStream,
    crops: Sequence[Sample],
    people: Sequence[Hashable],
    owners: Sequence[tuple[int, float, int]],
    exact: bool,
    found: Sequence[dict[int, Poses]],
) -> None:
    """Find the poses of crops, and put those of each image together."""
    parts = stream.step(crops, people)
    for system, mine in zip(systems, found, strict=True):
        decoded = [poses for part in parts for poses in system.decode(part)]
        by_image: dict[int, list[Poses]] = {}
        for crop, (image, score, track), poses in zip(crops, owners, decoded, strict=True):
            moved = person_poses(system, crop, poses, score)
            if system.clips:
                moved = replace(moved, tracks=np.array([track]))
            by_image.setdefault(image, []).append(moved)
        for image, several in by_image.items():
            joined = Poses.join(several)
            mine[image] = joined if exact else joined[distinct_poses(joined)]


def _no_poses(system: System) -> Poses:
    """Return the poses of an image without people."""
    tracks = np.zeros(0, np.int64) if system.clips else None
    return replace(Poses.empty(len(system.skeleton)), skeleton=system.skeleton, tracks=tracks)

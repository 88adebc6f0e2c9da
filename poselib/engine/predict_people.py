"""Prediction by systems that see one person at a time: crops around boxes, merged by image."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
from tqdm import tqdm

from poselib.data.boxes import box_areas, match_boxes
from poselib.data.loaders import SampleSource
from poselib.data.transforms import warp_sample
from poselib.decoders.pose_nms import suppress_by_oks
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import BoxSource, PersonBoxes
from poselib.engine.person_stream import PersonStream
from poselib.structures import Poses, Sample, Size
from poselib.systems import System
from poselib.typing import FloatArray

_NMS_OKS = 0.9  # as in SimpleBaseline's official code


@dataclass
class _Sequence:
    """The frames of one video, or one image, and whom it showed last.

    Attributes:
        number: of the video.
        indices: of its frames in the dataset.
        regions: where each person was shown last.
        last: boxes of the frame before, with tracks.
        people: how many tracks there have been.
    """

    number: int
    indices: list[int]
    regions: dict[int, FloatArray] = field(default_factory=dict)
    last: PersonBoxes | None = None
    people: int = 0


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
    _check(systems[0], options)
    sequences = _sequences(systems[0], samples)
    found: list[dict[int, Poses]] = [{} for _ in systems]
    with tqdm(total=len(samples), disable=not progress, desc="predict") as bar:
        for first in range(0, len(sequences), options.batch_size):
            group = sequences[first : first + options.batch_size]
            stream = PersonStream(systems[0], options.flip)
            window = options.renew or 1
            shared = options.renew is not None
            for start in range(0, max(len(each.indices) for each in group), window):
                if options.renew:
                    stream.forget()
                frames = range(start, start + window)
                _window(systems, stream, group, samples, frames, boxes, shared, found)
                bar.update(sum(len(each.indices[start : start + window]) for each in group))
    return [[mine[index] for index in range(len(samples))] for mine in found]


def _check(system: System, options: PredictOptions) -> None:
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
        return [_Sequence(index, [index]) for index in range(len(samples))]
    groups = groupby(range(len(samples)), key=lambda index: videos[index])
    return [_Sequence(number, list(frames)) for number, (_, frames) in enumerate(groups)]


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
        listed = [_with_tracks(sequence, boxes(image), image.image_id) for image in images]
        regions = _regions(system, sequence, listed, [image.size for image in images], shared)
        shown.append((sequence, indices, images, listed, regions))
    for step in range(len(frames)):
        crops: list[Sample] = []
        people: list[Hashable] = []
        owners: list[tuple[int, float, int]] = []  # image, score of the box, track
        for sequence, indices, images, listed, regions in shown:
            if step >= len(indices):
                continue
            for mine in found:
                mine[indices[step]] = _nobody(system)
            tracks = listed[step].tracks
            assert tracks is not None
            for row, track in enumerate(tracks.tolist()):
                crops.append(_crop(system, images[step], regions[step][row]))
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
            moved = replace(
                poses.warped(crop.to_original),
                person_scores=poses.person_scores * np.float32(score),
                skeleton=system.skeleton,
                tracks=np.array([track]) if system.clips else None,
            )
            by_image.setdefault(image, []).append(moved)
        for image, several in by_image.items():
            joined = Poses.join(several)
            mine[image] = joined if exact else without_duplicates(joined, system)


def without_duplicates(poses: Poses, system: System) -> Poses:
    """Return the poses of an image, best first, of nearly equal ones the best alone."""
    sides = np.nan_to_num(poses.boxes)
    areas = box_areas(np.concatenate([sides[:, :2], sides[:, :2] + sides[:, 2:]], axis=1))
    return poses[suppress_by_oks(poses, areas, system.skeleton.sigmas, _NMS_OKS)]


def _nobody(system: System) -> Poses:
    """Return the poses of an image without people."""
    tracks = np.zeros(0, np.int64) if system.clips else None
    return replace(Poses.empty(len(system.skeleton)), skeleton=system.skeleton, tracks=tracks)


def _crop(system: System, image: Sample, region: FloatArray) -> Sample:
    assert system.crop is not None
    bare = image.only(np.zeros(0, np.int64))
    return warp_sample(bare, system.crop_rule.transform(region, system.crop), system.crop)


def _with_tracks(sequence: _Sequence, boxes: PersonBoxes, image_id: int) -> PersonBoxes:
    """Return boxes with the tracks of a video: their own, or those of the boxes before.

    Raises:
        ValueError: a track is in the image twice.
    """
    if boxes.tracks is not None and len(set(boxes.tracks.tolist())) < len(boxes):
        raise ValueError(f"image {image_id}: a track is in it twice: {boxes.tracks.tolist()}")
    if boxes.tracks is None:
        tracks = np.full(len(boxes), -1, np.int64)
        if sequence.last is not None and sequence.last.tracks is not None:
            partner = match_boxes(boxes.corners, sequence.last.corners)
            tracks[partner >= 0] = sequence.last.tracks[partner[partner >= 0]]
        new = tracks < 0
        tracks[new] = sequence.people + np.arange(new.sum())
        sequence.people += int(new.sum())
        boxes = replace(boxes, tracks=tracks)
    sequence.last = boxes
    return boxes


def _regions(
    system: System,
    sequence: _Sequence,
    listed: Sequence[PersonBoxes],
    sizes: Sequence[Size],
    shared: bool,
) -> list[FloatArray]:
    """Return which region (N, 4) each person is shown in each frame; see ``CropRule``.

    Args:
        system: has the rule.
        sequence: keeps the regions for the next frame.
        listed: the boxes of each frame.
        sizes: (H, W) of the frames.
        shared: a person has one region in all of these frames, as in a clip of them; otherwise the
            region follows the person from frame to frame.
    """
    rule = system.crop_rule
    if shared:
        whole: dict[int, list[FloatArray]] = {}
        for boxes in listed:
            for track, box in _each(boxes):
                whole.setdefault(track, []).append(box)
        ahead = {track: iter(rule.regions(np.stack(own), sizes[0])) for track, own in whole.items()}
        return [_rows(next(ahead[track]) for track, _ in _each(boxes)) for boxes in listed]
    regions = []
    for boxes, size in zip(listed, sizes, strict=True):
        now = {}
        for track, box in _each(boxes):
            before = sequence.regions.get(track)
            now[track] = (
                rule.regions(box[None], size)[0] if before is None else rule.follow(before, box)
            )
        sequence.regions = now
        regions.append(_rows(now.values()))
    return regions


def _rows(boxes: Iterable[FloatArray]) -> FloatArray:
    return np.array(list(boxes)).reshape(-1, 4)


def _each(boxes: PersonBoxes) -> list[tuple[int, FloatArray]]:
    assert boxes.tracks is not None
    return list(zip(boxes.tracks.tolist(), boxes.corners.astype(np.float64), strict=True))

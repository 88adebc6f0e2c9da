"""Prediction with flip and multi-scale testing: from images to poses in image pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from tqdm import tqdm

from poselib.data.loaders import SampleSource
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.inference import PredictOptions, Views, device_of, infer, present
from poselib.engine.person_boxes import AnnotatedBoxes, BoxSource, DetectedBoxes
from poselib.engine.predict_people import check_crop_options, predict_people
from poselib.ops.console import out_of_memory
from poselib.structures import Poses, Sample, Size
from poselib.systems import System


def predict(
    system: System,
    samples: SampleSource | Sequence[Sample],
    options: PredictOptions | None = None,
    *,
    boxes: BoxSource | None = None,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> list[Poses]:
    """Find the people in each image.

    Args:
        system: its model is put into evaluation mode, and on the device if one is given.
        samples: images; their labels are not used.
        options: how images are presented; defaults to ``PredictOptions()``.
        boxes: where the people are, for systems that see one at a time; by default the bundled
            model finds them.
        device: where the network runs; where its weights are if not given.
        progress: show a bar.

    Returns:
        The poses of each sample, in px of the file it was read from.
    """
    return predict_variants(
        [system], samples, options, boxes=boxes, device=device, progress=progress
    )[0]


def predict_variants(
    systems: Sequence[System],
    samples: SampleSource | Sequence[Sample],
    options: PredictOptions | None = None,
    *,
    boxes: BoxSource | None = None,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> list[list[Poses]]:
    """Find the people in each image by several decoders, with one forward pass of the network.

    Args:
        systems: share one network and differ in how they decode it.
        samples, options, boxes, device, progress: as in ``predict``.

    Returns:
        For each system, what ``predict`` returns.

    Raises:
        ValueError: there is no system, two of them have different networks, an image cannot be
            presented, or an option does not apply to the system.
        MemoryError: the memory does not suffice; the message says for what.
    """
    if not systems or any(system.model is not systems[0].model for system in systems):
        raise ValueError("predict: expected one system or more that share one network")
    first, options = systems[0], options or PredictOptions()
    options.check_renew(first)
    first.model.to(device_of(first) if device is None else device).eval()
    if first.crop is not None:
        boxes = boxes or detected_boxes(load_checkpoint().system, device=device_of(first))
        return predict_people(systems, samples, options, boxes, progress)
    if boxes is not None:
        raise ValueError(f"boxes are for systems of one person; {first.name!r} sees whole images")
    found: list[dict[int, Poses]] = [{} for _ in systems]
    with tqdm(total=len(samples), disable=not progress, desc="predict") as bar:
        for indices, views in _same_sized(first, samples, options):
            with _memory_of(views, first):
                outputs = infer(first, views, options.flip)
                decoded = [system.decode(outputs) for system in systems]
            frames = [view[0].to_original for view in views]
            for system, mine, several in zip(systems, found, decoded, strict=True):
                for index, frame, poses in zip(indices, frames, several, strict=True):
                    # The only place where poses leave the network's frame.
                    mine[index] = replace(poses.warped(frame), skeleton=system.skeleton)
            bar.update(len(indices))
    return [[mine[i] for i in range(len(samples))] for mine in found]


def detected_boxes(
    detector: System,
    options: PredictOptions | None = None,
    *,
    min_score: float | None = None,
    device: torch.device | str | None = None,
) -> DetectedBoxes:
    """Return a source of boxes around the poses that a system of whole images finds.

    Args:
        detector: finds the people.
        options, device: as in ``predict``.
        min_score: people of lower scores are left out; by default those that are not drawn.

    Raises:
        ValueError: the detector itself sees one person at a time.
    """
    _check_detector(detector)
    least = detector.visualization_threshold if min_score is None else min_score

    def detect(sample: Sample) -> Poses:
        return predict(detector, [sample], options, device=device)[0].above(least)

    return DetectedBoxes(detect)


def compared_boxes(
    system: System, device: torch.device | str | None = None
) -> dict[str, BoxSource | None]:
    """Return the boxes that a system is tested with by name: annotated, and those detected.

    The bundled model detects. Of a system of whole images it is None, without a name.
    """
    if system.crop is None:
        return {"": None}
    detected = detected_boxes(load_checkpoint().system, device=device)
    return {"annotated": AnnotatedBoxes(), "detected": detected}


def check_person_options(
    system: System, options: PredictOptions, detector: object, boxes: object
) -> None:
    """Check what is only for systems of one person, or not for them.

    Args:
        system, options: as in ``predict``.
        detector: a system that finds the people, or None.
        boxes: what says where they are, or None.

    Raises:
        ValueError: something does not apply to the system, or one excludes the other.
    """
    options.check_renew(system)
    given = detector is not None, boxes is not None
    if system.crop is not None:
        check_crop_options(system, options)
        if all(given):
            raise ValueError("boxes and a detector are given: one of them says where people are")
        if isinstance(detector, System):
            _check_detector(detector)
    elif any(given):
        found = "a detector is" if given[0] else "boxes are"
        raise ValueError(f"{found} for systems of one person; {system.name!r} sees whole images")


def _check_detector(detector: System) -> None:
    if detector.crop is not None:
        raise ValueError(f"a detector sees whole images; {detector.name!r} sees one person")


@contextmanager
def _memory_of(views: Sequence[Views], system: System) -> Iterator[None]:
    """Say in one sentence what the memory does not suffice for."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        height, width = max((view.size for view in views[0]), key=math.prod)
        raise MemoryError(
            f"image {views[0][0].image_id}: {len(views)} of {width} x {height} px need more memory "
            f"than {device_of(system)} has: choose a smaller size or fewer, smaller scales"
        ) from error


def _same_sized(
    system: System, samples: SampleSource | Sequence[Sample], options: PredictOptions
) -> Iterator[tuple[list[int], list[Views]]]:
    """Yield the images in batches of one input size, with their indices."""
    waiting: dict[Size, list[tuple[int, Views]]] = {}
    for index in range(len(samples)):
        views = present(system, samples[index], options)
        group = waiting.setdefault(views[0].size, [])
        group.append((index, views))
        if len(group) == options.batch_size:
            yield [i for i, _ in group], [v for _, v in group]
            group.clear()
    for group in waiting.values():
        if group:
            yield [i for i, _ in group], [v for _, v in group]

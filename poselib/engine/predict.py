"""Prediction with flip and multi-scale testing: from images to poses in image pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import torch
from tqdm import tqdm

from poselib.data.loaders import SampleSource
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.device import keep_freed_memory
from poselib.engine.image_batches import same_sized
from poselib.engine.inference import PredictOptions, Views, device_of, infer
from poselib.engine.person_boxes import AnnotatedBoxes, BoxSource, DetectedBoxes
from poselib.engine.predict_people import check_crop_options, predict_people
from poselib.engine.speed import SpeedOptions, fast_systems
from poselib.engine.stage_times import StageTimes, timed
from poselib.ops.console import out_of_memory
from poselib.structures import Poses, Sample
from poselib.systems import System

# Receives the index of an image and its poses by each of several decoders.
Found = Callable[[int, Sequence[Poses]], object]


def predict(
    system: System,
    samples: SampleSource | Sequence[Sample],
    options: PredictOptions | None = None,
    *,
    boxes: BoxSource | None = None,
    device: torch.device | str | None = None,
    progress: bool = False,
    speed: SpeedOptions | None = None,
    timing: StageTimes | None = None,
    best_first: bool = False,
    on_found: Callable[[int, Poses], object] | None = None,
) -> list[Poses]:
    """Find the people in each image.

    Images are read ahead while the network runs, and those of one input size are in the network
    together; what is found in an image does not depend on the others.

    Args:
        system: its model is put into evaluation mode, and on the device if one is given.
        samples: images; their labels are not used.
        options: how images are presented; defaults to ``PredictOptions()``.
        boxes: where the people are, for systems that see one at a time; by default the bundled
            model finds them.
        device: where the network runs; where its weights are if not given.
        progress: show a bar.
        speed: what the network is computed with; defaults to ``SpeedOptions()``.
        timing: receives the times of each stage.
        best_first: the highest person score is first, unless boxes are exact, whose order stays.
        on_found: called with the index and the poses of each image as soon as they are found, in
            the order of batches.

    Returns:
        The poses of each sample, in px of the file it was read from.
    """
    receive = None if on_found is None else lambda index, poses: on_found(index, poses[0])
    return predict_variants(
        [system],
        samples,
        options,
        boxes=boxes,
        device=device,
        progress=progress,
        speed=speed,
        timing=timing,
        best_first=best_first,
        on_found=receive,
    )[0]


def predict_variants(
    systems: Sequence[System],
    samples: SampleSource | Sequence[Sample],
    options: PredictOptions | None = None,
    *,
    boxes: BoxSource | None = None,
    device: torch.device | str | None = None,
    progress: bool = False,
    speed: SpeedOptions | None = None,
    timing: StageTimes | None = None,
    best_first: bool = False,
    on_found: Found | None = None,
) -> list[list[Poses]]:
    """Find the people in each image by several decoders, with one forward pass of the network.

    Args:
        systems: share one network and differ in how they decode it.
        samples, options, boxes, device, progress, speed, timing, best_first: as in ``predict``.
        on_found: as in ``predict``, with a list of the poses by each system.

    Returns:
        For each system, what ``predict`` returns.

    Raises:
        ValueError: there is no system, two of them have different networks, an image cannot be
            presented, or an option does not apply to the system or the device.
        MemoryError: the memory does not suffice; the message says for what.
    """
    if not systems or any(system.model is not systems[0].model for system in systems):
        raise ValueError("predict: expected one system or more that share one network")
    first, options, speed = systems[0], options or PredictOptions(), speed or SpeedOptions()
    options.check_renew(first)
    keep_freed_memory()
    first.model.to(device_of(first) if device is None else device).eval()
    systems = fast_systems(systems, speed)
    if first.crop is None and boxes is not None:
        raise ValueError(f"boxes are for systems of one person; {first.name!r} sees whole images")
    if first.crop is not None and boxes is None:
        boxes = detected_boxes(load_checkpoint().system, device=device_of(first))
    ranked = best_first and not (boxes is not None and boxes.exact)
    found: list[dict[int, Poses]] = [{} for _ in systems]
    with (
        tqdm(total=len(samples), disable=not progress, desc="predict") as bar,
        nullcontext() if timing is None else timing.whole(len(samples)),
    ):

        def receive(index: int, several: Sequence[Poses]) -> None:
            for system, mine, poses in zip(systems, found, several, strict=True):
                order = np.argsort(-poses.person_scores, kind="stable") if ranked else slice(None)
                mine[index] = replace(poses[order], skeleton=system.skeleton)
            if on_found is not None:
                on_found(index, [mine[index] for mine in found])
            bar.update()

        if boxes is not None:
            predict_people(systems, samples, options, boxes, receive, speed, timing)
        else:
            _predict_images(systems, samples, options, receive, speed, timing)
    return [[mine[i] for i in range(len(samples))] for mine in found]


def _predict_images(
    systems: Sequence[System],
    samples: SampleSource | Sequence[Sample],
    options: PredictOptions,
    receive: Found,
    speed: SpeedOptions,
    timing: StageTimes | None,
) -> None:
    """Predict whole images in batches of one input size."""
    first, device = systems[0], device_of(systems[0])
    with closing(same_sized(first, samples, options, speed.workers, timing)) as batches:
        for indices, views in batches:
            with _memory_of(views, first):
                with timed(timing, "forward", device):
                    outputs = infer(first, views, options.flip)
                with timed(timing, "decode", device):
                    decoded = [system.decode(outputs) for system in systems]
            for index, view, *several in zip(indices, views, *decoded, strict=True):
                # The only place where poses leave the network's frame.
                receive(index, [poses.warped(view[0].to_original) for poses in several])


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

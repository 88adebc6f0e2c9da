"""Batches of images of one input size, read ahead of the network."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

from poselib.data.loaders import SampleSource
from poselib.engine.inference import PredictOptions, Views, present
from poselib.engine.prefetch import map_ahead
from poselib.engine.stage_times import StageTimes, timed
from poselib.structures import Sample, Size
from poselib.systems import System

# Batches of images that may wait for others of their size. More fill batches better where sizes
# are many, and take more memory.
_WAITING = 4


def same_sized(
    system: System,
    samples: SampleSource | Sequence[Sample],
    options: PredictOptions,
    workers: int = 0,
    timing: StageTimes | None = None,
) -> Generator[tuple[list[int], list[Views]]]:
    """Yield images in batches of one input size, with their indices.

    No image is padded for the sake of another, since padding changes what convolutions see at its
    border: what a network returns of an image does not depend on the batch. Images wait for others
    of their size, but no more than four batches of them in all: then the size of which most wait is
    predicted, in the order of their indices.

    Args:
        system, samples, options: as in ``predict``.
        workers: threads that read and resize images ahead, two batches at most.
        timing: receives the times of reading, as stage ``"load"``.
    """

    def views_of(index: int) -> Views:
        with timed(timing, "load"):
            return present(system, samples[index], options)

    size, count = options.batch_size, len(samples)
    waiting: dict[Size, list[tuple[int, Views]]] = {}
    threads = min(workers, count - 1)  # one image alone is not read ahead
    with closing(map_ahead(views_of, range(count), threads, max(2 * size, threads))) as read:
        for index, views in enumerate(read):
            group = waiting.setdefault(views[0].size, [])
            group.append((index, views))
            if sum(map(len, waiting.values())) > _WAITING * size:
                group = max(waiting.values(), key=len)
            elif len(group) < size:
                continue
            yield [i for i, _ in group], [v for _, v in group]
            group.clear()
    for group in waiting.values():
        if group:
            yield [i for i, _ in group], [v for _, v in group]

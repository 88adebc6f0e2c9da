"""Deterministic batches: order and augmentation follow from seed and epoch, not from workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, get_worker_info

from poselib.data.batch_parts import WHOLE, BatchParts
from poselib.data.collation import collate
from poselib.structures import Batch, Clip, Sample

Prepare = Callable[[Sample], Sample] | Callable[[Clip], Clip]
AugmentFunction = (
    Callable[[Sample, np.random.Generator], Sample] | Callable[[Clip, np.random.Generator], Clip]
)

# Keys of the two random streams of a seed.
_ORDER, _AUGMENT = 0, 1


class SampleSource(Protocol):
    """A sequence of samples: the minimal dataset."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


class ClipSource(Protocol):
    """A sequence of clips: the minimal dataset of videos."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Clip: ...


_collate = partial(collate, channels_last=True)


@dataclass(frozen=True)
class _Failure:
    """An error of a worker: as an exception it would come with a traceback in its message."""

    kind: type[Exception]
    message: str

    @classmethod
    def of(cls, error: Exception) -> _Failure:
        # Of a kind that can be sent to another process, whatever the error is made of.
        return cls(OSError if isinstance(error, OSError) else ValueError, str(error))


def _collate_in_worker(items: Sequence[Any]) -> Batch | _Failure:
    for item in items:
        if isinstance(item, _Failure):
            return item
    try:
        return _collate(items)
    except ValueError as error:
        return _Failure.of(error)


@dataclass(frozen=True)
class _Prepared:
    """A dataset keyed by (epoch, index): the key determines the random augmentation."""

    source: SampleSource | ClipSource
    prepare: Callable[[Any], Any] | None
    augment: Callable[[Any, np.random.Generator], Any] | None
    seed: int

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: tuple[int, int]) -> Sample | Clip | _Failure:
        try:
            return self._item(*key)
        except (OSError, ValueError) as error:
            if get_worker_info() is None:
                raise
            return _Failure.of(error)

    def _item(self, epoch: int, index: int) -> Sample | Clip:
        sample: Sample | Clip = self.source[index]
        if self.prepare is not None:
            sample = self.prepare(sample)
        if self.augment is not None:
            sample = self.augment(sample, augmentation_generator(self.seed, epoch, index))
        return sample


def augmentation_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the random numbers that augment an item of a dataset in an epoch of a training."""
    return _generator(seed, epoch, _AUGMENT, index)


def _generator(seed: int, epoch: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, epoch], spawn_key=key))


class _EpochSampler:
    """The batch sampler: keys of the remaining batches of the current epoch.

    It holds no reference to its loader: in a cycle, the workers would live on until the next
    garbage collection.
    """

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class SampleLoader:
    """Batches by epoch, made by ``make_loader``; iteration gives epoch 0."""

    def __init__(
        self,
        dataset: _Prepared,
        batch_size: int,
        *,
        shuffle: bool,
        workers: int,
        drop_last: bool,
        pin_memory: bool,
        parts: BatchParts,
    ) -> None:
        self._count, self._seed = len(dataset), dataset.seed
        self.batch_size, self._parts = batch_size, parts
        self._shuffle, self._drop_last = shuffle, drop_last
        self._sampler = _EpochSampler()
        self._loader: DataLoader[Sample | Clip] = DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_sampler=self._sampler,
            num_workers=workers,
            collate_fn=_collate_in_worker if workers else _collate,
            pin_memory=pin_memory,  # with workers, by a thread of its own
            worker_init_fn=_quiet_worker,
            persistent_workers=workers > 0,
            # With its own generator the loader does not use the global one.
            generator=torch.Generator().manual_seed(self._seed),
        )

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        whole, rest = divmod(self._count, self.batch_size)
        return whole if self._drop_last else whole + bool(rest)

    def __iter__(self) -> Iterator[Batch]:
        return self.epoch(0)

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, or of each its parts, without reading the first ``skip``.

        With workers, only one epoch can be iterated at a time.

        Raises:
            OSError, ValueError: a sample cannot be read or prepared, or a batch not be made; the
                message is the same with workers and without.
        """
        batches = self.plan(number)[skip:]
        self._sampler.batches = [part for batch in batches for part in self._parts.of(batch)]
        for batch in self._loader:
            if isinstance(batch, _Failure):
                raise batch.kind(batch.message)
            yield batch

    def plan(self, epoch: int) -> list[list[tuple[int, int]]]:
        """Return the (epoch, index) keys of each batch of an epoch."""
        order = np.arange(self._count)
        if self._shuffle:
            order = _generator(self._seed, epoch, _ORDER).permutation(self._count)
        starts = [i * self.batch_size for i in range(len(self))]
        return [[(epoch, int(i)) for i in order[s : s + self.batch_size]] for s in starts]


def make_loader(
    dataset: SampleSource | ClipSource,
    batch_size: int,
    *,
    augment: AugmentFunction | None = None,
    prepare: Prepare | None = None,
    shuffle: bool = False,
    seed: int = 0,
    workers: int = 0,
    drop_last: bool = False,
    pin_memory: bool = False,
    parts: BatchParts = WHOLE,
) -> SampleLoader:
    """Return a loader whose order and augmentation depend on (seed, epoch, index) only.

    Args:
        dataset: samples or clips by index, the same one for the same index.
        batch_size: samples or clips per batch.
        augment: random transform of one, such as ``augmentation.Augment``.
        prepare: fixed transform of one before that, such as ``partial(fit, size=128)``.
        shuffle: use a new order in every epoch.
        seed: seed of order and augmentation.
        workers: processes that prepare samples, each with one thread; 0 means this process.
        drop_last: leave out an incomplete last batch.
        pin_memory: page-lock the tensors for a faster copy to a GPU.
        parts: what of each batch is loaded, and in how many pieces.

    Raises:
        ValueError: the dataset is empty, a number is out of range, no batch would be left, or one
            cannot be divided into the parts.

    Example:
        >>> loader = make_loader(scenes, batch_size=4, shuffle=True)  # 8 images of 128 px
        >>> [tuple(batch.images.shape) for batch in loader.epoch(1)]
        [(4, 3, 128, 128), (4, 3, 128, 128)]
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
    if workers < 0 or seed < 0:
        raise ValueError(f"workers and seed must be 0 or more, not {workers} and {seed}")
    if len(dataset) < (batch_size if drop_last else 1):
        raise ValueError(f"{len(dataset)} samples give no batch of {batch_size}")
    parts.check(batch_size)
    return SampleLoader(
        _Prepared(dataset, prepare, augment, seed),
        batch_size,
        shuffle=shuffle,
        workers=workers,
        drop_last=drop_last,
        pin_memory=pin_memory,
        parts=parts,
    )


def _quiet_worker(_: int) -> None:
    """Use one thread per worker; more would compete for the cores."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)

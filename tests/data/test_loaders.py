"""Order and augmentation depend on seed, epoch and index, and on nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from poselib.data.augmentation import Augment
from poselib.data.collation import collate
from poselib.data.loaders import SampleLoader, make_loader
from poselib.data.transforms import fit
from poselib.skeletons import COCO
from poselib.structures import AffineTransform, Batch, Clip, Sample


def sample_of(index: int, people: int = 1, size: tuple[int, int] = (40, 56)) -> Sample:
    rng = np.random.default_rng(index)
    keypoints = rng.uniform(0, 40, (people, 17, 3)).astype(np.float32)
    keypoints[..., 2] = 2
    return Sample(
        image=rng.integers(0, 256, (3, *size), dtype=np.uint8),
        keypoints=keypoints,
        areas=rng.uniform(10, 20, people).astype(np.float32),
        ignore_mask=rng.random(size) < 0.2,
        image_id=100 + index,
        to_original=AffineTransform.identity(),
    )


@dataclass(frozen=True)
class Numbers:
    """A dataset of 11 images with 0 to 3 people; remembers nothing."""

    count: int = 11

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        return sample_of(index, people=index % 4)


def loader(**settings: object) -> SampleLoader:
    given = {"augment": Augment(COCO, size=32), "shuffle": True, "seed": 3, **settings}
    return make_loader(Numbers(), 4, **given)  # type: ignore[arg-type]


def assert_same(one: list[Batch], two: list[Batch]) -> None:
    assert len(one) == len(two) > 0
    for a, b in zip(one, two, strict=True):
        assert a.image_ids == b.image_ids
        for field in ("images", "keypoints", "areas", "ignore_mask"):
            assert torch.equal(getattr(a, field), getattr(b, field)), field
        for p, q in zip(a.to_original, b.to_original, strict=True):
            assert (p.matrix == q.matrix).all()


def test_collate_pads_people() -> None:
    samples = [sample_of(0, 2), sample_of(1, 0), sample_of(2, 3)]
    batch = collate(samples)
    assert batch.images.shape == (3, 3, 40, 56) and batch.images.dtype == torch.uint8
    assert batch.keypoints.shape == (3, 3, 17, 3) and batch.keypoints.dtype == torch.float32
    assert batch.areas.shape == (3, 3) and batch.ignore_mask.dtype == torch.bool
    assert batch.image_ids == (100, 101, 102) and batch.size == (40, 56)
    for b, sample in enumerate(samples):
        n = len(sample.keypoints)
        assert (batch.keypoints[b, :n].numpy() == sample.keypoints).all()
        assert (batch.keypoints[b, n:] == 0).all() and (batch.areas[b, n:] == 0).all()
        assert (batch.images[b].numpy() == sample.image).all()
        assert (batch.ignore_mask[b].numpy() == sample.ignore_mask).all()


def test_collate_without_people() -> None:
    batch = collate([sample_of(0, 0), sample_of(1, 0)])
    assert batch.keypoints.shape == (2, 0, 17, 3) and batch.areas.shape == (2, 0)


def test_collate_copies() -> None:
    sample = sample_of(0)
    batch = collate([sample])
    batch.images.zero_(), batch.ignore_mask.zero_(), batch.keypoints.zero_()
    assert sample.image.any() and sample.ignore_mask.any() and sample.keypoints.any()


def test_collate_refuses_unequal_samples() -> None:
    with pytest.raises(ValueError, match="at least one"):
        collate([])
    with pytest.raises(ValueError, match=r"100 and 101 differ in size, \(40, 56\) and \(40, 40\)"):
        collate([sample_of(0), sample_of(1, size=(40, 40))])
    other = sample_of(1)
    fewer = replace(other, keypoints=other.keypoints[:, :14])
    with pytest.raises(ValueError, match="differ in keypoints, 17 and 14"):
        collate([sample_of(0), fewer])


def test_the_layout_of_images_in_memory_changes_no_value() -> None:
    samples = [sample_of(index) for index in range(3)]
    usual, other = collate(samples), collate(samples, channels_last=True)
    assert_same([usual], [other])
    assert usual.images.is_contiguous()
    assert other.images.is_contiguous(memory_format=torch.channels_last)
    assert_same([usual.halved()], [other.halved()])
    (loaded,) = make_loader(Numbers(3), 3)
    assert loaded.images.is_contiguous(memory_format=torch.channels_last)


def test_batches_do_not_depend_on_workers() -> None:
    alone, helped = loader(workers=0), loader(workers=2)
    for epoch in (0, 1, 2):
        assert_same(list(alone.epoch(epoch)), list(helped.epoch(epoch)))
    # Giving up in the middle of an epoch must not leak batches into the next.
    next(iter(helped.epoch(0)))
    assert_same(list(alone.epoch(3)), list(helped.epoch(3)))
    assert_same(list(alone.epoch(3, skip=1)), list(helped.epoch(3, skip=1)))


def test_skipped_batches_leave_the_rest_unchanged() -> None:
    through = loader()
    epochs = [list(through.epoch(e)) for e in range(4)]
    assert_same(list(loader().epoch(3)), epochs[3])
    assert_same(list(loader().epoch(3, skip=2)), epochs[3][2:])
    assert epochs[2][0].image_ids != epochs[3][0].image_ids


def test_batches_do_not_depend_on_global_generators() -> None:
    torch.manual_seed(0), np.random.seed(0)  # noqa: NPY002
    before = list(loader().epoch(1))
    state = torch.get_rng_state()
    torch.manual_seed(1), np.random.seed(1)  # noqa: NPY002
    assert_same(before, list(loader().epoch(1)))
    torch.set_rng_state(state)
    list(loader().epoch(2))
    assert torch.equal(torch.get_rng_state(), state)


def test_augmentation_depends_on_epoch_and_seed() -> None:
    def first(seed: int, epoch: int) -> torch.Tensor:
        return next(iter(loader(shuffle=False, seed=seed).epoch(epoch))).images

    assert not torch.equal(first(0, 0), first(0, 1))
    assert not torch.equal(first(0, 0), first(1, 0))


def test_every_image_once_per_epoch() -> None:
    ids = [i for batch in loader().epoch(5) for i in batch.image_ids]
    assert sorted(ids) == [100 + i for i in range(11)] and ids != sorted(ids)
    assert len(loader()) == 3 and [len(b.image_ids) for b in loader().epoch(0)] == [4, 4, 3]
    assert len(loader(drop_last=True)) == 2 and len(list(loader(drop_last=True))) == 2


def test_without_shuffle_and_augmentation() -> None:
    plain = make_loader(Numbers(), 4, prepare=partial(fit, size=32))
    batches = list(plain)
    assert [b.image_ids[0] for b in batches] == [100, 104, 108]
    assert (batches[0].images[1].numpy() == fit(Numbers()[1], 32).image).all()
    assert_same(batches, list(plain.epoch(9)))


def test_prepare_runs_before_augment() -> None:
    sizes = []

    def look(sample: Sample, rng: np.random.Generator) -> Sample:
        sizes.append(sample.size)
        return sample

    list(make_loader(Numbers(2), 2, prepare=partial(fit, size=24), augment=look))
    assert sizes == [(24, 24), (24, 24)]


@dataclass(frozen=True)
class Threads:
    """Tells in its areas how many threads torch and OpenCV may use where it is read."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        threads = (torch.get_num_threads(), cv2.getNumThreads())[index]
        return replace(sample_of(index), areas=np.array([threads], np.float32))


def test_workers_have_one_thread() -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        (batch,) = make_loader(Threads(), 2, workers=1)
    finally:
        cv2.setNumThreads(before)
    assert batch.areas.max() <= 1


def test_errors_in_workers_keep_their_message() -> None:
    mixed = make_loader(Numbers(), 4, workers=1, augment=_sometimes_square)
    with pytest.raises(ValueError, match="images 100 and 101 differ in size"):
        list(mixed)
    # The traceback keeps the worker alive; left to the garbage collector it takes 5 s to end.
    mixed._loader._iterator._shutdown_workers()


def _sometimes_square(sample: Sample, rng: np.random.Generator) -> Sample:
    return fit(sample, 16) if sample.image_id % 2 else sample


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"batch_size": 4, "workers": -1}, "workers and seed"),
        ({"batch_size": 4, "seed": -1}, "workers and seed"),
        ({"batch_size": 12, "drop_last": True}, "11 samples give no batch of 12"),
    ],
)
def test_bad_arguments_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_loader(Numbers(), **settings)
    with pytest.raises(ValueError, match="0 samples"):
        make_loader(Numbers(0), 1)


def clip_of(index: int, frames: int = 3) -> Clip:
    samples = tuple(sample_of(10 * index + t, people=index) for t in range(frames))
    return Clip(samples, np.arange(frames) / 25, f"video {index}")


def test_clips_are_stacked_frame_by_frame() -> None:
    batch = collate([clip_of(1), clip_of(2)])
    assert batch.frames == 3 and batch.images.shape == (6, 3, 40, 56)
    assert batch.image_ids == (110, 111, 112, 120, 121, 122)
    assert (batch.keypoints[:3, 1] == 0).all() and (batch.keypoints[3:, 1] != 0).all()
    assert batch.halved().frames == batch.to("cpu").frames == 3
    assert collate([sample_of(0)]).frames == 1
    with pytest.raises(ValueError, match=r"clips of one batch differ in frames: \[2, 3\]"):
        collate([clip_of(1), clip_of(1, frames=2)])


def test_the_loader_augments_the_frames_of_a_clip_alike() -> None:
    class Clips:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Clip:
            return clip_of(index)

    batches = make_loader(Clips(), 2, augment=Augment(COCO, size=32), shuffle=True, seed=1)
    for batch in batches.epoch(2):
        matrices = np.array([warp.matrix for warp in batch.to_original]).reshape(-1, 3, 2, 3)
        assert batch.frames == 3 and (matrices == matrices[:, :1]).all()

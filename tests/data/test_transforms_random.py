"""Transforms of any sample: what comes out is whole, and mirroring it first mirrors the result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from poselib.data.augmentation import Augment
from poselib.data.transforms import fit, letterbox, warp_sample
from poselib.skeletons import COCO, Skeleton
from poselib.structures import AffineTransform, Sample, Size
from tests.strategies import generators, quick, samples, skeletons


def assert_sound(sample: Sample, size: Size) -> None:
    assert sample.image.shape == (3, *size) and sample.image.dtype == np.uint8
    assert sample.ignore_mask.shape == size and sample.ignore_mask.dtype == np.bool_
    points, seen = sample.keypoints[..., :2], sample.keypoints[..., 2]
    assert sample.keypoints.dtype == np.float32 and np.isfinite(sample.keypoints).all()
    assert (points >= 0).all() and (points < size[::-1]).all()
    assert (sample.keypoints[seen == 0] == 0).all()
    assert len(sample.areas) == len(sample.keypoints)
    assert np.isfinite(sample.areas).all() and (sample.areas >= 0).all()
    assert np.isfinite(sample.to_original.matrix).all()


@quick
@given(samples(), st.integers(1, 200), st.sampled_from([1, 32, 64]))
def test_any_sample_is_resized(sample: Sample, size: int, multiple: int) -> None:
    assert_sound(fit(sample, size), (size, size))
    boxed = letterbox(sample, size, multiple)
    assert_sound(boxed, boxed.size)
    assert all(side % multiple == 0 and side >= min(size, multiple) for side in boxed.size)


@quick
@given(samples(), generators, st.data())
def test_any_sample_is_augmented(
    sample: Sample, rng: np.random.Generator, data: st.DataObject
) -> None:
    augment = Augment(
        COCO,
        data.draw(st.integers(1, 100)),
        rotation=data.draw(st.floats(0, 180)),
        scale=(0.01, data.draw(st.sampled_from([0.02, 1.0, 50.0]))),
        translation=data.draw(st.floats(0, 3)),
        brightness=data.draw(st.floats(0, 1)),
        contrast=data.draw(st.floats(0, 1)),
        ignore_outside=data.draw(st.booleans()),
    )
    result = augment(sample, rng)
    assert isinstance(augment.size, int)
    assert_sound(result, (augment.size, augment.size))
    assert (result.keypoints[..., 2] > 0).any(axis=1).all()


@quick
@given(skeletons(), st.data(), st.integers(1, 100))
def test_mirrored_samples_are_resized_alike(
    skeleton: Skeleton, data: st.DataObject, size: int
) -> None:
    """As an image fitted to its own shape: there padding does not tell left from right."""
    sample = data.draw(samples(len(skeleton)))
    scale = size / max(sample.size)
    sides = [max(1, round(side * scale)) for side in sample.size]
    stretch = np.array([sides[1] / sample.size[1], sides[0] / sample.size[0]])
    warp, whole = AffineTransform(np.column_stack([np.diag(stretch), np.zeros(2)])), tuple(sides)

    def mirror(each: Sample) -> Sample:
        flip = AffineTransform(np.array([[-1.0, 0.0, each.size[1]], [0.0, 1.0, 0.0]]))
        turned = warp_sample(each, flip, each.size)
        return replace(turned, keypoints=turned.keypoints[:, skeleton.flip_indices])

    inside = warp_sample(sample, AffineTransform.identity(), sample.size)
    one = mirror(warp_sample(inside, warp, whole))  # type: ignore[arg-type]
    other = warp_sample(mirror(inside), warp, whole)  # type: ignore[arg-type]
    # Interpolation rounds to 1/32 px and to whole values.
    assert np.abs(one.image.astype(int) - other.image).max() <= 16
    both = (one.keypoints[..., 2] > 0) & (other.keypoints[..., 2] > 0)
    np.testing.assert_allclose(one.keypoints[both], other.keypoints[both], atol=1e-3)
    np.testing.assert_allclose(one.areas, other.areas)

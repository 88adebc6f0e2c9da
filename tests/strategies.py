"""What hypothesis draws: maps of any values, skeletons, samples, people that lie well apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from poselib.skeletons import Skeleton
from poselib.structures import AffineTransform, Batch, Poses, Sample, Size

quick = settings(max_examples=40)

# Structure is drawn, so that a failure is reported small; arrays are filled from a drawn seed.
generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)
sizes = st.tuples(st.integers(1, 14), st.integers(1, 14))
ODD = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 0.0, -0.0, 1.0, 1e6], np.float32)


def wild(rng: np.random.Generator, *shape: int, finite: bool = False) -> Tensor:
    """Return float32 values of any kind: ordinary, equal, sparse, huge, tiny and not finite."""
    ordinary = rng.normal(size=shape)
    odd = rng.choice(ODD[np.isfinite(ODD)] if finite else ODD, shape)
    rare = np.where(rng.random(shape) < 0.05, odd, ordinary)
    steps, huge = np.round(2 * ordinary) / 2, ordinary * 10.0 ** rng.uniform(-40, 37)
    kinds = [ordinary, rng.random(shape), odd, rare, steps, huge, np.full(shape, rng.choice(ODD))]
    chosen = kinds[rng.integers(len(kinds) - finite)]
    return torch.from_numpy(np.asarray(chosen, np.float32).reshape(shape))


@st.composite
def skeletons(draw: st.DrawFn, most: int = 9) -> Skeleton:
    """Some pairs of left and right and some keypoints between them, in any order."""
    pairs, single = draw(st.integers(0, most // 3)), draw(st.integers(1, most // 3))
    sides = tuple((f"left_{n}", f"right_{n}") for n in range(pairs))
    names = [*(name for pair in sides for name in pair), *(f"middle_{n}" for n in range(single))]
    names = draw(st.permutations(names))
    sigmas = draw(st.lists(st.floats(0.01, 0.2), min_size=len(names), max_size=len(names)))
    return Skeleton("random", tuple(names), tuple(sigmas), sides, ())


@st.composite
def samples(draw: st.DrawFn, keypoints: int = 17) -> Sample:
    """Images of 1 to 90 px with people inside, beside and far away, of all sizes, in any frame."""
    rng, size = draw(generators), (draw(st.integers(1, 90)), draw(st.integers(1, 90)))
    people = draw(st.integers(0, 4))
    spread = 10.0 ** draw(st.sampled_from([-1, 1, 2, 4, 30]))
    points = rng.normal(size=(people, keypoints, 2)) * spread + np.array(size[::-1]) / 2
    seen = rng.integers(0, 3, (people, keypoints, 1))
    warp = np.eye(2, 3) * 10.0 ** draw(st.integers(-3, 3)) + rng.normal(size=(2, 3)) / 1e4
    return Sample(
        image=rng.integers(0, 256, (3, *size), np.uint8),
        keypoints=np.concatenate([points * (seen > 0), seen], axis=-1).astype(np.float32),
        areas=(10.0 ** rng.uniform(-3, 7, people)).astype(np.float32),
        ignore_mask=rng.random(size) < draw(st.sampled_from([0, 0.3, 1])),
        image_id=7,
        to_original=AffineTransform(warp),
    )


@st.composite
def people_apart(
    draw: st.DrawFn, keypoints: int, side: int = 32, together: bool = False
) -> tuple[Tensor, Size]:
    """People (1, N, K, 2), px, and the size of the image.

    Each keypoint lies in a square of its own among those of its type, off its border. Those of a
    person lie together in one, or else anywhere, so that people reach through each other.
    """
    rows, columns = draw(st.integers(2, 4)), draw(st.integers(2, 4))
    count, rng = draw(st.integers(1, rows * columns)), draw(generators)
    squares = np.stack([rng.permutation(rows * columns)[:count] for _ in range(keypoints)], axis=1)
    squares = squares[:, :1].repeat(keypoints, axis=1) if together else squares
    corner = np.stack([squares % columns, squares // columns], axis=-1) * side
    points = corner + rng.uniform(side / 4, 3 * side / 4, corner.shape)
    return torch.from_numpy(points.astype(np.float32))[None], (rows * side, columns * side)


def batch_of(points: Tensor, size: Size) -> Batch:
    """Return a batch of people (B, N, K, 2) whose keypoints are all labeled."""
    count, people = points.shape[:2]
    return Batch(
        images=torch.zeros(count, 3, *size, dtype=torch.uint8),
        keypoints=torch.cat([points, torch.full_like(points[..., :1], 2)], dim=-1),
        areas=torch.full((count, people), 900.0),
        ignore_mask=torch.zeros(count, *size, dtype=torch.bool),
        image_ids=tuple(range(count)),
        to_original=(AffineTransform.identity(),) * count,
    )


def mirrored(poses: Poses, skeleton: Skeleton, width: int) -> Poses:
    """Return the poses in the mirrored image."""
    order = skeleton.flip_indices
    flip = AffineTransform(np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0]]))
    swapped = Poses(poses.keypoints[:, order], poses.scores[:, order], poses.person_scores)
    return swapped.warped(flip)


def assert_sound(found: list[Poses], images: int, keypoints: int, *, complete: bool = True) -> None:
    """Check that poses are finite, can be printed and written, and that none is empty."""
    assert len(found) == images
    for poses in found:
        assert poses.keypoints.shape == (len(poses), keypoints, 2)
        assert poses.scores.shape == (len(poses), keypoints)
        for values in (poses.keypoints, poses.scores, poses.person_scores):
            assert values.dtype == np.float32 and np.isfinite(values).all()
        assert poses.found.any(axis=1).all() or not complete
        assert (poses.keypoints[~poses.found] == 0).all()
        assert repr(poses) and poses._repr_html_() and len(poses.to_coco(1)) == len(poses)


def assert_same_people(found: Poses, expected: Poses, atol: float) -> None:
    """Compare two sets of people whatever their order."""

    def table(poses: Poses) -> np.ndarray[Any, Any]:
        flat = poses.keypoints.reshape(len(poses), -1), poses.scores, poses.person_scores[:, None]
        rows = np.concatenate(flat, axis=1).astype(np.float64)
        return rows[np.lexsort(rows.round(2).T)]

    assert len(found) == len(expected)
    np.testing.assert_allclose(table(found), table(expected), atol=atol)

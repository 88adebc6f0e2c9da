"""LOGO-CAP decoding: scores by hand, symmetries, scales and options."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.decoders.local_global import (
    LocalGlobalOptions,
    Prior,
    attraction_maps,
    decode_local_global,
    propose_poses,
    read_local_context,
    refine_poses,
)
from poselib.ops.map_coordinates import FRAMES, Frame
from poselib.outputs import LocalGlobalOutputs
from poselib.skeletons import COCO
from poselib.structures import Poses
from tests.decoders.factories import (
    SIZE,
    attracting_outputs,
    expansion_of,
    ideal_outputs,
    largest_errors,
    misplaced_people,
    options_of,
    random_outputs,
    scattered,
    with_embedding,
)

torch.set_num_threads(1)


def equal(a: Poses, b: Poses, tolerance: float = 0.0) -> None:
    for name in ("keypoints", "scores", "person_scores"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=0, atol=tolerance)


def part(outputs: LocalGlobalOutputs, image: int) -> LocalGlobalOutputs:
    names = ("heatmaps", "centers", "offsets", "embedding")
    return replace(outputs, **{name: getattr(outputs, name)[image, None] for name in names})


# Places and scores


def test_correct_poses_stay() -> None:
    truth, errors = misplaced_people(3, 6, 1, px=0.0)
    outputs = attracting_outputs(truth, errors, SIZE)
    # Heat that is read between cells of 4 px is highest in the middle of one.
    assert max(largest_errors(decode_local_global(outputs, options_of()), truth)) < 2.3


def test_scores_by_hand() -> None:
    """One cell of heat under one center, and attraction that is 1 everywhere."""
    heat, center = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    heat[:], center[0, 0, 8, 8] = 0.5, 0.8
    plain = replace(random_outputs(0, 1, (16, 16), 1), heatmaps=heat, centers=center)
    outputs = replace(
        plain,
        offsets=torch.zeros(1, 1, 2, 16, 16),
        attraction_network=lambda c: torch.ones_like(c[:, :1]),
    )
    expansion = expansion_of(rates=torch.ones(1), global_window=9, local_window=3, reweigh=False)
    (poses,) = decode_local_global(outputs, LocalGlobalOptions(expansion))
    assert len(poses) == 1 and poses.scores[0, 0] == pytest.approx(0.4)
    assert poses.person_scores.tolist() == [pytest.approx(0.4)]
    (poses,) = decode_local_global(outputs, LocalGlobalOptions(expansion, adapt=False))
    assert poses.keypoints.tolist() == [[[34, 34]]] and poses.scores[0, 0] == pytest.approx(0.4)
    (poses,) = decode_local_global(outputs, LocalGlobalOptions(expansion, prior="attraction"))
    assert poses.scores[0, 0] == pytest.approx(0.8)
    # What attracts more than fully attracts fully; what is not a number attracts not at all.
    more = replace(outputs, attraction_network=lambda c: torch.full_like(c[:, :1], 7.0))
    context = read_local_context(more, propose_poses(more, options_of()), expansion)
    assert float(attraction_maps(more, context).max()) == 1
    nothing = replace(outputs, attraction_network=lambda c: torch.full_like(c[:, :1], math.nan))
    assert [len(p) for p in decode_local_global(nothing, LocalGlobalOptions(expansion))] == [0]


def test_keypoints_without_score_stay() -> None:
    truth, errors = misplaced_people(4, 1, 1, px=3.0)
    outputs = attracting_outputs(truth, errors, SIZE)
    outputs.heatmaps[:, 5] = 0.0
    outputs.heatmaps[:, 6] = -1.0
    (poses,) = decode_local_global(outputs, options_of())
    (stay,) = decode_local_global(outputs, options_of(adapt=False))
    np.testing.assert_array_equal(poses.keypoints[0, 5:7], stay.keypoints[0, 5:7])
    assert poses.found.all() and (poses.scores[0, 5:7] < 1e-30).all()
    assert (poses.scores[0, 7:] > 1e-3).all()


@pytest.mark.parametrize(("frame", "middle"), [("center", 0.0), ("index", 0.5)])
def test_poses_are_in_px_of_the_network_input(frame: Frame, middle: float) -> None:
    outputs, options = random_outputs(19), options_of(frame, adapt=False, nms_distance=0.0)
    people = propose_poses(outputs, options)
    for image, poses in enumerate(decode_local_global(outputs, options)):
        expected = people.points[people.images == image].numpy() + middle
        assert len(poses) == len(expected) == 30
        np.testing.assert_allclose(poses.keypoints, expected, atol=1e-4)


# Message passing


def counted(outputs: LocalGlobalOutputs) -> tuple[LocalGlobalOutputs, list[int]]:
    calls: list[int] = []

    def attraction_network(context: Tensor) -> Tensor:
        calls.append(len(context))
        return outputs.attraction_network(context)

    return replace(outputs, attraction_network=attraction_network), calls


def test_attention_network_is_called_once_with_all_poses() -> None:
    truth, errors = misplaced_people(5, 3, 4, px=2.0)
    outputs, calls = counted(attracting_outputs(truth, errors, SIZE))
    decode_local_global(outputs, options_of())
    assert calls == [len(propose_poses(outputs, options_of()))] and calls[0] >= 12


def test_attention_network_sees_no_low_centers() -> None:
    outputs, calls = counted(random_outputs(0))
    options = options_of(center_threshold=0.97)
    few = propose_poses(outputs, options)
    assert 0 < len(few) < 60 and (few.centers > 0.97).all()
    decode_local_global(outputs, options)
    for unasked in ({"adapt": False}, {"prior": "expansion"}):
        decode_local_global(outputs, options_of(**unasked))
    assert calls == [len(few)]


def test_poses_stay_without_an_embedding() -> None:
    points = scattered(1, 4)
    found = decode_local_global(ideal_outputs(points, SIZE), options_of())
    assert max(largest_errors(found, points)) < 1e-3


# Order, number and place of people


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("prior", ["both", "attraction"])
def test_images_of_a_batch_are_independent(frame: Frame, prior: Prior) -> None:
    truth, errors = misplaced_people(6, 3, 5, px=3.0)
    outputs = attracting_outputs(truth, errors, SIZE, frame=frame)
    outputs.centers[1] = 0  # an image without people among others
    options = options_of(frame, prior=prior)
    for image, poses in enumerate(decode_local_global(outputs, options)):
        (alone,) = decode_local_global(part(outputs, image), options)
        equal(poses, alone, 1e-4)
        assert (len(poses) > 0) == (image != 1)


def test_order_of_poses_does_not_matter() -> None:
    outputs = random_outputs(7)
    people = propose_poses(outputs, options_of())
    order = torch.randperm(len(people), generator=torch.Generator().manual_seed(0))
    for prior in ("both", "expansion", "attraction"):
        options = options_of(prior=prior)
        found, shuffled = (refine_poses(outputs, p, options) for p in (people, people[order]))
        torch.testing.assert_close(shuffled.scores, found.scores[order], rtol=1e-4, atol=1e-6)
        same = (shuffled.people.points - found.people.points[order]).abs() < 1e-4
        assert same.float().mean() > 0.99  # equal places may change places


def test_order_of_keypoints_does_not_matter() -> None:
    truth, errors = misplaced_people(8, 1, 4, px=3.0)
    order = torch.randperm(17, generator=torch.Generator().manual_seed(0))
    found = decode_local_global(attracting_outputs(truth, errors, SIZE), options_of())
    expansion = expansion_of(rates=expansion_of().rates[order])
    permuted = attracting_outputs(truth[:, :, order], errors[:, :, order], SIZE)
    for a, b in zip(
        found, decode_local_global(permuted, LocalGlobalOptions(expansion)), strict=True
    ):
        np.testing.assert_allclose(a.keypoints[:, order], b.keypoints, atol=1e-3)
        np.testing.assert_allclose(a.scores[:, order], b.scores, atol=1e-5)


@pytest.mark.parametrize("prior", get_args(Prior))
def test_no_people(prior: Prior) -> None:
    outputs = random_outputs(9)
    empty = replace(outputs, centers=torch.zeros_like(outputs.centers))
    found = decode_local_global(empty, options_of(prior=prior))
    assert [poses.keypoints.shape for poses in found] == [(0, 17, 2)] * 2


def test_two_hundred_proposals() -> None:
    outputs = random_outputs(10, images=1, size=(40, 60))
    options = LocalGlobalOptions(expansion_of(global_window=11), max_people=200, nms_distance=0.0)
    people = propose_poses(outputs, options)
    assert len(people) == 200
    adapted = refine_poses(outputs, people, options)
    first, last = (
        refine_poses(outputs, people[rows], options) for rows in (slice(3), slice(197, None))
    )
    for few, rows in ((first, slice(3)), (last, slice(197, None))):
        torch.testing.assert_close(few.scores, adapted.scores[rows], rtol=1e-4, atol=1e-6)
    (poses,) = decode_local_global(outputs, options)
    assert 0 < len(poses) <= 200 and np.isfinite(poses.keypoints).all()


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("place", [(8, 128), (312, 128), (160, 8), (160, 248)], ids=str)
def test_people_at_the_borders(frame: Frame, place: tuple[float, float]) -> None:
    truth = np.random.default_rng(0).uniform(-6, 6, (1, 1, 17, 2)) + place
    outputs = attracting_outputs(truth, np.zeros_like(truth), SIZE, sigma=1.5, frame=frame)
    for prior in ("both", "expansion", "attraction"):
        (poses,) = decode_local_global(outputs, options_of(frame, prior=prior, nms_distance=0.5))
        assert len(poses) == 1 and (poses.scores > 1e-30).all()
        # Beyond the centers of the outermost cells all values are equal.
        found, goals = (np.clip(p, 2, [318, 254]) for p in (poses.keypoints, truth[0]))
        # In the other frame a pose begins up to three pixels beside its cell.
        assert np.abs(found - goals).max() < (3.1 if frame == "center" else 6.1)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 1)])
def test_maps_of_few_cells(frame: Frame, size: tuple[int, int]) -> None:
    found = decode_local_global(random_outputs(11, size=size), options_of(frame))
    assert all(np.isfinite(poses.keypoints).all() for poses in found)


# Odd values


@pytest.mark.parametrize("prior", get_args(Prior))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nonfinite_maps_give_no_people(prior: Prior, value: float) -> None:
    outputs = random_outputs(12)
    for name in ("heatmaps", "embedding"):
        broken = replace(outputs, **{name: torch.full_like(getattr(outputs, name), value)})
        for poses in decode_local_global(broken, options_of(prior=prior)):
            assert np.isfinite(poses.keypoints).all() and np.isfinite(poses.person_scores).all()
    for name in ("centers", "offsets"):
        broken = replace(outputs, **{name: torch.full_like(getattr(outputs, name), value)})
        assert [len(p) for p in decode_local_global(broken, options_of(prior=prior))] == [0, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nonfinite_values_count_as_zero(bad: float) -> None:
    truth, errors = misplaced_people(13, 1, 4, px=2.0)
    outputs = attracting_outputs(truth, errors, SIZE)
    here, there = outputs.heatmaps.clone(), outputs.heatmaps.clone()
    here[0, 3, ::2], there[0, 3, ::2] = bad, 0.0
    found, expected = (
        decode_local_global(replace(outputs, heatmaps=maps), options_of()) for maps in (here, there)
    )
    equal(found[0], expected[0])
    lost = outputs.offsets.clone()
    cell = np.floor(truth[0, 0].mean(axis=0) / 4).astype(int)
    lost[0, 2, 1, cell[1] - 2 : cell[1] + 3, cell[0] - 2 : cell[0] + 3] = bad
    (poses,) = decode_local_global(replace(outputs, offsets=lost), options_of())
    assert len(poses) == 3


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_maps_of_any_precision(kind: torch.dtype) -> None:
    outputs = random_outputs(14)
    names = ("heatmaps", "centers", "offsets", "embedding")
    given = {name: getattr(outputs, name).to(kind) for name in names}
    for prior in ("both", "attraction"):
        found = decode_local_global(replace(outputs, **given), options_of(prior=prior))
        single = replace(outputs, **{name: maps.float() for name, maps in given.items()})
        expected = decode_local_global(single, options_of(prior=prior))
        for a, b in zip(found, expected, strict=True):
            equal(a, b)
            assert a.keypoints.dtype == a.scores.dtype == a.person_scores.dtype == np.float32


# Flip and several scales


def test_flipped_outputs_give_flipped_poses() -> None:
    truth, errors = misplaced_people(15, 2, 4, px=3.0)
    back = np.array([-1, 1]), np.array([320, 0])
    order = list(COCO.flip_indices)
    mirrored = truth[:, :, order] * back[0] + back[1], errors[:, :, order] * back[0]
    plain = decode_local_global(attracting_outputs(truth, errors, SIZE), options_of())
    found = decode_local_global(attracting_outputs(*mirrored, SIZE), options_of())
    for one, other in zip(plain, found, strict=True):
        expected = one.keypoints[:, order] * back[0] + back[1]
        apart = np.abs(expected[:, None] - other.keypoints).max(axis=(2, 3)).min(axis=1)
        assert len(one) == len(other) == 4 and apart.max() < 0.5


@pytest.mark.parametrize("adapts", [True, False])
def test_poses_of_another_scale_are_added(adapts: bool) -> None:
    truth, errors = misplaced_people(16, 1, 6, px=2.0)
    both = attracting_outputs(truth, errors, SIZE)
    few = attracting_outputs(truth[:, :3], errors[:, :3], SIZE)
    # Heatmaps and embedding are of all people; the first scale has the centers of only three.
    first = replace(both, centers=few.centers, offsets=few.offsets)
    maps = {
        name: F.interpolate(getattr(both, name), size=(128, 160), mode="bilinear")
        for name in ("heatmaps", "centers", "embedding")
    }
    ratio = 128 / both.heatmaps.shape[-2]
    offsets = F.interpolate(both.offsets.flatten(1, 2), size=(128, 160), mode="bilinear")
    finer = replace(both, **maps, offsets=offsets.unflatten(1, (-1, 2)) * ratio)
    found = decode_local_global(first.merge_scales([finer]), options_of(adapt=adapts))
    assert max(largest_errors(found, truth)) < 3
    assert len(decode_local_global(first, options_of())[0]) == 3


@pytest.mark.parametrize(("frame", "within"), [("center", 1e-3), ("index", 4.0)])
def test_scale_with_fractional_stride(frame: Frame, within: float) -> None:
    """Half of 512x704 px is rounded to 256x384: a cell of it stands for 7.33 px.

    In frame "index" a pose begins at a pixel of its cell.
    """
    size, smaller = (512, 704), (256, 384)
    truth = scattered(1, 12, image_size=size, seed=3)
    half = truth * np.array([smaller[1] / size[1], smaller[0] / size[0]])
    whole, other = (ideal_outputs(p, s, 4, frame) for p, s in ((truth, size), (half, smaller)))
    without_people = replace(whole, centers=torch.zeros_like(whole.centers))
    both = without_people.merge_scales([replace(other, image_size=size)])
    options = options_of(frame, adapt=False, scale_decrease=1.0, center_threshold=0.9)
    found = decode_local_global(both, options)
    assert max(largest_errors(found, truth)) < within


@pytest.mark.parametrize("frame", FRAMES)
def test_maps_of_scales_are_averaged_alike_in_both_frames(frame: Frame) -> None:
    """As torch enlarges them, and the official code with it."""
    outputs, options = random_outputs(23, size=(20, 28)), options_of(frame)
    other = replace(
        random_outputs(24, size=(10, 14)),
        image_size=outputs.image_size,
        centers=torch.zeros(2, 1, 10, 14),
    )
    maps = {
        name: (
            getattr(outputs, name) + F.interpolate(getattr(other, name), (20, 28), mode="bilinear")
        )
        / 2
        for name in ("heatmaps", "embedding")
    }
    people = propose_poses(outputs, options)
    found = refine_poses(outputs.merge_scales([other]), people, options)
    expected = refine_poses(replace(outputs, **maps), people, options)
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-6)


def test_heatmaps_and_embeddings_of_scales_are_averaged() -> None:
    outputs = random_outputs(17)
    doubled = replace(outputs, embedding=2 * outputs.embedding, heatmaps=3 * outputs.heatmaps)
    without_people = replace(doubled, centers=torch.zeros_like(doubled.centers))
    options = options_of()
    people = propose_poses(outputs, options)
    found = refine_poses(outputs.merge_scales([without_people]), people, options)
    mean = replace(outputs, embedding=1.5 * outputs.embedding, heatmaps=2 * outputs.heatmaps)
    torch.testing.assert_close(found.scores, refine_poses(mean, people, options).scores)
    # A scale that has no embedding is left out of its mean, and of nothing else.
    bare = ideal_outputs(scattered(2, 0, image_size=outputs.image_size), outputs.image_size)
    joined = replace(outputs, other_scales=(bare,))
    half = replace(outputs, heatmaps=outputs.heatmaps / 2)
    found = refine_poses(joined, people, options)
    torch.testing.assert_close(found.scores, refine_poses(half, people, options).scores)


# Options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prior", "none"),
        ("ties", "last"),
        ("nms_kernel", 4),
        ("max_people", 0),
        ("center_threshold", -0.1),
        ("center_threshold", math.nan),
        ("nms_distance", math.inf),
        ("scale_decrease", -1.0),
        ("top_weight", 0.4),
        ("top_weight", math.nan),
        ("nms_fraction", 1.0),
    ],
)
def test_invalid_options_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        options_of(**{name: value})


def test_top_weight() -> None:
    outputs = with_embedding(
        random_outputs(18), random_outputs(18).embedding, random_outputs(18).attraction_network
    )
    people = propose_poses(outputs, options_of())
    heats = [
        refine_poses(outputs, people, options_of(top_weight=s)).scores for s in (0.5, 0.75, 1.0)
    ]
    torch.testing.assert_close((heats[0] + heats[2]) / 2, heats[1], rtol=1e-4, atol=1e-6)
    assert (heats[2] >= heats[0]).all()


def test_chunks_of_poses_are_refined_independently() -> None:
    outputs, options = random_outputs(3, images=2), options_of(max_people=30)
    people = propose_poses(outputs, options)
    assert len(people) > 40
    together = refine_poses(outputs, people, options)
    for rows in torch.arange(len(people)).split(7):
        alone = refine_poses(outputs, people[rows], options)
        torch.testing.assert_close(together.people.points[rows], alone.people.points)
        torch.testing.assert_close(together.scores[rows], alone.scores)
    assert torch.equal(together.people.images, people.images)
    assert torch.equal(together.people.centers, people.centers)

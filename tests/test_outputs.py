"""What outputs do under mirroring, resizing and scales."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from poselib.outputs import (
    HeatmapOutputs,
    JointRelations,
    LocalGlobalOutputs,
    RegressionOutputs,
    TagOutputs,
    clip_by_clip,
)
from poselib.skeletons import COCO, CROWDPOSE, Skeleton
from tests.decoders.factories import ideal_outputs, scattered

TRIO = Skeleton(
    name="trio",
    keypoints=("nose", "left_eye", "right_eye"),
    sigmas=(0.1, 0.1, 0.1),
    flip_pairs=(("left_eye", "right_eye"),),
    limbs=(),
)


def outputs(
    seed: int = 0, keypoints: int = 3, tags: int = 1, sizes: tuple[int, ...] = (4, 8)
) -> TagOutputs:
    make = torch.Generator().manual_seed(seed)
    maps = [torch.rand(2, keypoints, s, s + 4, generator=make) for s in sizes]
    tag = torch.randn(2, keypoints, tags, sizes[0], sizes[0] + 4, generator=make)
    return TagOutputs(tuple(maps), tag, (16, 24))


# Tag outputs


def test_mirror_by_hand() -> None:
    heat = torch.arange(12.0).view(1, 3, 2, 2)
    mirrored = TagOutputs((heat,), 100 + heat[:, :, None], (8, 8)).flip(TRIO)
    expected = [[[1, 0], [3, 2]], [[9, 8], [11, 10]], [[5, 4], [7, 6]]]
    assert mirrored.heatmaps[0][0].tolist() == expected
    assert (mirrored.tags[0, :, 0] - 100).tolist() == expected
    assert mirrored.image_size == (8, 8)


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_mirroring_twice_changes_nothing(skeleton: Skeleton) -> None:
    once = outputs(1, len(skeleton), tags=2)
    twice = once.flip(skeleton).flip(skeleton)
    assert all(torch.equal(a, b) for a, b in zip(once.heatmaps, twice.heatmaps, strict=True))
    assert torch.equal(once.tags, twice.tags)


def test_flip_test_averages_heat_and_keeps_both_tags() -> None:
    a, b = outputs(1), outputs(2)
    joined = a.merge_flipped(b)
    for both, one, other in zip(joined.heatmaps, a.heatmaps, b.heatmaps, strict=True):
        assert torch.equal(both, (one + other) / 2)
    assert joined.tags.shape[2] == 2
    assert torch.equal(joined.tags[:, :, 0], a.tags[:, :, 0])
    assert torch.equal(joined.tags[:, :, 1], b.tags[:, :, 0])
    with pytest.raises(ValueError):
        a.merge_flipped(outputs(2, sizes=(4,)))


def test_resize_to_the_finest_map_by_hand() -> None:
    """Bilinear between cell centers: half a cell out at the border, quarters inside."""
    row = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    coarse_and_fine = TagOutputs((row, torch.zeros(1, 1, 2, 4)), row[:, :, None], (4, 8))
    resized = coarse_and_fine.resize((2, 4))
    between = torch.tensor([0.0, 0.25, 0.75, 1.0])
    assert torch.allclose(resized.heatmaps[0][0, 0], (between / 2).expand(2, 4))
    assert torch.allclose(resized.tags[0, 0, 0], between.expand(2, 4))
    assert len(resized.heatmaps) == 1 and resized.image_size == (4, 8)


def test_resize_in_frame_aligned_by_hand() -> None:
    """The outermost cells keep their values; those of other scales lie on each other."""
    row = torch.tensor([0.0, 3.0]).view(1, 1, 1, 2)
    coarse_and_fine = TagOutputs((row, torch.zeros(1, 1, 2, 4)), row[:, :, None], (4, 8))
    resized = coarse_and_fine.resize((2, 7), aligned=True)
    slope = torch.linspace(0, 3, 7)
    torch.testing.assert_close(resized.heatmaps[0][0, 0], (slope / 2).expand(2, 7))
    torch.testing.assert_close(resized.tags[0, 0, 0], slope.expand(2, 7))
    coarse = TagOutputs((row,), row[:, :, None], (4, 8))
    ((merged,),) = (coarse_and_fine.merge_scales([coarse], aligned=True).heatmaps,)
    torch.testing.assert_close(merged[0, 0], (torch.arange(4.0) * 0.75).expand(2, 4))


def test_resize_goes_by_way_of_the_finest_map() -> None:
    given = outputs(3, tags=2)

    def stretched(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return torch.nn.functional.interpolate(maps, size, mode="bilinear", align_corners=False)

    resized = given.resize((16, 24))
    mean = (stretched(given.heatmaps[0], (8, 12)) + given.heatmaps[1]) / 2
    torch.testing.assert_close(resized.heatmaps[0], stretched(mean, (16, 24)))
    for channel in range(2):
        tags = stretched(stretched(given.tags[:, :, channel], (8, 12)), (16, 24))
        torch.testing.assert_close(resized.tags[:, :, channel], tags)


def test_resize_of_one_scale_to_its_own_size_changes_nothing() -> None:
    given = outputs(4, sizes=(4,))
    same = given.resize((4, 8))
    assert torch.equal(same.heatmaps[0], given.heatmaps[0]) and torch.equal(same.tags, given.tags)


def test_resize_commutes_with_mirroring() -> None:
    given = outputs(5)
    a, b = given.flip(TRIO).resize((16, 24)), given.resize((16, 24)).flip(TRIO)
    torch.testing.assert_close(a.heatmaps[0], b.heatmaps[0])
    torch.testing.assert_close(a.tags, b.tags)


def test_scales_average_heat_and_keep_the_first_tags() -> None:
    first, other = outputs(6), outputs(7, sizes=(8, 16))
    joined = first.merge_scales([other])
    expected = (first.resize((8, 12)).heatmaps[0] + other.resize((8, 12)).heatmaps[0]) / 2
    torch.testing.assert_close(joined.heatmaps[0], expected)
    assert torch.equal(joined.tags, first.tags)
    assert first.merge_scales([]) is first


def test_scales_of_equal_maps_by_hand() -> None:
    def flat(value: float, size: int) -> TagOutputs:
        return TagOutputs(
            (torch.full((1, 1, size, size), value),), torch.zeros(1, 1, 1, 2, 2), (8, 8)
        )

    joined = flat(0.0, 4).merge_scales([flat(0.3, 8), flat(0.9, 2)])
    torch.testing.assert_close(joined.heatmaps[0], torch.full((1, 1, 4, 4), 0.4))


def test_earlier_stages_are_kept_for_training_alone() -> None:
    first, second, last = outputs(8), outputs(9), outputs(10)
    staged = replace(last, intermediate=(first, second))
    assert staged.stages == (first, second, staged) and last.stages == (last,)
    made = [
        (staged.flip(TRIO), last.flip(TRIO)),
        (staged.merge_flipped(staged), last.merge_flipped(last)),
        (staged.resize((8, 12)), last.resize((8, 12))),
        (staged.merge_scales([staged]), last.merge_scales([last])),
    ]
    for got, expected in made:
        assert got.intermediate == ()
        assert all(torch.equal(a, b) for a, b in zip(got.heatmaps, expected.heatmaps, strict=True))
        assert torch.equal(got.tags, expected.tags)


# Regression outputs


def regressed(
    seed: int = 0, keypoints: int = 3, size: tuple[int, int] = (4, 6)
) -> RegressionOutputs:
    make = torch.Generator().manual_seed(seed)
    return RegressionOutputs(
        torch.rand(2, keypoints, *size, generator=make),
        torch.rand(2, 1, *size, generator=make),
        torch.randn(2, keypoints, 2, *size, generator=make),
        (16, 24),
    )


def assert_same(a: RegressionOutputs, b: RegressionOutputs, tolerance: float = 0.0) -> None:
    for name in ("heatmaps", "centers", "offsets"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=0, atol=tolerance)
    assert a.image_size == b.image_size and len(a.other_scales) == len(b.other_scales)
    for one, other in zip(a.other_scales, b.other_scales, strict=True):
        assert_same(one, other, tolerance)


def test_mirror_of_offsets_by_hand() -> None:
    maps = torch.arange(6.0).view(1, 3, 1, 2)
    offsets = torch.stack([10 + maps, 20 + maps], dim=2)
    mirrored = RegressionOutputs(maps, maps[:, :1], offsets, (4, 8)).flip(TRIO)
    assert mirrored.heatmaps[0, :, 0].tolist() == [[1, 0], [5, 4], [3, 2]]
    assert mirrored.centers[0, :, 0].tolist() == [[1, 0]]
    assert mirrored.offsets[0, :, 0, 0].tolist() == [[-11, -10], [-15, -14], [-13, -12]]
    assert mirrored.offsets[0, :, 1, 0].tolist() == [[21, 20], [25, 24], [23, 22]]
    assert mirrored.image_size == (4, 8)


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_mirroring_regression_twice_changes_nothing(skeleton: Skeleton) -> None:
    once = regressed(1, len(skeleton)).merge_scales([regressed(2, len(skeleton), (8, 12))])
    assert_same(once.flip(skeleton).flip(skeleton), once)


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_mirrored_outputs_are_those_of_mirrored_people(skeleton: Skeleton) -> None:
    people = scattered(2, 5, len(skeleton))
    mirrored = people[:, :, skeleton.flip_indices] * [-1, 1] + [320, 0]
    expected = ideal_outputs(mirrored, (256, 320))
    assert_same(ideal_outputs(people, (256, 320)).flip(skeleton), expected, 1e-4)


def test_flip_test_averages_everything() -> None:
    a, b = regressed(1), regressed(2)
    joined = a.merge_flipped(b)
    for name in ("heatmaps", "centers", "offsets"):
        assert torch.equal(getattr(joined, name), (getattr(a, name) + getattr(b, name)) / 2)


def test_scales_of_regression_are_kept_side_by_side() -> None:
    first, fine, coarse = regressed(4), regressed(5, size=(8, 12)), regressed(6, size=(2, 3))
    joined = first.merge_scales([fine]).merge_scales([coarse])
    assert joined.other_scales == (fine, coarse)
    assert_same(replace(joined, other_scales=()), first)
    assert_same(first.merge_scales([]), first)


# Local and global outputs


def adaptable(
    seed: int = 0, keypoints: int = 3, size: tuple[int, int] = (4, 6)
) -> LocalGlobalOutputs:
    plain = regressed(seed, keypoints, size)
    make = torch.Generator().manual_seed(seed + 100)
    return LocalGlobalOutputs(
        plain.heatmaps,
        plain.centers,
        plain.offsets,
        plain.image_size,
        embedding=torch.randn(2, 5, *size, generator=make),
        attraction_network=torch.nn.Identity(),
    )


def test_mirror_reverses_the_columns_of_an_embedding() -> None:
    given = adaptable(1)
    mirrored = given.flip(TRIO)
    assert (
        isinstance(mirrored, LocalGlobalOutputs)
        and mirrored.attraction_network is given.attraction_network
    )
    assert torch.equal(mirrored.embedding, given.embedding.flip(-1))
    assert_same(mirrored, regressed(1).flip(TRIO))
    twice = mirrored.flip(TRIO)
    assert_same(twice, given)
    assert torch.equal(twice.embedding, given.embedding)


def test_flip_test_keeps_the_embedding_of_the_image_itself() -> None:
    a, b = adaptable(1), adaptable(2)
    joined = a.merge_flipped(b)
    assert isinstance(joined, LocalGlobalOutputs)
    assert joined.embedding is a.embedding and joined.attraction_network is a.attraction_network
    assert_same(joined, regressed(1).merge_flipped(regressed(2)))


def test_scales_keep_their_embeddings() -> None:
    first, fine = adaptable(4), adaptable(5, size=(8, 12))
    joined = first.merge_scales([fine])
    assert joined.other_scales == (fine,) and joined.embedding is first.embedding
    (other,) = joined.flip(TRIO).other_scales
    assert isinstance(other, LocalGlobalOutputs)
    assert torch.equal(other.embedding, fine.embedding.flip(-1))


# Heatmaps of one person


def single(seed: int = 0, keypoints: int = 3, size: tuple[int, int] = (4, 6)) -> HeatmapOutputs:
    make = torch.Generator().manual_seed(seed)
    maps, pseudo = torch.rand(2, 2, keypoints, *size, generator=make)
    flat = pseudo.flatten(2)
    correlation = flat @ flat.transpose(1, 2)
    relations = JointRelations(pseudo, correlation, correlation.softmax(dim=2))
    return HeatmapOutputs(maps, (16, 24), relations)


def test_relations_are_mirrored_with_their_keypoints() -> None:
    """The mirrored image's own relations, computed from mirrored maps, are the same."""
    given = single()
    mirrored = given.flip(TRIO)
    assert torch.equal(mirrored.heatmaps, given.heatmaps.flip(-1)[:, [0, 2, 1]])
    assert given.relations and mirrored.relations
    flat = mirrored.relations.pseudo_heatmaps.flatten(2)
    correlation = flat @ flat.transpose(1, 2)
    torch.testing.assert_close(mirrored.relations.correlation, correlation)
    torch.testing.assert_close(mirrored.relations.weights, correlation.softmax(dim=2))
    twice = mirrored.flip(TRIO)
    assert twice.relations and torch.equal(twice.heatmaps, given.heatmaps)
    assert torch.equal(twice.relations.weights, given.relations.weights)


def test_flip_test_averages_maps_and_relations() -> None:
    a, b = single(1), single(2)
    joined = a.merge_flipped(b)
    assert torch.equal(joined.heatmaps, (a.heatmaps + b.heatmaps) / 2)
    assert joined.relations and a.relations and b.relations
    torch.testing.assert_close(joined.relations.weights.sum(dim=2), torch.ones(2, 3))
    mean = (a.relations.correlation + b.relations.correlation) / 2
    assert torch.equal(joined.relations.correlation, mean)
    plain = replace(a, relations=None)
    assert plain.flip(TRIO).relations is None and plain.merge_flipped(b).relations is None


def test_scales_are_averaged_at_the_resolution_of_the_first() -> None:
    a, fine = single(1), single(2, size=(8, 12))
    joined = a.merge_scales([fine])
    assert joined.heatmaps.shape == a.heatmaps.shape and joined.relations is a.relations
    constant = replace(fine, heatmaps=torch.full_like(fine.heatmaps, 0.5))
    half = a.merge_scales([constant]).heatmaps
    torch.testing.assert_close(half, (a.heatmaps + 0.5) / 2)
    assert a.merge_scales([]) is a


def test_diagonal_and_entropy_of_relations() -> None:
    maps = torch.zeros(1, 4, 2, 2)
    own, even = torch.eye(4)[None], torch.full((1, 4, 4), 0.25)
    for weights, diagonal, entropy in ((own, 1.0, 0.0), (even, 0.25, math.log(4))):
        relations = JointRelations(maps, weights, weights)
        assert relations.diagonal.tolist() == [diagonal]
        assert relations.entropy.tolist() == pytest.approx([entropy])


def test_frames_of_clips_follow_each_other() -> None:
    """Three frames of two clips, one frame at a time, are six images: those of clip 0 first."""
    frames = [single(seed) for seed in range(3)]
    joined = clip_by_clip(frames)
    assert joined.heatmaps.shape == (6, 3, 4, 6) and joined.relations
    for clip in range(2):
        for number, frame in enumerate(frames):
            at = 3 * clip + number
            assert torch.equal(joined.heatmaps[at], frame.heatmaps[clip])
            assert frame.relations
            assert torch.equal(joined.relations.weights[at], frame.relations.weights[clip])
    assert clip_by_clip([replace(frames[0], relations=None)]).relations is None


def test_images_are_taken_out_and_joined_again() -> None:
    whole = single(0, size=(3, 5))
    order = torch.tensor([1, 0, 1])
    some = whole[order]
    assert torch.equal(some.heatmaps, whole.heatmaps[order]) and some.image_size == (16, 24)
    assert some.relations and whole.relations
    for name in ("pseudo_heatmaps", "correlation", "weights"):
        assert torch.equal(getattr(some.relations, name), getattr(whole.relations, name)[order])
    parts = [whole[torch.tensor([n])] for n in range(2)]
    joined = HeatmapOutputs.join(parts)
    assert torch.equal(joined.heatmaps, whole.heatmaps) and joined.image_size == whole.image_size
    assert joined.relations and torch.equal(joined.relations.weights, whole.relations.weights)
    bare = replace(whole, relations=None)
    assert HeatmapOutputs.join([whole, bare]).relations is None  # not of all images
    assert bare[order].relations is None

"""Decoders on maps that hypothesis draws: of any values they give finite poses, and no warning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import get_args

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from poselib.decoders.argmax import ArgmaxOptions, decode_argmax
from poselib.decoders.associative import AssociativeOptions, decode_associative
from poselib.decoders.grouping import (
    DistanceReduction,
    GroupingOptions,
    ProgressiveUnit,
    TieRule,
)
from poselib.decoders.local_global import (
    LocalGlobalOptions,
    Prior,
    decode_local_global,
    decode_without_adaptation,
)
from poselib.decoders.regression import RegressionOptions, decode_regression
from poselib.ops.dynamic_convolution import Ties
from poselib.ops.keypoint_expansion import KeypointExpansion
from poselib.ops.map_coordinates import CROP_FRAMES, FRAMES
from poselib.ops.peaks import SUBPIXEL
from poselib.ops.taylor_peaks import PEAK_SUBPIXEL
from poselib.outputs import HeatmapOutputs, LocalGlobalOutputs, RegressionOutputs, TagOutputs
from poselib.skeletons import Skeleton
from tests.strategies import (
    assert_same_people,
    assert_sound,
    generators,
    mirrored,
    quick,
    sizes,
    skeletons,
    wild,
)

dtypes = st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64])
kernels = st.sampled_from([1, 3, 5])
flags = st.booleans()


@st.composite
def associative_options(draw: st.DrawFn, keypoints: int) -> AssociativeOptions:
    grouping = GroupingOptions(
        detection_threshold=draw(st.sampled_from([0.0, 0.1, 0.5])),
        tag_threshold=draw(st.sampled_from([0.0, 1.0, 1e30])),
        max_candidates=draw(st.sampled_from([1, 3, 30])),
        round_distance=draw(flags),
        threshold_before_assignment=draw(flags),
        distance_reduction=draw(st.sampled_from(get_args(DistanceReduction))),
        max_people=draw(st.sampled_from([None, 1, 3])),
        tie_rule=draw(st.sampled_from(get_args(TieRule))),
        progressive_unit=draw(st.sampled_from(get_args(ProgressiveUnit))),
    )
    return AssociativeOptions(
        order=draw(st.one_of(st.just("progressive"), st.permutations(range(keypoints)))),
        grouping=grouping,
        resolution=draw(st.sampled_from(["image", "map"])),
        nms_kernel=draw(st.one_of(st.none(), kernels)),
        subpixel=draw(st.sampled_from(SUBPIXEL)),
        refine=draw(flags),
    )


@quick
@given(st.data(), generators, dtypes)
def test_any_maps_and_tags_are_decoded(
    data: st.DataObject, rng: np.random.Generator, dtype: torch.dtype
) -> None:
    images, keypoints, length = (data.draw(st.integers(low, 3)) for low in (0, 1, 1))
    shapes = data.draw(st.lists(sizes, min_size=1, max_size=2))
    heatmaps = tuple(wild(rng, images, keypoints, *size).to(dtype) for size in shapes)
    tags = wild(rng, images, keypoints, length, *data.draw(sizes)).to(dtype)
    stride = data.draw(st.sampled_from([1, 2, 3]))
    outputs = TagOutputs(heatmaps, tags, (stride * shapes[-1][0], stride * shapes[-1][1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode_associative(outputs, data.draw(associative_options(keypoints)))
        assert_sound(found, images, keypoints)


@quick
@given(st.data(), generators, dtypes)
def test_any_maps_have_one_pose_each(
    data: st.DataObject, rng: np.random.Generator, dtype: torch.dtype
) -> None:
    """Or one without a keypoint, where no value is above 0."""
    images, keypoints, size = (
        data.draw(st.integers(0, 3)),
        data.draw(st.integers(1, 3)),
        data.draw(sizes),
    )
    outputs = HeatmapOutputs(
        wild(rng, images, keypoints, *size).to(dtype), (4 * size[0], 4 * size[1])
    )
    options = ArgmaxOptions(
        data.draw(st.sampled_from(CROP_FRAMES)), data.draw(st.sampled_from(PEAK_SUBPIXEL))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode_argmax(outputs, options)
        assert all(len(poses) == 1 for poses in found)
        assert_sound(found, images, keypoints, complete=False)


def center_options(draw: st.DrawFn) -> dict[str, float]:
    return {
        "nms_kernel": draw(kernels),
        "center_threshold": draw(st.sampled_from([0.0, 0.01, 0.5])),
        "max_people": draw(st.sampled_from([1, 3, 30])),
        "nms_distance": draw(st.sampled_from([0.0, 0.05, 1.0])),
        "nms_fraction": draw(st.sampled_from([0.0, 0.5, 0.9])),
        "scale_decrease": draw(st.sampled_from([0.0, 0.9])),
    }


@st.composite
def local_global_outputs(
    draw: st.DrawFn, kinds: int | None = None, finite: bool = False
) -> LocalGlobalOutputs:
    """Maps of one or two scales; with ``finite`` of ordinary values, none like another."""
    rng, dtype = draw(generators), torch.float32 if finite else draw(dtypes)
    images, keypoints = draw(st.integers(0, 3)), kinds or draw(st.integers(1, 4))
    kernel = torch.from_numpy(rng.normal(size=(keypoints, 2 * keypoints, 3, 3)) / 10).float()

    def values(*shape: int) -> Tensor:
        if finite:
            return torch.from_numpy(rng.random(shape)).float()
        return wild(rng, *shape).to(dtype)

    def attraction(context: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(context.float(), kernel, padding=1)

    def of_size(
        size: tuple[int, int], others: Sequence[RegressionOutputs] = ()
    ) -> LocalGlobalOutputs:
        return LocalGlobalOutputs(
            values(images, keypoints, *size),
            values(images, 1, *size),
            4 * values(images, keypoints, 2, *size) - 2 * finite,
            image_size,
            tuple(others),
            embedding=values(images, 2, *size),
            attraction_network=attraction,
        )

    size = draw(sizes)
    image_size = 4 * size[0], 4 * size[1]
    return of_size(size, [of_size(other) for other in draw(st.lists(sizes, max_size=1))])


@st.composite
def regression_options(draw: st.DrawFn) -> RegressionOptions:
    return RegressionOptions(
        frame=draw(st.sampled_from(FRAMES)),
        match=draw(flags),
        match_distance=draw(st.sampled_from([0.0, 75.0])),
        subpixel=draw(st.sampled_from(SUBPIXEL)),
        **center_options(draw),  # type: ignore[arg-type]
    )


@quick
@given(local_global_outputs(), regression_options())
def test_any_centers_and_offsets_are_decoded(
    outputs: LocalGlobalOutputs, options: RegressionOptions
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_sound(decode_regression(outputs, options), *outputs.heatmaps.shape[:2])


@st.composite
def local_global_options(draw: st.DrawFn, keypoints: int) -> LocalGlobalOptions:
    local, frame = draw(kernels), draw(st.sampled_from(FRAMES))
    window = local + 2 * draw(st.integers(0, 5))
    return LocalGlobalOptions(
        KeypointExpansion(torch.ones(keypoints), local, window, frame=frame),
        adapt=draw(flags),
        prior=draw(st.sampled_from(get_args(Prior))),
        ties=draw(st.sampled_from(get_args(Ties))),
        top_weight=draw(st.sampled_from([0.5, 0.75, 1.0])),
        **center_options(draw),  # type: ignore[arg-type]
    )


@quick
@given(local_global_outputs(), st.data())
def test_any_poses_are_adapted(outputs: LocalGlobalOutputs, data: st.DataObject) -> None:
    images, keypoints = outputs.heatmaps.shape[:2]
    options = data.draw(local_global_options(keypoints))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for decode in (decode_local_global, decode_without_adaptation):
            assert_sound(decode(outputs, options), images, keypoints)


@quick
@given(skeletons(), st.data(), flags)
def test_poses_of_mirrored_maps_are_mirrored(
    skeleton: Skeleton, data: st.DataObject, match: bool
) -> None:
    """Also of several scales; cells are symmetric in frame ``"center"`` alone."""
    outputs = data.draw(local_global_outputs(len(skeleton), finite=True))
    options = RegressionOptions(match=match, match_distance=6.0)
    there = decode_regression(outputs.flip(skeleton), options)
    for found, expected in zip(there, decode_regression(outputs, options), strict=True):
        back = mirrored(found, skeleton, outputs.image_size[1])
        assert_same_people(back, expected, atol=1e-3)

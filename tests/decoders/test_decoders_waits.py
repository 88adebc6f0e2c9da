"""How often a decoder waits for a GPU: some times a batch, whatever its images and people."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from poselib.benchmarks.adaptation_inputs import adapt_inputs
from poselib.benchmarks.workloads import decode_inputs
from poselib.decoders.argmax import ArgmaxOptions, decode_argmax, decode_offsets
from poselib.decoders.associative import AssociativeOptions, decode_associative
from poselib.decoders.local_global import LocalGlobalOptions, decode_local_global
from poselib.decoders.regression import RegressionOptions, decode_regression
from poselib.ops.keypoint_expansion import KeypointExpansion
from poselib.outputs import HeatmapOutputs
from tests.decoders.distant_device import map_tensors, waits_of

SIZE = (64, 96)
SHARED: dict[str, Any] = {"keypoints": 3, "size": SIZE}


def tagged(images: int, people: int) -> Any:
    return decode_inputs(people, images=images, length=2, missing=0.3, **SHARED)


def centered(images: int, people: int) -> Any:
    return adapt_inputs(people, images=images, embedding=4, **SHARED)


def two_scales(images: int, people: int) -> Any:
    return centered(images, people).merge_scales([centered(images, people)])


def heated(images: int, people: int) -> Any:
    return HeatmapOutputs(centered(images * people, 1).heatmaps, SIZE)


def expanded(**options: Any) -> LocalGlobalOptions:
    return LocalGlobalOptions(KeypointExpansion(torch.ones(3), 5, 9), **options)


PEAKS, POSES = ["nonzero"], ["nonzero"]  # the cells of all maps, the rows of all images
COPY = ["copy"]
ADAPTED = {name: expanded(prior=name) for name in ("both", "attraction", "expansion")}
CASES: dict[str, tuple[Callable[[int, int], Any], Callable[[Any], Any], list[str]]] = {
    "associative": (tagged, decode_associative, [*PEAKS, *COPY, *COPY]),
    "fixed order, at maps": (
        tagged,
        partial(
            decode_associative,
            options=AssociativeOptions(order=(2, 0, 1), resolution="map", subpixel="taylor"),
        ),
        [*PEAKS, *COPY, *COPY],
    ),
    "regression": (centered, decode_regression, [*PEAKS, *POSES, *COPY, *COPY]),
    "regression, two scales": (
        two_scales,
        decode_regression,
        [*PEAKS, *PEAKS, *POSES, *COPY, *COPY],
    ),
    "snapped to peaks": (
        centered,
        partial(decode_regression, options=RegressionOptions(match=True)),
        [*PEAKS, *POSES, *COPY, *PEAKS, *COPY],
    ),
    **{
        f"adaptation, {name}": (
            centered,
            partial(decode_local_global, options=options),
            [*PEAKS, *POSES, *COPY, *COPY],
        )
        for name, options in ADAPTED.items()
    },
    "highest cells": (heated, decode_argmax, COPY),
    "highest cells, smoothed": (
        heated,
        partial(decode_argmax, options=ArgmaxOptions(subpixel="newton")),
        COPY,
    ),
    "offsets of discs": (centered, decode_offsets, COPY),
}


@pytest.mark.parametrize(("make", "decode", "expected"), CASES.values(), ids=CASES)
def test_a_gpu_is_waited_for_a_few_times_a_batch(
    make: Callable[[int, int], Any], decode: Callable[[Any], Any], expected: list[str]
) -> None:
    for images, people in ((1, 1), (3, 4)):
        outputs = make(images, people)
        waits, found = waits_of(decode, outputs)
        assert waits == expected
        assert len(found) >= images and all(map(len, found))
        for one, other in zip(found, decode(outputs), strict=True):
            np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-4)
            np.testing.assert_allclose(one.person_scores, other.person_scores, atol=1e-6)


@pytest.mark.parametrize(("make", "decode", "expected"), CASES.values(), ids=CASES)
def test_nothing_is_found_without_waiting_more(
    make: Callable[[int, int], Any], decode: Callable[[Any], Any], expected: list[str]
) -> None:
    blank = map_tensors(make(2, 2), torch.zeros_like)
    waits, found = waits_of(decode, blank)
    assert waits == expected and len(found) >= 2


def test_what_waits_is_counted() -> None:
    def wasteful(maps: torch.Tensor) -> None:
        float(maps.max()), maps[maps > 0].tolist(), maps.cpu(), bool((maps > 0).any())

    waits, _ = waits_of(wasteful, torch.ones(2))
    number = "_local_scalar_dense"
    assert waits == [number, "mask", "copy", "copy", number]

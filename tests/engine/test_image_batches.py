"""Batches of mixed images: what is found in one does not depend on those beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import poselib
from poselib.data.image_folder import ImageFiles
from poselib.data.image_io import encode_image
from poselib.decoders.associative import AssociativeOptions, decode_associative
from poselib.decoders.grouping import GroupingOptions
from poselib.decoders.local_global import LocalGlobalOptions, decode_local_global
from poselib.decoders.regression import RegressionOptions, decode_regression
from poselib.engine.image_batches import same_sized
from poselib.engine.inference import PredictOptions
from poselib.engine.predict import predict
from poselib.engine.speed import SpeedOptions
from poselib.engine.stage_times import StageTimes
from poselib.ops.keypoint_expansion import KeypointExpansion
from poselib.outputs import LocalGlobalOutputs
from poselib.structures import Poses, Sample
from poselib.systems import System
from tests.engine.factories import MIDDLE, BlobNetwork, bare_sample, pixels, scenes, system_around

SIZES = [(64, 64), (40, 90), (90, 40), (64, 64), (70, 64), (40, 90), (64, 64), (90, 40), (64, 70)]
OPTIONS = PredictOptions(size=64, multiple=32, flip=False)
EXACT = ("keypoints", "scores", "person_scores")


class OffsetNetwork(nn.Module):
    """Colors are heat, blue also that of centers, and differences of colors offsets."""

    def forward(self, images: Tensor) -> LocalGlobalOutputs:
        colors = F.avg_pool2d(pixels(images), 4)
        offsets = torch.stack([colors[:, [0, 1]], colors[:, [2, 0]]], dim=2) * 6 - 3
        return LocalGlobalOutputs(
            colors[:, :2],
            colors[:, 2:],
            offsets,
            (images.shape[-2], images.shape[-1]),
            embedding=colors,
            attraction_network=lambda context: context[:, :2].sigmoid(),
        )


def around(network: nn.Module, decode: Callable[..., list[Poses]], options: Any) -> System:
    system = system_around(network, MIDDLE)
    return replace(system, decode=lambda outputs: decode(outputs, options))


def tags(**options: Any) -> System:
    return around(BlobNetwork(), decode_associative, AssociativeOptions(**options))


def offsets(**options: Any) -> System:
    return around(OffsetNetwork(), decode_regression, RegressionOptions(**options))


EXPANSION = KeypointExpansion(torch.ones(2), 5, 9)
SYSTEMS = {
    "associative": tags(),
    "fixed order": tags(order=(1, 0)),
    "one keypoint at a time": tags(grouping=GroupingOptions(progressive_unit="keypoint")),
    "at maps": tags(resolution="map", refine=False),
    "aligned": replace(tags(frame="aligned", subpixel="taylor"), frame="aligned"),
    "regression": offsets(),
    "regression by index": replace(offsets(frame="index"), frame="index"),
    "snapped to peaks": offsets(match=True),
    "adaptation": around(OffsetNetwork(), decode_local_global, LocalGlobalOptions(EXPANSION)),
}


def mixed() -> list[Sample]:
    """Smooth random images, with some peaks each."""
    rng = np.random.default_rng(0)
    images = [rng.normal(0, 1, (*size, 3)) for size in SIZES]
    smooth = [cv2.GaussianBlur(image, (0, 0), 5) for image in images]
    shown = [np.clip(128 + 700 * image, 0, 255).astype(np.uint8) for image in smooth]
    return [bare_sample(image.transpose(2, 0, 1), n) for n, image in enumerate(shown)]


@pytest.mark.parametrize("options", [{}, {"flip": True, "scales": (0.5, 1.0, 1.5)}], ids=str)
@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_what_is_found_does_not_depend_on_the_batch(
    system: System, options: dict[str, Any]
) -> None:
    samples, shown = mixed(), replace(OPTIONS, **options)
    alone = predict(system, samples, shown, speed=SpeedOptions(workers=0))
    assert sum(map(len, alone)) > len(samples)
    together = predict(system, samples[::-1], replace(shown, batch_size=4))[::-1]
    for one, other in zip(alone, together, strict=True):
        for name in EXACT:
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-4)


def test_a_trained_network_finds_the_same_in_any_batch() -> None:
    model = poselib.load(size=64, device="cpu")
    images = [scenes(4)[n].image for n in range(4)]
    images = [images[0], images[1][:, :40], images[2][:, :, :40], images[3], images[0][:, 8:48]]
    samples = [bare_sample(image, number) for number, image in enumerate(images)]
    for one, other in zip(model(samples), model(samples, batch_size=4, multiple=64), strict=True):
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-3)
        np.testing.assert_allclose(one.person_scores, other.person_scores, atol=1e-5)


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_change_no_digit(workers: int) -> None:
    system, samples = SYSTEMS["associative"], mixed()
    shown = replace(OPTIONS, batch_size=2)
    plain = predict(system, samples, shown, speed=SpeedOptions(workers=0))
    for one, other in zip(
        plain, predict(system, samples, shown, speed=SpeedOptions(workers=workers)), strict=True
    ):
        assert all(np.array_equal(getattr(one, n), getattr(other, n)) for n in EXACT)


class Watched:
    """Counts the samples that were read."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples, self.read = samples, 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        self.read += 1
        return self.samples[index]


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_few_images_are_in_memory(workers: int) -> None:
    rng = np.random.default_rng(0)
    sizes = [(32, 32 * int(length)) for length in rng.integers(1, 31, 120)]
    samples = Watched([bare_sample(np.zeros((3, *size), np.uint8)) for size in sizes])
    options = PredictOptions(size=32, multiple=32, batch_size=3)
    left = set(range(120))
    for indices, views in same_sized(SYSTEMS["associative"], samples, options, workers):
        assert len({view[0].size for view in views}) == 1 and indices == sorted(indices)
        left -= set(indices)
        assert samples.read - (120 - len(left)) <= (4 + 2) * 3 + max(workers, 1)
    assert not left


def test_no_batch_is_padded_for_another() -> None:
    options = PredictOptions(size=64, multiple=32, batch_size=4)
    batches = list(same_sized(SYSTEMS["associative"], mixed(), options))
    assert [len(indices) for indices, _ in batches] == [3, 2, 2, 1, 1]
    fewer = list(same_sized(SYSTEMS["associative"], mixed(), replace(options, multiple=160)))
    assert [len(indices) for indices, _ in fewer] == [4, 4, 1]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, workers: int) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path in paths:
        path.write_bytes(encode_image(np.zeros((64, 64, 3), np.uint8), ".png"))
    files = ImageFiles(paths)
    paths[3].unlink()
    found: list[int] = []
    with pytest.raises(FileNotFoundError, match=r"3\.png"):
        predict(
            SYSTEMS["associative"], files, OPTIONS, speed=SpeedOptions(workers=workers),
            on_found=lambda index, _: found.append(index),
        )  # fmt: skip
    assert found == [0, 1, 2]


def test_times_of_stages_add_up_and_change_nothing() -> None:
    system, samples, times = SYSTEMS["associative"], mixed(), StageTimes()
    timed = predict(system, samples, OPTIONS, timing=times, speed=SpeedOptions(workers=0))
    for one, other in zip(timed, predict(system, samples, OPTIONS), strict=True):
        assert all(np.array_equal(getattr(one, n), getattr(other, n)) for n in EXACT)
    table = times.to_dataframe()
    assert table.index.tolist() == ["load", "forward", "decode", "total"]
    assert times.images == len(samples) and (table > 0).all(axis=None)
    assert 0.5 * times.total < sum(times.seconds.values()) <= times.total
    assert [line.split()[0] for line in str(times).splitlines()] == ["stage", *table.index]

"""States of people: a stream equals the clip, whoever else is there, mirrored crops included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.data.collation import collate
from poselib.data.crops import crop_person
from poselib.engine import person_stream
from poselib.engine.inference import mirrored
from poselib.engine.person_stream import PersonStream
from poselib.ops.normalization import normalize
from poselib.outputs import HeatmapOutputs
from poselib.structures import Sample
from tests.data.factories.scenes import scene
from tests.engine.person_factories import spot_system, tiny

RNG = np.random.default_rng(0)
T = 4


def crop(seed: int, size: tuple[int, int] = (64, 64)) -> Sample:
    """Random pixels, smooth enough to differ as images do."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (3, size[0] // 8, size[1] // 8)).repeat(8, 1).repeat(8, 2)
    base = crop_person(scene(), size)
    return Sample(
        image.astype(np.uint8), base.keypoints, base.areas, base.ignore_mask, 0, base.to_original
    )


def clip(person: int) -> list[Sample]:
    return [crop(100 * person + t) for t in range(T)]


def network_input(frames: list[Sample]) -> Tensor:
    return normalize(collate(frames).images)


def assert_equal(got: HeatmapOutputs, expected: HeatmapOutputs, row: int, frame: int) -> None:
    one, other = got.heatmaps[row], expected.heatmaps[frame]
    assert float((one - other).abs().max()) < 1e-5 * float(expected.heatmaps.abs().max())
    if expected.relations:
        assert got.relations
        for name in ("weights", "correlation"):
            a, b = (getattr(each.relations, name) for each in (got, expected))
            assert float((a[row] - b[frame]).abs().max()) < 1e-5 * max(1, float(b.abs().max()))


@torch.no_grad()
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("options", [{}, {"relation": "none"}, {"propagator_layers": 0}], ids=str)
def test_a_stream_equals_the_clip_whoever_joins_and_leaves(
    options: dict[str, Any], flip: bool
) -> None:
    """Person n is there from frame n on, in another row of each batch, and 0 leaves early."""
    system = tiny("rpstn", **options)
    clips = [clip(person) for person in range(3)]
    expected = []
    for frames in clips:
        images = network_input(frames)
        outputs = system.run(images, T)
        if flip:
            outputs = outputs.merge_flipped(
                system.run(mirrored(images, 0), T).flip(system.skeleton)
            )
        expected.append(outputs)
    stream = PersonStream(system, flip)
    for now in range(T + 2):
        present = [p for p in range(3) if 0 <= now - p < (2 if p == 0 else T)]
        present = present[::-1] if now % 2 else present
        (got,) = stream.step([clips[p][now - p] for p in present], [f"person {p}" for p in present])
        stream.keep([f"person {p}" for p in present])
        for row, p in enumerate(present):
            assert_equal(got, expected[p], row, now - p)


@torch.no_grad()
def test_who_is_forgotten_starts_anew() -> None:
    system, frames = tiny("rpstn"), clip(0)
    fresh = [system.run(network_input([frame])) for frame in frames]
    stream = PersonStream(system, flip=False)
    stream.step(frames[:1], ["a"])
    stream.forget()
    (got,) = stream.step(frames[1:2], ["a"])
    assert_equal(got, fresh[1], 0, 0)
    stream.keep(["b"])  # and so not "a"
    (got,) = stream.step(frames[2:3], ["a"])
    assert_equal(got, fresh[2], 0, 0)
    (got,) = stream.step(frames[3:4], ["a"])
    assert not torch.allclose(got.heatmaps[0], fresh[3].heatmaps[0], atol=1e-4)


@pytest.mark.parametrize("clips", [False, True])
def test_large_batches_are_parts_in_order(clips: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    system = spot_system(clips)
    crops, keys = [crop(seed, (64, 96)) for seed in range(7)], list(range(7))
    (whole,) = PersonStream(system).step(crops, keys)
    monkeypatch.setattr(person_stream, "_MOST", 3)
    parts = PersonStream(system).step(crops, keys)
    assert [len(part.heatmaps) for part in parts] == [3, 3, 1]
    torch.testing.assert_close(HeatmapOutputs.join(parts).heatmaps, whole.heatmaps)


@torch.no_grad()
@pytest.mark.parametrize("name", ["rpstn", "jre"])
def test_a_mirrored_video_has_mirrored_outputs(name: str) -> None:
    """With flip testing, exactly."""
    system = tiny(name)
    assert system.crop is not None
    frames = [crop(seed, system.crop) for seed in range(3)]
    width = system.crop[1]
    turned = [
        Sample(f.image[:, :, ::-1], f.keypoints, f.areas, f.ignore_mask, 0, f.to_original)
        for f in frames
    ]
    one, other = PersonStream(system), PersonStream(system)
    for frame, mirror in zip(frames, turned, strict=True):
        (a,), (b,) = one.step([frame], [0]), other.step([mirror], [0])
        torch.testing.assert_close(b.heatmaps, a.flip(system.skeleton).heatmaps)
        assert a.image_size[1] == width

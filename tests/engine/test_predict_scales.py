"""Views of several scales show one canvas: nothing is stretched, and poses lie on each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poselib.engine.inference import PredictOptions, present
from poselib.ops.map_coordinates import FRAMES, Frame
from poselib.outputs import RegressionOutputs
from poselib.skeletons import COCO
from poselib.structures import Sample
from poselib.systems import System, build
from tests.decoders.factories import by_place, ideal_outputs, scattered
from tests.engine.factories import bare_sample

OPTIONS = PredictOptions(size=256, scales=(1.0, 0.5, 2.0))
SYSTEMS = {frame: build("dekr", COCO, backbone="hrnet_tiny", frame=frame) for frame in FRAMES}


def people_of(size: tuple[int, int], seed: int) -> Sample:
    """A photograph with three people."""
    height, width = size
    points = scattered(1, 3, seed=seed)[0] * [width / 320, height / 256]  # drawn for 256 x 320 px
    labeled = np.concatenate([points, np.full((3, 17, 1), 2)], axis=-1)
    blank = bare_sample(np.zeros((3, *size), np.uint8))
    return replace(blank, keypoints=labeled.astype(np.float32), areas=np.ones(3, np.float32))


def perfect_outputs(view: Sample, frame: Frame) -> RegressionOutputs:
    """What a perfect network says of a view, whose keypoints were moved with the image."""
    return ideal_outputs(view.keypoints[None, ..., :2], view.size, stride=4, frame=frame)


def decoded(system: System, views: tuple[Sample, ...], heard: int) -> np.ndarray:
    """Decode all views, with centers in one of them, and return poses in px of the photograph."""
    said = [perfect_outputs(view, system.frame) for view in views]
    said = [
        outputs if n == heard else replace(outputs, centers=outputs.centers * 0)
        for n, outputs in enumerate(said)
    ]
    (poses,) = system.decode(said[0].merge_scales(said[1:]))
    return by_place(poses.warped(views[0].to_original))


@pytest.mark.parametrize("frame", FRAMES)
@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(160, 700), ratio=st.floats(0.6, 1.8), seed=st.integers(0, 99), data=st.data()
)
def test_a_perfect_network_is_right_at_every_scale(
    frame: Frame, height: int, ratio: float, seed: int, data: st.DataObject
) -> None:
    sample = people_of((height, round(height * ratio)), seed)
    views = present(SYSTEMS[frame], sample, OPTIONS)
    heard = data.draw(st.integers(0, len(views) - 1))
    truth = sample.keypoints[np.argsort(sample.keypoints[:, 0, 0]), :, :2]
    found = decoded(SYSTEMS[frame], views, heard)
    assert found.shape == truth.shape
    # Rounding, of float32 px on the canvas.
    assert np.abs(found - truth).max() < 1e-3 * max(1.0, height / 256, height * ratio / 256)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("multiple", [32, 64])
@settings(max_examples=40, deadline=None)
@given(size=st.tuples(st.integers(40, 700), st.integers(40, 700)))
def test_no_scale_stretches_the_image(frame: Frame, multiple: int, size: tuple[int, int]) -> None:
    options = replace(OPTIONS, size=128, multiple=multiple)
    views = present(SYSTEMS[frame], bare_sample(np.zeros((3, *size), np.uint8)), options)
    base = views[0]
    assert all(side % multiple == 0 for side in base.size)
    for factor, view in zip(options.scales, views, strict=True):
        assert view.size == tuple(side * factor for side in base.size)
        assert all(side % 32 == 0 for side in view.size)
        matrix = view.to_original.inverse().matrix[:, :2] / (factor * 128 / min(size))
        np.testing.assert_allclose(matrix, np.eye(2), atol=1e-9)


@pytest.mark.parametrize(
    ("image", "size", "half"),
    [((480, 640), 512, (256, 352)), ((640, 427), 640, (480, 320)), ((480, 640), 640, (320, 448))],
)
def test_sizes_at_half_the_scale_are_the_official_ones(
    image: tuple[int, int], size: int, half: tuple[int, int]
) -> None:
    options = PredictOptions(size=size, scales=(1.0, 0.5))
    views = present(SYSTEMS["index"], bare_sample(np.zeros((3, *image), np.uint8)), options)
    assert views[1].size == half


@pytest.mark.slow
def test_hourglasses_keep_their_multiple_at_every_scale() -> None:
    system = build("hae", COCO, host="hourglass")
    step = system.model.multiple
    sample = bare_sample(np.zeros((3, 480, 640), np.uint8))
    for view in present(system, sample, PredictOptions(size=128, scales=(1.0, 0.5, 1.5))):
        assert all(side % step == 0 for side in view.size)


def test_odd_factors_are_rounded_to_what_the_network_takes() -> None:
    sample = bare_sample(np.zeros((3, 480, 640), np.uint8))
    base, other = present(SYSTEMS["center"], sample, PredictOptions(size=128, scales=(1.0, 0.7)))
    assert base.size == (128, 192) and other.size == (96, 128)
    assert 0.65 < base.to_original.scale / other.to_original.scale < 0.75

"""Prediction with a network that reads the poses out of the picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from poselib.data.transforms import crop_transform, warp_sample
from poselib.engine.inference import PredictOptions, device_of, infer, input_sizes, present
from poselib.engine.predict import predict, predict_variants
from poselib.structures import AffineTransform, Poses, Sample
from tests.engine.factories import (
    MIDDLE,
    SIDES,
    BlobNetwork,
    SidesNetwork,
    bare_sample,
    blob_image,
    scenes,
    system_around,
    toy_system,
)
from tests.strategies import quick

SYSTEM = system_around(BlobNetwork(), MIDDLE)
PEOPLE = np.array([[[40.3, 50.1], [60.8, 120.4]], [[150.2, 40.7], [140.9, 130.6]]])
SIZE = (190, 200)
OPTIONS = PredictOptions(size=192, multiple=32, flip=False)
CLOSE = 0.35  # px: half a cell of the finest map, less what the parabola gains


def found(sample: Sample, options: PredictOptions = OPTIONS) -> NDArray[np.float64]:
    (poses,) = predict(SYSTEM, [sample], options)
    return in_order(poses)


def in_order(poses: Poses) -> NDArray[np.float64]:
    order = np.argsort(poses.keypoints[:, 0, 0])
    return poses.keypoints[order].astype(float)


@pytest.fixture
def picture() -> Sample:
    return bare_sample(blob_image(SIZE, PEOPLE))


@pytest.mark.parametrize("size", [96, 192, 230, 400])
def test_poses_come_back_in_px_of_the_image(picture: Sample, size: int) -> None:
    result = found(picture, replace(OPTIONS, size=size))
    assert np.abs(result - PEOPLE).max() < max(1.0, 190 / size) * CLOSE


def test_positions_have_no_bias() -> None:
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(10):
        people = PEOPLE + rng.uniform(-4, 4, PEOPLE.shape)
        errors.append(found(bare_sample(blob_image(SIZE, people))) - people)
    assert np.abs(np.mean(errors, axis=(0, 1, 2))).max() < 0.05


def test_a_border_moves_the_poses_with_the_picture(picture: Sample) -> None:
    wider = np.pad(picture.image, ((0, 0), (20, 7), (50, 3)))
    options = replace(OPTIONS, size=217)
    assert np.abs(found(bare_sample(wider), options) - PEOPLE - [50, 20]).max() < CLOSE


def test_a_picture_upside_down_has_its_poses_upside_down(picture: Sample) -> None:
    turned = found(bare_sample(np.ascontiguousarray(picture.image[:, ::-1, ::-1])))
    expected = (np.array(SIZE[::-1]) - PEOPLE)[::-1]
    assert np.abs(turned - expected).max() < CLOSE


def test_a_picture_of_twice_the_size_has_poses_of_twice_the_size(picture: Sample) -> None:
    double = picture.image.repeat(2, axis=1).repeat(2, axis=2)
    assert np.abs(found(bare_sample(double)) - 2 * PEOPLE).max() < 2 * CLOSE


@pytest.mark.parametrize("flip", [False, True])
def test_a_sample_that_was_warped_before_is_warped_back_to_its_file(
    picture: Sample, flip: bool
) -> None:
    crop = warp_sample(
        picture, crop_transform((100, 95), 210, 240, rotation=20, flip=flip), (240, 240)
    )
    assert np.abs(found(crop, replace(OPTIONS, size=240)) - PEOPLE).max() < 2 * CLOSE


def test_the_warp_is_applied_once(picture: Sample) -> None:
    """A frame far away: applied twice or not at all it would not go unseen."""
    far = replace(picture, to_original=AffineTransform(np.array([[3.0, 0, 1000], [0, 3.0, -500]])))
    assert np.abs(found(far) - (3 * PEOPLE + [1000, -500])).max() < 3 * CLOSE


def mixed() -> list[Sample]:
    rng = np.random.default_rng(1)
    sizes = [(190, 200), (300, 200), (190, 200), (200, 300), (190, 200), (300, 200), (128, 128)]
    samples = []
    for number, (height, width) in enumerate(sizes):
        shares = np.array([[[0.3, 0.3], [0.3, 0.7]], [[0.7, 0.3], [0.7, 0.7]]])
        people = (shares + rng.uniform(-0.05, 0.05, (2, 2, 2))) * [width, height]
        samples.append(bare_sample(blob_image((height, width), people), number))
    return samples


@pytest.mark.parametrize("options", [{}, {"flip": True}, {"scales": (0.5, 1.0)}])
def test_the_size_of_batches_changes_nothing(options: dict[str, Any]) -> None:
    samples = mixed()
    single = predict(SYSTEM, samples, replace(OPTIONS, **options))
    assert [len(poses) for poses in single] == [2] * len(samples)
    for batch_size in (2, 4, 10):
        batched = predict(SYSTEM, samples, replace(OPTIONS, batch_size=batch_size, **options))
        for a, b in zip(single, batched, strict=True):
            np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)
            np.testing.assert_allclose(a.person_scores, b.person_scores, atol=1e-5)


def test_each_batch_holds_images_of_one_canvas() -> None:
    batches: list[tuple[int, ...]] = []

    class Watched(BlobNetwork):
        def forward(self, images: torch.Tensor) -> Any:
            batches.append(tuple(images.shape))
            return super().forward(images)

    system = replace(SYSTEM, model=Watched())
    predict(system, mixed(), replace(OPTIONS, batch_size=2))
    assert sorted(shape[0] for shape in batches) == [1, 1, 1, 2, 2]
    assert all(side % 32 == 0 for shape in batches for side in shape[2:])


def test_flip_testing_changes_nothing_where_all_is_symmetric(picture: Sample) -> None:
    flipped = found(picture, replace(OPTIONS, flip=True))
    assert np.abs(flipped - found(picture)).max() < 0.01


def test_flip_testing_exchanges_left_and_right() -> None:
    system = system_around(SidesNetwork(), SIDES)
    spots = np.array([[[140.0, 60.0], [50.0, 110.0]]])
    image = blob_image(SIZE, spots)
    image[0] = image[:2].max(axis=0)
    options = replace(OPTIONS, size=192, multiple=192)
    for flip in (False, True):
        (poses,) = predict(system, [bare_sample(image[:, :, :190])], replace(options, flip=flip))
        assert len(poses) == 1 and poses.person_scores[0] > 0.9
        assert np.abs(poses.keypoints - spots).max() < 2 * CLOSE


@pytest.mark.parametrize("scales", [(0.5, 1.0), (1.0, 2.0), (0.5, 1.0, 2.0), (1.0, 1.5, 0.7)])
def test_the_maps_of_all_scales_lie_on_each_other(
    picture: Sample, scales: tuple[float, ...]
) -> None:
    result = found(picture, replace(OPTIONS, scales=scales))
    assert np.abs(result - PEOPLE).max() < 2 * CLOSE


def test_the_maps_of_one_other_scale_are_not_shifted(picture: Sample) -> None:
    for factor in (0.5, 0.75, 1.5, 2.0):
        base, other = present(SYSTEM, picture, replace(OPTIONS, scales=(1.0, factor)))
        assert other.size != base.size and all(side % 32 == 0 for side in other.size)
        poses = SYSTEM.decode(infer(SYSTEM, [(other,)], flip=False))[0]
        result = in_order(poses.warped(other.to_original))
        assert np.abs(result - PEOPLE).max() < max(1.0, 1 / factor) * CLOSE * 1.5


def test_a_system_is_shown_images_of_its_own_size(picture: Sample) -> None:
    system = replace(SYSTEM, input_size=96, multiple=16)
    (view,) = present(system, picture, PredictOptions())
    assert min(view.size) == 96 and all(side % 16 == 0 for side in view.size)
    (view,) = present(system, picture, PredictOptions(size=64, multiple=32))
    assert min(view.size) == 64 and all(side % 32 == 0 for side in view.size)
    assert min(present(SYSTEM, picture, PredictOptions())[0].size) == 512


def test_no_images_give_no_poses() -> None:
    assert predict(SYSTEM, [], OPTIONS) == []


def test_an_image_without_people_gives_empty_poses() -> None:
    (poses,) = predict(SYSTEM, [bare_sample(np.zeros((3, 64, 64), np.uint8))], OPTIONS)
    assert len(poses) == 0 and poses.keypoints.shape == (0, 2, 2)


def test_labels_are_not_looked_at(picture: Sample) -> None:
    wrong = replace(picture, keypoints=np.full((5, 9, 3), 7, np.float32), areas=np.ones(5))
    np.testing.assert_array_equal(found(wrong), found(picture))


def test_the_network_is_evaluated_where_its_weights_are(picture: Sample) -> None:
    network = BlobNetwork()
    network.weight = torch.nn.Parameter(torch.zeros(1))
    system = replace(SYSTEM, model=network.train())
    predict(system, [picture], OPTIONS)
    assert not network.training and device_of(system) == torch.device("cpu")
    assert device_of(replace(SYSTEM, model=network.to("meta"))) == torch.device("meta")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 0),
        ("size", float("nan")),
        ("size", 128.5),
        ("multiple", -1),
        ("batch_size", 0),
        ("scales", ()),
        ("scales", (0.5, 2.0)),
        ("scales", (1.0, 0.0)),
        ("scales", (1.0, float("nan"))),
        ("scales", (1.0, float("inf"))),
    ],
)
def test_a_bad_option_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be "):
        replace(OPTIONS, **{name: value})


def test_several_decoders_share_one_look_of_the_network() -> None:
    system = toy_system(detection_threshold=0.0)
    other = toy_system(detection_threshold=0.0, progressive=False)
    ways = [system, replace(other, model=system.model)]
    calls: list[int] = []
    system.model.register_forward_hook(lambda *_: calls.append(1))
    samples = [scenes(3)[i] for i in range(3)]
    options = PredictOptions(size=64, multiple=32, batch_size=2)
    together = predict_variants(ways, samples, options)
    looks = len(calls)
    for way, found in zip(ways, together, strict=True):
        for mine, alone in zip(found, predict(way, samples, options), strict=True):
            np.testing.assert_array_equal(mine.keypoints, alone.keypoints)
            np.testing.assert_array_equal(mine.person_scores, alone.person_scores)
    assert len(calls) == 3 * looks  # once together, once more for each


def test_decoders_of_different_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="share one network"):
        predict_variants([toy_system(), toy_system()], [])
    with pytest.raises(ValueError, match="share one network"):
        predict_variants([], [])


def test_a_strip_is_refused_before_it_is_enlarged() -> None:
    strip = bare_sample(np.zeros((3, 1, 600), np.uint8))
    with pytest.raises(ValueError, match="600 x 1 px is too narrow: one side may be at most 32"):
        predict(SYSTEM, [strip], OPTIONS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"size": 1_000_000},
            r"image 0: an image of 200 x 190 px would become 1052\d+ x 1000\d+ px",
        ),
        ({"scales": (1.0, 100.0)}, r"size 192 and scales \(1\.0, 100\.0\): more than 67108864 px"),
    ],
)
def test_an_image_that_no_memory_holds_is_refused(
    options: dict[str, Any], words: str, picture: Sample
) -> None:
    with pytest.raises(ValueError, match=words):
        predict(SYSTEM, [picture], replace(OPTIONS, **options))


@quick
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from([32, 48, 100]),
    st.lists(st.sampled_from([0.5, 0.7, 1.5, 2.0]), max_size=2, unique=True),
)
def test_sizes_are_known_before_an_image_is_prepared(
    height: int, width: int, size: int, factors: list[float]
) -> None:
    options = replace(OPTIONS, size=size, scales=(1.0, *factors))
    sample = bare_sample(np.zeros((3, height, width), np.uint8))
    try:
        sizes = input_sizes(SYSTEM, sample.size, options)
    except ValueError:
        assert max(height, width) > 32 * min(height, width)
    else:
        assert sizes == tuple(view.size for view in present(SYSTEM, sample, options))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
)
def test_too_little_memory_is_a_sentence(
    error: Exception, picture: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    system = system_around(BlobNetwork(), MIDDLE)
    monkeypatch.setattr(system.model, "forward", fail)
    with pytest.raises(MemoryError, match=r"image 0: 1 of 224 x 192 px need more memory than cpu"):
        predict(system, [picture], OPTIONS)
    monkeypatch.setattr(system.model, "forward", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predict(system, [picture], OPTIONS)

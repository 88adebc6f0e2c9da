"""What computes a network changes its results by rounding alone, and the network not at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import poselib
from poselib.engine import speed as speed_module
from poselib.engine.inference import PredictOptions
from poselib.engine.person_stream import PersonStream, folded
from poselib.engine.predict import predict
from poselib.engine.speed import FastNetwork, SpeedOptions, fast_systems, map_outputs
from poselib.outputs import LocalGlobalOutputs
from poselib.skeletons import COCO
from poselib.systems import System, build
from tests.engine.factories import bare_sample, scenes, toy_system
from tests.engine.person_factories import tiny

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
ROUNDED = [
    SpeedOptions(fold=True),
    SpeedOptions(channels_last=True),
    SpeedOptions(fold=True, channels_last=True),
]
HALF = [SpeedOptions("bfloat16"), SpeedOptions("float16", fold=True, channels_last=True)]


@cache
def system_of(name: str) -> System:
    torch.manual_seed(0)
    system = build(name, COCO, backbone="hrnet_tiny")
    system.model.eval()
    return system


def tensors_of(outputs: Any) -> list[Tensor]:
    found: list[Tensor] = []
    map_outputs(outputs, lambda each: found.append(each) or each)  # type: ignore[func-returns-value]
    return found


def network_of(system: System, speed: SpeedOptions) -> nn.Module:
    return fast_systems([system], speed)[0].model


def assert_close(mine: Tensor, expected: Tensor, error: float) -> None:
    """Compare float32 values by the largest of them."""
    assert mine.dtype == torch.float32 and torch.isfinite(mine).all()
    assert (mine - expected).abs().max() < error * expected.abs().max()


@pytest.mark.parametrize("name", ["hae", "dekr", "logocap"])
@pytest.mark.parametrize("speed", [*ROUNDED, *HALF], ids=str)
def test_outputs_differ_by_rounding(name: str, speed: SpeedOptions) -> None:
    system, error = system_of(name), 1e-4 if speed in ROUNDED else 4e-2
    before = {key: value.clone() for key, value in system.model.state_dict().items()}
    with torch.no_grad():
        plain, fast = system.model(IMAGES), network_of(system, speed)(IMAGES)
        if isinstance(plain, LocalGlobalOutputs):
            context = torch.randn(2, 17 * plain.embedding.shape[1], 5, 5)
            expected, mine = (each.attraction_network(context) for each in (plain, fast))
            assert_close(mine, expected, error)
            assert not torch.equal(mine, expected)
    for mine, expected in zip(tensors_of(fast), tensors_of(plain), strict=True):
        assert_close(mine, expected, error)
    for key, value in system.model.state_dict().items():
        assert torch.equal(value, before[key]) and value.is_contiguous()


@pytest.mark.parametrize("speed", [SpeedOptions(fold=True), HALF[0]], ids=str)
def test_persons_of_a_video_are_found(speed: SpeedOptions) -> None:
    system, rng = tiny("jre"), np.random.default_rng(0)
    fast = fast_systems([system], speed)[0]
    assert folded(fast) is fast
    shape = 3, *(system.crop or ())
    crops = [bare_sample(rng.integers(0, 255, shape, np.uint8), number) for number in range(2)]
    one, other = PersonStream(system), PersonStream(fast)
    for _ in range(2):  # the second frame continues from the state of the first
        (plain,), (mine,) = one.step(crops, "ab"), other.step(crops, "ab")
        assert_close(mine.heatmaps, plain.heatmaps, 4e-2)


def test_by_default_the_network_itself_is_run() -> None:
    systems = [toy_system()]
    assert fast_systems(systems, SpeedOptions(workers=4)) is systems
    fast = fast_systems(systems, SpeedOptions(fold=True))
    assert fast_systems(fast, SpeedOptions(fold=True, workers=0)) is fast


def test_poses_of_a_model_by_options(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[SpeedOptions] = []
    network = FastNetwork.__init__

    def watched(self: FastNetwork, model: nn.Module, speed: SpeedOptions) -> None:
        made.append(speed)
        network(self, model, speed)

    monkeypatch.setattr(FastNetwork, "__init__", watched)
    model = poselib.load(size=64, device="cpu", speed=SpeedOptions(fold=True))
    image = scenes(1)[0].image
    plain = model(image, speed=SpeedOptions())
    assert not made
    for _ in range(2):
        poses = model(image, flip=True)
        np.testing.assert_allclose(poses.keypoints, plain.keypoints, atol=1e-2)
    model(image, speed=SpeedOptions("bfloat16"))
    model(image, speed=SpeedOptions("bfloat16", workers=0))
    assert made == [SpeedOptions(fold=True), SpeedOptions("bfloat16")]
    assert "fold" not in repr(model)


def test_a_compiled_network_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_network(network: nn.Module, dynamic: bool | None) -> Callable[[Tensor], Any]:
        def call(images: Tensor) -> Any:
            raise RuntimeError("no compiler")

        return call

    monkeypatch.setattr(torch, "compile", compile_network)
    system, samples = toy_system(), [scenes(2)[n] for n in range(2)]
    options = PredictOptions(size=64, multiple=32)
    with pytest.warns(UserWarning, match="runs uncompiled, as torch.compile failed"):
        found = predict(system, samples, options, speed=SpeedOptions(compile=True))
    for mine, plain in zip(found, predict(system, samples, options), strict=True):
        np.testing.assert_array_equal(mine.keypoints, plain.keypoints)


def without_gpu(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Let graphs be captured on a CPU: calls overwrite what earlier ones returned, as theirs do."""
    captured: list[torch.Size] = []

    def stand_in(forward: Callable[..., Any]) -> Callable[..., Any]:
        kept: list[Any] = []

        def replay(*inputs: Tensor) -> Any:
            outputs = forward(*inputs)
            if not kept:
                captured.append(inputs[0].shape)
                kept.append(outputs)
            for mine, new in zip(tensors_of(kept[0]), tensors_of(outputs), strict=True):
                mine.copy_(new)
            return kept[0]

        return replay

    monkeypatch.setattr(speed_module, "captured", stand_in)
    return captured


def test_few_sizes_are_captured_and_outputs_are_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    captured = without_gpu(monkeypatch)
    system = toy_system()
    network = FastNetwork(system.model.eval(), SpeedOptions())
    network.speed = SpeedOptions(cuda_graph=True)
    shown = [torch.rand(1, 3, 32, 32 * width) for width in (1, 2, 1, 3, 4, 5, 5, 6)]
    with torch.no_grad():
        found = [network(images) for images in shown]
        expected = [system.model(images) for images in shown]
    for mine, plain in zip(found, expected, strict=True):
        assert all(map(torch.equal, tensors_of(mine), tensors_of(plain)))
    assert [shape[3] for shape in captured] == [32, 64, 96, 128]


def test_steps_of_streams_are_captured_with_their_state(monkeypatch: pytest.MonkeyPatch) -> None:
    captured, network = without_gpu(monkeypatch), tiny("rpstn").model.eval()
    fast = FastNetwork(network, SpeedOptions())
    fast.speed = SpeedOptions(cuda_graph=True)
    clip = torch.randn(2, 4, 3, 64, 64)
    with torch.no_grad():
        _, state = fast.start(clip[:, 0])
        for frame, expected in enumerate(network(clip).heatmaps.unflatten(0, (2, 4)).unbind(1)):
            if frame:
                outputs, state = fast.step(clip[:, frame], state)
                assert_close(outputs.heatmaps, expected, 1e-4)
    assert [tuple(shape) for shape in captured] == [(2, 3, 64, 64)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "float64"}, "precision must be one of auto, float32, bfloat16, float16"),
        ({"workers": -1}, "workers must be 0 or more and whole, not -1"),
        ({"workers": 1.5}, "workers must be 0 or more and whole, not 1.5"),
        ({"compile": True, "cuda_graph": True}, "one of them runs the network"),
    ],
)
def test_a_bad_option_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SpeedOptions(**options)


def test_a_graph_is_for_a_gpu() -> None:
    with pytest.raises(ValueError, match="cuda_graph is for a GPU; the network is on cpu"):
        predict(toy_system(), [], speed=SpeedOptions(cuda_graph=True))

"""The whole way on a GPU: the same results as on the CPU.

Without a GPU the same tests compare the CPU with itself, which only shows that they run;
the first test then says so.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import poselib
from poselib.benchmarks.adaptation_inputs import adapt_inputs
from poselib.benchmarks.adaptation_stages import time_adaptation
from poselib.benchmarks.hardware.bench import Bench
from poselib.benchmarks.hardware.inference import Streams
from poselib.benchmarks.hardware.setups import COMPILED, EAGER, FOLDED, GRAPH, HALF, Setup
from poselib.benchmarks.workloads import associative_step, decode_inputs, loss_inputs
from poselib.data.collation import collate
from poselib.data.loaders import make_loader
from poselib.decoders.argmax import ArgmaxOptions, decode_argmax
from poselib.decoders.associative import STAGES, AssociativeOptions, decode_associative
from poselib.decoders.local_global import LocalGlobalOptions, propose_poses, refine_poses
from poselib.encoders.heatmap import heatmap_targets
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.decode_maps import decode_stages
from poselib.engine.evaluate import evaluate
from poselib.engine.inference import PredictOptions
from poselib.engine.speed import SpeedOptions
from poselib.engine.trainer import TrainingState
from poselib.losses.heatmap import heatmap_mse
from poselib.models.pose_propagation import PropagationConfig, PropagationNetwork
from poselib.ops.keypoint_expansion import KeypointExpansion, expansion_rates
from poselib.ops.normalization import normalize
from poselib.ops.taylor_peaks import PEAK_SUBPIXEL
from poselib.outputs import TagOutputs
from poselib.skeletons import COCO
from poselib.systems import build
from tests.decoders.factories import expansion_of, random_outputs
from tests.engine.factories import RECIPE, interrupted_at, scenes, toy_system, train_toy
from tests.ops.factories import offset_maps

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

pytestmark = pytest.mark.gpu
needs_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="only a GPU computes this another way")
TINY_BENCH = {"size": 64, "crop": 64, "people": 2, "backbone": "hrnet_tiny"}


def test_there_is_a_gpu() -> None:
    if DEVICE == "cpu":
        pytest.skip("this machine has no GPU: the tests below compare the CPU with itself")
    assert torch.zeros(1, device=DEVICE).device.type == "cuda"


@pytest.mark.parametrize("order", ["progressive", tuple(range(17))])
@pytest.mark.parametrize("refine", [True, False])
def test_decoding_finds_the_same_people(order: object, refine: bool) -> None:
    options = AssociativeOptions(order=order, refine=refine)  # type: ignore[arg-type]
    maps = decode_inputs(6, (256, 320), images=3, seed=1)
    expected = decode_associative(maps, options)
    for mine, theirs in zip(decode_associative(_moved(maps), options), expected, strict=True):
        assert len(theirs) >= 6
        np.testing.assert_allclose(mine.keypoints, theirs.keypoints, atol=1e-4)
        np.testing.assert_allclose(mine.scores, theirs.scores, atol=1e-6)
        np.testing.assert_allclose(mine.person_scores, theirs.person_scores, atol=1e-6)


def test_ties_and_what_is_not_finite_are_decoded_alike() -> None:
    maps = decode_inputs(3, (96, 128), seed=2)
    heat = (maps.heatmaps[0] * 8).round() / 8  # plateaus and equal peaks
    heat[0, 3, :5], heat[0, 4, 7, 9], heat[0, 5] = torch.nan, torch.inf, 0.0
    tags = maps.tags.clone()
    tags[0, 6, 0, 20:30] = torch.nan
    maps = replace(maps, heatmaps=(heat,), tags=tags)
    (expected,), (found,) = decode_associative(maps), decode_associative(_moved(maps))
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1e-4)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)


def test_the_stages_are_timed_where_the_maps_are() -> None:
    times = decode_stages(_moved(decode_inputs(2, (64, 96))), repeats=2, warmup=1)
    assert times.wall.shape == (2, len(STAGES)) and (times.wall >= 0).all()


@torch.no_grad()
def test_propagated_heatmaps_and_their_poses_are_the_same() -> None:
    tiny = PropagationConfig(backbone="hrnet_tiny", initializer_backbone="hrnet_tiny", width=32)
    torch.manual_seed(0)
    network, clips = PropagationNetwork(13, tiny).eval(), torch.randn(2, 3, 3, 128, 64)
    torch.nn.init.constant_(network.relation.W[1].weight, 0.5)
    expected = network(clips)
    found = network.to(DEVICE)(clips.to(DEVICE))
    torch.testing.assert_close(found.heatmaps.cpu(), expected.heatmaps, rtol=1e-3, atol=1e-3)
    moved = replace(expected, heatmaps=expected.heatmaps.to(DEVICE), relations=None)
    for subpixel in PEAK_SUBPIXEL:
        options = ArgmaxOptions(subpixel=subpixel)
        pairs = zip(decode_argmax(moved, options), decode_argmax(expected, options), strict=True)
        for mine, theirs in pairs:
            np.testing.assert_allclose(mine.keypoints, theirs.keypoints, atol=1e-3)
            np.testing.assert_allclose(mine.scores, theirs.scores, atol=1e-6)


def test_message_passing_is_timed_within_adaptation() -> None:
    outputs = adapt_inputs(3, (64, 96), embedding=4, device=DEVICE)
    options = LocalGlobalOptions(KeypointExpansion(expansion_rates(COCO.sigmas).to(DEVICE), 5, 21))
    times = time_adaptation(outputs, options, lambda: None, repeats=3, device=DEVICE)
    assert 0 < times["convolutions_ms"] < times["decoding_ms"]
    assert 0 < times["overhead"] < 1


def test_gradients_are_the_same() -> None:
    gradients = []
    for device in ("cpu", DEVICE):
        inputs = loss_inputs(3, 5, (128, 128), seed=3, device=device)
        groups = torch.as_tensor(COCO.group_indices("anatomy"), device=device)
        gradients.append(associative_step(*inputs, (128, 128), groups).cpu())
    assert gradients[0].any()
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("overlap", ["max", "sum"])
def test_targets_are_the_same(overlap: str) -> None:
    batch = collate([scenes(3)[i] for i in range(3)])
    expected = heatmap_targets(batch, overlap=overlap)  # type: ignore[arg-type]
    found = heatmap_targets(batch.to(DEVICE), overlap=overlap)  # type: ignore[arg-type]
    for mine, theirs in zip(found.heatmaps, expected.heatmaps, strict=True):
        torch.testing.assert_close(mine.cpu(), theirs, rtol=1e-5, atol=1e-6)
    for mine, theirs in zip(found.masks, expected.masks, strict=True):
        assert torch.equal(mine.cpu(), theirs)
    same = heatmap_mse(found.heatmaps[0], found.heatmaps[0], found.masks[0], 0.1)
    assert not same.any()


@pytest.mark.parametrize("host", ["higher", "plain", "hourglass"])
def test_every_host_answers_the_same(host: str) -> None:
    torch.manual_seed(4)
    small = {"stacks": 2, "features": 16, "depth": 2, "increase": 8}
    network = build("hae", COCO, backbone="hrnet_tiny", host=host, **small).model.eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = network(images)
        found = network.to(DEVICE)(images.to(DEVICE))
    for mine, theirs in zip(found.heatmaps, expected.heatmaps, strict=True):
        # TF32 convolutions of recent GPUs keep ten bits.
        torch.testing.assert_close(mine.cpu(), theirs, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(found.tags.cpu(), expected.tags, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("match", [False, True])
def test_regression_answers_the_same(match: bool) -> None:
    """From targets to losses, gradients and poses."""
    images = collate([scenes(4)[i] for i in range(4)])
    found = []
    for device in ("cpu", DEVICE):
        torch.manual_seed(0)
        system = build("dekr", COCO, backbone="hrnet_tiny", width=4, match=match, radius=2.0)
        model, batch = system.model.to(device).eval(), images.to(device)
        outputs, targets = model(normalize(batch.images)), system.encode(batch)
        losses = system.losses(outputs, targets)
        sum(losses.values()).backward()  # type: ignore[union-attr]
        gradient = next(model.parameters()).grad
        assert gradient is not None
        true = offset_maps(targets)[0]
        perfect = replace(
            outputs,
            heatmaps=targets.heatmaps[0][:, :-1],
            centers=targets.heatmaps[0][:, -1:],
            offsets=true,
        )
        found.append((losses, gradient.cpu(), system.decode(perfect)))
    (losses, gradient, poses), (theirs, their_gradient, their_poses) = found
    for name, value in losses.items():
        # TF32 convolutions of recent GPUs keep ten bits.
        torch.testing.assert_close(theirs[name].cpu(), value, rtol=2e-2, atol=1e-4)
    apart = (their_gradient - gradient).norm()
    assert apart <= 5e-2 * gradient.norm()
    assert sum(map(len, poses)) >= 4
    for one, other in zip(poses, their_poses, strict=True):
        np.testing.assert_allclose(other.keypoints, one.keypoints, atol=1e-3)
        np.testing.assert_allclose(other.person_scores, one.person_scores, atol=1e-5)


@pytest.mark.parametrize("frame", ["center", "index"])
@pytest.mark.parametrize("prior", ["both", "expansion", "attraction"])
def test_adaptation_finds_the_same_poses(frame: str, prior: str) -> None:
    outputs = random_outputs(1, images=3)
    options = LocalGlobalOptions(expansion_of(frame), prior=prior)  # type: ignore[arg-type]
    people = propose_poses(outputs, options)
    expected = refine_poses(outputs, people, options)
    there = replace(
        outputs,
        **{n: getattr(outputs, n).to(DEVICE) for n in ("heatmaps", "centers", "embedding")},
        offsets=outputs.offsets.to(DEVICE),
    )
    moved = replace(
        people, **{n: getattr(people, n).to(DEVICE) for n in ("images", "centers", "points")}
    )
    assert len(propose_poses(there, options)) == len(people)
    found = refine_poses(there, moved, replace(options, expansion=expansion_of(frame)))  # type: ignore[arg-type]
    # TF32 convolutions of recent GPUs keep ten bits.
    torch.testing.assert_close(found.scores.cpu(), expected.scores, rtol=2e-2, atol=2e-3)
    apart = (found.people.points.cpu() - expected.people.points).abs().amax(dim=-1)
    assert (apart < 1e-3).float().mean() > (0.9 if prior != "expansion" else 0.95)


@pytest.mark.parametrize("options", [{}, {"assignment": "mean", "weighting": "similarity"}])
def test_losses_of_adaptation_are_the_same(options: dict[str, str]) -> None:
    """From targets to losses, gradients and poses."""
    images, found = collate([scenes(4, size=128)[i] for i in range(4)]), []
    small = {"backbone": "hrnet_tiny", "embedding": 8, "message_width": 32, "global_window": 25}
    for device in ("cpu", DEVICE):
        torch.manual_seed(0)
        system = build("logocap", COCO, **small, **options)
        model, batch = system.model.to(device), images.to(device)
        outputs, targets = model(normalize(batch.images)), system.encode(batch)
        maps = targets.heatmaps[0] + 0.05
        right = replace(
            outputs,
            heatmaps=maps[:, :-1].requires_grad_(),
            centers=maps[:, -1:],
            offsets=offset_maps(targets)[0] + 0.25,
        )
        losses = system.losses(right, targets)
        sum(losses.values()).backward()  # type: ignore[union-attr]
        gradients = [right.heatmaps.grad, next(model.joints_mlp.parameters()).grad]
        poses = system.decode(replace(right, attraction_network=model.joints_mlp.eval()))
        found.append((losses, [g.cpu() for g in gradients], poses))
    (losses, gradients, poses), (theirs, their_gradients, their_poses) = found
    for name, value in losses.items():
        assert float(value.detach()) > 0
        torch.testing.assert_close(theirs[name].cpu(), value, rtol=2e-2, atol=1e-4)
    for mine, other in zip(gradients, their_gradients, strict=True):
        assert mine.any() and (other - mine).norm() < 0.05 * mine.norm()
    assert [len(p) for p in poses] == [len(p) for p in their_poses]


@needs_gpu
@pytest.mark.parametrize(
    ("name", "setup"),
    [
        *((name, setup) for name in ("hae", "dekr", "jre") for setup in (HALF, FOLDED, GRAPH)),
        *(("dekr", COMPILED), ("hae", COMPILED)),
    ],
)
def test_setups_compute_the_same(name: str, setup: Setup) -> None:
    """Of two batches, one after the other: a captured graph is replayed with other images."""
    case = Bench(torch.device(DEVICE), **TINY_BENCH).case(name, 2)
    forward, images = setup.prepare(case.system.model), case.inputs()
    for batch in (images, images.flip(0, -1)):
        with torch.no_grad():
            expected = case.system.model(batch)
        found = forward(batch)
        for field in ("heatmaps", "offsets", "tags"):
            for mine, theirs in zip(_maps(found, field), _maps(expected, field), strict=True):
                assert (mine - theirs).abs().max() <= 0.06 * theirs.abs().max()
    torch.compiler.reset()


@needs_gpu
def test_streams_are_replayed_with_their_state() -> None:
    case = Bench(torch.device(DEVICE), **TINY_BENCH).case("rpstn", 2)
    clip, (one, other) = case.inputs(), (Streams(case, setup) for setup in (EAGER, GRAPH))
    for frame in range(1, 4):
        expected, found = one.step(clip[:, frame]).heatmaps, other.step(clip[:, frame]).heatmaps
        assert (found - expected).abs().max() <= 0.1 * expected.abs().max()


@needs_gpu
@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_step_in_half_precision_is_that_of_float32(
    precision: str, compile: bool, tmp_path: Path
) -> None:
    batch, states = collate([scenes(4)[i] for i in range(4)]), []
    for changes in ({"precision": "float32"}, {"precision": precision, "compile": compile}):
        recipe = replace(RECIPE, log_every=0, checkpoint_every=0, **changes)
        state = TrainingState(toy_system(), recipe, tmp_path, torch.device(DEVICE))
        state.advance(batch)
        states.append(state)
    exact, half = (state.loss()["loss"] for state in states)
    assert half == pytest.approx(exact, rel=0.05)
    for mine, theirs in zip(*(s.model.parameters() for s in states), strict=True):
        assert mine.dtype == theirs.dtype == torch.float32 and bool(theirs.isfinite().all())
    torch.compiler.reset()


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_for_a_gpu_are_pinned(workers: int) -> None:
    if DEVICE == "cpu":
        pytest.skip("memory is pinned for a GPU alone")
    options = {"workers": workers, "drop_last": True}
    pinned = make_loader(scenes(4), 2, pin_memory=True, **options)  # type: ignore[arg-type]
    for batch, usual in zip(pinned, make_loader(scenes(4), 2), strict=True):
        assert batch.images.is_pinned() and batch.keypoints.is_pinned()
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        moved = batch.to(DEVICE)
        assert torch.equal(moved.images.cpu(), usual.images)


@pytest.mark.slow
def test_an_interrupted_training_ends_where_a_whole_one_does(tmp_path: Path) -> None:
    whole = train_toy(tmp_path / "whole", device=DEVICE)
    with pytest.raises(KeyboardInterrupt):
        train_toy(tmp_path / "parts", device=DEVICE, system=interrupted_at(13))
    parts = train_toy(tmp_path / "parts", device=DEVICE, system=toy_system(seed=99))
    assert parts.steps == whole.steps == RECIPE.steps
    for mine, theirs in zip(
        parts.system.model.parameters(), whole.system.model.parameters(), strict=True
    ):
        assert mine.device.type == DEVICE
        # On a GPU sums are added up in any order.
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_the_bundled_model_is_as_good() -> None:
    options = PredictOptions(size=128, multiple=32, batch_size=8)
    dataset = scenes(16, seed=5, size=128)
    system = load_checkpoint(None).system
    ap = [evaluate(system, dataset, options, device=device).ap.AP for device in ("cpu", DEVICE)]
    assert ap[0] > 0.3
    assert ap[1] == pytest.approx(ap[0], abs=0.02)


def _moved(maps: TagOutputs) -> TagOutputs:
    heatmaps = tuple(heat.to(DEVICE) for heat in maps.heatmaps)
    return replace(maps, heatmaps=heatmaps, tags=maps.tags.to(DEVICE))


@pytest.mark.parametrize(
    "options",
    [
        {"fold": True, "channels_last": True},
        {"precision": "bfloat16", "channels_last": True},
        {"precision": "float16", "fold": True},
        {"compile": True},
        {"cuda_graph": True, "precision": "bfloat16", "fold": True},
    ],
    ids=str,
)
def test_options_of_speed_keep_the_people(options: dict[str, Any]) -> None:
    if DEVICE == "cpu" and {"compile", "cuda_graph"} & set(options):
        pytest.skip("captured on a GPU alone, and compiled for minutes on a CPU")
    model = poselib.load(device=DEVICE, batch_size=2, size=128)
    images = [sample.image for sample in poselib.open_dataset("synthetic", "val", count=4)]
    images[3] = images[3][:, :, :100]
    plain, fast = model(images), model.with_options(speed=SpeedOptions(**options))
    for _ in range(2):
        for mine, expected in zip(fast(images), plain, strict=True):
            assert abs(len(mine.above(0.5)) - len(expected.above(0.5))) <= 1
            if len(mine.above(0.5)) and len(expected.above(0.5)):
                errors = np.abs(mine[0].keypoints - expected[0].keypoints).max(axis=-1)
                assert np.median(errors) < 1.0


def _maps(outputs: object, field: str) -> tuple[torch.Tensor, ...]:
    """Return the maps of a name, of none, one or several scales."""
    maps = getattr(outputs, field, ())
    return maps if isinstance(maps, tuple) else (maps,)

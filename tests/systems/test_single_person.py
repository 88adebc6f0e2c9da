"""Systems of one person: what they encode they decode, losses of labeled joints, and options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from poselib.ops.map_coordinates import CROP_FRAMES
from poselib.ops.taylor_peaks import PEAK_SUBPIXEL
from poselib.outputs import HeatmapOutputs
from poselib.skeletons import COCO, POSETRACK18, Skeleton
from poselib.systems import System, build
from poselib.systems.single_person import SinglePersonOptions, single_person_system
from tests.strategies import batch_of, generators, quick, skeletons

torch.set_num_threads(1)

TINY: dict[str, dict[str, Any]] = {
    "rpstn": {
        **{"backbone": "hrnet_tiny", "initializer_backbone": "hrnet_tiny", "channels": 4},
        **{"height": 64, "width": 64, "frames": 2},
    },
    "jre": {"backbone": "hrnet_tiny", "height": 64, "width": 96},
}


def tiny(name: str, skeleton: Skeleton = COCO, **options: Any) -> System:
    return build(name, skeleton, **{**TINY[name], **options})


def around(skeleton: Skeleton, **options: Any) -> System:
    """Return a system of these options with no network in it."""
    small = {"height": 64, "width": 96, **options}
    return single_person_system("none", skeleton, nn.Identity(), SinglePersonOptions(**small))


def encoded(system: System, people: torch.Tensor, size: tuple[int, int]) -> HeatmapOutputs:
    """Return the targets of images with one person each (B, 1, K, 2), px, as outputs."""
    return HeatmapOutputs(system.encode(batch_of(people, size)).heatmaps[0], size)


@pytest.mark.parametrize("frame", CROP_FRAMES)
@pytest.mark.parametrize("subpixel", PEAK_SUBPIXEL)
@quick
@given(rng=generators, sigma=st.sampled_from([1.0, 2.0, 3.0]))
def test_what_is_encoded_is_decoded(
    rng: np.random.Generator, frame: str, subpixel: str, sigma: float
) -> None:
    """Within what the placement in a cell leaves: half a cell, a quarter, or nearly nothing."""
    system = around(COCO, frame=frame, subpixel=subpixel, sigma=sigma, kernel=1)
    people = torch.from_numpy(rng.uniform((14, 14), (82, 50), (3, 1, 17, 2))).float()
    cells = {"none": 0.5, "quarter": 0.25, "neighbor": 0.5, "parabola": 0.2}
    px = (63 / 15 if frame == "aligned" else 4) + 0.01  # of a cell
    poses = system.decode(encoded(system, people, (64, 96)))
    assert len(poses) == 3
    for one, truth in zip(poses, people.numpy(), strict=True):
        assert np.abs(one.keypoints - truth).max() < cells.get(subpixel, 0.02) * px
        assert len(one) == 1 and one.found.all()


@quick
@given(skeleton=skeletons(), rng=generators)
def test_each_frame_of_a_clip_has_its_own_pose(
    skeleton: Skeleton, rng: np.random.Generator
) -> None:
    system = around(skeleton, height=64, width=64, sigma=1.5)
    people = torch.from_numpy(rng.uniform(8, 56, (4, 1, len(skeleton), 2))).float()
    targets = system.encode(batch_of(people, (64, 64)))
    poses = system.decode(HeatmapOutputs(targets.heatmaps[0], (64, 64)))
    for one, truth in zip(poses, people.numpy(), strict=True):
        assert np.abs(one.keypoints - truth).max() < 1


@pytest.mark.parametrize("name", TINY)
def test_joints_that_are_not_labeled_do_not_count(name: str) -> None:
    system = tiny(name, POSETRACK18)
    assert system.crop is not None
    rng, size = np.random.default_rng(0), system.crop
    batch = batch_of(torch.from_numpy(rng.uniform(5, 60, (2, 1, 15, 2))).float(), size)
    batch.keypoints[0, :, 3], batch.keypoints[1, :, 7:] = 0, 0
    targets = system.encode(batch)
    labeled = batch.keypoints[:, 0, :, 2] > 0
    assert torch.equal(targets.masks[0].amax(dim=(2, 3)) > 0, labeled)
    outputs = HeatmapOutputs(torch.rand(targets.heatmaps[0].shape), size)
    terms = system.losses(outputs, targets)
    squares = (outputs.heatmaps - targets.heatmaps[0]).square()
    assert terms.keys() == {"heatmap"}
    torch.testing.assert_close(terms["heatmap"], (squares * labeled[..., None, None]).mean())


def test_every_stage_has_its_loss() -> None:
    """The mean over all frames, each stage by itself (Eq. 10)."""
    system, maps = tiny("jre"), torch.rand(3, 4, 17, 16, 24)
    targets = system.encode(batch_of(torch.full((4, 1, 17, 2), 30.0), (64, 96)))
    host, middle, last = (HeatmapOutputs(each, (64, 96)) for each in maps)
    outputs = HeatmapOutputs(last.heatmaps, (64, 96), intermediate=(host, middle))
    terms = system.losses(outputs, targets)
    assert list(terms) == ["stage_1", "stage_2", "heatmap"]
    for term, each in zip(terms.values(), maps, strict=True):
        torch.testing.assert_close(term, (each - targets.heatmaps[0]).square().mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rpstn", {}),
        ("rpstn", {"relation": "graph", "initializer": "concat", "propagator_layers": 3}),
        ("jre", {}),
        ("jre", {"refine": True, "refine_depth": 18}),
    ],
)
def test_a_step_of_training_reaches_every_parameter(name: str, options: dict[str, Any]) -> None:
    system = tiny(name, POSETRACK18, **options)
    assert system.crop is not None and system.clips == (name == "rpstn")
    images = torch.rand(4, 3, *system.crop)
    outputs = system.run(images, system.frames)
    assert outputs.heatmaps.shape == (4, 15, 16, system.crop[1] // 4)
    targets = system.encode(batch_of(torch.full((4, 1, 15, 2), 30.0), system.crop))
    torch.stack(list(system.losses(outputs, targets).values())).sum().backward()
    without = [key for key, p in system.model.named_parameters() if p.grad is None]
    assert not without


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("jre", {"height": 70}, "height and width must be positive multiples of 32 px, not 70 and"),
        ("jre", {"width": 0}, "height and width must be positive multiples of 32 px, not 64 and 0"),
        ("jre", {"margin": 0.0}, "margin must be positive, not 0"),
        ("jre", {"frame": "corner"}, r"frame must be one of \('center', 'index', 'aligned'\), not"),
        ("jre", {"subpixel": "cubic"}, "unknown subpixel method 'cubic'"),
        ("jre", {"kernel": 4}, "kernel must be an odd positive number of cells, not 4"),
        ("jre", {"relation": "all"}, "relation must be one of"),
        ("jre", {"relation": "none", "relation_convs": 2}, "relation_convs=2 has no use"),
        ("jre", {"temperature": 0.0}, "temperature must be a positive number, not 0"),
        ("jre", {"backbone": "resnet"}, "unknown backbone 'resnet'"),
        ("jre", {"sigma": 0.0}, "sigma must be a positive number"),
        ("jre", {"refine": True, "refine_sigma": -1.0}, "refine_sigma must be a positive number"),
        ("jre", {"refine": True, "refine_jitter": -1.0}, "refine_jitter must be 0 or more, not -1"),
        ("jre", {"frames": 5}, "'jre' has no option 'frames'; .*known: "),
        ("rpstn", {"frames": 0}, "frames must be 1 or more, not 0"),
        ("rpstn", {"channels": 0}, "channels must be 1 or more, not 0"),
        ("rpstn", {"initializer": "zero"}, "initializer must be one of"),
        ("rpstn", {"propagator_layers": 2}, "propagator_layers must be 0, 3, 4 or 5, not 2"),
        ("rpstn", {"width": 96}, r"kernels of 1x2 cells, whose sides must be odd; .* px fit"),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        tiny(name, **options)


def test_even_kernels_are_allowed_where_there_are_none() -> None:
    with torch.device("meta"):
        assert tiny("rpstn", propagator_layers=0, width=96).crop == (64, 96)

"""How far adaptation moves keypoints, in cases with a known answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.decoders.local_global import LocalGlobalOptions, propose_poses, refine_poses
from poselib.ops.center_poses import CenterPoses
from poselib.ops.dynamic_convolution import Ties
from poselib.ops.map_coordinates import FRAMES, Frame, half_pixel
from poselib.outputs import LocalGlobalOutputs
from tests.decoders.factories import RATES, attracting_outputs, expansion_of, options_of, scattered

torch.set_num_threads(1)


def regressed(frame: Frame, px: float, seed: int) -> tuple[LocalGlobalOutputs, CenterPoses, Tensor]:
    """Maps of a cell a pixel, the pose at the highest center of each image, and its error.

    Errors are (n, K, 2) px, and NaN where windows reach beyond the border. Each image has one
    person.
    """
    size = (128, 160)
    truth = scattered(6, 1, image_size=size, seed=seed)
    wrong = np.random.default_rng(seed).uniform(-px, px, truth.shape)
    outputs = attracting_outputs(truth, wrong, size, sigma=1.5, frame=frame, stride=1)
    people = propose_poses(outputs, options_of(frame))
    best = [int(((people.images == i) * people.centers).argmax()) for i in range(6)]
    people = people[torch.tensor(best)]
    assert people.images.tolist() == list(range(6))
    goals = torch.from_numpy(truth[:, 0])
    inside = torch.minimum(goals, torch.tensor([160, 128]) - goals).amin(dim=2) > 26
    assert inside.sum() > 12
    errors = people.points + half_pixel(frame) - goals
    assert (errors.abs() < px + 0.01).all()
    return outputs, people, torch.where(inside[..., None], errors, torch.nan)


def movement(
    outputs: LocalGlobalOutputs, people: CenterPoses, options: LocalGlobalOptions
) -> Tensor:
    """How much adaptation moves each keypoint, (n, K, 2) px."""
    return refine_poses(outputs, people, options).people.points - people.points


def largest(differences: Tensor) -> float:
    return float(differences.nan_to_num(0.0).abs().max())


@pytest.mark.parametrize("frame", FRAMES)
def test_attraction_maps_alone_move_to_the_nearest_cell(frame: Frame) -> None:
    outputs, people, errors = regressed(frame, 4.5, seed=1)
    found = errors + movement(outputs, people, options_of(frame, prior="attraction"))
    assert largest(found / RATES[:, None]) < 0.51 and largest(errors) > 4


@pytest.mark.parametrize(("ties", "cells"), [("first", -5.0), ("mean", 0.0)])
def test_equal_cells_of_an_attraction_map(ties: Ties, cells: float) -> None:
    """A map that is cut off at 1 everywhere says nothing; the official code moves up and left."""
    outputs, people, _ = regressed("center", 2.0, seed=4)
    flat = replace(outputs, attraction_network=lambda c: 3 * torch.ones(len(c), 17, *c.shape[2:]))
    found = movement(flat, people, options_of("center", prior="attraction", ties=ties))
    expected = (cells * RATES[:, None]).expand_as(found)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_a_box_filter_is_attraction_that_says_nothing() -> None:
    outputs, people, errors = regressed("center", 2.5, seed=3)
    even = replace(outputs, attraction_network=lambda c: torch.ones(len(c), 17, *c.shape[2:]))
    box = options_of("center", prior="box")
    found = refine_poses(outputs, people, box)
    expected = refine_poses(even, people, replace(box, prior="both"))
    assert torch.equal(found.people.points, expected.people.points)
    assert torch.equal(found.scores, expected.scores)


@pytest.mark.parametrize("reweigh", [True, False])
@pytest.mark.parametrize("frame", FRAMES)
def test_global_windows_alone_move_back_to_the_peak(frame: Frame, reweigh: bool) -> None:
    """A Gaussian around the truth times one around the keypoint is one between the two."""
    outputs, people, errors = regressed(frame, 3.0, seed=2)
    expansion = expansion_of(frame, global_window=13, reweigh=reweigh)
    found = errors + movement(outputs, people, LocalGlobalOptions(expansion, prior="expansion"))
    kept = errors / 2 if reweigh else 0 * errors  # both have a deviation of 2 px
    assert largest(found - kept) < 0.8 and largest(errors) > 2.9


@pytest.mark.parametrize("frame", FRAMES)
def test_attraction_maps_shift_the_windows(frame: Frame) -> None:
    """Eq. (2) is a convolution: where heat and attraction both know the truth, it is passed by.

    A kernel whose places count as one px each moves heat by the error over the keypoint's rate.
    """
    outputs, people, errors = regressed(frame, 2.5, seed=3)
    options = LocalGlobalOptions(expansion_of(frame, reweigh=False))
    found = errors + movement(outputs, people, options)
    assert largest(found + errors / RATES[:, None]) < 1.1 and largest(found) > 2.4
    # Attraction that says nothing, the same on all sides, leaves heat where it is.
    even = replace(outputs, attraction_network=lambda c: torch.ones(len(c), 17, *c.shape[2:]))
    assert largest(errors + movement(even, people, options)) < 0.8

from __future__ import annotations

import numpy as np
import pytest
import torch

from poselib.benchmarks.references.plain_losses import associative_step_plainly
from poselib.benchmarks.references.plain_targets import PlainTargets
from poselib.benchmarks.workloads import (
    associative_step,
    decode_inputs,
    loss_inputs,
    random_people,
    target_inputs,
)
from poselib.decoders.associative import decode_associative
from poselib.ops.gaussians import keypoint_cells
from poselib.skeletons import COCO


@pytest.mark.parametrize("people", [0, 1, 4])
def test_scenes_have_as_many_people_as_asked_for(people: int) -> None:
    outputs = decode_inputs(people, (256, 384), images=2, length=2)
    assert outputs.heatmaps[0].shape == (2, 17, 256, 384)
    assert outputs.tags.shape == (2, 17, 2, 256, 384)
    assert outputs.image_size == (256, 384)
    for poses in decode_associative(outputs):
        assert len(poses) == people


def test_background_is_weak_and_most_keypoints_are_strong() -> None:
    (heat,) = decode_inputs(3, (256, 384), missing=0.15).heatmaps
    assert heat.min() >= 0 and heat.median() < 0.02
    nobody = decode_inputs(3, (256, 384), missing=1.0)
    assert nobody.heatmaps[0].max() < 0.02
    highest = decode_inputs(1, (256, 384), missing=0.0).heatmaps[0].amax(dim=(-1, -2))
    assert (highest > 0.45).all() and (highest < 1.03).all()


def test_what_is_made_depends_on_the_seed_alone() -> None:
    one, same, other = (decode_inputs(2, (64, 96), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.heatmaps[0], same.heatmaps[0]) and torch.equal(one.tags, same.tags)
    assert not torch.equal(one.heatmaps[0], other.heatmaps[0])
    assert torch.equal(loss_inputs(2, 3, (64, 64))[0], loss_inputs(2, 3, (64, 64))[0])


@pytest.mark.parametrize("size", [(512, 704), (300, 64), (64, 64)])
def test_people_lie_inside_the_image(size: tuple[int, int]) -> None:
    people = random_people(np.random.default_rng(0), 20, 10, 17, size, missing=0.15)
    assert people.shape == (20, 10, 17, 3)
    _, inside = keypoint_cells(torch.from_numpy(people), (1, 1), size)
    assert (inside.numpy() == (people[..., 2] > 0)).all()
    assert 0.1 < (people[..., 2] == 0).mean() < 0.2


def test_gradients_flow_to_the_tags_of_a_loss() -> None:
    tags, keypoints = loss_inputs(2, 3, (64, 96), keypoints=14, length=2)
    assert tags.shape == (2, 14, 2, 16, 24)
    assert tags.is_leaf and tags.requires_grad
    assert keypoints.shape == (2, 3, 14, 3)


def test_a_step_of_the_loss_equals_the_plain_one() -> None:
    (tags, people), encode = loss_inputs(3, 4, (64, 96), length=2), PlainTargets((16, 24), 4, 2)
    groups = torch.as_tensor(COCO.group_indices("anatomy"))
    joints = np.stack([encode.joints(keypoints) for keypoints in people.numpy()])
    plain = associative_step_plainly(tags, torch.as_tensor(joints), groups.tolist())
    torch.testing.assert_close(associative_step(tags, people, (64, 96), groups), plain)


def test_a_step_of_the_loss_moves_the_tags_that_it_reads() -> None:
    tags, people = loss_inputs(2, 3, (64, 96))
    groups = torch.as_tensor(COCO.group_indices("anatomy"))
    gradient = associative_step(tags, people, (64, 96), groups)
    assert gradient.shape == tags.shape
    cells, visible = keypoint_cells(people, (4, 4), (16, 24))
    assert 0 < (gradient != 0).sum() <= visible.sum()
    b, n, k = (axis[0].item() for axis in visible.nonzero(as_tuple=True))
    column, row = cells[b, n, k].tolist()
    assert gradient[b, k, 0, row, column] != 0
    assert tags.grad is None


def test_targets_have_a_batch_of_labeled_images() -> None:
    batch = target_inputs(2, 5, (64, 96))
    assert batch.images.shape == (2, 3, 64, 96)
    assert batch.keypoints.shape == (2, 5, 17, 3)
    assert batch.size == (64, 96) and len(batch.to_original) == 2


def test_odd_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"size must be even numbers of px, not \(63, 96\)"):
        decode_inputs(1, (63, 96))

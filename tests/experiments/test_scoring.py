"""Training of the scoring net on poses whose quality is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from poselib.engine.predict import PredictOptions
from poselib.experiments.scoring import ScoringExamples, fit_scoring, scoring_examples
from poselib.models.scoring import ScoringNet
from poselib.ops.oks import object_keypoint_similarity
from poselib.skeletons import COCO
from poselib.structures import Poses, Sample, Warp
from poselib.systems import System

torch.set_num_threads(1)

STANDING = np.array(
    [
        *((50, 10), (53, 8), (47, 8), (56, 10), (44, 10), (62, 25), (38, 25), (68, 45)),
        *((32, 45), (70, 62), (30, 62), (58, 65), (42, 65), (59, 92), (41, 92), (60, 118)),
        (40, 118),
    ],
    dtype=np.float32,
)


def moved(x: float, y: float) -> np.ndarray:
    return STANDING + np.array([x, y])


class Shown(nn.Module):
    """A network that passes the images on."""

    def forward(self, images: Tensor) -> Any:
        return _Outputs(len(images))


class _Outputs:
    def __init__(self, count: int) -> None:
        self.count = count

    def with_scales(self, others: Any) -> _Outputs:
        return self


def system_that_finds(people: list[Poses]) -> System:
    """Each image's people, px of the network's input, are known beforehand, in their order."""
    found = iter(people)

    def nothing(*_: Any) -> Any:
        raise AssertionError("prediction needs neither targets nor losses")

    return System(
        *("known", COCO, Shown()),
        encode=nothing,
        losses=nothing,
        decode=lambda outputs: [next(found) for _ in range(outputs.count)],
        switches={},
    )


def sample_of(people: np.ndarray, to_original: Warp | None = None) -> Sample:
    """People (N, 17, 3) in an image of 128 px."""
    return Sample(
        image=np.zeros((3, 128, 128), np.uint8),
        keypoints=people.astype(np.float32),
        areas=np.full(len(people), 2000, np.float32),
        ignore=np.zeros((128, 128), bool),
        image_id=0,
        to_original=to_original or Warp.identity(),
    )


def labelled(points: np.ndarray, visibility: int = 2) -> np.ndarray:
    return np.concatenate([points, np.full((17, 1), visibility)], axis=1)


def poses_at(*points: np.ndarray, heat: float = 0.5) -> Poses:
    count = len(points)
    places = np.array(points, np.float32).reshape(count, 17, 2)
    return Poses(places, np.full((count, 17), heat, np.float32), np.ones(count, np.float32))


OPTIONS = PredictOptions(size=128, multiple=64, flip=False)


def test_target_is_the_highest_oks_with_anyone() -> None:
    far = moved(300, 0)
    sample = sample_of(np.stack([labelled(STANDING), labelled(far), labelled(moved(2, 2))]))
    found = poses_at(moved(1, 0), moved(2, 2), moved(300, -3), moved(-999, -999))
    examples = scoring_examples(system_that_finds([found]), [sample], OPTIONS)
    alike = object_keypoint_similarity(found.keypoints, sample.keypoints, sample.areas, COCO.sigmas)
    np.testing.assert_allclose(examples.oks, alike.max(axis=0), atol=1e-6)
    assert examples.oks[1] == 1 and 0.5 < examples.oks[2] < 1 and examples.oks[3] < 1e-3
    np.testing.assert_array_equal(examples.poses, found.keypoints)
    assert examples.heats.unique().tolist() == [0.5] and examples.heats.shape == (4, 17)


def test_samples_that_are_not_their_files_are_compared_in_px_of_the_file() -> None:
    """The file is twice as large as the sample: so are distances, and areas four times."""
    sample = sample_of(labelled(STANDING)[None])
    enlarged = replace(sample, to_original=Warp(np.array([[2.0, 0, 7], [0, 2.0, 3]])))
    found = poses_at(moved(2, 1))
    one, other = (
        scoring_examples(system_that_finds([found]), [each], OPTIONS) for each in (sample, enlarged)
    )
    torch.testing.assert_close(one.oks, other.oks)
    assert 0.3 < float(one.oks[0]) < 0.99
    torch.testing.assert_close(other.poses, 2 * one.poses + torch.tensor([7.0, 3.0]))


def test_images_without_a_labelled_person_teach_nothing() -> None:
    samples = [
        sample_of(np.zeros((0, 17, 3))),
        sample_of(labelled(STANDING, 0)[None]),
        sample_of(np.stack([labelled(STANDING, 0), labelled(moved(300, 300))])),
        sample_of(labelled(STANDING)[None]),
    ]
    found = [poses_at(STANDING) for _ in range(3)] + [Poses.empty(17)]
    examples = scoring_examples(system_that_finds(found), samples, OPTIONS)
    # The unlabelled person of the third image is nobody, where the official code says exactly 1.
    assert len(examples) == 1 and float(examples.oks[0]) < 1e-3
    none = scoring_examples(system_that_finds([poses_at(STANDING)]), samples[:1], OPTIONS)
    assert len(none) == 0 and none.poses.shape == (0, 17, 2) and none.heats.shape == (0, 17)


def made_examples(count: int, seed: int) -> ScoringExamples:
    """Bent and unbent people; bent ones are wrong, and their heat says only a little of that."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.5, 3, (count, 1, 1))
    bend = rng.uniform(0, 25, (count, 1, 1))
    true = size * (STANDING + rng.normal(0, 3, (count, 17, 2)))
    found = true + size * bend * rng.normal(0, 1, (count, 17, 2))
    oks = [
        object_keypoint_similarity(f[None], labelled(t)[None], 2000 * s.ravel() ** 2, COCO.sigmas)
        for f, t, s in zip(found, true, size, strict=True)
    ]
    heats = 0.7 - 0.01 * bend[..., 0] + rng.normal(0, 0.6, (count, 17))
    as_floats = [torch.tensor(np.array(each), dtype=torch.float32) for each in (found, heats, oks)]
    return ScoringExamples(as_floats[0], as_floats[1], as_floats[2].flatten())


def test_the_loss_falls_and_the_score_ranks_better_than_the_mean_heat() -> None:
    examples, others = made_examples(2000, 0), made_examples(500, 1)
    torch.manual_seed(0)
    net = ScoringNet(COCO, hidden=64)
    losses = fit_scoring(net, examples, epochs=15, batch_size=128)
    assert len(losses) == 15 and losses[-1] < 0.3 * losses[0]
    assert losses[-1] < float(examples.oks.var()) / 2, "better than to say the mean"
    with torch.no_grad():
        scores = net(others.poses, others.heats)
    by_heat = spearmanr(others.heats.mean(dim=1), others.oks).statistic
    by_net = spearmanr(scores, others.oks).statistic
    assert by_heat > 0.1 and by_net > by_heat + 0.2


def test_the_seed_gives_the_order_and_every_example_counts() -> None:
    examples = made_examples(50, 2)
    before = ScoringNet(COCO, hidden=8).state_dict()

    def trained(seed: int, batch_size: int = 16) -> tuple[list[float], Tensor]:
        net = ScoringNet(COCO, hidden=8)
        net.load_state_dict(before)
        return fit_scoring(net, examples, epochs=2, batch_size=batch_size, seed=seed), net(
            examples.poses, examples.heats
        )

    (one, a), (same, b), (other, c) = trained(0), trained(0), trained(1)
    assert one == same and torch.equal(a, b) and one != other and not torch.equal(a, c)
    net = ScoringNet(COCO, hidden=8)
    net.load_state_dict(before)
    error = (net(examples.poses, examples.heats) - examples.oks).square().mean()
    first, _ = trained(0, batch_size=1024)  # one batch, although it is not full
    assert first[0] == pytest.approx(float(error.detach()), rel=1e-5)


@pytest.mark.parametrize("options", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": -1.0}])
def test_what_cannot_be_fitted(options: dict) -> None:
    with pytest.raises(ValueError, match="scoring: expected examples and positive numbers"):
        fit_scoring(ScoringNet(COCO), made_examples(3, 0), **options)
    empty = ScoringExamples(torch.zeros(0, 17, 2), torch.zeros(0, 17), torch.zeros(0))
    with pytest.raises(ValueError, match="not 0 examples"):
        fit_scoring(ScoringNet(COCO), empty)

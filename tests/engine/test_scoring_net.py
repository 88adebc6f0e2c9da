"""Training of the scoring net on poses whose quality is known, and systems that have one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from poselib.engine.checkpoints import load_checkpoint, save_system
from poselib.engine.inference import PredictOptions
from poselib.engine.predict import predict, predict_variants
from poselib.engine.scoring_net import (
    ScoringExamples,
    attach_scoring_net,
    collect_scoring_data,
    detach_scoring_net,
    train_scoring_net,
)
from poselib.models.scoring import ScoringNet, Unit
from poselib.ops.oks import object_keypoint_similarity
from poselib.outputs import RegressionOutputs
from poselib.skeletons import COCO, CROWDPOSE, LSP, Skeleton
from poselib.structures import AffineTransform, Poses
from poselib.systems import System, build
from tests.analysis.factories import (
    OPTIONS,
    SCENES,
    STANDING,
    build_tiny,
    labeled,
    moved,
    poses_at,
    sample_of,
)

torch.set_num_threads(1)

CENTER = 0.8  # heat of the center of every person that is known beforehand


class Blind(nn.Module):
    """A network that sees nothing."""

    def forward(self, images: Tensor) -> RegressionOutputs:
        empty = torch.zeros(len(images), 17, 1, 1)
        return RegressionOutputs(empty, empty[:, :1], empty[:, :, None], (128, 128))


def system_that_finds(people: list[Poses]) -> System:
    """The people of images with labels, px of the network's input, are known, in their order."""
    found = iter(people)

    def decode(outputs: RegressionOutputs) -> list[Poses]:
        assert len(outputs.centers) == 1 and outputs.scorer is not None
        poses = next(found)
        if len(poses):
            told = torch.from_numpy(CENTER * poses.scores)
            assert outputs.scorer(torch.from_numpy(poses.keypoints), told).tolist() == [1.0] * len(
                poses
            )
        return [poses]

    return replace(build_tiny(), model=Blind(), decode=decode)


def test_target_is_the_highest_oks_with_anyone() -> None:
    far = moved(300, 0)
    sample = sample_of(np.stack([labeled(STANDING), labeled(far), labeled(moved(2, 2))]))
    found = poses_at(moved(1, 0), moved(2, 2), moved(300, -3), moved(-999, -999))
    examples = collect_scoring_data(system_that_finds([found]), [sample], OPTIONS)
    alike = object_keypoint_similarity(found.keypoints, sample.keypoints, sample.areas, COCO.sigmas)
    np.testing.assert_allclose(examples.oks, alike.max(axis=0), atol=1e-6)
    assert examples.oks[1] == 1 and 0.5 < examples.oks[2] < 1 and examples.oks[3] < 1e-3
    np.testing.assert_array_equal(examples.poses, found.keypoints)
    np.testing.assert_allclose(examples.heatmap_scores, np.full((4, 17), CENTER * 0.5), rtol=1e-6)


def test_samples_that_are_not_their_files_are_compared_in_px_of_the_file() -> None:
    """The file is twice as large as the sample: so are distances, and areas four times."""
    sample = sample_of(labeled(STANDING)[None])
    enlarged = replace(sample, to_original=AffineTransform(np.array([[2.0, 0, 7], [0, 2.0, 3]])))
    found = poses_at(moved(2, 1))
    one, other = (
        collect_scoring_data(system_that_finds([found]), [each], OPTIONS)
        for each in (sample, enlarged)
    )
    torch.testing.assert_close(one.oks, other.oks)
    assert 0.3 < float(one.oks[0]) < 0.99
    torch.testing.assert_close(other.poses, 2 * one.poses + torch.tensor([7.0, 3.0]))


def test_images_without_a_labeled_person_teach_nothing() -> None:
    samples = [
        sample_of(np.zeros((0, 17, 3))),
        sample_of(labeled(STANDING, 0)[None]),
        sample_of(np.stack([labeled(STANDING, 0), labeled(moved(300, 300))])),
        sample_of(labeled(STANDING)[None]),
    ]
    found = [poses_at(STANDING), Poses.empty(17)]  # in images that have labels
    examples = collect_scoring_data(system_that_finds(found), samples, OPTIONS)
    # The unlabeled person of the third image is nobody, where the official code says exactly 1.
    assert len(examples) == 1 and float(examples.oks[0]) < 1e-3
    none = collect_scoring_data(system_that_finds([]), samples[:2], OPTIONS)
    assert (
        len(none) == 0 and none.poses.shape == (0, 17, 2) and none.heatmap_scores.shape == (0, 17)
    )


def test_only_the_first_images_are_looked_at() -> None:
    samples = [sample_of(labeled(STANDING)[None]) for _ in range(3)]
    for count, seen in ((0, 3), (1, 1), (2, 2), (9, 3)):
        system = system_that_finds([poses_at(STANDING) for _ in range(seen)])
        assert len(collect_scoring_data(system, samples, OPTIONS, count=count)) == seen


@pytest.mark.parametrize("look", [{}, {"flip": True}, {"scales": (1.0, 2.0)}], ids=str)
def test_examples_are_what_the_net_is_told_when_it_ranks(look: dict) -> None:
    """So its factors for the examples are the quotients of scores with it and without it."""
    torch.manual_seed(0)
    system = build_tiny(nms_distance=0.0)  # everybody is kept
    with torch.no_grad():  # heats of both signs, noses without any, and people of some size
        system.model.head_heatmap[1].weight.normal_(0, 0.05)
        system.model.head_heatmap[1].weight[0] = 0
        system.model.head_heatmap[1].bias[0] = 0
        system.model.head_offset.groups[0].final.weight.normal_(0, 3)
    options = PredictOptions(**{"size": 64, "multiple": 32, "flip": False, "batch_size": 2, **look})
    ranked = attach_scoring_net(system, ScoringNet(COCO))
    examples = collect_scoring_data(system, SCENES, options)
    assert (examples.heatmap_scores[:, 0] == 0).all() and len(examples) > 20
    assert (examples.heatmap_scores < -1e-3).any() and (examples.heatmap_scores > 1e-3).any()
    with torch.no_grad():
        factors = ranked.model.scoring(examples.poses, examples.heatmap_scores).numpy()
    plain, scored = predict_variants([detach_scoring_net(ranked), ranked], SCENES, options)
    persons = [np.concatenate([p.person_scores for p in each]) for each in (plain, scored)]
    np.testing.assert_allclose(persons[1], persons[0] * factors, rtol=2e-3, atol=1e-5)
    np.testing.assert_allclose(
        persons[0], examples.heatmap_scores.mean(dim=1), rtol=1e-4, atol=1e-5
    )
    # A net that is there already changes nothing.
    again = collect_scoring_data(ranked, SCENES, options)
    torch.testing.assert_close(again.heatmap_scores, examples.heatmap_scores)


def test_only_regressed_poses_are_scored() -> None:
    tags = build("hae", COCO, backbone="hrnet_tiny", deconv_channels=8)
    with pytest.raises(ValueError, match="'hae' does not regress poses"):
        collect_scoring_data(tags, SCENES, OPTIONS)
    with pytest.raises(ValueError, match="'hae' does not regress poses"):
        attach_scoring_net(tags, ScoringNet(COCO))


def made_examples(count: int, seed: int) -> ScoringExamples:
    """Bent and unbent people; bent ones are wrong, and their heat says only a little of that."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.5, 3, (count, 1, 1))
    bend = rng.uniform(0, 25, (count, 1, 1))
    true = size * (STANDING + rng.normal(0, 3, (count, 17, 2)))
    found = true + size * bend * rng.normal(0, 1, (count, 17, 2))
    oks = [
        object_keypoint_similarity(f[None], labeled(t)[None], 2000 * s.ravel() ** 2, COCO.sigmas)
        for f, t, s in zip(found, true, size, strict=True)
    ]
    heats = 0.7 - 0.01 * bend[..., 0] + rng.normal(0, 0.6, (count, 17))
    as_floats = [torch.tensor(np.array(each), dtype=torch.float32) for each in (found, heats, oks)]
    return ScoringExamples(as_floats[0], as_floats[1], as_floats[2].flatten())


def test_the_loss_falls_and_the_score_ranks_better_than_the_mean_heat() -> None:
    examples, others = made_examples(2000, 0), made_examples(500, 1)
    torch.manual_seed(0)
    net = ScoringNet(COCO, hidden=64)
    losses = train_scoring_net(net, examples, epochs=15, batch_size=128)
    assert len(losses) == 15 and losses[-1] < 0.3 * losses[0]
    assert losses[-1] < float(examples.oks.var()) / 2, "better than to say the mean"
    with torch.no_grad():
        scores = net(others.poses, others.heatmap_scores)
    by_heat = spearmanr(others.heatmap_scores.mean(dim=1), others.oks).statistic
    by_net = spearmanr(scores, others.oks).statistic
    assert by_heat > 0.1 and by_net > by_heat + 0.2


def test_the_seed_gives_the_order_and_every_example_counts() -> None:
    examples = made_examples(50, 2)
    before = ScoringNet(COCO, hidden=8).state_dict()

    def trained(seed: int, batch_size: int = 16) -> tuple[list[float], Tensor]:
        net = ScoringNet(COCO, hidden=8)
        net.load_state_dict(before)
        return train_scoring_net(net, examples, epochs=2, batch_size=batch_size, seed=seed), net(
            examples.poses, examples.heatmap_scores
        )

    (one, a), (same, b), (other, c) = trained(0), trained(0), trained(1)
    assert one == same and torch.equal(a, b) and one != other and not torch.equal(a, c)
    net = ScoringNet(COCO, hidden=8)
    net.load_state_dict(before)
    error = (net(examples.poses, examples.heatmap_scores) - examples.oks).square().mean()
    first, _ = trained(0, batch_size=1024)  # one batch, although it is not full
    assert first[0] == pytest.approx(float(error.detach()), rel=1e-5)


@pytest.mark.parametrize("options", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": -1.0}])
def test_what_cannot_be_fitted(options: dict) -> None:
    with pytest.raises(ValueError, match="scoring: expected examples and positive numbers"):
        train_scoring_net(ScoringNet(COCO), made_examples(3, 0), **options)
    empty = ScoringExamples(torch.zeros(0, 17, 2), torch.zeros(0, 17), torch.zeros(0))
    with pytest.raises(ValueError, match="not 0 examples"):
        train_scoring_net(ScoringNet(COCO), empty)


# Systems with a scoring net


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "skeleton", "unit"), [("dekr", COCO, "torso"), ("grm", CROWDPOSE, "left_leg")]
)
def test_a_system_with_its_net_is_one_file(
    tmp_path: Path, name: str, skeleton: Skeleton, unit: Unit
) -> None:
    """Weights are kept, the net is the trained one, and so are the poses that it ranks."""
    torch.manual_seed(0)
    system, net = build_tiny(skeleton, name, match=True), ScoringNet(skeleton, unit=unit)
    before = {key: value.clone() for key, value in system.model.state_dict().items()}
    ranked = attach_scoring_net(system, net)
    save_system(tmp_path / "ranked.safetensors", replace(ranked, input_size=64))
    loaded = load_checkpoint(tmp_path / "ranked.safetensors").system
    assert loaded.name == name and loaded.options == {
        **system.options, "scoring": True, "scoring_unit": unit,
    }  # fmt: skip
    after = loaded.model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert all(torch.equal(after[f"scoring.{k}"], v) for k, v in net.state_dict().items())
    plain, found = (predict(each, SCENES, OPTIONS) for each in (system, loaded))
    with_net = replace(system, decode=lambda outputs: system.decode(replace(outputs, scorer=net)))
    expected = predict(with_net, SCENES, OPTIONS)
    for ours, theirs, others in zip(found, expected, plain, strict=True):
        assert len(ours) > 0
        np.testing.assert_array_equal(ours.keypoints, others.keypoints)
        np.testing.assert_array_equal(ours.scores, others.scores)
        np.testing.assert_array_equal(ours.person_scores, theirs.person_scores)
        assert not np.allclose(ours.person_scores, others.person_scores)


def test_the_given_system_and_net_stay_as_they_are() -> None:
    torch.manual_seed(0)
    system, net = build_tiny(), ScoringNet(COCO)
    ranked = attach_scoring_net(system, net)
    assert not ranked.model.training and system.options["scoring"] is False
    assert system.model.scoring is None
    before = system.model.conv1.weight.clone(), net.layers[0].weight.clone()
    with torch.no_grad():
        for each in ranked.model.parameters():
            each.add_(1.0)
    assert torch.equal(system.model.conv1.weight, before[0])
    assert torch.equal(net.layers[0].weight, before[1])
    # Another net takes the place of the one that is there.
    again = attach_scoring_net(ranked, net)
    assert torch.equal(again.model.scoring.layers[0].weight, net.layers[0].weight)
    assert torch.equal(again.model.conv1.weight, before[0] + 1)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (ScoringNet(COCO, hidden=8), "does not fit system 'dekr'"),
        (ScoringNet(LSP), "of skeleton 'lsp' cannot rank people of 'coco'"),
    ],
)
def test_a_net_must_be_the_systems(net: ScoringNet, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attach_scoring_net(build_tiny(), net)


def test_one_network_looks_with_and_without_its_net() -> None:
    ranked = attach_scoring_net(build_tiny(), ScoringNet(COCO))
    plain = detach_scoring_net(ranked)
    assert plain.model is ranked.model
    found = predict(plain, SCENES, OPTIONS)
    expected = predict(build_plain(ranked), SCENES, OPTIONS)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.person_scores, theirs.person_scores)


def build_plain(ranked: System) -> System:
    """The same weights in a system that never had a scoring net."""
    plain = build(ranked.name, ranked.skeleton, **{**ranked.options, "scoring": False})
    weights = ranked.model.state_dict()
    plain.model.load_state_dict({k: v for k, v in weights.items() if "scoring" not in k})
    return plain

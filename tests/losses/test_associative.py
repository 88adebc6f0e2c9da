"""Associative losses against loops, the official losses, algebra and symmetries.

The loops below follow HAE, Eqs. (6-12, 15-17) person by person and keypoint by keypoint in
float64 and share nothing with the library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.losses.associative import (
    classical_pull,
    hierarchical_pull,
    masked_mean,
    push_loss,
    tags_at_keypoints,
)
from poselib.losses.associative_options import PullOptions, PushOptions
from poselib.skeletons import COCO, CROWDPOSE, SKELETONS

torch.set_num_threads(1)

HIERARCHIES = ("anatomy", "spatial_prior", "mutual_information", "none", "whole")
FENCES = [
    PullOptions(alpha, fences, missing, per_keypoint)
    for alpha, fences, missing, per_keypoint in product(
        (1.0, 2.0), ("person", "group"), ("skip", "rescale"), (False, True)
    )
]
MINING = [
    PullOptions(2.5, "person", missing, per_keypoint, "both", "ohkm", hardest, easy)
    for missing, per_keypoint, hardest, easy in product(
        ("skip", "rescale"), (False, True), (3, 8), ("drop", "keep")
    )
]
KEYPOINTS_ALONE = [
    PullOptions(2.0, focal_levels="low"),
    PullOptions(per_keypoint=True, focal_levels="low", mining="ohkm", hardest=5),
]
VARIANTS = [*FENCES, *MINING, *KEYPOINTS_ALONE]


class People(NamedTuple):
    """Embeddings (B, N, K, L) and visibility (B, N, K) of a random batch."""

    values: Tensor
    visible: Tensor

    @property
    def references(self) -> Tensor:
        return masked_mean(self.values, self.visible, dim=2)

    @property
    def present(self) -> Tensor:
        return self.visible.any(dim=-1)


def random_people(
    seed: int, shape: tuple[int, ...] = (3, 4, 17, 1), seen: float = 0.75, spread: float = 0.3
) -> People:
    """People one apart, with strays among their keypoints; some lack keypoints, one all of them."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(*shape[:2], 1, shape[-1]))
    values = centers + spread * rng.standard_t(1.5, shape)
    visible = rng.random(shape[:3]) < seen
    if seen < 1:
        visible[0, 0] = False
    return People(torch.tensor(values), torch.tensor(visible))


# The equations in loops


def slow_mean(vectors: list[np.ndarray]) -> np.ndarray:
    return sum(vectors, np.zeros_like(vectors[0])) / len(vectors)


def slow_push(references: list[np.ndarray], push: PushOptions) -> float:
    people, total = len(references), 0.0
    for n, m in product(range(people), repeat=2):
        distance = math.sqrt(sum((references[n] - references[m]) ** 2))
        if n != m and push.form == "gaussian":
            total += math.exp(-(distance**2) / (2 * push.sigma**2))
        elif n != m:
            total += max(0.0, 1 - distance)
    return push.factor * total / (people * (people - 1)) if people > 1 else 0.0


def slow_is_outlier(one: np.ndarray, array: list[np.ndarray]) -> bool:
    for component in range(len(one)):
        ranked = sorted(each[component] for each in array)
        last = len(ranked) - 1
        first, third = ranked[last // 4], ranked[-(-3 * last // 4)]
        margin = 1.5 * (third - first)
        if one[component] < first - margin or one[component] > third + margin:
            return True
    return False


def slow_weights(
    losses: dict[int, float], outliers: set[int], pull: PullOptions, count: int, keypoints: int
) -> dict[int, float]:
    """Weights of the losses of one level of one person, of which the hardest are ``count``."""
    if pull.mining == "iqr":
        return {i: pull.alpha if i in outliers else 1.0 for i in losses}
    mined = sorted(losses, key=lambda i: -losses[i])[:count]
    if pull.ohkm_rest == "keep":
        return {i: pull.alpha if i in mined else 1.0 for i in losses}
    scale = keypoints / pull.hardest if pull.per_keypoint else 1
    return {i: scale if i in mined else 0.0 for i in losses}


def slow_person(
    tags: dict[int, np.ndarray], groups: np.ndarray, pull: PullOptions
) -> tuple[float, float]:
    """Both pulling terms of one person, whose labeled keypoints have these tags."""
    reference = slow_mean(list(tags.values()))
    embeddings: dict[int, np.ndarray] = {}
    low: dict[int, float] = {}
    high: dict[int, float] = {}
    strays: set[int] = set()
    for group in sorted(set(groups.tolist())):
        held = [k for k in tags if groups[k] == group]
        if not held:
            continue
        embeddings[group] = slow_mean([tags[k] for k in held])
        high[group] = sum((reference - embeddings[group]) ** 2)
        array = list(tags.values()) if pull.outlier_scope == "person" else [tags[k] for k in held]
        strays |= {k for k in held if slow_is_outlier(tags[k], array)}
        for k in held:
            low[k] = sum((embeddings[group] - tags[k]) ** 2)
            if pull.missing_keypoints == "rescale":
                low[k] *= sum(groups == group) / len(held)
    kinds, kept = len(groups), list(embeddings.values())
    low_weights = slow_weights(low, strays, pull, pull.hardest, kinds)
    stray_groups = {g for g in embeddings if slow_is_outlier(embeddings[g], kept)}
    share = math.ceil(len(set(groups.tolist())) * pull.hardest / kinds - 1e-9)
    high_weights = slow_weights(high, stray_groups, pull, share, kinds)
    if pull.focal_levels == "low":
        high_weights = dict.fromkeys(high, 1.0)
    return (
        sum(low_weights[k] * low[k] for k in low),
        sum(high_weights[g] * high[g] for g in high),
    )


class SlowLosses(NamedTuple):
    push: float
    low: float
    high: float


def slow_losses(
    people: People, groups: np.ndarray, pull: PullOptions, push: PushOptions
) -> Iterator[SlowLosses]:
    values, visible = people.values.numpy(), people.visible.numpy()
    for image, seen in zip(values, visible, strict=True):
        persons = [
            {k: tags[k] for k in range(len(tags)) if seen_of[k]}
            for tags, seen_of in zip(image, seen, strict=True)
        ]
        persons = [tags for tags in persons if tags]
        terms = [slow_person(tags, groups, pull) for tags in persons]
        divisor = max(1, len(persons)) * (values.shape[2] if pull.per_keypoint else 1)
        yield SlowLosses(
            slow_push([slow_mean(list(tags.values())) for tags in persons], push),
            sum(low for low, _ in terms) / divisor,
            sum(high for _, high in terms) / divisor,
        )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("hierarchy", HIERARCHIES)
@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_pull_equals_loops(skeleton: Any, hierarchy: str, channels: int) -> None:
    people = random_people(len(skeleton) + channels, (3, 4, len(skeleton), channels))
    groups = skeleton.group_indices(hierarchy)
    for pull in VARIANTS:
        low, high = hierarchical_pull(*people, torch.as_tensor(groups), pull)
        slow = list(slow_losses(people, groups, pull, PushOptions()))
        assert low.shape == high.shape == (3,)
        np.testing.assert_allclose(low, [s.low for s in slow], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(high, [s.high for s in slow], rtol=1e-10, atol=1e-12)


def pulls(pull: PullOptions, groups: Tensor, seed: int = 1) -> tuple[float, float]:
    low, high = hierarchical_pull(*random_people(seed), groups, pull)
    return low.sum().item(), high.sum().item()


@pytest.mark.parametrize(
    ("one", "two", "levels"),
    [
        (PullOptions(2.0), PullOptions(3.0), "both"),
        (PullOptions(2.0), PullOptions(1.0), "both"),
        (PullOptions(2.0), PullOptions(2.0, outlier_scope="group"), "low"),
        (PullOptions(), PullOptions(missing_keypoints="rescale"), "low"),
        (PullOptions(), PullOptions(per_keypoint=True), "both"),
        (PullOptions(2.0), PullOptions(2.0, focal_levels="low"), "high"),
        (PullOptions(2.0), PullOptions(2.0, mining="ohkm"), "both"),
        (PullOptions(mining="ohkm"), PullOptions(mining="ohkm", hardest=7), "low"),
        (PullOptions(mining="ohkm"), PullOptions(mining="ohkm", hardest=4), "both"),
        (PullOptions(mining="ohkm"), PullOptions(mining="ohkm", focal_levels="low"), "high"),
        (
            PullOptions(2.0, mining="ohkm"),
            PullOptions(2.0, mining="ohkm", ohkm_rest="keep"),
            "both",
        ),
    ],
)
def test_each_option_changes_the_loss(one: PullOptions, two: PullOptions, levels: str) -> None:
    """Or the comparison above would not notice one that is ignored."""
    groups = torch.as_tensor(COCO.group_indices("anatomy"))
    pairs = zip(("low", "high"), pulls(one, groups), pulls(two, groups), strict=True)
    changed = {level for level, a, b in pairs if a != pytest.approx(b)}
    assert changed == ({"low", "high"} if levels == "both" else {levels})


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "push",
    [
        PushOptions(),
        PushOptions(sigma=0.3, factor=2.0),
        PushOptions("hinge"),
        PushOptions("hinge", factor=0.5),
    ],
)
def test_push_equals_loops(push: PushOptions, channels: int) -> None:
    people = random_people(2, (4, 6, 5, channels), seen=0.4)
    slow = slow_losses(people, np.zeros(5, int), PullOptions(), push)
    fast = push_loss(people.references, people.present, push)
    np.testing.assert_allclose(fast, [s.push for s in slow], rtol=1e-10)


def test_classical_pull_by_hand() -> None:
    values = torch.tensor([[0.0, 2.0, 4.0], [3.0, 3.0, 9.0]]).view(1, 2, 3, 1)
    visible = torch.tensor([[[True, True, True], [True, True, False]]])
    # References 2 and 3: squares 4 + 0 + 4 and none; the third keypoint is not labeled.
    assert classical_pull(values, visible).tolist() == pytest.approx([8 / 2])
    references = masked_mean(values, visible, dim=2)
    assert references.flatten().tolist() == [2, 3]
    present = visible.any(dim=-1)
    assert push_loss(references, present).tolist() == pytest.approx([math.exp(-1)])
    assert push_loss(references, present, PushOptions(sigma=1)).tolist() == pytest.approx(
        [math.exp(-0.5)]
    )
    assert push_loss(
        references + torch.tensor([[0.0], [-0.25]]), present, PushOptions("hinge")
    ).tolist() == (pytest.approx([0.25]))


def test_hierarchical_pull_by_hand() -> None:
    values = torch.tensor([0.0, 2.0, 10.0, 4.0]).view(1, 1, 4, 1)
    visible = torch.ones(1, 1, 4, dtype=torch.bool)
    groups = torch.tensor([0, 0, 1, 1])
    low, high = hierarchical_pull(values, visible, groups)
    # Groups 1 and 7, person 4.
    assert (low.item(), high.item()) == pytest.approx((1 + 1 + 9 + 9, 9 + 9))
    visible[..., 3] = False
    low, high = hierarchical_pull(values, visible, groups)
    # Groups 1 and 10, person 4: the reference is the mean of keypoints, not of groups.
    assert (low.item(), high.item()) == pytest.approx((1 + 1, 9 + 36))


def test_focal_pull_by_hand() -> None:
    """Keypoints 0 to 4 and a stray 15: fences over the person are -4.5 and 9.5."""
    values = torch.tensor([0.0, 1, 2, 3, 4, 15]).view(1, 1, 6, 1)
    visible = torch.ones(1, 1, 6, dtype=torch.bool)
    squares = [(v - 25 / 6) ** 2 for v in (0, 1, 2, 3, 4, 15)]
    assert classical_pull(values, visible).item() == pytest.approx(sum(squares))
    focal = classical_pull(values, visible, PullOptions(alpha=2)).item()
    assert focal == pytest.approx(sum(squares) + squares[-1])
    # In groups of two no fence can be crossed by its own members; by the person's it can.
    groups = torch.tensor([0, 0, 1, 1, 2, 2])
    plain, _ = hierarchical_pull(values, visible, groups)
    of_groups, _ = hierarchical_pull(values, visible, groups, PullOptions(2, outlier_scope="group"))
    of_person, _ = hierarchical_pull(
        values, visible, groups, PullOptions(2, outlier_scope="person")
    )
    assert of_groups.item() == pytest.approx(plain.item())
    assert of_person.item() == pytest.approx(plain.item() + 5.5**2)


def test_ohkm_by_hand() -> None:
    """The person's mean is 25/6, the groups' 1/2, 5/2 and 19/2."""
    values = torch.tensor([0.0, 1, 2, 3, 4, 15]).view(1, 1, 6, 1)
    visible = torch.ones(1, 1, 6, dtype=torch.bool)
    squares = sorted((v - 25 / 6) ** 2 for v in (0, 1, 2, 3, 4, 15))
    drop = classical_pull(values, visible, PullOptions(mining="ohkm", hardest=2))
    assert drop.item() == pytest.approx(sum(squares[-2:]))
    mean = classical_pull(values, visible, PullOptions(per_keypoint=True, mining="ohkm", hardest=2))
    assert mean.item() == pytest.approx(sum(squares[-2:]) / 2)
    keep = classical_pull(
        values, visible, PullOptions(3.0, mining="ohkm", hardest=2, ohkm_rest="keep")
    )
    assert keep.item() == pytest.approx(sum(squares) + 2 * sum(squares[-2:]))
    # Two of six keypoints, so one of three groups; both of its keypoints, and none of a limb.
    groups = torch.tensor([0, 0, 1, 1, 2, 2])
    low, high = hierarchical_pull(values, visible, groups, PullOptions(mining="ohkm", hardest=2))
    assert low.item() == pytest.approx(2 * 5.5**2)
    assert high.item() == pytest.approx((19 / 2 - 25 / 6) ** 2)


def test_ohkm_of_people_with_few_keypoints() -> None:
    people = random_people(16, seen=0.4)
    assert people.visible.sum(dim=-1).max() < 16
    groups = torch.as_tensor(COCO.group_indices("anatomy"))
    plain = hierarchical_pull(*people, groups)
    assert_same(
        list(plain),
        list(hierarchical_pull(*people, groups, PullOptions(mining="ohkm", hardest=16))),
    )


@pytest.mark.parametrize("hardest", [17, 30])
def test_ohkm_must_leave_keypoints(hardest: int) -> None:
    people = random_people(17)
    with pytest.raises(ValueError, match=f"hardest must be less than 17 keypoints, not {hardest}"):
        classical_pull(*people, PullOptions(mining="ohkm", hardest=hardest))
    classical_pull(*people, PullOptions(hardest=hardest))


def test_high_level_outliers_are_among_the_groups_of_a_person() -> None:
    values = torch.tensor([0.0, 1, 2, 3, 4, 15]).view(1, 1, 6, 1)
    visible = torch.ones(1, 1, 6, dtype=torch.bool)
    low, high = hierarchical_pull(values, visible, torch.arange(6), PullOptions(alpha=2))
    assert low.item() == 0
    assert high.item() == pytest.approx(
        classical_pull(values, visible, PullOptions(alpha=2)).item()
    )


# Eq. (13): the difference between the hierarchical and the classical loss


def difference(people: People, groups: Tensor, factor: float) -> Tensor:
    low, high = hierarchical_pull(*people, groups)
    return low + factor * high - classical_pull(*people)


def group_means(people: People, groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Group embeddings (B, N, G), reference embeddings (B, N) and group sizes (G,)."""
    members = [groups == g for g in range(int(groups.max()) + 1)]
    embeddings = torch.stack([people.values[:, :, m, 0].mean(-1) for m in members], dim=-1)
    sizes = torch.tensor([int(m.sum()) for m in members])
    return embeddings, people.values[..., 0].mean(-1), sizes


def printed_difference(people: People, groups: Tensor, factor: float) -> Tensor:
    """Eq. (13) as the paper prints it."""
    embeddings, references, sizes = group_means(people, groups)
    keypoints = sizes.sum()
    per_person = ((factor - sizes) * embeddings**2).sum(-1)
    per_person += (keypoints - factor * len(sizes)) * references**2
    return per_person.mean(dim=1)


def general_difference(people: People, groups: Tensor, factor: float) -> Tensor:
    """Eq. (13) without its hidden assumption.

    Expanding the squares, with t the reference, t_g the group embeddings and t_k the tags::

        low  = sum_k t_k² - sum_g K_g t_g²        (sum over a group of t_k is K_g t_g)
        high = sum_g t_g² - 2 t sum_g t_g + G t²
        classical = sum_k t_k² - K t²             (sum over all of t_k is K t)

    The paper writes G t for sum_g t_g, which needs the mean of the groups to be the mean of the
    keypoints: true of groups of equal size, not of its own groups.
    """
    embeddings, references, sizes = group_means(people, groups)
    total = embeddings.sum(-1)
    high_rest = len(sizes) * references**2 - 2 * references * total
    per_person = ((factor - sizes) * embeddings**2).sum(-1) + factor * high_rest
    return (per_person + sizes.sum() * references**2).mean(dim=1)


FACTORS = pytest.mark.parametrize("factor", [0.0, 1.0, 1.5, 3.0])


@FACTORS
@pytest.mark.parametrize("groups", [[0, 0, 1, 1, 2, 2], [0, 1, 2, 2, 1, 0], [0, 0, 0, 1, 1, 1]])
def test_paper_decomposition_holds_for_groups_of_one_size(groups: list[int], factor: float) -> None:
    people = random_people(3, (2, 3, 6, 1), seen=1)
    of = torch.tensor(groups)
    torch.testing.assert_close(
        difference(people, of, factor), printed_difference(people, of, factor)
    )
    # Eq. (14), the form for K_g = K / G.
    embeddings, references, sizes = group_means(people, of)
    spread = (embeddings**2).sum(-1) - len(sizes) * references**2
    assert (spread > 0).all()
    expected = (factor - 6 / len(sizes)) * spread.mean(dim=1)
    torch.testing.assert_close(difference(people, of, factor), expected)


@FACTORS
@pytest.mark.parametrize("hierarchy", HIERARCHIES)
def test_decomposition_in_general(hierarchy: str, factor: float) -> None:
    people = random_people(4, (2, 3, 17, 1), seen=1)
    groups = torch.as_tensor(COCO.group_indices(hierarchy))
    expected = general_difference(people, groups, factor)
    torch.testing.assert_close(difference(people, groups, factor), expected, atol=1e-9, rtol=1e-9)


def test_paper_decomposition_fails_for_its_own_groups() -> None:
    people = random_people(5, (2, 3, 17, 1), seen=1)
    groups = torch.as_tensor(COCO.group_indices("anatomy"))
    assert not torch.allclose(
        difference(people, groups, 1.5), printed_difference(people, groups, 1.5), rtol=1e-3
    )


def test_paper_decomposition_holds_for_the_mean_of_groups() -> None:
    """Unequal groups will do if their embeddings happen to average to the reference."""
    groups = torch.tensor([0, 0, 0, 1, 2])
    tags = torch.tensor([1.0, 2.0, 3.0, 5.0, -1.0], dtype=torch.float64)  # groups 2, 5, -1; all 2
    people = People(tags.view(1, 1, 5, 1), torch.ones(1, 1, 5, dtype=torch.bool))
    printed = printed_difference(people, groups, 1.5)
    torch.testing.assert_close(difference(people, groups, 1.5), printed)


def test_one_group_is_the_classical_pull() -> None:
    """G = 1: there is no high level, whatever λ; also with missing keypoints and focal weights."""
    people = random_people(6)
    for pull in VARIANTS:
        low, high = hierarchical_pull(*people, torch.zeros(17, dtype=torch.long), pull)
        assert torch.equal(low, classical_pull(*people, pull))
        assert high.abs().max() < 1e-20


@FACTORS
def test_groups_of_one_keypoint_are_the_classical_pull(factor: float) -> None:
    """G = K. The paper says the losses are equal; they are for λ = 1.

    For another λ they differ by (λ - 1) times the classical pulling loss, as Eq. (13) has it.
    """
    people = random_people(7, seen=1)
    groups = torch.arange(17)
    low, high = hierarchical_pull(*people, groups)
    classical = classical_pull(*people)
    assert low.abs().max() == 0
    torch.testing.assert_close(high, classical)
    torch.testing.assert_close(difference(people, groups, factor), (factor - 1) * classical)
    printed = printed_difference(people, groups, factor)
    torch.testing.assert_close(printed, (factor - 1) * classical)


# Gradients


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("form", ["gaussian", "hinge"])
def test_push_gradient(form: Any, channels: int) -> None:
    people = random_people(8, (2, 4, 5, channels), seen=0.5)
    references = people.references.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda r: push_loss(r, people.present, PushOptions(form, sigma=0.8)), references
    )


@pytest.mark.parametrize("outlier_scope", ["person", "group"])
@pytest.mark.parametrize("missing", ["skip", "rescale"])
def test_focal_pull_gradient(outlier_scope: Any, missing: Any) -> None:
    people = random_people(9, (1, 4, 17, 1))
    groups = torch.as_tensor(COCO.group_indices("spatial_prior"))
    pull = PullOptions(2.0, outlier_scope, missing)
    plain = hierarchical_pull(*people, groups, PullOptions(1.0, outlier_scope, missing))
    focal = hierarchical_pull(*people, groups, pull)
    assert all((a < b).any() for a, b in zip(plain, focal, strict=True)), "there are outliers"
    assert torch.autograd.gradcheck(
        lambda v: hierarchical_pull(v, people.visible, groups, pull), people.values.requires_grad_()
    )


def test_ohkm_gradient_of_equal_losses() -> None:
    """Both have the same loss but for rounding; one is taken, and both get the same gradient."""
    rng = np.random.default_rng(18)
    one, two = torch.tensor(rng.normal(size=(2, 300)))
    values = torch.stack([one, two, one / 2, two / 2], dim=1).view(300, 1, 4, 1).requires_grad_()
    visible = torch.ones(300, 1, 4, dtype=torch.bool)
    pull = PullOptions(mining="ohkm", hardest=1, focal_levels="low")
    low, _ = hierarchical_pull(values, visible, torch.tensor([0, 0, 1, 1]), pull)
    half = (one - two) / 2
    torch.testing.assert_close(low, half**2)
    (gradient,) = torch.autograd.grad(low.sum(), values)
    nothing = torch.zeros(300, dtype=torch.float64)
    expected = torch.stack([half, -half, nothing, nothing], dim=1)
    torch.testing.assert_close(gradient.view(300, 4), expected)


@pytest.mark.parametrize("easy", ["drop", "keep"])
def test_ohkm_gradient(easy: Any) -> None:
    people = random_people(9, (1, 4, 17, 1))
    groups = torch.as_tensor(COCO.group_indices("anatomy"))
    pull = PullOptions(2.0, per_keypoint=True, mining="ohkm", hardest=6, ohkm_rest=easy)
    assert torch.autograd.gradcheck(
        lambda v: hierarchical_pull(v, people.visible, groups, pull), people.values.requires_grad_()
    )


@pytest.mark.parametrize("form", ["gaussian", "hinge"])
def test_push_gradient_of_equal_references_is_finite(form: Any) -> None:
    """Tags start nearly equal; the root in the hinge must not divide by their distance."""
    references = torch.zeros(1, 3, 2, requires_grad=True)
    loss = push_loss(references, torch.ones(1, 3, dtype=torch.bool), PushOptions(form))
    assert loss.tolist() == [1]
    loss.sum().backward()
    assert references.grad is not None and references.grad.tolist() == [[[0, 0]] * 3]


# Symmetries

Losses = Callable[[People], list[Tensor]]


def all_losses(people: People) -> list[Tensor]:
    groups = torch.as_tensor(COCO.group_indices("anatomy"))
    pushes = [
        push_loss(people.references, people.present, PushOptions(f)) for f in ("gaussian", "hinge")
    ]
    pulls = [term for p in VARIANTS for term in hierarchical_pull(*people, groups, p)]
    return pushes + pulls + [classical_pull(*people, p) for p in VARIANTS]


def assert_same(one: list[Tensor], two: list[Tensor]) -> None:
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_order_of_people_does_not_matter(seed: int) -> None:
    people = random_people(seed, (3, 5, 17, 2))
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    shuffled = People(people.values[:, order], people.visible[:, order])
    assert_same(all_losses(people), all_losses(shuffled))


def test_padding_does_not_matter() -> None:
    people = random_people(10)
    padding = torch.full((3, 2, 17, 1), torch.nan, dtype=torch.float64)
    no_people = torch.zeros(3, 2, 17, dtype=torch.bool)
    padded = People(
        torch.cat([padding, people.values, 1e6 + people.values[:, :1]], dim=1),
        torch.cat([no_people, people.visible, no_people[:, :1]], dim=1),
    )
    assert_same(all_losses(people), all_losses(padded))


def test_shift_of_all_tags_does_not_matter() -> None:
    """Exactly representable, so that no outlier changes sides by rounding."""
    people = random_people(11)
    rounded = People((people.values * 1024).round() / 1024, people.visible)
    moved = People(rounded.values + 8, rounded.visible)
    assert_same(all_losses(rounded), all_losses(moved))


def test_images_of_a_batch_are_independent() -> None:
    people = random_people(12)
    alone = [
        all_losses(People(people.values[i : i + 1], people.visible[i : i + 1])) for i in range(3)
    ]
    assert_same(all_losses(people), [torch.cat(terms) for terms in zip(*alone, strict=True)])


@pytest.mark.parametrize("junk", [1e9, torch.nan, torch.inf, -torch.inf])
def test_tags_of_unlabeled_keypoints_do_not_matter(junk: float) -> None:
    people = random_people(13)
    spoilt = torch.where(people.visible[..., None], people.values, junk).requires_grad_()
    losses = all_losses(People(spoilt, people.visible))
    assert_same(all_losses(people), losses)
    (gradient,) = torch.autograd.grad(torch.stack(losses).sum(), spoilt)
    assert gradient.isfinite().all()
    assert not gradient[~people.visible].any() and gradient[people.visible].any()


def test_pull_scales_with_the_square_and_push_decreases() -> None:
    people = random_people(14)
    wider = People(people.values * 2, people.visible)
    groups = torch.as_tensor(COCO.group_indices("anatomy"))
    for pull in VARIANTS:
        one, two = (hierarchical_pull(*p, groups, pull) for p in (people, wider))
        assert_same([4 * term for term in one], list(two))
    one, two = (push_loss(p.references, p.present) for p in (people, wider))
    assert (two < one).all()


def test_no_people_and_one_person() -> None:
    no_people = People(torch.randn(2, 3, 17, 1), torch.zeros(2, 3, 17, dtype=torch.bool))
    no_rows = People(torch.randn(2, 0, 17, 1), torch.zeros(2, 0, 17, dtype=torch.bool))
    for people in (no_people, no_rows):
        assert not torch.stack(all_losses(people)).any()
    one = random_people(15, (2, 1, 17, 1), seen=1)
    losses = all_losses(one)
    assert not torch.stack(losses[:2]).any(), "no other people to push away"
    assert torch.stack(losses[2:]).all()


@pytest.mark.parametrize("rows", [0, 3])
def test_gradient_of_no_people_is_zero(rows: int) -> None:
    values = torch.randn(2, rows, 17, 1, requires_grad=True)
    people = People(values, torch.zeros(2, rows, 17, dtype=torch.bool))
    torch.stack(all_losses(people)).sum().backward()
    assert values.grad is None or not values.grad.any()


def test_masked_mean() -> None:
    values = torch.tensor([[1.0, 10], [3, 30], [torch.nan, torch.inf]])
    mask = torch.tensor([True, True, False])
    assert masked_mean(values, mask, dim=0).tolist() == [2, 20]
    assert masked_mean(values, torch.zeros(3, dtype=torch.bool), dim=0).tolist() == [0, 0]


# Tags at keypoints


def test_tags_at_keypoints_by_hand() -> None:
    tags = torch.arange(2 * 3 * 2 * 4 * 6.0).view(2, 3, 2, 4, 6)
    rng = np.random.default_rng(0)
    xy = rng.uniform(-0.1, 1.1, (2, 5, 3, 2)) * (48, 32)
    points = torch.tensor(np.concatenate([xy, rng.integers(0, 3, (2, 5, 3, 1))], axis=-1))
    values, visible = tags_at_keypoints(tags, points, (32, 48))
    assert values.shape == (2, 5, 3, 2) and visible.shape == (2, 5, 3)
    assert visible.any() and not visible.all()
    for b, n, k in np.ndindex(2, 5, 3):
        x, y, labeled = points[b, n, k].tolist()
        assert bool(visible[b, n, k]) == (labeled > 0 and 0 <= x < 48 and 0 <= y < 32)
        if visible[b, n, k]:
            assert values[b, n, k].tolist() == tags[b, k, :, int(y // 8), int(x // 8)].tolist()


def test_tags_at_keypoints_gradient() -> None:
    tags = torch.full((1, 1, 1, 4, 4), torch.nan)
    tags[..., 1, 2] = 5
    tags.requires_grad_()
    points = torch.tensor([[[[9.0, 7.9, 1]], [[torch.nan, 1, 2]], [[1, 1, 0]], [[-3, 1, 2]]]])
    values, visible = tags_at_keypoints(tags, points, (16, 16))
    assert visible.flatten().tolist() == [True, False, False, False]
    masked_mean(values, visible, dim=2).sum().backward()
    assert tags.grad is not None and tags.grad.nonzero().tolist() == [[0, 0, 0, 1, 2]]


# The official losses. They halve the pushing loss, scale a group's mean by its full size where
# keypoints are missing, and divide by K.

OFFICIAL = PullOptions(missing_keypoints="rescale", per_keypoint=True)
FORMS: dict[str, PushOptions] = {
    "exp": PushOptions("gaussian", factor=0.5),
    "max": PushOptions("hinge", factor=0.5),
}
OFFICIAL_NAMES = {
    "hierarchical": "anatomy",
    "spatial_prior": "spatial_prior",
    "mutual_information": "mutual_information",
}


class Official(NamedTuple):
    """One case of an official loss: tags in the layout of its arrays, and the embeddings read."""

    data: Any
    case: int
    tags: Tensor
    people: People

    def expect(self, loss: Tensor, name: str) -> None:
        """Compare a loss (B,) and its gradient with the official ones."""
        kind = name.rpartition("_")[2]
        (gradient,) = torch.autograd.grad(loss.sum(), self.tags, retain_graph=True)
        gradient_name = f"{name.removesuffix(kind)}grad_{kind}"
        for found, key in ((loss.detach(), name), (gradient, gradient_name)):
            expected = self.data[f"c{self.case}_{key}"]
            scale = np.abs(expected).max()
            assert scale > 0
            np.testing.assert_allclose(found, expected, atol=2e-6 * scale, rtol=0, err_msg=key)


def official_case(golden_dir: Path, file: str, case: int, joints: str, square: bool) -> Official:
    """Read a case through ``tags_at_keypoints``: official joints are flat indices into (K, H, W).

    Joints by type name the map themselves; the left-packed ones of the classical losses do not
    depend on the type, so each is put at the type its index points into.
    """
    data = np.load(golden_dir / file)
    indices = data[f"c{case}_{joints}"]
    tags = torch.tensor(data[f"c{case}_tags"]).requires_grad_()
    kinds = indices.shape[2]
    cells = tags.shape[1] // kinds
    width = math.isqrt(cells) if square else int(data[f"c{case}_KHW"][2])
    height = cells // width
    points = torch.zeros(*indices.shape[:2], kinds, 3)
    for b, n, slot in zip(*np.nonzero(indices[..., 1]), strict=True):
        kind, cell = divmod(int(indices[b, n, slot, 0]), cells)
        row, column = divmod(cell, width)
        assert points[b, n, kind, 2] == 0
        points[b, n, kind] = torch.tensor([4 * column + 2.0, 4 * row + 2.0, 1])
    maps = tags.view(len(tags), kinds, 1, height, width)
    people = People(*tags_at_keypoints(maps, points, (4 * height, 4 * width)))
    assert torch.equal(people.visible.sum(), torch.tensor(indices[..., 1].sum()))
    return Official(data, case, tags, people)


@pytest.mark.golden
@pytest.mark.parametrize("form", ["exp", "max"])
@pytest.mark.parametrize("case", range(4))
def test_official_classical_pull(golden_dir: Path, case: int, form: str) -> None:
    official = official_case(golden_dir, "ae_loss.npz", case, "joints", square=False)
    people = official.people
    official.expect(push_loss(people.references, people.present, FORMS[form]), f"{form}_push")
    # The official mean over the labeled keypoints is the rescaled sum over K.
    official.expect(classical_pull(*people, OFFICIAL), f"{form}_pull")


@pytest.mark.golden
@pytest.mark.parametrize("case", range(4))
def test_official_hierarchical_pull(golden_dir: Path, case: int) -> None:
    """With joints by type, as the groups mean them.

    The arrays named "compact" are left out: there the official loss is given the left-packed
    joints of the official encoder, so that a person with a missing joint has the wrong keypoints
    in its groups.
    """
    official = official_case(golden_dir, "aegroup_loss.npz", case, "joints_by_type", square=False)
    people = official.people
    name, _, dataset = str(official.data[f"c{case}_group_type"]).rpartition("_")
    skeleton = SKELETONS[dataset]
    groups = torch.as_tensor(skeleton.group_indices(OFFICIAL_NAMES[name]))
    low, high = hierarchical_pull(*people, groups, OFFICIAL)
    for form, push in FORMS.items():
        loss = push_loss(people.references, people.present, push)
        official.expect(loss, f"paper_by_type_{form}_push")
        official.expect(low + 1.5 * high, f"paper_by_type_{form}_pull")
    official.expect(
        push_loss(people.references, people.present, FORMS["exp"]), "all_by_type_exp_push"
    )
    official.expect(classical_pull(*people, OFFICIAL) + low + high, "all_by_type_exp_pull")
    # Why they are left out, unless all joints are there.
    by_type, packed = (official.data[f"c{case}_joints_{name}"] for name in ("by_type", "compact"))
    pull = official.data[f"c{case}_paper_compact_exp_pull"]
    equal = np.allclose((low + 1.5 * high).detach(), pull, rtol=1e-3)
    assert equal == np.array_equal(by_type, packed)


@pytest.mark.golden
@pytest.mark.parametrize("case", range(2))
def test_official_focal_pull(golden_dir: Path, case: int) -> None:
    """The official focal loss with its weights on the right keypoints.

    The official code ranks the tags of a person, finds the outliers among the ranked and weights
    the tags in their original order by them; its pull loss is left out, its push loss is right.
    """
    official = official_case(golden_dir, "aefocal_loss.npz", case, "joints", square=True)
    people = official.people
    official.expect(
        push_loss(people.references, people.present, FORMS["exp"]), "exp_normal_AS_CODED_push"
    )
    pull = classical_pull(
        *people, PullOptions(2.0, missing_keypoints="rescale", per_keypoint=True)
    ).detach()
    np.testing.assert_allclose(pull, official.data[f"c{case}_pull_corrected_value"], rtol=1e-5)
    plain = classical_pull(*people, OFFICIAL).detach()
    right, as_coded, weighed = slow_focal_pulls(official, case)
    np.testing.assert_allclose(pull, right, rtol=1e-5)
    np.testing.assert_allclose(
        official.data[f"c{case}_exp_normal_AS_CODED_pull"], as_coded, rtol=1e-5
    )
    assert ((pull > plain * (1 + 1e-5)).numpy() == weighed).all(), "outliers alone weigh more"


def slow_focal_pulls(official: Official, case: int) -> tuple[list[float], list[float], list[bool]]:
    """Return each image's pull with the weights on the right tags, as coded, and if any counts."""
    right, as_coded, weighed = [], [], []
    tags = official.tags.detach()[..., 0].double().numpy()
    for image, people in zip(tags, official.data[f"c{case}_joints"], strict=True):
        terms = []
        for person in (image[joints[joints[:, 1] > 0, 0]] for joints in people):
            if not len(person):
                continue
            low = np.quantile(person, 0.25, method="lower")
            high = np.quantile(person, 0.75, method="higher")
            reach, square = 1.5 * (high - low), (person - person.mean()) ** 2
            weights = [
                np.where((each < low - reach) | (each > high + reach), 2, 1)
                for each in (person, np.sort(person))
            ]
            terms.append([*((square * weight).mean() for weight in weights), weights[0].max() > 1])
        for found, values in zip((right, as_coded), np.transpose(terms), strict=False):
            found.append(values.mean())
        weighed.append(any(term[2] for term in terms))
    return right, as_coded, weighed
